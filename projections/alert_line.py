"""Reading a line's row: its terms, its contacts and meetings, the alert that is open for it. Pure.

A line's alerts are in its own row while they were raised under its own relation, and in `hosted` where its relation
was absorbed when they were raised (see `alert_settle`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from events.identity import is_uuid
from events.recorded import instant, iso
from projections.line_state import line_of
from projections.rows import Row
from projections.schedule_line import Line, Meeting, Pause, Qualifying

RULE: Final = "contact_overdue"
RULE_VERSION: Final = 1

POLICY: Final = "policy:"
# Among the positions of a line that ends with its relation: that of the relation's end.
RELATION_ENDED: Final = "relation_ended"
_UUID: Final = 36


def alert_id(relation: str, line: str, due_on: date | str, rule: str = RULE) -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:relatieboek:alert:{rule}:{relation}:{line}:{due_on}"))


def named(relation: str, row: Row) -> tuple[str, str]:
    """How an alert under `relation` names this line: the field of `alert.raised`, and its value.

    A line that the relation has not set itself (a policy's, or one of a relation that it absorbed) is named in
    `about`: `policy:<tier>:<our layer>:<their layer>:<day>`, or `<relation of the line>:<line>`.
    """
    if row["relation"] != relation:
        return "about", f"{row['relation']}:{row['line']}"
    return ("about" if row["line"].startswith(POLICY) else "line"), row["line"]


def line_key(relation: str, data: Mapping[str, Any]) -> tuple[str, str] | None:
    """The relation and the id of the line that an `alert.raised` is about; None when it is about no line."""
    if data.get("line") is not None:
        return relation, data["line"]
    about: str = data.get("about") or ""
    if data["rule"] != RULE:
        return None
    if about.startswith(POLICY):
        return relation, about
    of, line = about[:_UUID], about[_UUID + 1 :]
    return (of, line) if is_uuid(of) and line else None


def set_line(row: Row) -> Line | None:
    """The line as the due rules want it; None while only later facts of it are known."""
    return None if row["our_layer"] is None else line_of(row)


def open_of(row: Row) -> Mapping[str, Any] | None:
    """The alert that is open for the line, wherever it was raised."""
    hosted = row["hosted"]
    return row["open"] or (None if hosted is None else hosted["open"])


def alert_known(row: Row, relation: str, due_on: date | str) -> tuple[str, str | None] | None:
    """The alert that there ever was under a relation for this line and due date: its id, and how it was resolved."""
    if relation == row["relation"]:
        found = row["alerts"].get(str(due_on))
    else:
        found = _hosted_alerts(row).get(f"{relation}:{due_on}")
    return None if found is None else (found[0], found[1])


def settled_by_hand(row: Row, due_on: date | str) -> bool:
    """Whether a person resolved the line's alert for this due date: that holds, under whichever relation it was."""
    hosted = _hosted_alerts(row)
    found = [row["alerts"].get(str(due_on)), *(v for k, v in hosted.items() if k.endswith(f":{due_on}"))]
    return any(v is not None and v[1] == "manual" for v in found)


def last_overdue_on(row: Row) -> date | None:
    """`overdue_on` of the alert that was resolved last."""
    own: date | None = row["last_overdue_on"]
    hosted: str | None = None if row["hosted"] is None else row["hosted"]["last_overdue_on"]
    elsewhere = None if hosted is None else date.fromisoformat(hosted)
    return max((day for day in (own, elsewhere) if day is not None), default=None)


def _hosted_alerts(row: Row) -> Mapping[str, Any]:
    hosted: Mapping[str, Any] | None = row["hosted"]
    return {} if hosted is None else hosted["alerts"]


def snoozes_of(opened: Mapping[str, Any]) -> list[Pause]:
    """The spans in which the open alert was or is put off."""
    return [Pause(date.fromisoformat(a), date.fromisoformat(b)) for a, b in opened.get("snoozes") or ()]


def contacts_of(line: Line, bucket: Row | None, since: date = date.min) -> list[Qualifying]:
    """The contacts of the line's layers that its channels accept, from `since` on, ascending by date."""
    dates: Sequence[Any] = () if bucket is None else bucket["dates"]
    start = bisect_left(dates, [since.isoformat()])
    channels = line.channels
    return [
        Qualifying(date.fromisoformat(on), position)
        for on, position, channel in dates[start:]
        if channels is None or channel in channels
    ]


def newest_of(channels: Collection[str] | None, bucket: Row | None) -> Qualifying | None:
    """The last contact of a line's layers that its channels accept; None of them: any."""
    dates: Sequence[Any] = () if bucket is None else bucket["dates"]
    for on, position, channel in reversed(dates):
        if channels is None or channel in channels:
            return Qualifying(date.fromisoformat(on), position)
    return None


def meetings_of(line: Line, bucket: Row | None, now: datetime) -> list[Meeting]:
    """The planned meetings of the line's layers that have not ended at `now`."""
    text = iso(now)
    pairs = frozenset({(line.our_layer, line.their_layer)})
    meetings: Sequence[Any] = () if bucket is None else bucket["meetings"]
    return [
        Meeting(contact, instant(starts_at), instant(ends_at), channel, pairs)
        for contact, starts_at, ends_at, channel in meetings
        if ends_at > text
    ]


def united_bucket(buckets: Iterable[Row | None]) -> Row | None:
    """The buckets of one pair of layers of several relations as one; it keeps the first one's other columns."""
    found = [b for b in buckets if b is not None]
    if len(found) < 2:
        return found[0] if found else None
    together: dict[str, list[Any]] = {"dates": [], "meetings": []}
    for name, entries in together.items():
        for bucket in found:
            for entry in bucket[name]:
                insort(entries, entry)
    return {**found[0], **together}
