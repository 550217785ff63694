"""Calendar files as events: series across summer time, left out, moved and cancelled meetings, zones, and reasons."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from events.errors import SetupError
from services.imports.ics import MAX_MEETINGS, CalendarImport, read_ics, window
from services.imports.outcome import Skipped, Taken

CALENDAR = Path(__file__).parent.parent / "data" / "team.ics"
NOW = datetime(2026, 10, 20, 12, tzinfo=UTC)
GIVEN = CalendarImport(
    source="urn:nld:oin:00000000000000000000:systeem:communicatie-agenda", relation="gemeentecode:0518",
    from_on=date(2026, 1, 1), to_on=date(2026, 12, 31), our_layer="board", their_layer="board", employee="e-12",
    topics=("wmo",),
)  # fmt: skip


def events(path: Path = CALENDAR, given: CalendarImport = GIVEN, now: datetime = NOW) -> list[dict[str, Any]]:
    return [o.event for o in read_ics(path, given, now) if isinstance(o, Taken)]


def of_kind(kind: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [e for e in found if e["type"] == f"nl.relatieboek.contact.{kind}.v1"]


def calendar(tmp_path: Path, body: str, method: str = "") -> Path:
    path = tmp_path / "test.ics"
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//y//NL", *([f"METHOD:{method}"] if method else [])]
    path.write_text("\r\n".join([*lines, *body.strip().splitlines(), "END:VCALENDAR", ""]), encoding="utf-8")
    return path


def test_a_series_keeps_its_local_time_when_summer_time_ends_and_leaves_out_its_exdate() -> None:
    starts = [e["data"]["starts_at"] for e in of_kind("planned", events()) if "T10:00" in e["data"]["starts_at"]]
    assert starts == [
        "2026-10-12T10:00:00+02:00", "2026-10-26T10:00:00+01:00", "2026-11-02T10:00:00+01:00",
        "2026-11-09T10:00:00+01:00",
    ]  # fmt: skip


def test_what_was_called_off_or_moved_at_an_unknown_time_is_not_planned(tmp_path: Path) -> None:
    """Without LAST-MODIFIED and DTSTAMP nobody can say when; its old plan would stand as a meeting to come."""
    body = """BEGIN:VEVENT
