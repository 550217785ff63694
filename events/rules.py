"""The rules that need state, one entry per kind of event (SPEC sections 1 to 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from events.book import Case, Decision, Need, Park, Reject, Rule, Value, identifier_keys
from events.catalog import Submission
from events.errors import FieldError
from events.identity import relation_key
from events.recorded import instant

_TEAM = Need("team:{team}", "unknown_team", "/data/team")
_PLANNED = Need("planned:{relation}:{contact}", "unknown_contact", "/data/contact")
_HELD = Need("held:{relation}:{contact}", "unknown_contact", "/data/contact")
_LINE = Need("line:{relation}:{line}", "unknown_line", "/data/line")
_PLAN = Need("plan:{relation}:{plan}", "unknown_plan", "/data/plan")
_ALERT = Need("alert:{alert}", "unknown_alert", "/data/alert")
_COMMITMENT = Need("commitment:{relation}:{commitment}", "unknown_commitment", "/data/commitment")
# What alerts were computed from: an alert is only as good as the contacts and lines that it saw.
_ATTENTION = "attention:{relation}"


def _identifiers_free(case: Case) -> Decision | None:
    """An identifier belongs to one relation for ever; the subject and all identifiers are linked, or none is."""
    for key in identifier_keys(case.event, case.department):
        thing = case.look(key)
        if thing is not None and thing.value["relation"] != case.relation:
            other = str(thing.value["relation"])
            name = key.removeprefix("identifier:")
            detail = f"{name} belongs to relation {other}; use that relation, or correct the identifier"
            pointer = "/subject" if case.event.subject == key.removeprefix("identifier:") else "/data/identifiers"
            if case.event.event_type.kind == "relation.identifier_linked":
                pointer = "/data/value"
            return Reject("identifier_taken", (FieldError(pointer, detail),), thing.position, {"relation": other})
    return None


def _link(case: Case) -> Mapping[str, Value]:
    values: dict[str, Value] = {k: {"relation": case.relation} for k in identifier_keys(case.event, case.department)}
    if case.event.event_type.kind == "relation.registered":
        values[relation_key(case.relation)] = {}
    return values


def _not_in_future(pointer: str, value: str | None, case: Case) -> Decision | None:
    if value is None or instant(value) <= case.now:
        return None
    detail = f"a contact that was held lies not in the future ({value}); publish contact.planned for one to come"
    return Reject("rule", (FieldError(pointer, detail),))


def _held_in_past(case: Case) -> Decision | None:
    return _not_in_future("/data/occurred_at", case.event.data["occurred_at"], case)


def _corrected_to_past(case: Case) -> Decision | None:
    return _not_in_future("/data/changes/occurred_at", case.event.data["changes"].get("occurred_at"), case)


def _ends_once(case: Case) -> Decision | None:
    data = case.event.data
    ended = case.look(f"ended:{case.relation}:{data['commitment']}")
    if ended is None:
        return None
    detail = "this commitment was fulfilled, broken or released before; it ends once"
    return Reject("rule", (FieldError("/data/commitment", detail),), ended.position)


def _instrument_key(instrument: object) -> str:
    return f"instrument:{instrument}"


def _new_wording(case: Case) -> Decision | None:
    """An instrument is immutable; a new wording is a new, higher version."""
    data = case.event.data
    known = case.look(_instrument_key(data["instrument"]))
    if known is None or data["wording_version"] > known.value["wording_version"]:
        return None
    detail = (
        f"version {known.value['wording_version']} of this instrument is defined and cannot change; "
        "send a new wording with a higher wording_version, or a new instrument"
    )
    return Reject("id_taken", (FieldError("/data/wording_version", detail),), known.position)


def _define(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    keep = ("scale_min", "scale_max", "wording_version")
    return {_instrument_key(data["instrument"]): {k: data[k] for k in keep}}


def _on_scale(case: Case) -> Decision | None:
    data = case.event.data
    known = case.look(_instrument_key(data["instrument"]))
    if known is None or known.value["scale_min"] <= data["score"] <= known.value["scale_max"]:
        return None
    low, high = known.value["scale_min"], known.value["scale_max"]
    detail = f"score {data['score']} is outside the scale of {data['instrument']}, which runs from {low} to {high}"
    return Reject("scale", (FieldError("/data/score", detail),))


_QUESTIONS: Final = tuple(str(n) for n in range(1, 11))


def _question_keys(event: Submission, relation: str) -> list[str]:
    plan = event.data["plan"]
    return [*(f"question:{relation}:{plan}:{q}" for q in _QUESTIONS), f"actions:{relation}:{plan}"]


def _complete(case: Case) -> Decision | None:
    """A plan is approved with all ten questions answered and an action agreed (each has an owner and a due date)."""
    missing = [k for k in _question_keys(case.event, case.relation) if case.look(k) is None]
    if not missing:
        return None
    open_questions = [k.rsplit(":", 1)[1] for k in missing if k.startswith("question:")]
    detail = f"question {', '.join(open_questions)} has no answer yet" if open_questions else "no action was agreed yet"
    return Park("not_yet", tuple(missing), (FieldError("/data/plan", f"{detail}; it is kept until then"),))


def _one_open_alert(case: Case) -> Decision | None:
    data = case.event.data
    if "line" not in data:
        return None
    known = case.look(f"open:{case.relation}:{data['line']}")
    if known is None or known.value["alert"] is None:
        return None
    detail = f"alert {known.value['alert']} is open for this line; resolve it first"
    return Reject("rule", (FieldError("/data/line", detail),), known.position)


def _opened(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    values: dict[str, Value] = {f"alert:{data['alert']}": {"state": "open", "line": data.get("line")}}
    if "line" in data:
        values[f"open:{case.relation}:{data['line']}"] = {"alert": data["alert"]}
    return values


def _alert_line(case: Case) -> str | None:
    known = case.look(f"alert:{case.event.data['alert']}")
    return known.value.get("line") if known is not None else None


def _state_is(wanted: str) -> Callable[[Case], Decision | None]:
    def check(case: Case) -> Decision | None:
        known = case.look(f"alert:{case.event.data['alert']}")
        if known is None or known.value["state"] == wanted:
            return None
        detail = f"this alert is {known.value['state']}, not {wanted}"
        return Reject("rule", (FieldError("/data/alert", detail),), known.position)

    return check


def _closed(case: Case) -> Mapping[str, Value]:
    return _turn(case, "resolved", None)


def _reopened(case: Case) -> Mapping[str, Value]:
    return _turn(case, "open", case.event.data["alert"])


def _turn(case: Case, state: str, open_alert: str | None) -> Mapping[str, Value]:
    line = _alert_line(case)
    values: dict[str, Value] = {f"alert:{case.event.data['alert']}": {"state": state, "line": line}}
    if line is not None:
        values[f"open:{case.relation}:{line}"] = {"alert": open_alert}
    return values


RULES: Final[dict[str, Rule]] = {
    "relation.registered": Rule(touches=("details:{relation}",), check=_identifiers_free, values=_link),
    "relation.identifier_linked": Rule(check=_identifiers_free, values=_link),
    "relation.tier_assigned": Rule(touches=("tier:{relation}",)),
    "counterpart.added": Rule(touches=("counterpart:{relation}:{#person}",)),
    "team.formed": Rule(touches=("team:{team}",)),
    "team.member_joined": Rule(touches=("member:{team}:{#employee}",), needs=(_TEAM,)),
    "team.member_left": Rule(touches=("member:{team}:{#employee}",), needs=(_TEAM,)),
    "team.relation_assigned": Rule(touches=("assigned:{relation}:{team}",), needs=(_TEAM,)),
    "team.relation_unassigned": Rule(touches=("assigned:{relation}:{team}",), needs=(_TEAM,)),
    "contact.planned": Rule(touches=("planned:{relation}:{contact}",), marks=(_ATTENTION,)),
    "contact.rescheduled": Rule(touches=("planned:{relation}:{contact}",), marks=(_ATTENTION,), needs=(_PLANNED,)),
    "contact.cancelled": Rule(touches=("planned:{relation}:{contact}",), marks=(_ATTENTION,), needs=(_PLANNED,)),
    "contact.no_show": Rule(touches=("planned:{relation}:{contact}",), marks=(_ATTENTION,), needs=(_PLANNED,)),
    "contact.held": Rule(
        touches=("held:{relation}:{contact}",),
        marks=(_ATTENTION,),
        once="held:{relation}:{contact}",
        check=_held_in_past,
    ),
    "contact.corrected": Rule(
        touches=("held:{relation}:{contact}",), marks=(_ATTENTION,), needs=(_HELD,), check=_corrected_to_past
    ),
    "contact.retracted": Rule(touches=("held:{relation}:{contact}",), marks=(_ATTENTION,), needs=(_HELD,)),
    "schedule.line_set": Rule(touches=("line:{relation}:{line}",), marks=(_ATTENTION,)),
    "schedule.line_paused": Rule(touches=("line:{relation}:{line}",), marks=(_ATTENTION,), needs=(_LINE,)),
    "schedule.line_resumed": Rule(touches=("line:{relation}:{line}",), marks=(_ATTENTION,), needs=(_LINE,)),
    "schedule.line_ended": Rule(touches=("line:{relation}:{line}",), marks=(_ATTENTION,), needs=(_LINE,)),
    "schedule.line_reassigned": Rule(touches=("line:{relation}:{line}",), marks=(_ATTENTION,), needs=(_LINE,)),
    "knowledge.item_recorded": Rule(touches=("knowledge:{relation}:{item}",)),
    "plan.question_answered": Rule(
        touches=("question:{relation}:{plan}:{question}",), marks=("plan:{relation}:{plan}",)
    ),
    "plan.action_agreed": Rule(
        touches=("action:{relation}:{action}",),
        marks=("plan:{relation}:{plan}", "actions:{relation}:{plan}"),
    ),
    "plan.approved": Rule(
        touches=("approval:{relation}:{plan}",), needs=(_PLAN,), reads=_question_keys, check=_complete
    ),
    "commitment.made": Rule(touches=("commitment:{relation}:{commitment}",), once="commitment:{relation}:{commitment}"),
    **{
        f"commitment.{how}": Rule(touches=("ended:{relation}:{commitment}",), needs=(_COMMITMENT,), check=_ends_once)
        for how in ("fulfilled", "broken", "released")
    },
    "satisfaction.instrument_defined": Rule(touches=("instrument:{instrument}",), check=_new_wording, values=_define),
    "satisfaction.scored": Rule(
        touches=("response:{relation}:{response}",),
        once="response:{relation}:{response}",
        needs=(Need("instrument:{instrument}", "unknown_instrument", "/data/instrument"),),
        check=_on_scale,
    ),
    "alert.raised": Rule(
        touches=("alert:{alert}",),
        guards=(_ATTENTION, "line:{relation}:{line}"),
        needs=(_LINE,),
        reads=("open:{relation}:{line}",),
        check=_one_open_alert,
        values=_opened,
    ),
    "alert.resolved": Rule(touches=("alert:{alert}",), needs=(_ALERT,), check=_state_is("open"), values=_closed),
    "alert.reopened": Rule(
        touches=("alert:{alert}",), guards=(_ATTENTION,), needs=(_ALERT,), check=_state_is("resolved"), values=_reopened
    ),
    "alert.acknowledged": Rule(touches=("handled:{alert}",), needs=(_ALERT,)),
    "alert.snoozed": Rule(touches=("handled:{alert}",), needs=(_ALERT,)),
}
