"""Alerts and loops, read off the book's own events: one writer tells them, so they hold in the order of the book."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from events.recorded import Recorded
from tests.naive import Row, Table, local, on
from tests.naive_heads import guarded

_ALERTS = tuple(f"alert.{k}" for k in ("raised", "reopened", "resolved", "acknowledged", "snoozed", "escalated"))
_UUID = 36


def _told(events: Iterable[Recorded], family: str) -> dict[tuple[str, str], list[Recorded]]:
    """The events of each alert or loop, in the order of the book."""
    found: dict[tuple[str, str], list[Recorded]] = {}
    for e in sorted(events, key=lambda e: e.position):
        if e.family == family:
            found.setdefault((e.relation, e.data[family]), []).append(e)
    return found


def _last(mine: Iterable[Recorded], *verbs: str) -> Recorded | None:
    found = [e for e in mine if e.kind.partition(".")[2] in verbs]
    return found[-1] if found else None


def alerts(events: Iterable[Recorded]) -> Table:
    """As the contact alerts have them: of every rule, each from where it was raised or reopened last."""
    events = list(events)
    hidden = guarded(events)
    found: Table = {}
    for key, mine in _told(events, "alert").items():
        raised, turned = mine[0], _last(mine, "raised", "reopened")
        assert turned is not None
        since = mine[mine.index(turned) :]
        over = _last(since, "resolved")
        step, taken, put_off = (_last(since, verb) for verb in ("escalated", "acknowledged", "snoozed"))
        of, line = _line(raised)
        data: dict[str, Any] = raised.data
        found[key] = {
            **{name: data[name] for name in ("rule", "rule_version")}, "line": line, "line_relation": of,
            **{name: data.get(name) for name in ("about", "policy_version", "owner")},
            **{name: on(data[name]) for name in ("due_on", "overdue_on", "last_ok_on")},
            "state": "open" if over is None else "resolved", "evidence": turned.data["evidence"],
            "level": turned.data.get("level", 0) if step is None else step.data["level"],
            "silent": turned.data["silent"], "raised_at": raised.recorded_at, "position": raised.position,
            "resolved_at": None if over is None else over.recorded_at,
            "resolution": None if over is None else over.data["reason"],
            "resolution_evidence": [] if over is None else over.data.get("evidence", []),
            "acknowledged_at": None if taken is None else taken.occurred_at,
            "snoozed_until": None if put_off is None else on(put_off.data["until"]),
            "snoozes": sum(e.kind == "alert.snoozed" for e in since),
            "escalated_at": None if step is None else step.recorded_at, "turned_at": turned.recorded_at,
            "hidden": hidden.get(key, {"hidden": 0})["hidden"],
        }  # fmt: skip
    return found


def _line(raised: Recorded) -> tuple[str | None, str | None]:
    """Whose line an alert is about, and which: of a policy, or of an absorbed relation, it is named in `about`."""
    about: str = raised.data.get("about", "")
    if "line" in raised.data:
        return raised.relation, raised.data["line"]
    if raised.data["rule"] != "contact_overdue":
        return None, None
    return (raised.relation, about) if about.startswith("policy:") else (about[:_UUID], about[_UUID + 1 :])


def lodgings(events: Iterable[Recorded]) -> Table:
    """Under which relations alerts were raised about the lines of others."""
    return {
        ("all", host, row["line_relation"]): {}
        for (host, _), row in alerts(events).items()
        if row["line_relation"] not in (None, host)
    }


def at_relation(events: Iterable[Recorded]) -> Table:
    """As the relation view has them: what is put off or taken up shows of an open one."""
    found: Table = {}
    events = list(events)
    raised = {key: mine[0] for key, mine in _told(events, "alert").items()}
    for key, row in alerts(events).items():
        is_line = row["rule"] == "contact_overdue"
        found[key] = {
            **{name: row[name] for name in ("rule", "state", "level", "due_on", "overdue_on", "hidden", "about")},
            "line": (raised[key].data.get("line") or row["about"]) if is_line else None,
            "raised_on": local(raised[key].occurred_at), "acknowledged": row["acknowledged_at"] is not None,
            "snoozed_until": row["snoozed_until"] if row["state"] == "open" else None,
        }  # fmt: skip
    return found


def loops(events: Iterable[Recorded]) -> Table:
    """As the relation view and satisfaction have them."""
    found: Table = {}
    for key, mine in _told(events, "loop").items():
        opened, step = mine[0], _last(mine, "escalated")
        followed, closed = _last(mine, "followed_up"), _last(mine, "closed")
        evidence = {e.position for e in mine} | {p for e in mine for p in e.data.get("evidence", [])}
        found[key] = {
            **{name: opened.data.get(name) for name in ("response", "instrument", "owner")},
            "due_on": on(opened.data["due_on"]), "opened_on": local(opened.occurred_at),
            "state": "closed" if closed else "followed_up" if followed else "open",
            "level": 0 if step is None else step.data["level"],
            "followed_up_on": None if followed is None else local(followed.occurred_at),
            "closed_on": None if closed is None else local(closed.occurred_at),
            "reason": None if closed is None else closed.data["reason"], "evidence": sorted(evidence),
        }  # fmt: skip
    return found


def at_workflows(events: Iterable[Recorded]) -> Table:
    """Loops as the workflows have them."""
    events = list(events)
    hidden = guarded(events)
    rows = loops(events)
    found: Table = {}
    for key, mine in _told(events, "loop").items():
        opened, followed, closed = mine[0], _last(mine, "followed_up"), _last(mine, "closed")
        row: Row = rows[key]
        found[key] = {
            **{name: row[name] for name in ("response", "instrument", "owner", "due_on", "level", "reason")},
            "state": "open" if closed is None else "closed", "silent": opened.data["silent"],
            "evidence": opened.data["evidence"], "position": opened.position, "opened_at": opened.recorded_at,
            "followed_up_at": None if followed is None else followed.occurred_at,
            "note": None if followed is None else followed.data.get("note"),
            "closed_at": None if closed is None else closed.recorded_at,
            "closing_evidence": [] if closed is None else closed.data["evidence"],
            "hidden": hidden.get(key, {"hidden": 0})["hidden"],
        }  # fmt: skip
    return found
