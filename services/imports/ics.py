"""Meetings of a calendar file (RFC 5545) as planned, moved, cancelled or held contacts.

A meeting's identity is its UID and the start that its series gave it (RECURRENCE-ID), so the same file gives the same
ids, and a meeting that was moved keeps the identity of its first start. Texts of the calendar (title, place, guests)
are not taken: they are not needed to plan a contact, and may name patients.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final, cast

import recurring_ical_events
from icalendar import Calendar, Event
from icalendar.error import InvalidCalendar
from icalendar.prop.broken import vBroken

from events.catalog import check
from events.errors import Invalid, SetupError
from events.recorded import AMSTERDAM, local_date
from services.dutch_problems import detail_in_dutch
from services.imports.outcome import Outcome, Skipped, checked, each_once
from services.reasons import why
from services.send import cloudevent

MAX_FILE_BYTES: Final = 20 * 1024 * 1024
MAX_MEETINGS: Final = 10_000
MAX_WINDOW: Final = timedelta(days=5 * 366)
_READ: Final = ("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")
_TOO_OFTEN: Final = frozenset({"SECONDLY", "MINUTELY", "HOURLY"})
_STRETCH: Final = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class CalendarImport:
    """What the calendar itself does not say: whose meetings these are, with whom, on which layers, and how."""

    source: str
    relation: str
    from_on: date
    to_on: date
    our_layer: str = "professional"
    their_layer: str = "professional"
    employee: str | None = None
    person: str | None = None
    channel: str = "meeting"
    topics: tuple[str, ...] = ()
    held: bool = False


def window(now: datetime, from_on: date | None, to_on: date | None) -> tuple[date, date]:
    """The days to take, by default a year back and a year ahead of `now`. Raises SetupError when they make no sense."""
    today = local_date(now)
    first, last = from_on or today - timedelta(days=365), to_on or today + timedelta(days=365)
    if last < first:
        raise SetupError(f"Het venster loopt terug: --from {first} ligt na --to {last}.")
    if last - first > MAX_WINDOW:
        raise SetupError("Het venster is langer dan vijf jaar. Kies --from en --to dichter bij elkaar.")
    return first, last


def read_ics(path: Path, given: CalendarImport, now: datetime) -> Iterator[Outcome]:
    """Every meeting in the window as one or more events or as a reason, in the order of their starts.

    `now` decides which meetings are over (for `held`). A meeting gives `contact.planned`; moved within its series also
    `contact.rescheduled`; cancelled also `contact.cancelled`; over, with `held`, `contact.held` instead. At most
    10,000 meetings. Raises SetupError when the file is no calendar, or when no meeting fits with what is `given`.
    """
    _check_given(given, now)
    yield from each_once(_outcomes(_load(path), given, now))


def _common(given: CalendarImport) -> dict[str, Any]:
    ours = [{"layer": given.our_layer} | ({"employee": given.employee} if given.employee else {})]
    theirs = [{"layer": given.their_layer} | ({"person": given.person} if given.person else {})]
    return {"channel": given.channel, "ours": ours, "theirs": theirs}


# What is wrong in every meeting was given wrong: by which option.
_OPTIONS: Final = (
    ("/source", "--source"), ("/subject", "--relation"), ("/data/channel", "--channel"), ("/data/topics", "--topic"),
    ("/data/ours/0/layer", "--our-layer"), ("/data/theirs/0/layer", "--their-layer"),
    ("/data/ours", "--employee"), ("/data/theirs", "--person"),
)  # fmt: skip


def _check_given(given: CalendarImport, now: datetime) -> None:
    at = now.isoformat()
    if given.held:
        data = {"occurred_at": at, "duration_min": 1, "activity": "conversation", "topics": list(given.topics)}
    else:
        data = {"starts_at": at, "ends_at": (now + timedelta(hours=1)).isoformat()}
    about = {"contact": "ics", **data, **_common(given)}
    name = "held" if given.held else "planned"
    try:
        check(cloudevent(f"contact.{name}.v1", "ics", given.source, given.relation, about))
    except Invalid as error:
        wrong = (
            f"{next((o for p, o in _OPTIONS if e.pointer.startswith(p)), e.pointer)} {detail_in_dutch(e.detail)}"
            for e in error.errors
        )
        raise SetupError(f"Zo kan geen afspraak mee: {'; '.join(wrong)}") from None


def _load(path: Path) -> Calendar:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SetupError(f"{path} is groter dan 20 MB: exporteer een kortere periode.")
        found = Calendar.from_ical(path.read_bytes())
    except OSError as error:
        raise SetupError(f"{path} is niet te lezen: {why(error)}.") from None
    except (ValueError, InvalidCalendar):
        found = None  # the parser's own words repeat the file's
    if not isinstance(found, Calendar):  # or a component of another name, which it reads just as well
        raise SetupError(f"{path} is geen geldig agendabestand (.ics).")
    return found


def _outcomes(calendar: Calendar, given: CalendarImport, now: datetime) -> Iterator[Outcome]:
    masters: dict[str, Event] = {}
    unusable: list[Event] = []
    for event in calendar.events:
        reason = _unusable(event)
        if reason is not None:
            yield Skipped(_where(event), reason)
            unusable.append(event)
        elif event.get("RECURRENCE-ID") is None:
            masters.setdefault(str(event["UID"]), event)
    for event in unusable:
        calendar.subcomponents.remove(event)

    whole = str(calendar.get("METHOD", "")).upper() == "CANCEL"
    for count, (event, begins) in enumerate(_occurrences(calendar, given)):
        if count >= MAX_MEETINGS:
            yield Skipped(_where(event), f"meer dan {MAX_MEETINGS} afspraken: neem een korter venster")
            return
        yield from _events(event, begins, masters.get(str(event["UID"])), whole, given, now)


def _occurrences(calendar: Calendar, given: CalendarImport) -> Iterator[tuple[Event, datetime]]:
    """Meetings with their starts, some weeks at a time: a series without end stays bounded in memory."""
    query = recurring_ical_events.of(calendar, skip_bad_series=True)
    on, stop = given.from_on, given.to_on + timedelta(days=1)
    while on < stop:
        upto = min(on + _STRETCH, stop)
        first, last = (datetime.combine(day, time(), AMSTERDAM) for day in (on, upto))
        found = [(e, _local(e.start)) for e in cast("Sequence[Event]", query.between(first, last))]
        starting = [(e, at) for e, at in found if at is not None and first <= at < last]
        yield from sorted(starting, key=lambda pair: (pair[1], str(pair[0]["UID"])))
        on = upto


def _unusable(event: Event) -> str | None:
    if not event.get("UID"):
        return "geen UID"
    if event.get("DTSTART") is None:
        return "geen DTSTART"
    if broken := next((name for name in _READ if any(isinstance(v, vBroken) for v in _all(event, name))), None):
        return f"{broken} is niet te lezen"
    try:
        start, _ = event.start, event.end
    except (ValueError, TypeError, AttributeError, OverflowError, InvalidCalendar):
        return "begin en einde zijn niet te lezen"
    if not isinstance(start, datetime):
        return "hele dag: geen afspraak met een tijd"
    if any(str(f).upper() in _TOO_OFTEN for rule in _all(event, "RRULE") for f in rule.get("FREQ", [])):
        return "herhaalt per uur of vaker"
    return None


def _all(event: Event, name: str) -> list[Any]:
    """The values of a property, which may stand there more than once."""
    value = event.get(name)
    return cast("list[Any]", value if isinstance(value, list) else [value] if value else [])


def _dt(value: Any) -> Any:
    """What a property says of time; None for one that says nothing or cannot be read."""
    return None if isinstance(value, vBroken) else getattr(value, "dt", None)


def _where(event: Event) -> str:
    at = _dt(event.get("DTSTART"))
    return f"{event.get('UID', 'zonder UID')} {at.isoformat() if isinstance(at, date) else ''}".strip()


def _local(at: datetime | date) -> datetime | None:
    """In Amsterdam; a floating time counts as Amsterdam's. None for a whole day."""
    if not isinstance(at, datetime):
        return None
    return at.replace(tzinfo=AMSTERDAM) if at.tzinfo is None else at.astimezone(AMSTERDAM)


