"""The projection `workflows`: the facts that rules look at, what should be open by them, and what is.

The fold reads no clock. After each batch `settle` lets the rules whose facts changed say what they want, and computes
for each duty the first instant at which what should be open is not what is (`check_at`). The service asks for the
duties whose instant has come, so a tick costs what is due, not what exists.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from events.recorded import ORGANISATION, Recorded, iso
from projections.alert_sight import RESTRICTED, fold_sight, sight_needs
from projections.contact_same import DECLARED as _SAME
from projections.contact_same import same_needs
from projections.institution import ALL, fold_institution, institution_needs
from projections.kin import KIN_KINDS, alias_needs, fold_alias
from projections.names import name_key
from projections.registers import put_newest
from projections.rows import Group, Need, One, Projection, Row, Rows
from projections.workflows import low_score, told
from projections.workflows.completeness import COMPLETENESS_KEEPS, PARTS, summary
from projections.workflows.contacts import HELD_KINDS, fold_contact, follows_up
from projections.workflows.facts import RELATION, Known, filled, put_entry
from projections.workflows.reconcile import as_wanted, blank, check_at
from projections.workflows.rule import duties_of
from projections.workflows.rulebook import KEEPS, concerned
from projections.workflows.tables import metadata
from projections.workflows.thresholds import Terms, Thresholds
from projections.workflows.told import ALERT_KINDS, LOOP_KINDS, TOLD
from projections.working_calendar import WorkingCalendar

# Those of which only the version counts: what an alert is held against when it is published.
_MARKS: Final = frozenset(
    {
        "contact.planned", "contact.rescheduled", "contact.cancelled", "contact.no_show", "schedule.line_paused",
        "schedule.line_resumed", "schedule.line_reassigned",
    }
)  # fmt: skip
_DEFINED: Final = "satisfaction.instrument_defined"
_CALENDAR_SET: Final = "schedule.working_calendar_set"
_CALENDAR: Final = "calendar"
_ASSIGNMENT_KINDS: Final = frozenset({"team.relation_assigned", "team.relation_unassigned"})
KINDS: Final = (
    frozenset(KEEPS) | HELD_KINDS | _MARKS | ALERT_KINDS | LOOP_KINDS | KIN_KINDS | _ASSIGNMENT_KINDS
    | {_SAME, _DEFINED, _CALENDAR_SET}
)  # fmt: skip
_SUMMED: Final = frozenset(keep.fact for keep in COMPLETENESS_KEEPS) | {RELATION}


def needs(event: Recorded) -> Iterable[Need]:
    """The rows that `evolve` reads for this event."""
    relation, kind, data = event.relation, event.kind, event.data
    if relation == ORGANISATION:
        if kind == _DEFINED:
            return [One("instrument", (data["instrument"], data["wording_version"]))]
        return institution_needs(event)
    found: list[Need] = [One("relation", (relation,)), *alias_needs(event), *sight_needs(event)]
    if event.absorbed is not None:
        found.append(One("relation", (event.absorbed,)))
    if kind in KEEPS or follows_up(event):
        found += [Group("fact", relation), Group("duty", relation)]
    if kind == "satisfaction.scored":
        found.append(Group("instrument", data["instrument"]))
    elif kind in HELD_KINDS or kind == _SAME:
        found += same_needs(event)
    elif kind in ALERT_KINDS:
        found.append(Group("duty", relation))
    elif kind in _ASSIGNMENT_KINDS:
        found.append(One("assignment", (relation, data["team"])))
    if kind in LOOP_KINDS:
        found += [One("loop", (relation, data["loop"])), Group("duty", relation)]
    return found


def evolve(rows: Rows, event: Recorded) -> None:
    """Folds one event in. Events of one relation come in the order of the book."""
    kind = event.kind
    if event.relation == ORGANISATION:
        if kind == _DEFINED:
            _instrument(rows, event)
        elif kind == _CALENDAR_SET:
            fold_institution(rows, event)
            rows.put("pending", {"whole": ALL, "what": _CALENDAR})
        return
    fold_alias(rows, event)
    fold_sight(rows, event)
    changed: list[str] = []
    if kind in KEEPS:
        changed += _keep(rows, event)
    if kind in HELD_KINDS or kind == _SAME:
        changed += fold_contact(rows, event)
    if kind in _ASSIGNMENT_KINDS:
        team = event.data["team"]
        assigned = kind == "team.relation_assigned"
        row: Row = {"relation": event.relation, "team": team, "assigned": assigned, "stamp": event.stamp}
        put_newest(rows, "assignment", row, event.relation, team)
    if kind in ALERT_KINDS or kind in LOOP_KINDS:
        changed += told.fold(rows, event)
    _seen(rows, event, changed)


def evolve_withdrawn(rows: Rows, event: Recorded, withdrawal: Recorded) -> None:
    """A withdrawn event leaves nothing but that the rules look again, because of its withdrawal. A wording goes on
    judging the scores that were given to it: those were judged by then."""
    if event.relation == ORGANISATION:
        if event.kind == _DEFINED:
            _instrument(rows, event)
        elif event.kind == _CALENDAR_SET:
            rows.put("pending", {"whole": ALL, "what": _CALENDAR})
        return
    fold_sight(rows, event)
    known = _known(rows, event, event.relation)
    changed = [keep.fact for keep in KEEPS.get(event.kind, ())]
    if follows_up(event):
        changed.append("follow_up_contact")
    row: Row = {
        **known, "version": max(known["version"], withdrawal.version),
        **{name: max(known[name], withdrawal.position) for name in ("position", "cause_position")},
        "seen_at": max(known["seen_at"], withdrawal.recorded_at), "stale": sorted({*known["stale"], *changed}),
    }  # fmt: skip
    rows.put("relation", row)


def settle_needs(relation: str) -> Iterable[Need]:
    """What settling reads beside the rows that the events named."""
    return [Group("institution", ALL), Group("pending", ALL)]


def spread(rows: Rows, touched: Collection[str]) -> Iterator[Iterable[Need]]:
    """All relations after a change of the working calendar: their due dates can have moved."""
    # Nothing was asked for (`settle_needs`) for a batch of which it takes no event.
    if not touched or rows.get("pending", ALL, _CALENDAR) is None:
        return
    yield [Group("roster", ALL)]
    found = [row["relation"] for row in rows.group("roster", ALL)]
    yield [One("relation", (relation,)) for relation in found]
    yield [Group(table, relation) for relation in found for table in ("fact", "duty")]


def settle(rows: Rows, relations: Iterable[str], *, terms: Terms) -> None:
    """Lets the rules whose facts changed in the batch say what they want, and computes when to look again; those of all
    relations when the working calendar changed."""
    relations = list(relations)
    if not relations:
        return
    terms = terms.under(rows.group("institution", ALL))
    everything = rows.get("pending", ALL, _CALENDAR) is not None
    if everything:
        relations = [row["relation"] for row in rows.group("roster", ALL)]
        rows.delete("pending", ALL, _CALENDAR)
    for relation in relations:
        known_row = None if relation == ORGANISATION else rows.get("relation", relation)
        if known_row is None or not (known_row["stale"] or everything):
            continue
        facts: frozenset[str] = frozenset({RELATION}) if everything else frozenset(known_row["stale"]) - {TOLD}
        row: Row = {**known_row, "stale": []}
        before = {(r["rule"], r["about"]): r for r in rows.group("duty", relation)}
        after = dict(before)
        if facts:
            known = Known.of(relation, rows.group("fact", relation))
            row |= _registers(known)
            if not facts.isdisjoint(_SUMMED):
                row |= summary(known, terms.thresholds)
            _want(after, known, facts, terms)
        rows.put("relation", row)
        for key, stored in after.items():
            duty: Row = {**stored, "check_at": check_at(stored, row["tier"], row["seen_at"], terms)}
            wanted: Mapping[str, Any] | None = duty["wanted"]
            if duty["open"] is None and not duty["past"] and (wanted is None or wanted["done"] is not None):
                rows.delete("duty", relation, *key)
            elif before.get(key) != duty:
                rows.put("duty", duty)


def build(calendar: WorkingCalendar, thresholds: Thresholds = Thresholds()) -> Projection:  # noqa: B008 frozen
    """The projection for an institution's calendar and thresholds."""
    return Projection(
        name="workflows", version=6, metadata=metadata, needs=needs, evolve=evolve, kinds=KINDS,
        evolve_withdrawn=evolve_withdrawn, settle=partial(settle, terms=Terms(thresholds, calendar)),
        settle_needs=settle_needs, spread=spread, kept=frozenset({"alias", "roster", "pending", RESTRICTED}),
    )  # fmt: skip