UID:off
DTSTART:20261201T090000Z
DTEND:20261201T100000Z
STATUS:CANCELLED
END:VEVENT
BEGIN:VEVENT
UID:series
DTSTART:20261102T090000Z
DTEND:20261102T100000Z
RRULE:FREQ=WEEKLY;COUNT=2
END:VEVENT
BEGIN:VEVENT
UID:series
RECURRENCE-ID:20261109T090000Z
DTSTART:20261110T090000Z
DTEND:20261110T100000Z
END:VEVENT"""
    outcomes = list(read_ics(calendar(tmp_path, body), GIVEN, NOW))
    taken = [o.event["data"]["starts_at"] for o in outcomes if isinstance(o, Taken)]
    assert taken == ["2026-11-02T10:00:00+01:00"]
    assert [o.where.split()[0] for o in outcomes if isinstance(o, Skipped)] == ["series", "off"]


def test_a_moved_meeting_keeps_the_identity_of_its_series_start() -> None:
    found = events()
    (moved,) = of_kind("rescheduled", found)
    assert moved["data"]["starts_at"] == "2026-11-03T14:00:00+01:00"
    assert moved["data"]["ends_at"] == "2026-11-03T15:30:00+01:00"
    assert moved["data"]["occurred_at"] == "2026-10-02T10:00:00+02:00"
    (planned,) = [e for e in of_kind("planned", found) if e["data"]["contact"] == moved["data"]["contact"]]
    assert planned["data"]["starts_at"] == "2026-11-02T10:00:00+01:00"
    assert planned["data"]["ends_at"] == "2026-11-02T11:00:00+01:00"


def test_the_plan_is_the_same_event_before_and_after_the_move(tmp_path: Path) -> None:
    before = tmp_path / "before.ics"
    text = CALENDAR.read_text(encoding="utf-8")
    first = text.index("BEGIN:VEVENT", text.index("BEGIN:VEVENT") + 1)
    end = text.index("END:VEVENT", first) + len("END:VEVENT\n")
    before.write_text(text[:first] + text[end:], encoding="utf-8")
    earlier = {e["id"]: e for e in events(before)}
    later = {e["id"]: e for e in events()}
    assert set(later) - set(earlier) == {e["id"] for e in of_kind("rescheduled", list(later.values()))}
    assert all(later[id_] == event for id_, event in earlier.items())


def test_a_cancelled_meeting_is_planned_and_cancelled() -> None:
    found = events()
    (cancelled,) = of_kind("cancelled", found)
    assert cancelled["data"]["occurred_at"] == "2026-10-03T11:30:00+02:00"
    assert any(e["data"]["contact"] == cancelled["data"]["contact"] for e in of_kind("planned", found))


def test_method_cancel_cancels_every_meeting(tmp_path: Path) -> None:
    path = calendar(
        tmp_path,
        "BEGIN:VEVENT\nUID:a\nDTSTAMP:20261001T080000Z\nDTSTART:20261101T090000Z\nDTEND:20261101T100000Z\nEND:VEVENT",
        method="CANCEL",
    )
    assert len(of_kind("cancelled", events(path))) == 1


def test_own_zones_and_floating_times() -> None:
    starts = {e["data"]["starts_at"]: e["data"]["ends_at"] for e in of_kind("planned", events())}
    assert starts["2026-10-15T09:00:00+02:00"] == "2026-10-15T09:45:00+02:00"
    assert starts["2026-10-16T09:00:00+02:00"] == "2026-10-16T09:30:00+02:00"


def test_what_cannot_be_taken_says_why() -> None:
    reasons = {o.where.split("@")[0]: o.reason for o in read_ics(CALENDAR, GIVEN, NOW) if isinstance(o, Skipped)}
    assert reasons == {
        "hele-dag": "hele dag: geen afspraak met een tijd",
        "elke-seconde": "herhaalt per uur of vaker",
        "zonder-duur": "eindigt niet na het begin",
    }


def test_the_same_file_gives_the_same_events() -> None:
    assert events() == events(now=datetime(2027, 1, 1, tzinfo=UTC))


def test_held_registers_what_is_over_and_plans_the_rest() -> None:
    found = events(given=replace(GIVEN, held=True))
    held = of_kind("held", found)
    assert [e["data"]["occurred_at"][:10] for e in held] == ["2026-10-12", "2026-10-15", "2026-10-16"]
    assert held[0]["data"] == {
        "contact": held[0]["data"]["contact"], "occurred_at": "2026-10-12T10:00:00+02:00", "duration_min": 60,
        "channel": "meeting", "activity": "conversation", "topics": ["wmo"],
        "ours": [{"layer": "board", "employee": "e-12"}], "theirs": [{"layer": "board"}],
    }  # fmt: skip
    off = {e["data"]["contact"] for e in of_kind("cancelled", found)}
    planned = [e["data"]["starts_at"] for e in of_kind("planned", found) if e["data"]["contact"] not in off]
    assert planned[0] == "2026-10-26T10:00:00+01:00"


def test_only_the_window_is_taken() -> None:
    narrow = replace(GIVEN, from_on=date(2026, 10, 26), to_on=date(2026, 10, 26))
    assert [e["data"]["starts_at"] for e in events(given=narrow)] == ["2026-10-26T10:00:00+01:00"]


def test_a_series_without_end_is_bounded(tmp_path: Path) -> None:
    path = calendar(
        tmp_path,
        "BEGIN:VEVENT\nUID:a\nDTSTAMP:20261001T080000Z\nDTSTART:20230101T080000Z\nDTEND:20230101T081000Z\n"
        "RRULE:FREQ=DAILY;BYHOUR=8,9,10,11,12,13,14,15,16,17\nEND:VEVENT",
    )
    wide = replace(GIVEN, from_on=date(2024, 1, 1), to_on=date(2026, 12, 31))
    outcomes = list(read_ics(path, wide, NOW))
    assert len(outcomes) == MAX_MEETINGS + 1
    assert isinstance(outcomes[-1], Skipped)
    assert "korter venster" in outcomes[-1].reason


@pytest.mark.parametrize("content", [
    b"", b"geen agenda", b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", b"\xff\xfe\x00",
    b"BEGIN:VEVENT\r\nEND:VEVENT\r\n", b"BEGIN:VIETS\r\nEND:VIETS\r\n",
])  # fmt: skip
def test_a_file_that_is_no_calendar_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wrong.ics"
    path.write_bytes(content)
    with pytest.raises(SetupError):
        list(read_ics(path, GIVEN, NOW))


def test_the_window_is_a_year_each_way_and_at_most_five() -> None:
    assert window(NOW, None, None) == (date(2025, 10, 20), date(2027, 10, 20))
    with pytest.raises(SetupError, match="terug"):
        window(NOW, date(2027, 1, 1), date(2026, 1, 1))
    with pytest.raises(SetupError, match="vijf jaar"):
        window(NOW, date(2020, 1, 1), date(2026, 1, 1))
