"""What should be open against what is open: when the two differ first, and the one event that makes them equal. Pure.

The same idea as the contact alerts have (docs/decisions/0004), for every rule at once. Ids are made of what they say:
of an alert its rule, relation, subject and due date; of an event its alert, the transition and the position of the
cause. So the same decision, taken twice, is one event.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from events.recorded import local_date
from projections.overdue import day_start
from projections.rows import Row
from projections.transition import Transition
from projections.workflows import low_score
from projections.workflows.rule import Duty, Rule, known_on, positions
from projections.workflows.rulebook import RULES
from projections.workflows.thresholds import Terms

Act = Literal["open", "reopen", "close", "escalate"]
Json = dict[str, Any]

MERGED: Final = "merged"


class Basis(NamedTuple):
    """What a decision about a relation rests on beside the duty: `version` becomes `expectedversion`, `cause` is the
    position of the last fact (or, of a survey, the day) and goes into the event's id."""

    relation: str
    version: int
    cause: int
    tier: str | None
    owner: str | None
    day: str = ""


def blank(relation: str, rule: str, about: str) -> Row:
    return {
        "relation": relation, "rule": rule, "about": about, "wanted": None, "open": None, "past": {}, "check_at": None,
    }  # fmt: skip


def as_wanted(duty: Duty) -> Json:
    """A duty as it is stored in a row; days as text, evidence as positions."""
    return {
        "due_on": str(duty.due_on), "last_ok_on": str(duty.last_ok_on), "from_on": str(duty.from_on),
        "until_on": None if duty.until_on is None else str(duty.until_on),
        "done": None if duty.done is None else duty.done.position,
        "ended": None if duty.ended is None else duty.ended.position, "evidence": positions(duty.evidence),
        "known_on": str(known_on(duty.evidence)), "owner": duty.owner, "more": dict(duty.more),
    }  # fmt: skip


def ident(rule: Rule, relation: str, about: str, due_on: str) -> str:
    """The id of the alert or loop of a duty."""
    if rule.opens == "loop":
        return low_score.loop_id(relation, about.partition(":")[2])
    return str(uuid5(NAMESPACE_URL, f"urn:relatieboek:alert:{rule.name}:{relation}:{about}:{due_on}"))


def check_at(row: Row, tier: str | None, since: datetime, terms: Terms) -> datetime | None:
    """The first instant from `since` on at which `act` asks for something; None: never, as the facts are now."""
    rule = RULES.get(row["rule"])
    if rule is None or rule.wanted is None:
        return None
    return next((at for at in _moments(row, rule, since, terms) if act(row, tier, at, terms) is not None), None)


def act(row: Row, tier: str | None, at: datetime, terms: Terms) -> Act | None:
    """What the book is to be told at this instant, if anything. A moved due date takes two: close, then open."""
    rule, opened = RULES[row["rule"]], row["open"]
    today = local_date(at)
    due = _due(row["wanted"], today)
    if opened is not None:
        if due is None or (rule.opens == "alert" and due["due_on"] != opened["due_on"]):
            return "close"
        return "escalate" if _level(opened, rule, tier, today, terms) > opened["level"] else None
    if due is None:
        return None
    known = row["past"].get(ident(rule, row["relation"], row["about"], due["due_on"]))
    if known is None:
        return "open"
    # A loop closes once. An alert that a person resolved stays so for this due date.
    return None if rule.opens == "loop" or known[1] == "manual" else "reopen"


def transition(row: Row, basis: Basis, now: datetime, terms: Terms) -> Transition | None:
    """The event that brings what is open nearer to what should be; None when they are equal."""
    rule = RULES.get(row["rule"])
    wanted = None if rule is None else act(row, basis.tier, now, terms)
    if rule is None or wanted is None:
        return None
    today = local_date(now)
    if wanted == "close":
        reason, evidence = _reason(rule, row, basis, today, terms)
        return closing(row, basis, today, reason, evidence, terms)
    if wanted == "escalate":
        opened = row["open"]
        level = _level(opened, rule, basis.tier, today, terms)
        data: Json = {rule.opens: opened["id"], "level": level, "occurred_on": str(today)}
        return _event(f"{rule.opens}.escalated", basis, opened["id"], f"escalated:{level}:{opened['position']}", data)
    due: Json = row["wanted"]
    id_ = ident(rule, row["relation"], row["about"], due["due_on"])
    owner = due["owner"] or basis.owner
    silent = due["from_on"] < due["known_on"] if rule.opens == "alert" else due["due_on"] < due["known_on"]
    silent = silent or terms.is_difference(date.fromisoformat(due["from_on"]), max(basis.cause, terms.laid_down))
    common: Json = {"evidence": due["evidence"], "silent": silent, "occurred_on": str(today)}
    if wanted == "reopen":
        return _event("alert.reopened", basis, id_, _cause("reopened", basis, terms), {"alert": id_, **common})
    if owner is not None:
        common["owner"] = owner
    if rule.opens == "loop":
        data = {"loop": id_, **due["more"], "due_on": due["due_on"], **common}
        return _event("loop.opened", basis, id_, "opened", data)
    data = {
        "alert": id_, "rule": rule.name, "rule_version": rule.version, "about": row["about"], "due_on": due["due_on"],
        "overdue_on": due["from_on"], "last_ok_on": due["last_ok_on"], "level": 0, **common,
    }  # fmt: skip
    return _event("alert.raised", basis, id_, _cause("raised", basis, terms), data)