def _events(
    event: Event, begins: datetime, master: Event | None, whole: bool, given: CalendarImport, now: datetime
) -> Iterator[Outcome]:
    where, ends = _where(event), _local(event.end)
    if ends is None or ends <= begins:
        yield Skipped(where, "eindigt niet na het begin")
        return
    first = _stamp(event, "RECURRENCE-ID") or begins
    # What the series planned, whatever became of it: so it is the same event before and after a move.
    length = _length(master) if master is not None and first != begins else ends - begins
    contact = _contact_id(str(event["UID"]), first)
    cancelled = whole or str(event.get("STATUS", "")).upper() == "CANCELLED"
    common = _common(given)
    logged = _stamp(event, "CREATED")

    def made(name: str, id_: str, data: dict[str, Any]) -> Outcome:
        at = logged.isoformat() if logged else None
        return checked(where, cloudevent(f"contact.{name}.v1", id_, given.source, given.relation, data, time=at))

    if given.held and not cancelled and ends <= now:
        minutes = round((ends.astimezone(UTC) - begins.astimezone(UTC)).total_seconds() / 60)
        yield made("held", f"{contact}-held", {
            "contact": contact, "occurred_at": begins.isoformat(), "duration_min": minutes,
            "activity": "conversation", "topics": list(given.topics), **common,
        })  # fmt: skip
        return
    # DTSTAMP is the moment of the export in some programs; LAST-MODIFIED stays what it was.
    changed_at = _stamp(event, "LAST-MODIFIED") or _stamp(event, "DTSTAMP")
    unchanged = first == begins and not cancelled
    if not unchanged and (changed_at is None or changed_at > now):
        # Not the plan alone either: it would stand as a meeting that does not take place then.
        yield Skipped(where, "verzet of afgezegd zonder bruikbaar tijdstip (LAST-MODIFIED of DTSTAMP)")
        return
    planned_end = (first.astimezone(UTC) + length).astimezone(AMSTERDAM)
    yield made("planned", f"{contact}-planned", {
        "contact": contact, "starts_at": first.isoformat(), "ends_at": planned_end.isoformat(), **common,
    })  # fmt: skip
    if unchanged or changed_at is None:
        return
    at = changed_at.isoformat()
    if first != begins:
        yield made("rescheduled", f"{contact}-moved-{begins:%Y%m%dT%H%M}-{ends:%Y%m%dT%H%M}", {
            "contact": contact, "starts_at": begins.isoformat(), "ends_at": ends.isoformat(), "occurred_at": at,
        })  # fmt: skip
    if cancelled:
        yield made("cancelled", f"{contact}-cancelled", {"contact": contact, "occurred_at": at})


def _length(master: Event) -> timedelta:
    begins, ends = _local(master.start), _local(master.end)
    return ends - begins if begins is not None and ends is not None else timedelta()


def _stamp(event: Event, name: str) -> datetime | None:
    at = _dt(event.get(name))
    return _local(at) if isinstance(at, datetime) else None


def _contact_id(uid: str, first: datetime) -> str:
    text = f"{uid}\n{first.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    return "ics-" + hashlib.sha256(text.encode()).hexdigest()[:24]
