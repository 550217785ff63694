"""Who a relation is, whose it is, and what the institution laid down: tables that several read models have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from events.recorded import ORGANISATION, Recorded
from tests.naive import Row, Table, bits, counting, day, last, name_key, newest, of_relations, on
from tests.naive import without_relation as bare

_NAMED = ("relation.registered", "relation.details_changed")
_ALL = "all"


def told(own: list[Recorded], field: str) -> Recorded | None:
    """The last fact that says this of a relation: a registration says everything, a change only what it names."""
    found = [e for e in own if e.kind == "relation.registered" or (e.kind in _NAMED and field in e.data)]
    return found[-1] if found else None


def _details(own: list[Recorded], *fields: str) -> Row:
    row: Row = {}
    for field in fields:
        e = told(own, field)
        row[field] = None if e is None else e.data.get(field)
    return {**row, "name_key": name_key(row["name"])}


def _own(events: Iterable[Recorded], *kinds: str) -> dict[str, list[Recorded]]:
    """The facts of each relation by stamp; of these kinds, or all."""
    found: dict[str, list[Recorded]] = {}
    for e in of_relations(counting(events)):
        if not kinds or e.kind in kinds:
            found.setdefault(e.relation, []).append(e)
    return found


def tier_since(own: list[Recorded]) -> date | None:
    """The day since which the tier is what it is: told again, it begins nothing new."""
    tier, since = None, None
    for e in own:
        if e.kind == "relation.tier_assigned" and e.data["tier"] != tier:
            tier, since = e.data["tier"], day(e)
    return since


def _tier(own: list[Recorded]) -> str | None:
    e = last(own, "relation.tier_assigned")
    return None if e is None else e.data["tier"]


def heads(events: Iterable[Recorded]) -> Table:
    """As the read models of rare facts have them."""
    return {
        (relation,): {**_details(own, "name", "kind", "region"), "tier": _tier(own)}
        for relation, own in _own(events, *_NAMED, "relation.tier_assigned").items()
    }


def relations(events: Iterable[Recorded]) -> Table:
    """As the relation view has them; what was counted of contacts is beside that (`naive_relation`)."""
    events = list(events)
    found: Table = {}
    for relation, own in _own(events).items():
        tier, ended = last(own, "relation.tier_assigned"), last(own, "relation.ended")
        owner = last(own, "relation.owner_assigned")
        linked: list[Row] = []
        for e in own:
            named = e.data["identifiers"] if e.kind == "relation.registered" else [e.data]
            if e.kind in ("relation.registered", "relation.identifier_linked"):
                local = {"department": e.department}
                linked += [
                    {"scheme": i["scheme"], "value": i["value"], **(local if i["scheme"] == "local" else {})}
                    for i in named
                ]
        unlike = {tuple(sorted(i.items())): i for i in linked}.values()
        found[relation,] = {
            **_details(own, "name", "kind", "region", "parent"), "tier": None if tier is None else tier.data["tier"],
            "version": sum(e.relation == relation for e in events),
            "tier_arguments": [] if tier is None else tier.data["arguments"],
            "tier_hidden": 0 if tier is None else bits(tier), "ended_hidden": 0 if ended is None else bits(ended),
            "tier_review_on": None if tier is None else on(tier.data.get("review_on")),
            "tier_on": tier_since(own),
            "ended_on": None if ended is None else day(ended),
            "end_reason": None if ended is None else ended.data.get("reason"),
            "owner": None if owner is None else owner.data["employee"],
            "identifiers": sorted(unlike, key=lambda i: (i["scheme"], i["value"], i.get("department", ""))),
        }  # fmt: skip
    return found


def ends(events: Iterable[Recorded]) -> dict[str, Recorded]:
    """By relation the fact that says when it ended."""
    return {r: e for r, own in _own(events, "relation.ended").items() if (e := last(own, "relation.ended")) is not None}


def over_on(events: Iterable[Recorded], relation: str) -> date | None:
    """The first day on which a relation, not absorbed by another, is over."""
    ended = ends(events).get(relation)
    return None if ended is None else day(ended)


def ended(events: Iterable[Recorded]) -> Table:
    """As the partnership view has them."""
    return {(relation,): {"ended_on": day(e)} for relation, e in ends(events).items()}


def assignments(events: Iterable[Recorded]) -> Table:
    kinds = ("team.relation_assigned", "team.relation_unassigned")
    return newest(events, ["team"], kinds, lambda e: {"assigned": e.kind == kinds[0]})


def aliases(events: Iterable[Recorded]) -> Table:
    """Who was absorbed by whom. Of one moment the book's last fact stands: it takes merges one by one."""
    merges = [e for e in events if e.kind in ("relation.merged", "relation.unmerged")]
    found: Table = {}
    for e in sorted(merges, key=lambda e: (e.occurred_at, e.position)):
        merged = e.kind == "relation.merged"
        found[_ALL, e.absorbed] = {
            "survivor": e.relation, "merged": merged, "root": e.relation if merged else None, "occurred_on": day(e),
        }  # fmt: skip
    return found