def closing(row: Row, basis: Basis, today: date, reason: str, evidence: list[int], terms: Terms) -> Transition:
    """The event that ends what is open, for a reason."""
    rule, opened = RULES[row["rule"]], row["open"]
    kind = "loop.closed" if rule.opens == "loop" else "alert.resolved"
    data: Json = {rule.opens: opened["id"], "reason": reason, "evidence": evidence, "occurred_on": str(today)}
    return _event(kind, basis, opened["id"], _cause(kind.partition(".")[2], basis, terms), data)


def _moments(row: Row, rule: Rule, since: datetime, terms: Terms) -> list[datetime]:
    days: set[date] = set()
    due, opened = row["wanted"], row["open"]
    if due is not None and due["done"] is None:
        days.update(date.fromisoformat(due[name]) for name in ("from_on", "until_on") if due[name] is not None)
    if opened is not None:
        base = _counted_from(opened)
        days.update(terms.calendar.add_working_days(base, step) for step in rule.steps(terms.thresholds))
        if opened["snoozed_until"] is not None:
            days.add(date.fromisoformat(opened["snoozed_until"]))
    return [since, *sorted(at for at in map(day_start, days) if at > since)]


def _due(wanted: Mapping[str, Any] | None, today: date) -> Mapping[str, Any] | None:
    """The duty, while something should be open for it."""
    if wanted is None or wanted["done"] is not None or wanted["from_on"] > str(today):
        return None
    return None if wanted["until_on"] is not None and wanted["until_on"] <= str(today) else wanted


def _counted_from(opened: Mapping[str, Any]) -> date:
    """Escalation counts from the last day in time, and from when it was opened when that is later, silently or not.

    What was opened silently does not catch up at once: the workflows look while a history is still coming in, and how
    far it would climb then (a tier that is not known yet) hung on the order of arrival.
    """
    return max(date.fromisoformat(opened["last_ok_on"]), date.fromisoformat(opened["opened_on"]))


def _level(opened: Mapping[str, Any], rule: Rule, tier: str | None, today: date, terms: Terms) -> int:
    """The step that it should be at. The last of several steps is the board's, of A relations only. What is put off
    does not climb."""
    level: int = opened["level"]
    if opened["snoozed_until"] is not None and str(today) < opened["snoozed_until"]:
        return level
    steps = rule.steps(terms.thresholds)
    if len(steps) > 1 and tier != "A":
        steps = steps[:-1]
    late = terms.calendar.working_days_between(_counted_from(opened), today)
    return max(level, sum(step <= late for step in steps))


def _reason(rule: Rule, row: Row, basis: Basis, today: date, terms: Terms) -> tuple[str, list[int]]:
    wanted, opened = row["wanted"], row["open"]
    done = None if wanted is None else wanted["done"]
    ended = None if wanted is None or wanted["until_on"] is None or wanted["until_on"] > str(today) else wanted["ended"]
    if rule.opens == "loop":
        if done is None and ended is not None:
            return "relation_ended", [ended]
        return ("withdrawn", [basis.cause]) if done is None else ("followed_up", [done])
    settled = ended if done is None else done
    if settled is not None:
        return "settled", [settled]
    if opened["rule_version"] < rule.version:
        return "rule_changed", [basis.cause]
    if terms.laid_down > basis.cause:
        # Nothing happened since but that the institution set its working days.
        return "recomputed", [terms.laid_down]
    moved = _due(wanted, today) is not None
    return "recomputed" if moved else "settled", [basis.cause]


def _cause(verb: str, basis: Basis, terms: Terms) -> str:
    # A change of working days may move a due date there and back: each time is another cause.
    return f"{verb}:{basis.day or max(basis.cause, terms.laid_down)}"


def _event(kind: str, basis: Basis, id_: str, cause: str, data: Mapping[str, Any]) -> Transition:
    opens = kind.partition(".")[0]
    event_id = uuid5(NAMESPACE_URL, f"urn:relatieboek:{opens}:{id_}:{cause}")
    return Transition(kind, basis.relation, str(event_id), basis.version, data)
