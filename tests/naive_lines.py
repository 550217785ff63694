"""Schedule lines, read off the facts: those that were set, those that a policy asks for, and who is there to meet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from events.recorded import Recorded
from tests import naive_heads
from tests.given import HAAG as SURVIVOR
from tests.naive import (
    RELATIONS,
    Row,
    Table,
    bits,
    counting,
    day,
    grouped,
    last,
    local,
    newest,
    on,
    pair_mask,
    pairs,
    positions,
)
from tests.naive_contacts import contacts

_LINES = tuple(f"schedule.line_{k}" for k in ("set", "reassigned", "ended", "paused", "resumed"))
_KEPT = ("our_layer", "their_layer", "their_person", "cadence", "channels", "grace_working_days")


def rows(events: Iterable[Recorded]) -> Table:
    """Every line that any fact names, as the relation view has it."""
    found: Table = {}
    for key, mine in grouped(events, ["line"], *_LINES).items():
        line, ended = last(mine, _LINES[0]), last(mine, _LINES[0], "schedule.line_ended")
        owner = last(mine, _LINES[0], "schedule.line_reassigned")
        data: dict[str, Any] = {} if line is None else line.data
        found[key] = {
            **{name: data.get(name) for name in _KEPT}, "starts_on": on(data.get("starts_on")),
            "pair": None if line is None else pair_mask([(data["our_layer"], data["their_layer"])]),
            "owner": None if owner is None else owner.data.get("owner"),
            "ended_on": day(ended) if ended is not None and ended.kind != _LINES[0] else None,
            "pauses": _pauses(mine),
        }  # fmt: skip
    return found


def at_relation(events: Iterable[Recorded]) -> Table:
    """Those rows, with whom each is for: the narrowest of what it stands on."""
    events = list(events)
    told = grouped(events, ["line"], *_LINES)
    return {key: {**row, "hidden": bits(*_standing(told[key]))} for key, row in rows(events).items()}


def _standing(mine: Sequence[Recorded]) -> list[Recorded]:
    """What is not replaced: the setting, what named the owner, an end after the setting, every pause and resumption."""
    line, owner = last(mine, _LINES[0]), last(mine, _LINES[0], "schedule.line_reassigned")
    ended = last(mine, _LINES[0], "schedule.line_ended")
    found = {e.position: e for e in (line, owner, ended) if e is not None}
    return list((found | {e.position: e for e in mine if e.kind in _LINES[3:]}).values())


def _pauses(mine: Sequence[Recorded]) -> list[list[str]]:
    """[first day, first day after it] of each pause; the first resumption in it ends it."""
    resumed = [str(day(e)) for e in mine if e.kind == "schedule.line_resumed"]
    told = sorted({(str(day(e)), e.data["until"]) for e in mine if e.kind == "schedule.line_paused"})
    return [[start, min([until, *(on for on in resumed if start <= on < until)])] for start, until in told]


def own(events: Iterable[Recorded]) -> Table:
    """The same for the contact alerts: with who is gone, and the facts that say so. A line counts for the relation that
    its own belongs to now; of merged relations that both have one for a pair of layers the survivor's stands."""
    events = list(events)
    absorbed = naive_heads.merged(events)
    heads = {key[0]: row for key, row in naive_heads.at_alerts(events).items()}
    told = grouped(events, ["line"], *_LINES)
    table = rows(events)
    found: Table = {}
    for (relation, line), row in table.items():
        mine, root = told[relation, line], heads[relation]["root"]
        gone = _gone(events, relation, row)
        where = {
            "set": last(mine, _LINES[0]), "ended": last(mine, "schedule.line_ended"), "vacant": gone,
            "owner": last(mine, _LINES[0], "schedule.line_reassigned"),
        }  # fmt: skip
        stands = [*_standing(mine), *([] if gone is None else [gone])]
        restricted = sorted([e.position, bits(e)] for e in stands if bits(e))
        pauses = positions(e for e in mine if e.kind in _LINES[3:])
        others = [o for (of, _), o in table.items() if of == root != relation]
        found[relation, line] = {
            **row, "vacant_on": None if gone is None else day(gone), "root": root,
            "tier": heads[root]["tier"] if root in heads else None, "policy_version": None,
            "positions": {
                **{name: e.position for name, e in where.items() if e is not None},
                **({"pauses": pauses} if pauses else {}), **({"restricted": restricted} if restricted else {}),
            },
            "hidden": bits(*stands),
            "conflict": relation in absorbed and row["pair"] is not None and row["ended_on"] is None
            and any(o["pair"] == row["pair"] and o["ended_on"] is None for o in others),
        }  # fmt: skip
    return found