PROJECTION: Final = build(WorkingCalendar())


def _want(duties: dict[tuple[str, str], Row], known: Known, facts: frozenset[str], terms: Terms) -> None:
    for rule in concerned(facts):
        found = {duty.about: duty for duty in duties_of(rule, known, terms)}
        for about, duty in found.items():
            row = duties.get((rule.name, about)) or blank(known.relation, rule.name, about)
            duties[rule.name, about] = {**row, "wanted": as_wanted(duty)}
        for name, about in list(duties):
            if name == rule.name and about not in found:
                duties[name, about] = {**duties[name, about], "wanted": None}


def _registers(known: Known) -> dict[str, Any]:
    name, ended = known.own("name"), known.own("ended")
    text = None if name is None else name.data["name"]
    return {
        "name": text, "name_key": None if text is None else name_key(text), "tier": known.tier, "owner": known.owner,
        "ended_on": None if ended is None else ended.on,
    }  # fmt: skip


def _known(rows: Rows, event: Recorded, relation: str) -> Row:
    """The relation's row; a new one, and its place in the roster, when this event is the first to name it."""
    known = rows.get("relation", relation)
    if known is not None:
        return known
    rows.put("roster", {"whole": ALL, "relation": relation})
    return {
        "relation": relation, "version": 0, "position": 0, "cause_position": 0, "seen_at": event.recorded_at,
        "name": None, "name_key": None, "tier": None, "owner": None, "ended_on": None,
        **{f"{part}_until": None for part in PARTS}, "falling": False, "standing": {}, "stale": [],
    }  # fmt: skip


