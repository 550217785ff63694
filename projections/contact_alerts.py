"""Contact alerts: what each schedule line follows from, its alerts, and when to look at it again.

The fold reads no clock. After each batch `settle` computes, for every line that the batch can have changed, the first
instant at which its alerts are not what they should be (`check_at`); the alert service asks for the lines whose instant
has come and publishes what `alert_rule.decide` says. So a tick costs what is due, not what exists.

Facts that replace each other take effect by `Recorded.stamp`: the same facts give the same rows in any order, but for
positions and recorded times. The book's own `alert.*` events have one writer and apply in the order of the book.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache, partial
from sys import intern
from typing import Any, Final

from events.recorded import ORGANISATION, Recorded, iso, local_date
from projections import line_facts
from projections.alert_fold import ALERT_KINDS, alert_needs, fold_alert
from projections.alert_line import POLICY
from projections.alert_relation import fold_assignment, fold_department, fold_relation, fold_withdrawn
from projections.alert_settle import INSTITUTION, settle, settle_needs, spread
from projections.alert_sight import RESTRICTED, fold_sight, sight_needs
from projections.alert_tables import metadata
from projections.alert_terms import blank_line
from projections.contact_facts import CONTACT_KINDS
from projections.contact_same import DECLARED, Kept, State, Way, same_needs, turns
from projections.due import LEAD_WORKING_DAYS
from projections.institution import ALL, INSTITUTION_KINDS, fold_institution, institution_needs
from projections.kin import alias_needs, fold_alias
from projections.line_facts import LINE_KINDS
from projections.rows import Group, Need, One, Projection, Row, Rows
from projections.staff import STAFF_KINDS, fold_staff, staff_needs
from projections.viewer import narrowest, restriction
from projections.working_calendar import WorkingCalendar

_ASSIGNMENT_KINDS: Final = frozenset({"team.relation_assigned", "team.relation_unassigned"})
_COUNTERPART_KINDS: Final = frozenset({"counterpart.added", "counterpart.moved", "counterpart.departed"})
_NOTHING: Final[dict[str, list[Any]]] = {}
_OPEN: Final[Mapping[int, int]] = {}


def needs(event: Recorded) -> Iterable[Need]:
    """The rows that `evolve` reads for this event."""
    kind, data = event.kind, event.data
    yield One("department", (event.department,))
    if event.relation == ORGANISATION:
        yield from institution_needs(event)
        yield from staff_needs(event)
        return
    yield One("relation", (event.relation,))
    yield from sight_needs(event)
    yield from alias_needs(event)
    if event.absorbed is not None:
        yield from (One("kinship", (ALL, member)) for member in (event.relation, event.absorbed))
    if kind in CONTACT_KINDS or kind == DECLARED:
        yield from same_needs(event)
        yield from (Group("bucket", event.relation), Group("line", event.relation))
    elif kind in LINE_KINDS:
        yield One("line", (event.relation, data["line"]))
        if data.get("their_person") is not None:
            yield One("counterpart", (event.relation, data["their_person"]))
    elif kind in _COUNTERPART_KINDS:
        yield from (One("counterpart", (event.relation, data["person"])), Group("line", event.relation))
    elif kind in ALERT_KINDS:
        yield from alert_needs(event)
    elif kind in _ASSIGNMENT_KINDS:
        yield One("assignment", (event.relation, data["team"]))


def evolve(rows: Rows, event: Recorded) -> None:
    """Folds one event in. Events of one relation come in the order of the book."""
    kind = event.kind
    fold_department(rows, event)
    if event.relation == ORGANISATION:
        if kind in INSTITUTION_KINDS:
            fold_institution(rows, event)
            rows.put("pending", {"whole": ALL, "what": INSTITUTION})
        elif kind in STAFF_KINDS:
            fold_staff(rows, event)
        return
    fold_relation(rows, event)
    fold_sight(rows, event)
    fold_alias(rows, event)
    if event.absorbed is not None:
        for member in (event.relation, event.absorbed):
            known = rows.get("kinship", ALL, member)
            position = max(event.position, 0 if known is None else known["position"])
            rows.put("kinship", {"whole": ALL, "member": member, "position": position})
    if kind in CONTACT_KINDS or kind == DECLARED:
        _contacts(rows, event)
    elif kind in LINE_KINDS:
        _line(rows, event)
    elif kind in _COUNTERPART_KINDS:
        _counterpart(rows, event)
    elif kind in ALERT_KINDS:
        fold_alert(rows, event)
    elif kind in _ASSIGNMENT_KINDS:
        fold_assignment(rows, event)


def evolve_withdrawn(rows: Rows, event: Recorded, withdrawal: Recorded) -> None:
    """A withdrawn event leaves nothing but that the due days may follow from its withdrawal. A line that it set keeps a
    row without terms: an alert may be open for it."""
    fold_department(rows, event)
    if event.relation == ORGANISATION:
        if event.kind in INSTITUTION_KINDS:
            rows.put("pending", {"whole": ALL, "what": INSTITUTION})
        return
    fold_sight(rows, event)
    if event.kind == "schedule.line_set" and rows.get("line", event.relation, event.data["line"]) is None:
        rows.put("line", blank_line(event.relation, event.data["line"], event.recorded_at))
    fold_withdrawn(rows, event, withdrawal)


def build(calendar: WorkingCalendar, lead_working_days: int = LEAD_WORKING_DAYS) -> Projection:
    """The projection for an institution's calendar and lead."""
    return Projection(
        name="contact_alerts",
        version=11,
        metadata=metadata,
        needs=needs,
        evolve=evolve,
        evolve_withdrawn=evolve_withdrawn,
        settle=partial(settle, calendar=calendar, lead_working_days=lead_working_days),
        settle_needs=settle_needs,
        spread=spread,
        kept=frozenset({"alias", "kinship", "roster", "pending", "lodging", "department", RESTRICTED}),
    )


