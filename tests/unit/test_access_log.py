"""The access log without engines: what a record is, what is logged, and how the security log is bounded."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final
from uuid import UUID

import orjson
import pytest
import typer
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import Mount
from structlog.testing import capture_logs
from typer.core import TyperGroup

from events.seen import note_items, note_persons, note_relations, watched, watching
from services.access_log.operations import NOT_PERSONAL, OF_SYSTEMS, OPEN
from services.access_log.record import EVERYBODY, GENESIS, MOST_RELATIONS, Record, chained, leaf_of, prepare, prepared
from services.api.asking import identity_of
from services.api.security_log import SecurityLog
from services.api.site import ROUTERS, application, filters_of
from services.cli.main import app
from services.cli.reads import API, COMMANDS, ITSELF

AT: Final = datetime(2026, 6, 30, 12, 0, tzinfo=timezone(timedelta(hours=2)))
RELATION: Final = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001"
PERSON: Final = "ref~0123456789abcdef0123456789abcdef"
RECORD: Final = Record(
    at=AT, event="page", action="R", kind="person", actor="anna", roles=("auditor",), operation="showRelation",
    route="/v1/relations/{id}", relations=frozenset({RELATION, "organisation"}), persons=frozenset({PERSON, "e-12"}),
    acting_for={"department": "zorg"}, outcome="granted", status=200, address="10.0.0.1", client="browser",
)  # fmt: skip


class TestRecord:
    def test_its_bytes_are_fixed_for_ever(self) -> None:
        entry = (
            b'{"action":"R","at":"2026-06-30T10:00:00.000000Z","event":"page","for":{"department":"zorg"},'
            b'"from":{"address":"10.0.0.1","client":"browser"},"result":{"outcome":"granted","status":200},"v":1,'
            b'"what":{"operation":"showRelation","persons":["ref~0123456789abcdef0123456789abcdef"],'
            b'"relations":["6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001"],"route":"/v1/relations/{id}"},'
            b'"who":{"kind":"person","name":"anna","roles":["auditor"]}}'
        )
        made = prepare(RECORD)
        assert made.entry == entry
        assert made.at == AT.astimezone(UTC)
        assert made.about == (RELATION.replace("-", ""), "0123456789abcdef0123456789abcdef")
        assert prepared(entry) == made
        assert leaf_of(7, GENESIS, entry) == hashlib.sha256(b"\x00" + bytes(7) + b"\x07" + bytes(32) + entry).digest()

    def test_each_leaf_holds_the_one_before_it(self) -> None:
        first, second = chained(0, GENESIS, [b"a", b"b"])
        assert (first, second) == (leaf_of(1, GENESIS, b"a"), leaf_of(2, first, b"b"))

    def test_more_than_is_listed_counts_as_about_everybody(self) -> None:
        many = frozenset(str(UUID(int=n)) for n in range(1, MOST_RELATIONS + 2))
        made = prepare(Record(AT, "page", "R", "person", "anna", "listRelations", "granted", relations=many))
        assert made.about[-1] == EVERYBODY
        assert orjson.loads(made.entry)["what"]["more"] is True

    def test_whoever_asks_for_zeros_is_not_in_everybodys_list(self) -> None:
        zeros, none = frozenset({str(UUID(int=0)), "0" * 32}), frozenset({f"ref~{EVERYBODY}"})
        made = prepare(
            Record(AT, "page", "R", "person", "anna", "showRelation", "denied", relations=zeros, persons=none)
        )
        assert made.about == ()
        assert b"0000" not in made.entry.replace(b"000000Z", b"")
        assert prepared(made.entry) == made

    def test_nothing_found_is_a_number_too(self) -> None:
        made = prepare(Record(AT, "search", "E", "person", "anna", "listRelations", "granted", items=0))
        assert orjson.loads(made.entry)["result"] == {"outcome": "granted", "items": 0}


class TestWatching:
    def test_what_is_shown_is_noted_by_whoever_watches_and_by_nobody_else(self) -> None:
        note_persons([PERSON])
        assert watched() is None
        with watching() as seen:
            note_persons([PERSON])
            note_relations([RELATION])
            note_items(3)
            taken = seen.take()
            assert (taken.persons, taken.relations, taken.items) == ({PERSON}, {RELATION}, 3)
            assert not seen
        assert watched() is None


def routes() -> list[APIRoute]:
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def name_of(route: APIRoute) -> str:
    return route.operation_id or route.name


class TestOperations:
    def test_every_route_is_logged_or_says_why_not(self) -> None:
        assert [r.path for r in application().routes if isinstance(r, Mount)] == ["/static"]
        assert all(isinstance(route, APIRoute) for router in ROUTERS for route in router.routes)
        listed = {*NOT_PERSONAL, *OF_SYSTEMS, *OPEN}
        known = {name_of(route) for route in routes()}
        assert listed <= known, "a table of operations.py names what is no operation any more"
        assert {*NOT_PERSONAL}.isdisjoint({*OF_SYSTEMS, *OPEN})

    @pytest.mark.parametrize("route", routes(), ids=name_of)
    def test_what_is_logged_asks_who_it_is(self, route: APIRoute) -> None:
        name = name_of(route)
        if name in NOT_PERSONAL or name in OPEN or name == "publishEvents":  # which asks after reading the body
            return
        assert asks(route.dependant), f"{name} must depend on a Reader: without it the answer is withheld"

    def test_no_two_operations_have_one_name(self) -> None:
        names = [name_of(route) for route in routes()]
        assert len(names) == len(set(names))

    def test_the_names_of_filters_are_those_of_openapi(self) -> None:
        filters = filters_of(application().openapi())
        assert {"q", "kind", "tier", "team", "cursor", "limit"} <= filters["listRelations"]
        assert filters["showStatus"] == frozenset()


def commands() -> dict[str, Any]:
    def walk(group: Any, words: str) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            if isinstance(command, TyperGroup):
                yield from walk(command, f"{words}{name} ")
            else:
                yield f"{words}{name}", command

    return dict(walk(typer.main.get_command(app), ""))


class TestCommands:
    def test_of_every_command_it_is_known_how_it_is_logged(self) -> None:
        assert set(commands()) == set(COMMANDS), "say in services/cli/reads.py how what a command shows is logged"

    @pytest.mark.parametrize("words", COMMANDS)
    def test_what_is_said_of_it_is_so(self, words: str) -> None:
        called = inspect.getsource(inspect.unwrap(commands()[words].callback))
        if COMMANDS[words] == API:
            assert "find(data_dir).get(" in called or "_show(" in called
        if COMMANDS[words] == ITSELF:
            assert "log_reading(" in called or "logged_reading(" in called or "_changed(" in called


def asks(dependant: Dependant) -> bool:
    return dependant.call is identity_of or any(asks(inner) for inner in dependant.dependencies)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class TestSecurityLog:
    def call(self, log: SecurityLog, address: str) -> None:
        log.note(method="GET", route="/v1/relations", status=401, address=address, client="program")

    def test_lines_are_bounded_by_address_and_in_all(self) -> None:
        clock = Clock()
        log = SecurityLog(lines=5, of_one=2, clock=clock)
        with capture_logs() as lines:
            for _ in range(100):
                self.call(log, "10.0.0.1")
            for n in range(100):
                self.call(log, f"10.0.1.{n}")
            assert len(lines) == 5
            assert [line["address"] for line in lines][:2] == ["10.0.0.1", "10.0.0.1"]
            clock.now_s = 60.0
            self.call(log, "10.0.0.1")
            for _ in range(3):
                log.of_department("zorg", code="too_large", status=413, size=70_000)
        assert [line["event"] for line in lines[7:]] == ["publish.refused"] * 2
        said: list[Any] = [line["event"] for line in lines[5:7]]
        assert said == ["security.left_out", "security.unknown_caller"]
        assert lines[5]["calls"] == 195
        assert lines[6] == {
            "event": "security.unknown_caller", "log_level": "warning", "method": "GET", "route": "/v1/relations",
            "status": 401, "address": "10.0.0.1", "client": "program",
        }  # fmt: skip
