"""Who may publish what: the book's own families are the book's, whatever a department was granted."""

from __future__ import annotations

import pytest

from events.catalog import TYPES
from services.intake.departments import OWN, Department, authority, registered

CRM = "urn:nld:oin:00000001003214345000:systeem:crm"
WORKFLOWS = "urn:nld:oin:00000001003214345000:systeem:relatieboek-workflows"
# What the api also sends for people who edit; departments may be granted it too.
FOR_READERS = {"nl.relatieboek.plan.question_answered.v1"}
RESERVED = sorted(
    t.name for t in TYPES.values() if t.family in ("alert", "loop", "retention") or t.kind == "person.erased"
)
GLOBS = ("*", "alert.*", "loop.*", "person.*", "nl.relatieboek.*")


@pytest.mark.parametrize("type_", RESERVED)
def test_what_the_book_writes_is_granted_to_nobody_else(type_: str) -> None:
    crm = Department("crm", frozenset({CRM}), GLOBS)
    found = authority(crm, CRM, type_)
    assert [e.pointer for e in found] == ["/type"]
    assert TYPES[type_].kind in found[0].detail


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_the_book_writes_its_own_families_and_no_others(type_: str) -> None:
    book = Department(OWN, frozenset(), GLOBS)
    assert bool(authority(book, WORKFLOWS, type_)) is (type_ not in {*RESERVED, *FOR_READERS})


def test_a_department_that_may_send_all_may_send_all_else() -> None:
    assert Department("crm", frozenset({CRM}), ("*",)).granted == frozenset(TYPES) - frozenset(RESERVED)


@pytest.mark.parametrize(
    ("glob", "kinds"),
    [
        ("agreement.*", {"agreement.signed", "agreement.renewed", "agreement.ended"}),
        ("employee.left", {"employee.left"}),
        ("correction.*", {"correction.withdrawn"}),
        ("person.*", set[str]()),
    ],
)
def test_a_family_is_granted_by_its_name(glob: str, kinds: set[str]) -> None:
    granted = Department("crm", frozenset({CRM}), (glob,)).granted
    assert {TYPES[type_].kind for type_ in granted} == kinds


def test_only_the_book_speaks_for_its_services() -> None:
    assert authority(Department(OWN, frozenset(), ()), WORKFLOWS, RESERVED[0]) == []
    crm = Department("crm", frozenset({CRM}), ("*",))
    assert [e.pointer for e in authority(crm, WORKFLOWS, RESERVED[0])] == ["/source", "/type"]


def test_no_department_speaks_for_a_service_of_the_book() -> None:
    contact = next(t for t in TYPES if TYPES[t].kind == "contact.held")
    crm = registered("crm", [CRM, WORKFLOWS], ["*"])
    assert authority(crm, CRM, contact) == []
    assert [e.pointer for e in authority(crm, WORKFLOWS, contact)] == ["/source"]