PROJECTION: Final = build(WorkingCalendar())


def _counterpart(rows: Rows, event: Recorded) -> None:
    """Presence and layer of a person at the relation, and the lines that name them."""
    data, person = event.data, event.data["person"]
    known = rows.get("counterpart", event.relation, person)
    facts: dict[str, Any] = {} if known is None else dict(known["facts"])
    on = local_date(event.occurred_at).isoformat()
    told: dict[str, Any] = {}
    if event.kind != "counterpart.moved":
        told["gone"] = event.kind == "counterpart.departed"
    if data.get("layer") is not None:
        told["layer"] = data["layer"]
    for name, value in told.items():
        if name not in facts or event.stamp > facts[name][0]:
            facts[name] = [event.stamp, value, on, event.kind, event.position, restriction(event)]
    row: Row = {"relation": event.relation, "person": person, "facts": facts}
    rows.put("counterpart", row)
    for line in list(rows.group("line", event.relation)):
        if line["their_person"] == person:
            after = _with_vacancy(line, row)
            if after != line:  # another fact may say the same day
                rows.put("line", _caused(after, event))


def _with_vacancy(line: Row, counterpart: Row | None) -> Row:
    """The line with the first day without its person, and in `positions` the event that says so."""
    fact = _vacancy(line["their_layer"], counterpart)
    positions = {name: known for name, known in line["positions"].items() if name != "vacant"}
    if fact is None:
        return _restricted({**line, "vacant_on": None, "positions": positions})
    on, position, bits = fact[2], fact[4], fact[5]
    positions = {**positions, "vacant": position}
    return _restricted({**line, "vacant_on": date.fromisoformat(on), "positions": positions}, {position: bits})


def _restricted(line: Row, told: Mapping[int, int] = _OPEN) -> Row:
    """The line with the restriction bits of what it stands on. `told`: those of an event that is new to it."""
    positions: dict[str, Any] = line["positions"]
    stands = {positions[name] for name in line_facts.standing(line["facts"])} | set(positions.get("pauses", ()))
    stands.add(positions.get("vacant"))
    known = {**dict(positions.get("restricted", ())), **told}
    restricted = sorted([position, bits] for position, bits in known.items() if bits and position in stands)
    positions = {name: known for name, known in positions.items() if name != "restricted"}
    hidden = narrowest(bits for _, bits in restricted)
    return {**line, "positions": {**positions, "restricted": restricted} if restricted else positions, "hidden": hidden}


def _vacancy(their_layer: str | None, counterpart: Row | None) -> list[Any] | None:
    """The fact by which the person of a line is gone, or has moved to another layer than the line is with."""
    if counterpart is None:
        return None
    facts = counterpart["facts"]
    gone: list[Any] | None = facts.get("gone")
    if gone is not None and gone[1]:
        return gone
    layer: list[Any] | None = facts.get("layer")
    return None if layer is None or layer[3] != "counterpart.moved" or layer[1] == their_layer else layer


def _contacts(rows: Rows, event: Recorded) -> None:
    """A fact about a contact, or that several are the same: of those only one qualifies."""

    def known(contact: str) -> State | None:
        row = rows.get("contact", event.relation, contact)
        return None if row is None else State(row["facts"], {"position": row["position"]})

    def keep(kept: Kept, event: Recorded) -> Kept:
        first = kept.get("position") is None and event.kind == "contact.held"
        return {"position": event.position} if first else kept

    for turn in turns(rows, event, known, Way(keep=keep)):
        before = _UNKNOWN if turn.before is None else _contact_row(event.relation, turn.contact, turn.before)
        after = _contact_row(event.relation, turn.contact, turn.after)
        _turn_contact(rows, event, before, after)