def _gone(events: Iterable[Recorded], relation: str, line: Row) -> Recorded | None:
    """The fact by which the person of a line is gone, or has moved to another layer."""
    about = [
        e for e in counting(events)
        if e.family == "counterpart" and e.relation == relation and e.data["person"] == line["their_person"]
    ]  # fmt: skip
    there = last(about, "counterpart.added", "counterpart.departed")
    if there is not None and there.kind == "counterpart.departed":
        return there
    placed = [e for e in about if e.data.get("layer") is not None]
    if placed and placed[-1].kind == "counterpart.moved" and placed[-1].data["layer"] != line["their_layer"]:
        return placed[-1]
    return None


def tier_since(events: Iterable[Recorded], relation: str) -> tuple[str | None, date]:
    """The tier of a relation, and the day since which it is that."""
    own = [e for e in counting(events) if e.relation == relation]
    tier = last(own, "relation.tier_assigned")
    return None if tier is None else tier.data["tier"], naive_heads.tier_since(own) or date.min


def policy_on(events: Iterable[Recorded], tier: str | None, at: date) -> Recorded | None:
    """The policy of a tier in force on a day: the last one told of those that had begun."""
    told = [e for e in counting(events) if e.kind == "schedule.policy_set" and e.data["tier"] == tier]
    begun = [e for e in told if e.data["effective_on"] <= str(at)]
    return begun[-1] if begun else None


def _runs(events: Sequence[Recorded], tier: str | None) -> list[tuple[Row, date, date | None, Recorded]]:
    """What the policies of a tier ask for: terms, first day, first day after, and the policy that began it. As long as
    the terms stay the same it is one line."""
    days = sorted({
        on(e.data["effective_on"]) or date.min for e in counting(events)
        if e.kind == "schedule.policy_set" and e.data["tier"] == tier
    })  # fmt: skip
    found: list[tuple[Row, date, date | None, Recorded]] = []
    open_: dict[tuple[str, str], tuple[Row, date, Recorded]] = {}
    for at in days:
        policy = policy_on(events, tier, at)
        asked = {(t["our_layer"], t["their_layer"]): t for t in () if policy is None} | {
            (t["our_layer"], t["their_layer"]): t for t in (policy.data["lines"] if policy else ())
        }
        for pair, (terms, start, begun) in list(open_.items()):
            if asked.get(pair) != terms:
                found.append((terms, start, at, begun))
                del open_[pair]
        for pair, terms in asked.items():
            if policy is not None:
                open_.setdefault(pair, (terms, at, policy))
    return [*found, *((terms, start, None, begun) for terms, start, begun in open_.values())]


