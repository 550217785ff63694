"""The rules of alerts and loops, which the book's own services write (SPEC section 5).

The thing `alert:<alert>` is {"state": open or resolved, "line" or "about" and "rule", "level"}; `open:…` names the open
alert of a line, `open_about:…` that of a rule and what it is about, `open_loop:…` the open loop of a response.
"snoozes" counts how often it was put off since it was raised or reopened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from events.book import Case, Decision, Need, Rule, Value
from events.judging import ATTENTION, Check, against, all_of

# However high an institution sets its own bound, which the api holds to (SPEC section 5: bounded in number).
MOST_SNOOZES: Final = 50

_LINE = Need("line:{relation}:{line}", "unknown_line", "/data/line")
_ALERT = Need("alert:{alert}", "unknown_alert", "/data/alert")
_LOOP = Need("loop:{relation}:{loop}", "unknown_loop", "/data/loop")
_RESPONSE = Need("response:{relation}:{response}", "unknown_response", "/data/response")
_INSTRUMENT = Need("instrument:{instrument}", "unknown_instrument", "/data/instrument")


def _place(relation: str, subject: Mapping[str, Any]) -> str | None:
    """The key of the place that one open alert has: its line's, or that of its rule and what it is about."""
    if subject.get("line") is not None:
        return f"open:{relation}:{subject['line']}"
    if subject.get("about") is not None:
        return f"open_about:{relation}:{subject['rule']}:{subject['about']}"
    return None


def _one_open_alert(case: Case) -> Decision | None:
    data = case.event.data
    place = _place(case.relation, data)
    known = case.look(place) if place else None
    if known is None or known.value["alert"] is None:
        return None
    field, what = ("line", "line") if "line" in data else ("about", "rule and what it is about")
    return against(field, f"alert {known.value['alert']} is open for this {what}; resolve it first", known)


