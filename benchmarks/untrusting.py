"""Intake without what keeps people and departments safe: nothing is encrypted, no key is wrapped, nobody's authority is
asked. There to be measured against (`intake_trust_share`), in a book of its own; no service has such a switch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from events import keys, recording
from events.catalog import Submission
from services.intake import desk
from services.intake.app import main
from services.settings import load


def _as_sent(sub: Submission, position: int, key: bytes, people: object) -> dict[str, Any]:
    return sub.data


def _nobody(people: object, submissions: Sequence[Submission]) -> list[bytes]:
    return []


def _no_objection(department: object, source: object, type_: object) -> list[object]:
    return []


async def _unwrapped(wrapper: object, named: Sequence[keys.Named]) -> list[bytes]:
    return [key for _, key in named]


def _leave_out() -> None:
    untyped: Any = recording
    untyped._sealed, untyped.People.missing = _as_sent, _nobody
    untyped = keys
    untyped.RingWrapper.wrap = _unwrapped
    untyped = desk
    untyped.authority = _no_objection


if __name__ == "__main__":
    _leave_out()
    main(load())
