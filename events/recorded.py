"""An event as the book recorded it: what every projection, service and auditor reads."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final, NewType
from zoneinfo import ZoneInfo

import msgspec

Position = NewType("Position", int)

ORGANISATION: Final = "organisation"
TYPE_PREFIX: Final = "nl.relatieboek."
AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")


class _Wire(msgspec.Struct):
    id: str
    source: str
    type: str
    subject: str
    sequence: str
    recordedtime: datetime
    department: str
    relation: str
    data: dict[str, Any]
    visibility: str = "organisation"
    time: str | None = None
    actor: str | None = None
    absorbed: str | None = None
    withdraws: str | None = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the book.

    `position` is the stream sequence, dense from 1. `version` counts the relation's events from 1. `relation` is the
    relation's UUID in lower case, or `organisation` for events about no relation. `data` is the stored payload:
    personal fields are opaque tokens (`ref~…` for a person or employee, `enc~…` for an encrypted text); a projection
    stores and compares them but never reads them. `time` is the envelope's time as sent.

    What the book resolved, beside `relation`: `absorbed` is the UUID of the absorbed relation (relation.merged and
    unmerged, of which `relation` is the survivor), `withdraws` the position of the event that a withdrawal is about.
    """

    position: int
    version: int
    relation: str
    type: str
    source: str
    id: str
    subject: str
    department: str
    recorded_at: datetime
    data: dict[str, Any]
    visibility: str = "organisation"
    time: str | None = None
    actor: str | None = None
    absorbed: str | None = None
    withdraws: int | None = None

    @property
    def kind(self) -> str:
        """Family and event without prefix and version: `contact.held`."""
        return _kind_of(self.type)

    @property
    def family(self) -> str:
        return self.type.split(".", 3)[2]

    @property
    def occurred_at(self) -> datetime:
        """When it happened, as an instant (UTC). A date counts from its first moment in Amsterdam.

        The payload's own time first, else the envelope's `time`, else the recorded time (SPEC section 1).
        """
        own = self.data.get("occurred_at") or self.data.get("occurred_on")
        if own is None:
            if self.time is None:
                return self.recorded_at
            return datetime.fromisoformat(self.time).astimezone(UTC)
        return instant(own)

    @property
    def stamp(self) -> list[str]:
        """What orders facts that replace each other: occurred, then (`time` as sent, source, id). Greater wins.

        A JSON-able list of four strings; `occurred` is UTC with microseconds so that strings sort as instants.
        """
        return [iso(self.occurred_at), self.time or "", self.source, self.id]


@lru_cache(maxsize=512)  # asked of every event by everyone who folds it, of some hundred types
def _kind_of(type_: str) -> str:
    return type_[len(TYPE_PREFIX) : type_.rindex(".v")]


_decoder = msgspec.json.Decoder(_Wire)


def decode(payload: bytes, version: int) -> Recorded:
    """Reads one stored event (structured CloudEvent, as in the stream and the ledger)."""
    w = _decoder.decode(payload)
    return Recorded(
        position=int(w.sequence), version=version, relation=w.relation, type=w.type, source=w.source, id=w.id,
        subject=w.subject, department=w.department, recorded_at=w.recordedtime.astimezone(UTC), data=w.data,
        visibility=w.visibility, time=w.time, actor=w.actor, absorbed=w.absorbed,
        withdraws=None if w.withdraws is None else int(w.withdraws),
    )  # fmt: skip


def iso(at: datetime) -> str:
    """UTC, microseconds, `Z`: sorts as text in the order of time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"  # five times as fast as strftime


@lru_cache(maxsize=4_096)  # an event's time is read by each of its parts
def instant(value: str) -> datetime:
    """A date-time with offset, or a date (its first moment in Amsterdam), as an instant in UTC."""
    if len(value) == 10:
        return datetime.combine(date.fromisoformat(value), time(), AMSTERDAM).astimezone(UTC)
    return datetime.fromisoformat(value).astimezone(UTC)


@lru_cache(maxsize=4_096)
def local_date(at: datetime) -> date:
    """The business day in Europe/Amsterdam on which an instant falls."""
    return at.astimezone(AMSTERDAM).date()


def day_end(on: date) -> datetime:
    """The first instant (UTC) after a business day in Amsterdam."""
    return datetime.combine(on + timedelta(days=1), time(), AMSTERDAM).astimezone(UTC)