def _raised(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    alert: Value = {"state": "open", "line": data.get("line"), "level": data["level"]}
    if "about" in data:
        alert.update(about=data["about"], rule=data["rule"])
    place = _place(case.relation, data)
    assert place is not None  # the contract wants a line or an about
    return {f"alert:{data['alert']}": alert, place: {"alert": data["alert"]}}


def _alert(case: Case) -> Value:
    known = case.look(f"alert:{case.event.data['alert']}")
    return {} if known is None else known.value


def _state_is(wanted: str) -> Check:
    def check(case: Case) -> Decision | None:
        known = case.look(f"alert:{case.event.data['alert']}")
        if known is None or known.value["state"] == wanted:
            return None
        return against("alert", f"this alert is {known.value['state']}, not {wanted}", known)

    return check


def _resolved(case: Case) -> Mapping[str, Value]:
    return _turn(case, "resolved", None)


def _reopened(case: Case) -> Mapping[str, Value]:
    return _turn(case, "open", case.event.data["alert"])


def _turn(case: Case, state: str, open_alert: str | None) -> Mapping[str, Value]:
    alert = {**_alert(case), "state": state, "level": 0, "snoozes": 0}
    values: dict[str, Value] = {f"alert:{case.event.data['alert']}": alert}
    place = _place(case.relation, alert)
    if place is not None:
        values[place] = {"alert": open_alert}
    return values


def _few_snoozes(case: Case) -> Decision | None:
    known = case.look(f"alert:{case.event.data['alert']}")
    if known is None or known.value.get("snoozes", 0) < MOST_SNOOZES:
        return None
    return against("alert", f"this alert was put off {MOST_SNOOZES} times; take it up, or resolve it", known)


def _snoozed(case: Case) -> Mapping[str, Value]:
    alert = _alert(case)
    return {f"alert:{case.event.data['alert']}": {**alert, "snoozes": alert.get("snoozes", 0) + 1}}


def _level_rises(thing: str, field: str) -> Check:
    def check(case: Case) -> Decision | None:
        data = case.event.data
        known = case.look(thing.format(relation=case.relation, id=data[field]))
        if known is None or data["level"] > known.value.get("level", 0):
            return None
        return against("level", f"level {known.value['level']} was reached before; an escalation goes up", known)

    return check


def _escalated(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    return {f"alert:{data['alert']}": {**_alert(case), "level": data["level"]}}


# --- loops


def _loop_key(case: Case) -> str:
    return f"loop:{case.relation}:{case.event.data['loop']}"


def _loop(case: Case) -> Value:
    known = case.look(_loop_key(case))
    return {} if known is None else known.value


def _one_loop(case: Case) -> Decision | None:
    """A response has one open loop, and is of the instrument that the loop names."""
    data = case.event.data
    response = case.look(f"response:{case.relation}:{data['response']}")
    asked = None if response is None else response.value.get("instrument")
    if asked is not None and asked != data["instrument"]:
        return against("instrument", f"this response was given to instrument {asked}", response)
    known = case.look(f"open_loop:{case.relation}:{data['response']}")
    if known is None or known.value["loop"] is None:
        return None
    return against("response", f"loop {known.value['loop']} is open for this response; close it first", known)


def _opened(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    return {
        _loop_key(case): {"state": "open", "response": data["response"], "level": 0},
        f"open_loop:{case.relation}:{data['response']}": {"loop": data["loop"]},
    }


def _is_open(case: Case) -> Decision | None:
    known = case.look(_loop_key(case))
    if known is None or known.value["state"] == "open":
        return None
    return against("loop", "this loop is closed; a closed loop stays closed", known)


def _followed_up(case: Case) -> Mapping[str, Value]:
    return {_loop_key(case): _loop(case)}


def _loop_escalated(case: Case) -> Mapping[str, Value]:
    return {_loop_key(case): {**_loop(case), "level": case.event.data["level"]}}


def _closed(case: Case) -> Mapping[str, Value]:
    loop = _loop(case)
    return {
        _loop_key(case): {**loop, "state": "closed"},
        f"open_loop:{case.relation}:{loop['response']}": {"loop": None},
    }


ALERTING: Final[dict[str, Rule]] = {
    "alert.raised": Rule(
        touches=("alert:{alert}",),
        guards=(ATTENTION, "line:{relation}:{line}"),
        needs=(_LINE,),
        reads=("open:{relation}:{line}", "open_about:{relation}:{rule}:{about}"),
        check=_one_open_alert,
        values=_raised,
    ),
    "alert.resolved": Rule(touches=("alert:{alert}",), needs=(_ALERT,), check=_state_is("open"), values=_resolved),
    "alert.reopened": Rule(
        touches=("alert:{alert}",), guards=(ATTENTION,), needs=(_ALERT,), check=_state_is("resolved"), values=_reopened
    ),
    "alert.escalated": Rule(
        touches=("alert:{alert}",),
        needs=(_ALERT,),
        check=all_of(_state_is("open"), _level_rises("alert:{id}", "alert")),
        values=_escalated,
    ),
    "alert.acknowledged": Rule(touches=("handled:{alert}",), needs=(_ALERT,), check=_state_is("open")),
    "alert.snoozed": Rule(
        touches=("handled:{alert}",),
        marks=("alert:{alert}",),
        needs=(_ALERT,),
        check=all_of(_state_is("open"), _few_snoozes),
        values=_snoozed,
    ),
    "loop.opened": Rule(
        touches=("loop:{relation}:{loop}",),
        guards=("response:{relation}:{response}",),
        once="loop:{relation}:{loop}",
        needs=(_RESPONSE, _INSTRUMENT),
        reads=("open_loop:{relation}:{response}",),
        check=_one_loop,
        values=_opened,
    ),
    "loop.followed_up": Rule(touches=("loop:{relation}:{loop}",), needs=(_LOOP,), check=_is_open, values=_followed_up),
    "loop.escalated": Rule(
        touches=("loop:{relation}:{loop}",),
        needs=(_LOOP,),
        check=all_of(_is_open, _level_rises("loop:{relation}:{id}", "loop")),
        values=_loop_escalated,
    ),
    "loop.closed": Rule(touches=("loop:{relation}:{loop}",), needs=(_LOOP,), check=_is_open, values=_closed),
}