def _contact_row(relation: str, contact: str, state: State) -> Row:
    now = state.derived()
    channel: str | None = now["channel"]
    starts_at = now["starts_at"] if now["state"] == "planned" else None
    return {
        "relation": relation, "contact": contact, "position": state.kept.get("position"), "facts": state.facts,
        "pairs": now["pairs"], "channel": channel and intern(channel),
        "held_on": now["held_on"] if now["counted"] else None,
        "starts_at": None if starts_at is None else iso(starts_at),
        "ends_at": None if starts_at is None else iso(now["ends_at"] or starts_at),
    }  # fmt: skip


# What a contact adds to buckets before its first fact: nothing.
_UNKNOWN: Final = _contact_row("", "", State({}))


def _turn_contact(rows: Rows, event: Recorded, before: Row, after: Row) -> None:
    rows.put("contact", after)
    changed = _move(rows, event, before, after)
    if changed:
        channels = {before["channel"], after["channel"]}
        for line in list(rows.group("line", event.relation)):
            accepted = line["channels"] is None or not channels.isdisjoint(line["channels"])
            if line["line"].startswith(POLICY):
                continue  # whether it is there yet depends on the batch; its bucket says what came last
            if line["pair"] is not None and line["pair"] & changed and accepted:
                rows.put("line", _caused(line, event))


def _move(rows: Rows, event: Recorded, before: Row, after: Row) -> int:
    """Takes what a contact was out of its buckets and puts in what it is; the bits of the pairs where that differs."""
    was, is_ = _entries(before), _entries(after)
    if was == is_ and before["pairs"] == after["pairs"]:
        return 0
    changed, left = 0, before["pairs"] | after["pairs"]
    while left:
        pair = left & -left
        left ^= pair
        out = was if before["pairs"] & pair else _NOTHING
        into = is_ if after["pairs"] & pair else _NOTHING
        if out == into:
            continue
        changed |= pair
        row: Row = dict(rows.get("bucket", event.relation, pair) or _empty_bucket(event, pair))
        row["cause_position"] = max(row["cause_position"], event.position)
        row["cause_at"] = max(row["cause_at"], event.recorded_at)
        for column, entry in out.items():
            row[column] = _without(row[column], entry)
        for column, entry in into.items():
            row[column] = _with(row[column], entry)
        rows.put("bucket", row)
    return changed


def _empty_bucket(event: Recorded, pair: int) -> Row:
    return {
        "relation": event.relation, "pair": pair, "dates": [], "meetings": [], "cause_position": 0,
        "cause_at": event.recorded_at,
    }  # fmt: skip


def _entries(contact: Row) -> dict[str, list[Any]]:
    if contact["held_on"] is not None:
        return {"dates": [_day(contact["held_on"]), contact["position"], contact["channel"]]}
    if contact["starts_at"] is not None:
        return {"meetings": [contact["contact"], contact["starts_at"], contact["ends_at"], contact["channel"]]}
    return {}


# One text for all contacts of a day, as `intern` gives one for all of a channel: buckets of half a million contacts in
# memory would hold 60 MB more.
_day: Final = lru_cache(4_096)(date.isoformat)


def _with(entries: list[Any], entry: list[Any]) -> list[Any]:
    entries = list(entries)
    insort(entries, entry)
    return entries


def _without(entries: list[Any], entry: list[Any]) -> list[Any]:
    at = bisect_left(entries, entry)
    return [*entries[:at], *entries[at + 1 :]] if entries[at : at + 1] == [entry] else entries


def _line(rows: Rows, event: Recorded) -> None:
    line = event.data["line"]
    blank = blank_line(event.relation, line, event.recorded_at)
    known: Row = rows.get("line", event.relation, line) or blank
    facts = line_facts.add_fact(known["facts"], event)
    positions: dict[str, Any] = dict(known["positions"])
    for name in ("set", "owner", "ended"):
        if facts.get(name) != known["facts"].get(name):
            positions[name] = event.position
    if event.kind in ("schedule.line_paused", "schedule.line_resumed"):
        positions["pauses"] = [*positions.get("pauses", ()), event.position]
    row = {**known, **line_facts.derive(facts), "facts": facts, "positions": positions}
    row = _restricted(row, {event.position: restriction(event)})
    person = row["their_person"]
    if person is None:
        row = _with_vacancy(row, None)
    elif person == event.data.get("their_person"):
        row = _with_vacancy(row, rows.get("counterpart", event.relation, person))
    rows.put("line", _caused(row, event))


def _caused(row: Row, event: Recorded) -> Row:
    at, seen_at = max(row["own_at"], event.recorded_at), max(row["own_seen_at"], event.recorded_at)
    position = max(row["own_position"], event.position)
    return {**row, "own_position": position, "own_at": at, "own_seen_at": seen_at, "stale": True}
