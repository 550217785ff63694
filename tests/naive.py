"""What the read models must come to, computed plainly: sort the facts that count by stamp, and go through them.

Written apart from the projections: nothing here calls `evolve`, and nothing is kept between one event and the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from events.recorded import Recorded
from tests.given import DELFT, HAAG

Facts = dict[tuple[Any, ...], Any]
AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")
RELATIONS: Final = (HAAG, DELFT)


def counting(events: Sequence[Recorded]) -> list[Recorded]:
    """The events that were not withdrawn, by stamp."""
    gone = {e.withdraws for e in events if e.withdraws is not None}
    return sorted((e for e in events if e.position not in gone), key=lambda e: e.stamp)


def day(event: Recorded) -> date:
    return local(event.data["occurred_on"] if "occurred_on" in event.data else event.data["occurred_at"])


def local(value: str) -> date:
    return date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value).astimezone(AMSTERDAM).date()


def latest(
    events: Iterable[Recorded], kinds: str | tuple[str, ...], key: Callable[[dict[str, Any]], tuple[Any, ...]],
    value: Callable[[Recorded], Any],
) -> Facts:  # fmt: skip
    """By relation and key the value of the last of these facts; `events` by stamp."""
    wanted = (kinds,) if isinstance(kinds, str) else kinds
    return {(e.relation, *key(e.data)): value(e) for e in events if e.kind in wanted}


def collected(
    events: Iterable[Recorded], kind: str, key: Callable[[dict[str, Any]], tuple[Any, ...]],
    value: Callable[[Recorded], Any],
) -> dict[tuple[Any, ...], list[Any]]:  # fmt: skip
    found: dict[tuple[Any, ...], list[Any]] = {}
    for e in events:
        if e.kind == kind:
            found.setdefault((e.relation, *key(e.data)), []).append(value(e))
    return found


def relations(events: Sequence[Recorded]) -> Facts:
    """name, kind, region, tier, owner, ended, by relation."""
    found: Facts = {}
    for relation in RELATIONS:
        row: dict[str, Any] = dict.fromkeys(("name", "kind", "region", "tier", "owner"))
        for e in counting(events):
            if e.relation != relation:
                continue
            if e.kind == "relation.registered":
                row |= {name: e.data.get(name) for name in ("name", "kind", "region")}
            elif e.kind == "relation.details_changed":
                row |= {name: e.data[name] for name in ("name", "kind", "region") if name in e.data}
            elif e.kind == "relation.tier_assigned":
                row["tier"] = e.data["tier"]
            elif e.kind == "relation.owner_assigned":
                row["owner"] = e.data["employee"]
        found[relation,] = row
    return found


def contacts(events: Sequence[Recorded]) -> dict[tuple[str, str], dict[str, Any]]:
    """The contacts that count: held, not retracted, and of those declared the same just one."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    known = counting(events)
    for relation in RELATIONS:
        own = [e for e in known if e.relation == relation]
        counted: dict[str, dict[str, Any]] = {}
        for e in own:
            if e.kind == "contact.held":
                counted[e.data["contact"]] = {**e.data, "position": e.position}
        for e in own:
            if e.kind == "contact.corrected" and e.data["contact"] in counted:
                counted[e.data["contact"]] |= e.data["changes"]
        for e in own:
            if e.kind == "contact.retracted":
                counted.pop(e.data["contact"], None)
        for contact, data in counted.items():
            if _one_of(own, contact, sorted(counted)) == contact:
                found[relation, contact] = data
    return found


def _one_of(own: Sequence[Recorded], contact: str, counted: Sequence[str]) -> str:
    """Which contact counts for this one."""
    same = {contact}
    declared = [e for e in own if e.kind == "contact.declared_same"]
    for _ in declared:
        for e in declared:
            if same & set(e.data["contacts"]):
                same |= set(e.data["contacts"])
    mine = [e for e in declared if same & set(e.data["contacts"])]
    canonical = mine[-1].data["canonical"] if mine else contact
    return canonical if canonical in counted else min(c for c in counted if c in same)


def pairs(data: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(ours["layer"], theirs["layer"]) for ours in data["ours"] for theirs in data["theirs"]}


def timeline(events: Sequence[Recorded]) -> dict[int, tuple[str, str, int | None]]:
    """relation, type, and the position of the withdrawal, of every fact that shows, by position."""
    gone = {e.withdraws: e.position for e in events if e.withdraws is not None}
    return {
        e.position: (e.relation, e.type, gone.get(e.position))
        for e in events
        if e.relation != "organisation" and not (e.kind == "satisfaction.scored" and e.data["anonymous"])
    }