def _seen(rows: Rows, event: Recorded, changed: list[str]) -> None:
    known = _known(rows, event, event.relation)
    row: Row = {
        **known, "version": max(known["version"], event.version), "position": max(known["position"], event.position),
    }  # fmt: skip
    if changed:
        # Only then all duties are settled anew: the same rows, however the events are split into batches.
        row["seen_at"] = max(known["seen_at"], event.recorded_at)
        row["stale"] = sorted({*known["stale"], *changed})
    if any(name != TOLD for name in changed) or event.kind in KIN_KINDS:
        row["cause_position"] = max(known["cause_position"], event.position)
    rows.put("relation", row)
    if event.kind in KIN_KINDS and event.absorbed is not None:
        # What is told of it now has another cause, and another id, than what was told before.
        other = _known(rows, event, event.absorbed)
        rows.put("relation", {**other, "cause_position": max(other["cause_position"], event.position)})


def _keep(rows: Rows, event: Recorded) -> list[str]:
    """Sets the registers that this kind of event is kept in; the sorts of facts that changed by it."""
    changed: list[str] = []
    # A payload may name the absorbed relation by any identifier; the book says which one it is.
    data = event.data if event.absorbed is None else {**event.data, "absorbed": event.absorbed}
    for keep in KEEPS[event.kind]:
        if not keep.id and keep.fields and not any(data.get(f) is not None for f in keep.fields):
            continue  # details that say nothing about this register
        id_, name = filled(keep.id, data), filled(keep.entry, data)
        known = rows.get("fact", event.relation, keep.fact, id_)
        row: Row = known or {"relation": event.relation, "fact": keep.fact, "id": id_, "entries": {}}
        entries = put_entry(row["entries"], name, event, keep.fields)
        if entries is None:
            continue
        if event.kind == "satisfaction.scored":
            entries[name][4] = {**entries[name][4], **_scored(rows, event)}
        rows.put("fact", {**row, "entries": entries})
        changed.append(keep.fact)
    return changed


def _scored(rows: Rows, event: Recorded) -> dict[str, Any]:
    data = event.data
    wordings = [w for w in rows.group("instrument", data["instrument"]) if w["position"] < event.position]
    shown = {} if data["anonymous"] or not data.get("respondent") else {"respondent": data["respondent"]}
    return {
        "instrument": data["instrument"], "score": data["score"], "anonymous": data["anonymous"], **shown,
        **low_score.judged(data, iso(event.occurred_at), wordings),
    }  # fmt: skip


def _instrument(rows: Rows, event: Recorded) -> None:
    data = event.data
    row: Row = {
        "instrument": data["instrument"], "wording_version": data["wording_version"], "scale_min": data["scale_min"],
        "scale_max": data["scale_max"], "low_is_best": bool(data.get("low_is_best")), "bands": data["bands"],
        "min_n": data["min_n"], "position": event.position, "defined_at": iso(event.occurred_at), "stamp": event.stamp,
    }  # fmt: skip
    put_newest(rows, "instrument", row, row["instrument"], row["wording_version"])
