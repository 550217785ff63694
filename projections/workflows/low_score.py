"""A low score opens a loop, due in 2 working days (default), closed by a follow-up.

Low is the band named `low`; where no band has that name, the lowest (with `low_is_best` the highest). A follow-up is
`loop.followed_up`, or a contact held on or after the day of the score with the topic `opvolging`. A score that the book
learned of more than 90 days (default) late opens nothing: there is no loop left to close.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from projections.rows import Row
from projections.workflows.completeness import RESPONSE_KEEPS
from projections.workflows.facts import Entry, Keep, Known
from projections.workflows.rule import Duty, Rule
from projections.workflows.thresholds import Terms, Thresholds, steps_of

NAME: Final = "low_score"
FOLLOW_UP_TOPIC: Final = "opvolging"


def loop_id(relation: str, response: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:relatieboek:loop:{NAME}:{relation}:{response}"))


def about(response: str) -> str:
    return f"response:{response}"


def judged(scored: Mapping[str, Any], scored_at: str, wordings: Sequence[Row]) -> dict[str, Any]:
    """What is kept of a score beside itself: whether it is low, by the wording that was asked, and that wording's
    terms. Without a wording known it is not low."""
    by_time = sorted(wordings, key=lambda w: (w["defined_at"], w["wording_version"]))
    asked = [w for w in by_time if w["defined_at"] <= scored_at] or by_time[:1]
    if not asked:
        return {"low": False, "wording_version": None}
    wording = asked[-1]
    band = _low_band(wording)
    return {
        "low": band["from"] <= scored["score"] <= band["to"],
        "wording_version": wording["wording_version"],
        "min_n": wording["min_n"],
        "low_is_best": wording["low_is_best"],
        "span": wording["scale_max"] - wording["scale_min"],
    }


def _low_band(wording: Row) -> Mapping[str, Any]:
    bands = sorted(wording["bands"], key=lambda b: b["from"])
    named = [b for b in bands if b["name"] == "low"]
    if named:
        return named[0]
    return bands[-1] if wording["low_is_best"] else bands[0]


def wanted(known: Known, terms: Terms) -> Iterator[Duty]:
    done = {f.id: e for f in known.all("follow_up") if (e := f.get("done")) is not None}
    held = (f.get("held") for f in known.all("follow_up_contact"))
    contacts = sorted((e for e in held if e is not None), key=_in_time)
    for fact in known.all("response"):
        entry = fact.get("scored")
        if entry is None or not entry.data["low"]:
            continue
        if (entry.recorded_on - entry.on).days > terms.thresholds.loop_max_age_days:
            continue
        due_on = terms.calendar.add_working_days(entry.on, terms.thresholds.loop_due_working_days)
        followed = done.get(loop_id(fact.relation, fact.id)) or _first_since(contacts, entry)
        more = {"response": fact.id, "instrument": entry.data["instrument"]}
        yield Duty(
            about(fact.id), due_on, due_on, entry.on, (entry,), done=followed, relation=fact.relation, more=more
        )  # fmt: skip


def _in_time(entry: Entry) -> list[str]:
    return entry.stamp


def _first_since(contacts: Sequence[Entry], score: Entry) -> Entry | None:
    return next((c for c in contacts if c.on >= score.on), None)


def _steps(thresholds: Thresholds) -> tuple[int, ...]:
    return steps_of(thresholds.loop_escalation_working_days)


RULE: Final = Rule(
    name=NAME,
    version=1,
    keeps=(
        *RESPONSE_KEEPS,
        Keep("loop.followed_up", "follow_up", "{loop}", "done"),
        # Folded by the projection itself, from contacts with the topic and their corrections.
        Keep("", "follow_up_contact", "", "held"),
    ),
    wanted=wanted,
    opens="loop",
    steps=_steps,
)
