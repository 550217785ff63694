"""The schedule of a relation as its rows have it: its own lines, and those that the policy of its tier asks for. Pure.

A pair of layers for which the policy asks contact is a line of the relation where it has no line of its own for that
pair; such a line has the relation's owner. A line whose owner left is the relation's owner's, else of the lead of the
team that was assigned first (`staff.owner_in`). A line about a person is vacant from the day on which that person is
gone. All end with their relation, which of merged relations is the survivor (docs/decisions/0020).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Any

from events.recorded import local_date
from projections.heads import shown
from projections.institution import ALL, Institution
from projections.layers import pair_bit
from projections.line_state import Rules, schedule_of
from projections.rows import Row, Rows
from projections.staff import owner_in


def institution_of(rows: Rows, rules: Rules) -> Institution:
    """What the institution lays down, on top of the public holidays of `rules`."""
    return Institution.of(rows.group("institution", ALL), rules.calendar)


def schedule_in(
    rows: Rows, head: Row, now: datetime, rules: Rules, hidden: int
) -> tuple[list[dict[str, Any]], list[Row]]:
    """The schedule of the relation with this head, `line_state.schedule_of` over `lines_of` under its working days, and
    the alerts that are open.

    Without the lines that are restricted for the reader (`hidden_bits`), and the alerts that are or are about one of
    those. Other lines stand as beside them.
    """
    relation, institution = head["relation"], institution_of(rows, rules)
    rules = Rules(institution.calendar, rules.lead_working_days)
    every, teams, today = lines_of(rows, head, institution), rows.group("assignment", relation), local_date(now)
    closed = {(one["relation"], one["line"]) for one in every if not shown(one, hidden)}
    alerts = [
        a for a in rows.group("alert", relation) if a["state"] == "open" and shown(a, hidden) and not about(a, closed)
    ]  # fmt: skip
    lines = [
        {**one, "owner": owner_in(rows, (one["owner"], head["owner"]), teams, today)}
        for one in every
        if shown(one, hidden)
    ]
    return schedule_of(lines, rows.group("contact", relation), alerts, now, rules), alerts


def about(alert: Row, lines: Collection[tuple[str, str]]) -> bool:
    """Whether it is about one of these lines, by relation and id; of an absorbed relation it names both."""
    relation, _, line = (alert["line"] or "").partition(":")
    return (alert["relation"], alert["line"]) in lines or (relation, line) in lines


def lines_of(rows: Rows, head: Row, institution: Institution) -> list[Row]:
    """Rows of lines as `line_state` reads them. `conflict`: after a merge another member's line for the same layers
    stands, the first in the order of the members, until a person ends one (docs/decisions/0008)."""
    # Of merged relations each has its own word on a person, as the contact alerts have it.
    people = {(c["relation"], c["person"]): c for c in rows.group("counterpart", head["relation"])}
    own: list[Row] = []
    stands: dict[tuple[Any, Any], str] = {}
    for line in rows.group("line", head["relation"]):
        conflict = False
        if line["our_layer"] is not None and line["ended_on"] is None:
            first = stands.setdefault((line["our_layer"], line["their_layer"]), line["relation"])
            conflict = first != line["relation"]
        person = people.get((line["relation"], line["their_person"]))
        vacant_on, told = _vacant_on(line, person)
        # Whoever may not know that the person is gone does not see the line either, as in questions 1 and 2.
        own.append({**line, "vacant_on": vacant_on, "hidden": line["hidden"] | told, "conflict": conflict})
    over = head["ended_on"]
    return [
        one if over is None or (one["ended_on"] is not None and one["ended_on"] <= over) else {**one, "ended_on": over}
        for one in (*own, *_asked_by_policy(head, own, institution))
    ]


def _vacant_on(line: Row, person: Row | None) -> tuple[date | None, int]:
    """The first day on which the person of a line is gone, or in another layer than the line is with, and the
    restriction bits of the event that says so."""
    if person is not None and not person["present"]:
        return person["departed_on"], person["present_hidden"]
    if person is not None and person["layer"] != line["their_layer"] and person["moved_on"] is not None:
        return person["moved_on"], person["layer_hidden"]
    return None, 0


def _asked_by_policy(head: Row, own: Sequence[Row], institution: Institution) -> Iterable[Row]:
    tier_on: date | None = head["tier_on"]
    for run in institution.runs(head["tier"]):
        terms = run.terms
        pair = (terms.our_layer, terms.their_layer)
        ends: list[date | None] = [o["ended_on"] for o in own if (o["our_layer"], o["their_layer"]) == pair]
        begins: list[date] = [end for end in (*ends, tier_on) if end is not None]
        starts_on = max([run.starts_on, *begins])
        if None in ends or any(on is not None and starts_on >= on for on in (run.ended_on, head["ended_on"])):
            continue
        yield {
            "relation": head["relation"], "line": run.line, "our_layer": terms.our_layer,
            "their_layer": terms.their_layer, "their_person": None, "pair": pair_bit(*pair),
            "cadence": dict(terms.cadence), "channels": None if terms.channels is None else list(terms.channels),
            "starts_on": starts_on, "grace_working_days": terms.grace_working_days, "owner": head["owner"],
            "ended_on": run.ended_on, "pauses": [], "vacant_on": None, "conflict": False, "hidden": 0,
        }  # fmt: skip
