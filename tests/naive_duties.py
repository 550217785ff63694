"""What should be open by SPEC section 5 (*Other workflows*), read off the facts: one look over them for each rule.

Written apart from the workflows: dates are counted day by day, and nothing is kept between one event and the next.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from events.recorded import Recorded
from tests.naive import AMSTERDAM, RELATIONS, contacts, counting, day, local

# due_on, last_ok_on, from_on, until_on, owner, positions of the facts that say so
_Terms = tuple[date, date, date, date | None, str | None, list[int]]
# relation, rule, about → what is asked
Duties = dict[tuple[str, str, str], _Terms]
_Duty = tuple[str, str, _Terms]

_DAY: Final = timedelta(days=1)
_EASTER: Final = {
    2024: date(2024, 3, 31), 2025: date(2025, 4, 20), 2026: date(2026, 4, 5), 2027: date(2027, 3, 28),
}  # fmt: skip


def is_working(on: date, events: Sequence[Recorded]) -> bool:
    """No weekend and no public holiday in the Netherlands, or what the institution itself laid down for that day."""
    for e in reversed(counting(events)):
        if e.kind == "schedule.working_calendar_set" and e.data["year"] == on.year:
            if on.isoformat() in e.data["open_on"]:
                return True
            if on.isoformat() in e.data["closed_on"]:
                return False
            break
    easter = _EASTER[on.year]
    king = date(on.year, 4, 27)
    free = [
        date(on.year, 1, 1), easter + _DAY, king - _DAY if king.weekday() == 6 else king, easter + 39 * _DAY,
        easter + 50 * _DAY, date(on.year, 12, 25), date(on.year, 12, 26),
    ]  # fmt: skip
    if on.year % 5 == 0:
        free.append(date(on.year, 5, 5))
    return on.weekday() < 5 and on not in free


def working_days_after(on: date, days: int, events: Sequence[Recorded]) -> date:
    while days:
        on += _DAY
        days -= is_working(on, events)
    return on


def months_after(on: date, months: int) -> date:
    year, month = divmod(on.year * 12 + on.month - 1 + months, 12)
    return date(year, month + 1, min(on.day, monthrange(year, month + 1)[1]))


def duties(events: Sequence[Recorded]) -> Duties:
    """What is not done yet, by relation, rule and subject."""
    found: Duties = {}
    for relation in RELATIONS:
        own = [e for e in counting(events) if e.relation == relation]
        if any(e.kind == "relation.ended" for e in own):
            continue
        for rule in (_low_score, _commitment, _agreement, _plan, _action, _programme, _phase, _schedule):
            for name, about, duty in rule(own, events):
                found[relation, name, about] = duty
    return found


def _by(own: Sequence[Recorded], field: str, *kinds: str) -> dict[str, Recorded]:
    """The last of these facts for each value of the field."""
    return {e.data[field]: e for e in own if e.kind in kinds}


def _overdue(last: date, *evidence: Recorded, until: date | None = None, owner: str | None = None) -> _Terms:
    return (last, last, last + _DAY, until, owner, sorted({e.position for e in evidence}))


def _low_score(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    mine = [d for (relation, _), d in contacts(events).items() if relation == own[0].relation]
    for response, e in _by(own, "response", "satisfaction.scored").items():
        followed = any("opvolging" in d["topics"] and local(d["occurred_at"]) >= day(e) for d in mine)
        if e.data["score"] > 6 or followed or (local(e.recorded_at.isoformat()) - day(e)).days > 90:
            continue
        due = working_days_after(day(e), 2, events)
        yield "low_score", f"response:{response}", (due, due, day(e), None, None, [e.position])


def _commitment(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    ended = _by(own, "commitment", "commitment.fulfilled", "commitment.broken", "commitment.released")
    for commitment, e in _by(own, "commitment", "commitment.made").items():
        if commitment not in ended:
            yield "commitment_late", f"commitment:{commitment}", _overdue(date.fromisoformat(e.data["due_on"]), e)


def _agreement(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    ended = _by(own, "agreement", "agreement.ended")
    last = _by(own, "agreement", "agreement.signed", "agreement.renewed")
    for agreement, signed in _by(own, "agreement", "agreement.signed").items():
        if agreement in ended:
            continue
        until = date.fromisoformat(last[agreement].data["until"])
        warn = months_after(until, -6)
        evidence = sorted({signed.position, last[agreement].position})
        yield "agreement_ending", f"agreement:{agreement}", (until, warn - _DAY, warn, None, None, evidence)


def _superseded(own: Sequence[Recorded], plan: str) -> Recorded | None:
    """What took the place of this plan, unless it was approved again after that."""
    ends = [e for e in own if e.kind in ("plan.approved", "plan.superseded") and e.data["plan"] == plan]
    return ends[-1] if ends and ends[-1].kind == "plan.superseded" else None


def _plan(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    approved = [e for e in own if e.kind == "plan.approved" and _superseded(own, e.data["plan"]) is None]
    if not approved:
        return
    last = approved[-1]
    review = months_after(day(last), 12)
    drafted = _by(own, "plan", "plan.drafted").get(last.data["plan"])
    if drafted is not None and day(last) <= date.fromisoformat(drafted.data["horizon_on"]) < review:
        review = date.fromisoformat(drafted.data["horizon_on"])
    yield "plan_due", f"plan:{last.data['plan']}", _overdue(review, last)


def _action(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    ended = _by(own, "action", "plan.action_completed", "plan.action_dropped")
    due = _by(own, "action", "plan.action_agreed", "plan.action_deferred")
    for action, agreed in _by(own, "action", "plan.action_agreed").items():
        gone = _superseded(own, agreed.data["plan"])
        if action in ended or (gone is not None and own.index(gone) > own.index(agreed)):
            continue
        on = date.fromisoformat(due[action].data["due_on"])
        yield "plan_due", f"action:{action}", _overdue(on, agreed, due[action], owner=agreed.data["owner"])


def _programme(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    for programme, started in _by(own, "programme", "programme.started").items():
        mine = [e for e in own if e.data.get("programme") == programme]
        days = {(e.data["indicator"], day(e)): e for e in mine if e.kind == "programme.progress_reported"}
        reports = sorted(days.values(), key=own.index)
        begun = date.fromisoformat(started.data["starts_on"])
        since = max(begun, day(reports[-1])) if reports else begun
        yield (
            "programme_off_course",
            f"progress:{programme}",
            _overdue(
                months_after(since, 3), started, *reports[-1:], until=date.fromisoformat(started.data["ends_on"]) + _DAY
            ),
        )
        red: list[Recorded] = []
        for _, report in sorted(days.items()):
            red = [*red, report] if report.data["rag"] == "red" else []
        decided = [day(e) for e in mine if e.kind == "programme.steering_decision_taken"][-1:]
        if red and not any(on >= day(red[0]) for on in decided):
            last = working_days_after(day(red[0]), 10, events)
            yield "programme_off_course", f"red:{programme}", _overdue(last, started, *red)


def _phase(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    for chain, defined in _by(own, "chain", "chain.defined").items():
        for phase in (p["phase"] for p in defined.data["phases"]):
            mine = [e for e in own if e.data.get("chain") == chain and e.data.get("phase") == phase]
            gone = _by(mine, "organisation", "chain.partner_replaced")
            last, evidence, held = working_days_after(day(defined), 10, events), [defined], False
            for organisation, given in sorted(_by(mine, "organisation", "chain.phase_guaranteed").items()):
                ends = [date.fromisoformat(given.data["until"])] if given.data.get("until") else []
                left = gone.get(organisation)
                if left is not None and own.index(left) > own.index(given):
                    ends.append(day(left))
                else:
                    left = None
                if not ends:
                    held = True
                elif min(ends) >= last:
                    last, evidence = min(ends), [defined, left or given]
            if not held:
                yield "chain_phase_without_guarantor", f"phase:{chain}:{phase}", _overdue(last, *evidence)


def _schedule(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    tiers = [e for e in own if e.kind == "relation.tier_assigned"]
    if tiers and tiers[-1].data["tier"] == "A" and not any(e.kind == "schedule.line_set" for e in own):
        last = working_days_after(day(tiers[-1]), 10, events)
        yield "tier_without_schedule", "schedule", _overdue(last, tiers[-1])


RULES: Final = (
    "low_score", "commitment_late", "agreement_ending", "plan_due", "programme_off_course",
    "chain_phase_without_guarantor", "tier_without_schedule",
)  # fmt: skip


def as_duty(wanted: dict[str, Any]) -> tuple[Any, ...]:
    """A stored duty in the same form."""
    due, last, since = (date.fromisoformat(wanted[f]) for f in ("due_on", "last_ok_on", "from_on"))
    until = None if wanted["until_on"] is None else date.fromisoformat(wanted["until_on"])
    return due, last, since, until, wanted["owner"], wanted["evidence"]


def opens_at(duty: tuple[Any, ...], seen_at: datetime) -> datetime | None:
    """When something opens for a duty that is not done: not before the book knew of it; None: it is over by then."""
    _, _, since, until, *_ = duty
    first = max(seen_at, datetime.combine(since, time(), AMSTERDAM))
    return None if until is not None and first.astimezone(AMSTERDAM).date() >= until else first