def merged(events: Iterable[Recorded]) -> list[str]:
    """The relations that are absorbed now."""
    return [key[1] for key, row in aliases(events).items() if row["merged"]]


def nothing(events: Iterable[Recorded]) -> Table:
    return {}


def institution(*kinds: str) -> Callable[[Iterable[Recorded]], Table]:
    def rows(events: Iterable[Recorded]) -> Table:
        return {
            (_ALL, e.kind, " ".join(e.stamp)): {
                "tier": e.data.get("tier"), "position": e.position, "recorded_at": e.recorded_at, "body": e.data,
            }
            for e in counting(events)
            if e.kind in kinds
        }  # fmt: skip

    return rows


def left(events: Iterable[Recorded]) -> dict[str, date]:
    """Our people who left, and on which day."""
    return {e.data["employee"]: on(e.data.get("on")) or day(e) for e in counting(events) if e.kind == "employee.left"}


def employees(events: Iterable[Recorded]) -> Table:
    return {(who,): {"left_on": left_on} for who, left_on in left(events).items()}


def members(events: Iterable[Recorded]) -> Table:
    return bare(
        newest(
            events, ["team", "employee"], ("team.member_joined", "team.member_left"),
            lambda e: {"role": e.data.get("role", "member"), "present": e.kind == "team.member_joined"},
        )
    )  # fmt: skip


def restricted(events: Iterable[Recorded]) -> Table:
    """Facts of relations that not everybody may see, and are no contacts; withdrawn ones too."""
    return {
        (_ALL, e.position): {"hidden": bits(e)}
        for e in events
        if bits(e) and e.relation != ORGANISATION and e.family not in ("contact", "alert", "loop")
    }


def guarded(events: Iterable[Recorded]) -> Table:
    """Alerts and loops that rest on restricted facts."""
    events = list(events)
    facts = {position: row["hidden"] for (_, position), row in restricted(events).items()}
    found: Table = {}
    for e in events:
        if e.family in ("alert", "loop"):
            hidden = 0
            for position in e.data.get("evidence", []):
                hidden |= facts.get(position, 0)
            key = e.relation, e.data.get("alert") or e.data["loop"]
            if hidden | (found[key]["hidden"] if key in found else 0):
                found[key] = {"hidden": hidden | (found[key]["hidden"] if key in found else 0)}
    return found


def teams(events: Iterable[Recorded]) -> Table:
    return bare(newest(events, ["team"], "team.formed", lambda e: {"name": e.data["name"]}))


def kin_teams(events: Iterable[Recorded]) -> Table:
    """Who has the relations that were ever part of a merge."""
    events = list(events)
    kin = {r for key, row in aliases(events).items() for r in (key[1], row["survivor"])}
    return {(_ALL, *key): row for key, row in assignments(events).items() if key[0] in kin}


def kinship(events: Iterable[Recorded]) -> Table:
    found: Table = {}
    for e in events:
        if e.absorbed is not None:
            found |= {(_ALL, member): {"position": e.position} for member in (e.relation, e.absorbed)}
    return found


def roster(events: Iterable[Recorded]) -> Table:
    return {(_ALL, e.relation): {} for e in of_relations(events)}


def departments(events: Iterable[Recorded]) -> Table:
    return {(e.department,): {"last_at": e.recorded_at} for e in sorted(events, key=lambda e: e.position)}


def at_alerts(events: Iterable[Recorded]) -> Table:
    """As the contact alerts have them."""
    events = list(events)
    root = {key[1]: row["root"] for key, row in aliases(events).items() if row["merged"]}
    found: Table = {}
    for relation in {e.relation for e in of_relations(events)}:
        own = _own(events).get(relation, [])
        mine = [e for e in events if e.relation == relation]
        gone = {e.withdraws: e for e in mine if e.withdraws is not None}
        tiers = [e for e in own if e.kind == "relation.tier_assigned"]
        owner, ended = last(own, "relation.owner_assigned"), last(own, "relation.ended")
        withdrawn = max(gone.values(), key=lambda e: e.position, default=None)
        row = _details(own, "name", "kind")
        found[relation,] = {
            **row, "version": len(mine), "tier": _tier(own), "owner": None if owner is None else owner.data["employee"],
            "tiers": [[e.stamp, e.data["tier"], e.position, utc(e.recorded_at)] for e in tiers],
            "ended": None if ended is None else [ended.stamp, str(day(ended)), ended.position, utc(ended.recorded_at)],
            "withdrawn_position": 0 if withdrawn is None else withdrawn.position,
            "withdrawn_at": None if withdrawn is None else withdrawn.recorded_at,
            "root": root.get(relation, relation),
        }  # fmt: skip
    return found


def utc(at: object) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"


def at_timeline(events: Iterable[Recorded]) -> Table:
    return {(relation,): {"name": row["name"], "tier": row["tier"]} for (relation,), row in heads(events).items()}
