"""What each role may do is in one table, and no route is without an entry."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from projections.viewer import EVERYTHING, Role, Viewer
from services.api import permits, site
from services.api.asking import identity_of, viewer_of
from tests.who_may import WHO_MAY

ROUTES = [r for router in site.ROUTERS for r in router.routes if isinstance(r, APIRoute)]


def calls_of(dependant: Dependant) -> set[Any]:
    return {dependant.call, *(call for one in dependant.dependencies for call in calls_of(one))}


def test_every_route_is_in_the_table_once_and_the_table_has_no_other() -> None:
    known = [*permits.OPEN, *permits.PUBLISHING, *permits.PERMITS]
    assert len(known) == len(set(known))
    assert {permits.operation_named(r) for r in ROUTES} == set(known)


def test_the_table_says_what_is_agreed_of_each_call() -> None:
    said: dict[str, object] = {}
    for route in ROUTES:
        name = permits.operation_named(route)
        who = "anybody" if name in permits.OPEN else permits.PERMITS.get(name, "departments")
        said |= {f"{method} {route.path}": who for method in route.methods or ()}
    assert said == dict(WHO_MAY)


@pytest.mark.parametrize("route", ROUTES, ids=permits.operation_named)
def test_a_route_in_the_table_asks_who_reads(route: APIRoute) -> None:
    name, calls = permits.operation_named(route), calls_of(route.dependant)
    assert (viewer_of in calls) is (name in permits.PERMITS)
    if name in permits.OPEN:
        assert identity_of not in calls


def test_no_role_is_without_use_but_those_that_read_no_relations() -> None:
    reading = {role for roles in permits.PERMITS.values() for role in roles}
    assert reading == set(get_args(Role))
    for role in ("operations", "privacy_officer", "administrator"):
        assert permits.permitted(Viewer("x", roles=frozenset({role})), "showRelation") is None


def test_each_role_reaches_as_far_as_it_goes_and_no_further() -> None:
    both = Viewer("x", teams=frozenset({"wmo"}), roles=frozenset({"auditor", "relation_manager", "board"}))
    reading, acting = permits.permitted(both, "showRelation"), permits.permitted(both, "resolveAlert")
    assert reading is not None
    assert reading.everything
    assert acting is not None
    assert (acting.everything, acting.tiers, acting.teams) == (False, frozenset(), both.teams)
    assert permits.permitted(both, "no such operation") is None
    assert permits.permitted(Viewer("x"), "showRelation") is None


def test_the_viewer_all_may_everything() -> None:
    for name in permits.PERMITS:
        seen = permits.permitted(EVERYTHING, name)
        assert seen is not None, name
        assert seen.everything
