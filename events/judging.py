"""What the rules of several families are made of: refusals, checks in a row, and what ends only once. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from events.book import Case, Decision, Reject, Thing
from events.errors import FieldError

Check = Callable[[Case], Decision | None]

# What alerts were computed from: an alert is only as good as the contacts and lines that it saw.
ATTENTION: Final = "attention:{relation}"


def against(field: str, detail: str, by: Thing | None = None) -> Reject:
    """Against a rule of the book: the field of the payload that shows it, and the event that was first, if any."""
    return Reject("rule", (FieldError(f"/data/{field}", detail),), by.position if by else None)


def all_of(*checks: Check) -> Check:
    """The answer of the first check that has one."""

    def check(case: Case) -> Decision | None:
        return next((answer for one in checks if (answer := one(case)) is not None), None)

    return check


def ends_once(thing: str, field: str, detail: str) -> Check:
    """Refuses a second end. Only ends touch `<thing>:<relation>:<field>`."""

    def check(case: Case) -> Decision | None:
        ended = case.look(f"{thing}:{case.relation}:{case.event.data[field]}")
        return None if ended is None else against(field, detail, ended)

    return check
