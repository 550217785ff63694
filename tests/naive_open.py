"""Which alerts and loops should be open after the ticks, read off the facts alone (SPEC section 5)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from events.recorded import Recorded
from projections.rows import MemoryRows
from tests import naive_heads
from tests.naive import Row, counting, local
from tests.naive_alerts import alerts, loops
from tests.naive_days import WorkingDays
from tests.naive_due import Scheduled, days_overdue, missed, scheduled, wanted
from tests.naive_duties import duties
from tests.ticked import Ticked

CONTACT = "contact_overdue"


def _lines(book: Ticked) -> dict[tuple[str, str], list[Row]]:
    """The alerts that there ever were about each line, wherever they were raised."""
    found: dict[tuple[str, str], list[Row]] = {}
    for (relation, alert), row in alerts(book.events).items():
        if row["rule"] == CONTACT:
            mine = found.setdefault((row["line_relation"], row["line"]), [])
            mine.append({**row, "relation": relation, "alert": alert})
    return found


def contact_alerts(rows: MemoryRows, book: Ticked) -> None:
    """One alert a line for what is overdue, under the relation that it belongs to now: not one too many or too few. A
    paused line keeps an open one, and gets none; what a person resolved stays so for its due date."""
    days, today, known = WorkingDays(book.events), local(book.now), _lines(book)
    lines = {(line.relation, line.line): line for line in scheduled(book.events)}
    for key in lines.keys() | known.keys():
        line, mine = lines.get(key), known.get(key, [])
        due = None if line is None else wanted(line, book.now, days)
        if due is not None and any(a["due_on"] == due.due_on and a["resolution"] == "manual" for a in mine):
            due = None
        found = [(a["relation"], a["due_on"], a["last_ok_on"], a["overdue_on"]) for a in mine if a["state"] == "open"]
        right = [] if due is None or line is None else [(line.terms["root"], *due[1:])]
        assert found == right or (line is not None and line.paused(today) and found == []), key
        if found and line is not None:
            assert next(a["level"] for a in mine if a["state"] == "open") in _levels(line, mine, book, days), key
        stored: Row = rows.tables["line"].get(key, {"open": None, "hosted": None})
        opened = stored["open"] or (stored["hosted"] or {"open": None})["open"]
        assert ([] if opened is None else [(opened["relation"], opened["due_on"])]) == [
            (relation, str(due_on)) for relation, due_on, *_ in found
        ]


def _levels(line: Scheduled, mine: list[Row], book: Ticked, days: WorkingDays) -> set[int]:
    """The level that an open alert climbed to: by the ticks since it was opened, but not on a day on which the line is
    paused or the alert put off. Facts that came after it was opened may have moved what it had climbed to: then any."""
    alert = next(a for a in mine if a["state"] == "open")
    told = [e for e in book.events if e.data.get("alert") == alert["alert"]]
    opened = max(e.position for e in told if e.kind in ("alert.raised", "alert.reopened"))
    if opened <= book.facts_until:
        return {0, 1, 2}
    put_off = [
        (str(local(e.occurred_at)), e.data["until"], e.recorded_at)
        for e in told if e.kind == "alert.snoozed" and e.position > opened
    ]  # fmt: skip
    level = 0
    due = missed(line, local(book.now), days)
    for at in (tick for tick in book.ticks if tick >= alert["turned_at"]):
        halts = _in_turn([(start, until) for start, until, told_at in put_off if told_at <= at])
        halted = line.paused(local(at)) or any(start <= str(local(at)) < until for start, until in halts)
        if due is not None and not halted:
            late = days_overdue(line, due, local(at), days, halts)
            level = max(level, sum(step <= late for step in _steps(book.events, line, alert)))
    return {level}


def _in_turn(spans: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The last word on a day counts: a later one cuts off what was said before."""
    found: list[tuple[str, str]] = []
    for start, until in spans:
        found = [(a, min(b, start)) for a, b in found if a < start] + [(start, until)]
    return found


def _steps(events: list[Recorded], line: Scheduled, alert: Row) -> list[int]:
    """By the version of the tier's policy that the alert keeps; the last one is the board's, of A relations only."""
    tier = line.terms["tier"]
    told = [
        e for e in counting(events)
        if e.kind == "schedule.policy_set" and e.data["tier"] == tier
        and e.data["policy_version"] == alert["policy_version"]
    ]  # fmt: skip
    steps: list[int] = told[-1].data["escalation_working_days"] if told else [5, 10]
    return steps if tier == "A" else steps[:1]


def asleep(rows: MemoryRows, book: Ticked) -> None:
    """No line needs a look before the instant that it waits for. (One that waits for an instant before now was over by
    the time that anybody looked.)"""
    days, known = WorkingDays(book.events), _lines(book)
    for line in scheduled(book.events):
        row = rows.tables["line"][line.relation, line.line]
        mine = [a["due_on"] for a in known.get((line.relation, line.line), []) if a["state"] == "open"]
        for later in (1, 20, 45, 100, 180):
            at = book.now + timedelta(days=later)
            late = missed(line, local(at), days)
            if late and not line.over(local(at)) and not line.vacant(local(at)) and not line.terms["conflict"]:
                assert row["overdue_from"] is not None
                assert row["overdue_from"] <= at
            if row["check_at"] is None or at < row["check_at"]:
                due = wanted(line, at, days)
                silent = line.paused(local(at)) or any(
                    due is not None and a["due_on"] == due.due_on and a["resolution"] == "manual"
                    for a in known.get((line.relation, line.line), [])
                )
                assert mine == ([] if due is None else [due.due_on]) or (mine == [] and silent), (line, at)


def workflows(rows: MemoryRows, book: Ticked) -> None:
    """An alert or loop for each duty whose time has come, and for no other. Of merged relations what each asks by
    itself is compared (`duties_asked`); what those come to together is in tests/unit/workflows."""
    opened: dict[tuple[str, str, str], Any] = {}
    past: dict[tuple[str, str, str], dict[str, Any]] = {}
    settled: set[tuple[Any, ...]] = set()
    for (relation, alert), row in alerts(book.events).items():
        if row["rule"] != CONTACT:
            key = relation, row["rule"], row["about"]
            past.setdefault(key, {})[alert] = row["resolution"]
            if row["state"] == "open":
                opened[key] = alert, row["due_on"]
            elif row["resolution"] == "manual":
                settled.add((*key, row["due_on"]))
    for (relation, loop), row in loops(book.events).items():
        key = relation, "low_score", f"response:{row['response']}"
        past.setdefault(key, {})[loop] = row["reason"]
        if row["state"] != "closed":
            opened[key] = loop, row["due_on"]
        else:
            settled.add(key)
    stored = rows.tables["duty"]
    assert {k: r["open"]["id"] for k, r in stored.items() if r["open"]} == {k: id_ for k, (id_, _) in opened.items()}
    assert {k: {i: p[1] for i, p in r["past"].items()} for k, r in stored.items() if r["past"]} == past
    if naive_heads.merged(book.events):
        return
    today = local(book.now)
    asked = {
        key: due_on
        for key, (due_on, _, since, until, *_) in duties(book.events).items()
        if since <= today and (until is None or today < until) and not {key, (*key, due_on)} & settled
    }
    assert opened.keys() == asked.keys()
    for key, due_on in asked.items():
        assert key[1] == "low_score" or opened[key][1] == due_on, key