def by_policy(events: Iterable[Recorded]) -> Table:
    """The lines that a policy asks for: of every relation of the tier, for each pair of layers for which it, and what
    it absorbed, has no line of its own that goes on."""
    events = list(events)
    absorbed = naive_heads.merged(events)
    table = own(events)
    found: Table = {}
    for relation in RELATIONS:
        if relation in absorbed or not any(e.relation == relation for e in counting(events)):
            continue
        tier, since = tier_since(events, relation)
        for terms, start, end, policy in _runs(events, tier):
            pair = (terms["our_layer"], terms["their_layer"])
            mine = [r for r in table.values() if r["root"] == relation and (r["our_layer"], r["their_layer"]) == pair]
            if any(r["ended_on"] is None for r in mine):
                continue
            starts_on = max([start, since, *(r["ended_on"] for r in mine)])
            if any(on is not None and starts_on >= on for on in (end, naive_heads.over_on(events, relation))):
                continue
            channels = terms.get("channels")
            found[relation, f"policy:{tier}:{pair[0]}:{pair[1]}:{start}"] = {
                "our_layer": pair[0], "their_layer": pair[1], "their_person": None, "pair": pair_mask([pair]),
                "cadence": terms["cadence"], "channels": None if channels is None else sorted(channels),
                "starts_on": starts_on, "grace_working_days": terms["grace_working_days"], "owner": None,
                "ended_on": end, "pauses": [], "vacant_on": None, "root": relation, "tier": tier,
                "policy_version": policy.data["policy_version"], "positions": {"set": policy.position},
                "conflict": False, "hidden": 0,
            }  # fmt: skip
    return found


def stored(events: Iterable[Recorded]) -> Table:
    """The lines as the contact alerts have them, with the day of the newest contact that qualifies."""
    events = list(events)
    counted = contacts(events)
    found: Table = {}
    for key, row in every(events).items():
        met = qualifying(events, row, counted)
        found[key] = {**row, "last_on": met[-1] if met else None, "stale": False}
    return found


def qualifying(events: Iterable[Recorded], line: Row, counted: dict[tuple[str, str], Row]) -> list[date]:
    """The days of the contacts that count for a line, of all relations that are one with its own, ascending."""
    if line["our_layer"] is None:
        return []
    asked = (line["our_layer"], line["their_layer"])
    family = members(events, line["root"])
    return sorted(
        local(data["occurred_at"]) for (of, _), data in counted.items()
        if of in family and asked in pairs(data) and (line["channels"] is None or data["channel"] in line["channels"])
    )  # fmt: skip


def every(events: Iterable[Recorded]) -> Table:
    """The lines of all relations that are set, their own and those of a policy. They are over with their relation; of
    merged relations with the survivor."""
    events = list(events)
    ends = naive_heads.ends(events)
    found: Table = {}
    for key, row in (own(events) | by_policy(events)).items():
        end = ends.get(row["root"])
        if row["our_layer"] is None:
            continue
        found[key] = row
        if end is not None and (row["ended_on"] is None or row["ended_on"] > day(end)):
            told = {**row["positions"], "relation_ended": end.position}
            found[key] = {**row, "ended_on": day(end), "positions": told}
    return found


def owner(events: Iterable[Recorded], relation: str, line: Row, today: date) -> str | None:
    """Whose a line is: its owner's, else the relation's, else the lead's of the team that was assigned first."""
    known = counting(events)
    left = naive_heads.left(known)
    here = [who for who in (line["owner"], _owner_of(known, relation)) if who is not None]
    teams = newest(known, ["team"], ("team.relation_assigned", "team.relation_unassigned"), lambda e: {"by": e})
    assigned = [r["by"] for key, r in teams.items() if key[0] in members(known, relation)]
    assigned = sorted((e for e in assigned if e.kind == "team.relation_assigned"), key=lambda e: e.stamp)
    if assigned:
        of_team = newest(known, ["team", "employee"], ("team.member_joined", "team.member_left"), lambda e: {"by": e})
        mine = [r["by"] for key, r in of_team.items() if key[1] == assigned[0].data["team"]]
        leads = [e for e in mine if e.kind == "team.member_joined" and e.data.get("role") == "lead"]
        here += [e.data["employee"] for e in sorted(leads, key=lambda e: e.stamp)]
    return next((who for who in here if who not in left or left[who] > today), None)


def _owner_of(known: Sequence[Recorded], relation: str) -> str | None:
    e = last([e for e in known if e.relation == relation], "relation.owner_assigned")
    return None if e is None else e.data["employee"]


def members(events: Iterable[Recorded], relation: str) -> list[str]:
    """The relations that are one with this one, itself first: only one of the two ever absorbs the other."""
    absorbed = naive_heads.merged(events) if relation == SURVIVOR else []
    return [relation, *absorbed]
