"""What should be open by SPEC section 5 (*Other workflows*), read off the facts: one look over them for each rule.

Written apart from the workflows: dates are counted day by day, and nothing is kept between one event and the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from typing import Any, Final

from events.recorded import Recorded
from tests import naive_heads
from tests.naive import AMSTERDAM, RELATIONS, counting, day, local
from tests.naive_contacts import contacts
from tests.naive_days import DAY, WorkingDays, months_after
from tests.naive_workflows import by, drafted, falling, horizon, plan_in_force, standings, superseded

# due_on, last_ok_on, from_on, until_on, owner, positions of the facts that say so
_Terms = tuple[date, date, date, date | None, str | None, list[int]]
# relation, rule, about → what is asked
Duties = dict[tuple[str, str, str], _Terms]
_Duty = tuple[str, str, _Terms]


def duties(events: Sequence[Recorded]) -> Duties:
    """What is not done yet, by relation, rule and subject."""
    found: Duties = {}
    for relation in RELATIONS:
        own = [e for e in counting(events) if e.relation == relation]
        over = naive_heads.over_on(events, relation)
        for rule in (
            _low_score, _commitment, _agreement, _plan, _action, _programme, _phase, _schedule, _incomplete, _falling
        ):  # fmt: skip
            for name, about, duty in rule(own, events):
                until = min((on for on in (duty[3], over) if on is not None), default=None)
                found[relation, name, about] = (*duty[:3], until, *duty[4:])
    return found


def _overdue(last: date, *evidence: Recorded, until: date | None = None, owner: str | None = None) -> _Terms:
    return (last, last, last + DAY, until, owner, sorted({e.position for e in evidence}))


def _low_score(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    mine = [d for (relation, _), d in contacts(events).items() if relation == own[0].relation]
    told = {e.data["loop"]: e.data["response"] for e in own if e.kind == "loop.opened"}
    done = {told[e.data["loop"]] for e in own if e.kind == "loop.followed_up"}
    for response, e in by(own, "response", "satisfaction.scored").items():
        followed = response in done or any(
            "opvolging" in d["topics"] and local(d["occurred_at"]) >= day(e) for d in mine
        )
        if e.data["score"] > 6 or followed or (local(e.recorded_at.isoformat()) - day(e)).days > 90:
            continue
        due = WorkingDays(events).after(day(e), 2)
        yield "low_score", f"response:{response}", (due, due, day(e), None, None, [e.position])


def _commitment(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    ended = by(own, "commitment", "commitment.fulfilled", "commitment.broken", "commitment.released")
    for commitment, e in by(own, "commitment", "commitment.made").items():
        if commitment not in ended:
            yield "commitment_late", f"commitment:{commitment}", _overdue(date.fromisoformat(e.data["due_on"]), e)


def _agreement(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    ended = by(own, "agreement", "agreement.ended")
    last = by(own, "agreement", "agreement.signed", "agreement.renewed")
    for agreement, signed in by(own, "agreement", "agreement.signed").items():
        if agreement in ended:
            continue
        until = date.fromisoformat(last[agreement].data["until"])
        warn = months_after(until, -6)
        evidence = sorted({signed.position, last[agreement].position})
        yield "agreement_ending", f"agreement:{agreement}", (until, warn - DAY, warn, None, None, evidence)


def _plan(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    last = plan_in_force(own)
    if last is not None:
        review, ends_on = months_after(day(last), 12), horizon(own, last)
        yield (
            "plan_due",
            f"plan:{last.data['plan']}",
            _overdue(review if ends_on is None else min(review, ends_on), last, *drafted(own, last)),
        )


def _action(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    ended = by(own, "action", "plan.action_completed", "plan.action_dropped")
    due = by(own, "action", "plan.action_agreed", "plan.action_deferred")
    for action, agreed in by(own, "action", "plan.action_agreed").items():
        gone = superseded(own, agreed.data["plan"])
        if action in ended or (gone is not None and own.index(gone) > own.index(agreed)):
            continue
        on = date.fromisoformat(due[action].data["due_on"])
        yield "plan_due", f"action:{action}", _overdue(on, agreed, due[action], owner=agreed.data["owner"])


def _programme(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    for programme, started in by(own, "programme", "programme.started").items():
        mine = [e for e in own if e.data.get("programme") == programme]
        days = {(e.data["indicator"], day(e)): e for e in mine if e.kind == "programme.progress_reported"}
        reports = sorted(days.values(), key=own.index)
        begun = date.fromisoformat(started.data["starts_on"])
        since = max(begun, day(reports[-1])) if reports else begun
        yield (
            "programme_off_course",
            f"progress:{programme}",
            _overdue(
                months_after(since, 3), started, *reports[-1:], until=date.fromisoformat(started.data["ends_on"]) + DAY
            ),
        )
        decided = [day(e) for e in mine if e.kind == "programme.steering_decision_taken"][-1:]
        red: list[Recorded] = []
        for indicator in {e.data["indicator"] for e in reports}:
            run: list[Recorded] = []
            for report in sorted((e for e in reports if e.data["indicator"] == indicator), key=day):
                run = [*run, report] if report.data["rag"] == "red" else []
            if run and not any(on >= day(run[0]) for on in decided):
                red += run
        red.sort(key=own.index)
        if red:
            last = WorkingDays(events).after(day(red[0]), 10)
            yield "programme_off_course", f"red:{programme}", _overdue(last, started, *red)


def _phase(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    for chain, defined in by(own, "chain", "chain.defined").items():
        for phase in (p["phase"] for p in defined.data["phases"]):
            mine = [e for e in own if e.data.get("chain") == chain and e.data.get("phase") == phase]
            gone = by(mine, "organisation", "chain.partner_replaced")
            last, evidence, held = WorkingDays(events).after(day(defined), 10), [defined], False
            for organisation, given in sorted(by(mine, "organisation", "chain.phase_guaranteed").items()):
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
    tier = _tier_a(own)
    if tier is not None and not any(e.kind == "schedule.line_set" for e in own):
        yield "tier_without_schedule", "schedule", _overdue(WorkingDays(events).after(day(tier), 10), tier)


def _tier_a(own: Sequence[Recorded]) -> Recorded | None:
    tiers = [e for e in own if e.kind == "relation.tier_assigned"]
    return tiers[-1] if tiers and tiers[-1].data["tier"] == "A" else None


def _incomplete(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    tier = _tier_a(own)
    for part, (until, told, _) in standings(own).items():
        if tier is not None and part != "schedule" and until != date.max:
            lacks_from = day(tier) if until is None else max(day(tier), until - DAY)
            last = WorkingDays(events).after(lacks_from, 20)
            yield "a_relation_incomplete", f"lack:{part}", _overdue(last, tier, *told)


def _falling(own: Sequence[Recorded], events: Sequence[Recorded]) -> Iterator[_Duty]:
    tier, fall = _tier_a(own), falling(own, counting(events))
    if tier is not None and fall is not None:
        last = WorkingDays(events).after(max(day(tier), fall[0]), 20)
        yield "a_relation_incomplete", "falling:satisfaction", _overdue(last, tier, *fall[3])


RULES: Final = (
    "low_score", "commitment_late", "agreement_ending", "plan_due", "programme_off_course",
    "chain_phase_without_guarantor", "tier_without_schedule", "a_relation_incomplete",
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
