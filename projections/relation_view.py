"""Relation view: everything about a relation at a glance. Tables in relation_tables, reading in relation_present.

Every fact lands in rows of its own relation. Facts that replace each other are registers by `Recorded.stamp`, so the
same facts give the same rows in whatever order they arrive. Events of an alert come from one writer and apply in the
order of the book.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from events.recorded import ORGANISATION, Recorded, instant, local_date
from projections import line_facts
from projections.agreement_facts import AGREEMENT_KINDS, agreement_needs, fold_agreement
from projections.alert_sight import RESTRICTED, bits_of, fold_sight, sight_needs
from projections.attention_sums import SPENT, SUMS_LATER, triggers
from projections.contact_facts import CONTACT_KINDS
from projections.contact_same import DECLARED, State, same_needs, turns
from projections.institution import INSTITUTION_KINDS, fold_institution, institution_needs
from projections.kin import ALL, KIN_KINDS, fold_alias
from projections.line_facts import LINE_KINDS
from projections.names import name_key
from projections.registers import day, put_newest, register
from projections.relation_agenda import (
    fold_action,
    fold_commitment,
    fold_knowledge,
    fold_link,
    fold_plan,
    fold_position,
)
from projections.relation_present import present
from projections.relation_tables import metadata
from projections.rows import Group, LiveMessage, Need, One, Projection, Row, Rows
from projections.satisfaction_facts import LOOP_KINDS, fold_instrument, fold_loop, fold_response
from projections.staff import STAFF_KINDS, fold_staff, staff_needs
from projections.viewer import restriction

__all__ = ["PROJECTION", "name_key", "present"]

Handler = Callable[[Rows, Recorded, Row], None]


def _blank(relation: str) -> Row:
    return {
        "relation": relation, "version": 0, "name": None, "name_key": None, "kind": None, "region": None,
        "parent": None, "tier": None, "tier_arguments": [], "tier_review_on": None, "tier_on": None,
        "tier_hidden": 0, "ended_hidden": 0,
        "owner": None, "identifiers": [], "ended_on": None, "end_reason": None,
        "contacts_total": 0, "minutes_total": 0, "stamps": {},
    }  # fmt: skip


def _registered(rows: Rows, event: Recorded, relation: Row) -> None:
    data, stamp = event.data, event.stamp
    replaces_all = event.kind == "relation.registered"
    for field in ("name", "kind", "region", "parent"):
        if replaces_all or field in data:
            register(relation, field, stamp, **{field: data.get(field)})
    relation["name_key"] = None if relation["name"] is None else name_key(relation["name"])
    if replaces_all:
        scheme, colon, value = event.subject.partition(":")
        named = [{"scheme": scheme, "value": value}] if colon and scheme != "urn" else []
        for identifier in [*named, *(data.get("identifiers") or ())]:
            _link(relation, identifier, event.department)


def _linked(rows: Rows, event: Recorded, relation: Row) -> None:
    _link(relation, event.data, event.department)


def _link(relation: Row, identifier: Mapping[str, Any], department: str) -> None:
    link = {"scheme": identifier["scheme"], "value": identifier["value"]}
    if link["scheme"] == "local":
        link["department"] = department
    if link not in relation["identifiers"]:
        links = [*relation["identifiers"], link]
        relation["identifiers"] = sorted(links, key=lambda i: (i["scheme"], i["value"], i.get("department", "")))


def _tier(rows: Rows, event: Recorded, relation: Row) -> None:
    data = event.data
    arguments: list[Any] = data.get("arguments") or []
    review_on = day(data.get("review_on"))
    register(
        relation, "tier", event.stamp, tier=data["tier"], tier_arguments=arguments, tier_review_on=review_on,
        tier_hidden=restriction(event),
    )  # fmt: skip
    told: list[list[Any]] = [one for one in relation["stamps"].get("tiers", ()) if one[0] != event.stamp]
    tiers = sorted([*told, [event.stamp, data["tier"]]])
    relation["stamps"] = {**relation["stamps"], "tiers": tiers}
    # Told again, a tier begins nothing new: as the lines that its policy asks for have it.
    first = next((n for n in range(len(tiers) - 1, 0, -1) if tiers[n - 1][1] != tiers[n][1]), 0)
    relation["tier_on"] = local_date(instant(tiers[first][0][0]))


def _owner(rows: Rows, event: Recorded, relation: Row) -> None:
    register(relation, "owner", event.stamp, owner=event.data["employee"])


def _ended(rows: Rows, event: Recorded, relation: Row) -> None:
    on = local_date(event.occurred_at)
    reason = event.data.get("reason")
    register(relation, "ended", event.stamp, ended_on=on, end_reason=reason, ended_hidden=restriction(event))


_DETAILS: Final = ("name", "function", "layer", "decision_role")


def _counterpart(rows: Rows, event: Recorded, relation: Row) -> None:
    """Each detail is a register of its own: a move says only what changed."""
    data, stamp = event.data, event.stamp
    person: Row = dict(rows.get("counterpart", event.relation, data["person"]) or {
        "relation": event.relation, "person": data["person"], **dict.fromkeys(_DETAILS), "present": True,
        "departed_on": None, "moved_on": None, "hidden": 0, "present_hidden": 0, "layer_hidden": 0, "stamps": {},
    })  # fmt: skip
    bits = restriction(event)
    person["hidden"] |= bits
    if event.kind == "counterpart.departed":
        on = local_date(event.occurred_at)
        register(person, "present", stamp, present=False, departed_on=on, present_hidden=bits)
    else:
        for field in _DETAILS:
            if event.kind == "counterpart.added" or field in data:
                moved_on = local_date(event.occurred_at) if event.kind == "counterpart.moved" else None
                since: Row = {"moved_on": moved_on, "layer_hidden": bits} if field == "layer" else {}
                register(person, field, stamp, **{field: data.get(field)}, **since)
        if event.kind == "counterpart.added":
            register(person, "present", stamp, present=True, departed_on=None, present_hidden=bits)
    rows.put("counterpart", person)


def _assigned(rows: Rows, event: Recorded, relation: Row) -> None:
    team = event.data["team"]
    row: Row = {
        "relation": event.relation, "team": team, "assigned": event.kind == "team.relation_assigned",
        "stamp": event.stamp,
    }  # fmt: skip
    put_newest(rows, "assignment", row, event.relation, team)


def _contact(rows: Rows, event: Recorded, relation: Row) -> None:
    def known(contact: str) -> State | None:
        row = rows.get("contact", event.relation, contact)
        return None if row is None else State(row["facts"])

    for turn in turns(rows, event, known):
        row: Row = {
            "relation": event.relation, "contact": turn.contact, **turn.after.derived(), "facts": turn.after.facts,
        }  # fmt: skip
        was = None if turn.before is None else turn.before.derived()
        before = was if was is not None and was["counted"] else None
        relation["contacts_total"] += int(row["counted"]) - (before is not None)
        relation["minutes_total"] += (row["minutes"] if row["counted"] else 0) - (before["minutes"] if before else 0)
        rows.put("contact", row)


def _line(rows: Rows, event: Recorded, relation: Row) -> None:
    line = event.data["line"]
    known = rows.get("line", event.relation, line)
    facts = line_facts.add_fact({} if known is None else known["facts"], event)
    rows.put("line", {"relation": event.relation, "line": line, **line_facts.derive(facts), "facts": facts})


def _line_of(data: Mapping[str, Any]) -> str | None:
    """The line that an alert is about; a policy's, or an absorbed relation's, is named in `about`."""
    return data.get("line") or (data.get("about") if data["rule"] == "contact_overdue" else None)


def _alert(rows: Rows, event: Recorded, relation: Row) -> None:
    data = event.data
    known = rows.get("alert", event.relation, data["alert"])
    row: Row = dict(known) if known is not None else {
        "relation": event.relation, "alert": data["alert"], "rule": None, "about": None, "line": None, "state": "open",
        "level": 0, "due_on": None, "overdue_on": None, "raised_on": None, "acknowledged": False, "snoozed_until": None,
        "hidden": 0,
    }  # fmt: skip
    match event.kind:
        case "alert.raised":
            days = {name: day(data.get(name)) for name in ("due_on", "overdue_on")}
            row.update(
                rule=data["rule"], about=data.get("about"), line=_line_of(data), level=data.get("level", 0),
                state="open", raised_on=local_date(event.occurred_at), **days,
            )  # fmt: skip
        case "alert.reopened":
            row.update(state="open", level=0, acknowledged=False, snoozed_until=None)
        case "alert.resolved":
            row.update(state="resolved", snoozed_until=None)
        case "alert.escalated":
            row.update(level=data["level"])
        case "alert.acknowledged":
            row.update(acknowledged=True)
        case "alert.snoozed":
            row.update(snoozed_until=day(data["until"][:10]))
        case _:
            return
    row["hidden"] = bits_of(rows, event)
    rows.put("alert", row)


def _scored(rows: Rows, event: Recorded, relation: Row) -> None:
    fold_response(rows, event)


def _loop(rows: Rows, event: Recorded, relation: Row) -> None:
    fold_loop(rows, event)


def _agreement(rows: Rows, event: Recorded, relation: Row) -> None:
    fold_agreement(rows, event)


def _keys(*tables: tuple[str, str]) -> Callable[[Recorded], list[Need]]:
    """Rows of the relation whose second key is the value of this field."""
    return lambda event: [
        One(table, (event.relation, event.data[field])) for table, field in tables if field in event.data
    ]


def _nothing(event: Recorded) -> list[Need]:
    return []


def _answer_needs(event: Recorded) -> list[Need]:
    plan, question = event.data["plan"], event.data["question"]
    return [One("plan", (event.relation, plan)), One("answer", (event.relation, plan, question))]


_ALERTS: Final = ("raised", "resolved", "reopened", "acknowledged", "snoozed", "escalated")
_HANDLERS: Final[dict[str, tuple[Handler, Callable[[Recorded], list[Need]]]]] = {
    "relation.registered": (_registered, _nothing),
    "relation.details_changed": (_registered, _nothing),
    "relation.identifier_linked": (_linked, _nothing),
    "relation.tier_assigned": (_tier, _nothing),
    "relation.owner_assigned": (_owner, _nothing),
    "relation.ended": (_ended, _nothing),
    **{f"counterpart.{k}": (_counterpart, _keys(("counterpart", "person"))) for k in ("added", "moved", "departed")},
    "team.relation_assigned": (_assigned, _keys(("assignment", "team"))),
    "team.relation_unassigned": (_assigned, _keys(("assignment", "team"))),
    **dict.fromkeys((*CONTACT_KINDS, DECLARED), (_contact, same_needs)),
    **{kind: (_line, _keys(("line", "line"))) for kind in LINE_KINDS},
    **{f"alert.{k}": (_alert, _keys(("alert", "alert"))) for k in _ALERTS},
    "satisfaction.scored": (_scored, _keys(("response", "response"))),
    "plan.question_answered": (fold_plan, _answer_needs),
    **{f"plan.{k}": (fold_plan, _keys(("plan", "plan"))) for k in ("drafted", "approved", "superseded")},
    **{
        f"plan.action_{k}": (fold_action, _keys(("plan", "plan"), ("action", "action")))
        for k in ("agreed", "completed", "deferred", "dropped")
    },
    "knowledge.item_recorded": (fold_knowledge, _keys(("knowledge", "item"))),
    "knowledge.position_measured": (fold_position, _keys(("measured", "year"))),
    "matrix.link_assessed": (fold_link, lambda e: [One("link", (e.relation, e.data["ours"], e.data["theirs"]))]),
    **dict.fromkeys(LOOP_KINDS, (_loop, _keys(("loop", "loop")))),
    **dict.fromkeys(AGREEMENT_KINDS, (_agreement, agreement_needs)),
    **{
        f"commitment.{k}": (fold_commitment, _keys(("commitment", "commitment")))
        for k in ("made", "fulfilled", "broken", "released")
    },
}


_ALIASES: Final = Group("alias", ALL)


def needs(event: Recorded) -> Iterable[Need]:
    if event.relation == ORGANISATION:
        if event.kind == "satisfaction.instrument_defined":
            return [One("instrument", (event.data["instrument"], event.data["wording_version"]))]
        return [*institution_needs(event), *staff_needs(event)]
    # Whose relation this is now: a merge changes it, and `announce` tells the survivor's readers too.
    found: list[Need] = [One("relation", (event.relation,)), _ALIASES, *sight_needs(event)]
    known = _HANDLERS.get(event.kind)
    return found if known is None else [*found, *known[1](event)]


def evolve(rows: Rows, event: Recorded) -> None:
    """A kind of event that this view shows nothing of still counts in the relation's version."""
    if event.relation == ORGANISATION:
        if event.kind == "satisfaction.instrument_defined":
            fold_instrument(rows, event)
        elif event.kind in INSTITUTION_KINDS:
            fold_institution(rows, event)
        elif event.kind in STAFF_KINDS:
            fold_staff(rows, event)
        return
    relation = dict(rows.get("relation", event.relation) or _blank(event.relation))
    relation["version"] = max(relation["version"], event.version)
    fold_sight(rows, event)
    known = _HANDLERS.get(event.kind)
    if known is not None:
        known[0](rows, event, relation)
    elif event.kind in KIN_KINDS:
        fold_alias(rows, event)
    rows.put("relation", relation)


def evolve_withdrawn(rows: Rows, event: Recorded, withdrawal: Recorded) -> None:
    """Of a withdrawn event only its restrictions are left."""
    if event.relation != ORGANISATION:
        fold_sight(rows, event)


def announce(rows: Rows, event: Recorded) -> Iterable[LiveMessage]:
    if event.relation == ORGANISATION:
        return []
    body = {"position": event.position, "relation": event.relation, "type": event.type}
    alias = rows.get("alias", ALL, event.relation)
    survivor = None if alias is None else alias["root"]
    return [LiveMessage(f"live.relation.{r}", body) for r in (event.relation, survivor) if r is not None]


PROJECTION: Final = Projection(
    name="relation_view", version=14, metadata=metadata, needs=needs, evolve=evolve, announce=announce,
    kept=frozenset({"alias", SPENT, RESTRICTED}), evolve_withdrawn=evolve_withdrawn, triggers=triggers,
    later=SUMS_LATER,
)  # fmt: skip
