"""Contacts, read off their facts: what became of each, which count, and which are one and the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from events.recorded import Recorded
from tests.naive import (
    RELATIONS,
    Row,
    Table,
    bits,
    counting,
    grouped,
    last,
    layer_mask,
    local,
    moment,
    pair_mask,
    pairs,
)

KINDS = tuple(
    f"contact.{k}" for k in ("planned", "rescheduled", "cancelled", "no_show", "held", "corrected", "retracted")
)


def held(own: Sequence[Recorded]) -> Row | None:
    """What is known of a contact that was held, as corrected; `own`: its facts by stamp."""
    first = last(own, "contact.held")
    if first is None:
        return None
    data: Row = {**first.data, "position": first.position}
    for e in own:
        if e.kind == "contact.corrected":
            data |= e.data["changes"]
    return data


def contacts(events: Iterable[Recorded]) -> dict[tuple[str, str], Row]:
    """The contacts that count: held, not retracted, and of those declared the same just one."""
    known = counting(events)
    all_of_them = grouped(known, ["contact"], *KINDS)
    found: dict[tuple[str, str], Row] = {}
    for relation in RELATIONS:
        counted: dict[str, Row] = {}
        for (of, contact), own in all_of_them.items():
            data = held(own)
            if of == relation and data is not None and last(own, "contact.retracted") is None:
                counted[contact] = data
        declared = [e for e in known if e.relation == relation and e.kind == "contact.declared_same"]
        for contact, data in counted.items():
            same, canonical = _same(declared, contact)
            if (canonical if canonical in counted else min(c for c in counted if c in same)) == contact:
                found[relation, contact] = data
    return found


def _same(declared: Sequence[Recorded], contact: str) -> tuple[set[str], str]:
    """All contacts that are one with this one, and which of them was named last to stand for them."""
    same = {contact}
    for _ in declared:
        for e in declared:
            if same & set(e.data["contacts"]):
                same |= set(e.data["contacts"])
    mine = [e for e in declared if same & set(e.data["contacts"])]
    return same, mine[-1].data["canonical"] if mine else contact


def same(events: Iterable[Recorded]) -> Table:
    known = counting(events)
    found: Table = {}
    for relation in RELATIONS:
        declared = [e for e in known if e.relation == relation and e.kind == "contact.declared_same"]
        for contact in {c for e in declared for c in e.data["contacts"]}:
            found[relation, contact] = {"canonical": _same(declared, contact)[1]}
    return found


def planned(own: Sequence[Recorded]) -> tuple[str, Row]:
    """What became of a contact that was not held, and the plan as it stands."""
    plan, moved = last(own, "contact.planned"), last(own, "contact.rescheduled")
    off = last(own, "contact.cancelled", "contact.no_show")
    data: Row = {} if plan is None else dict(plan.data)
    if moved is not None:
        data |= {name: moved.data[name] for name in ("starts_at", "ends_at")}
    if last(own, "contact.retracted") is not None:
        return "retracted", data
    if off is not None and (moved is None or own.index(off) > own.index(moved)):
        return off.kind.removeprefix("contact."), data
    return "unknown" if plan is None else "planned", data


def rows(events: Iterable[Recorded]) -> Table:
    """Every contact that any fact names, as the relation view has it."""
    events = list(events)
    counted = contacts(events)
    found: Table = {}
    for key, own in grouped(events, ["contact"], *KINDS).items():
        data = held(own)
        retracted = last(own, "contact.retracted") is not None
        state, plan = ("retracted" if retracted else "held", data) if data is not None else planned(own)
        sides = "ours" in plan
        at = None if data is None else moment(data["occurred_at"])
        found[key] = {
            "state": state, "counted": key in counted, "held_at": at, "held_on": None if at is None else local(at),
            "minutes": plan.get("duration_min", 0), "channel": plan.get("channel"), "activity": plan.get("activity"),
            "our_layers": layer_mask(one["layer"] for one in plan["ours"]) if sides else 0,
            "pairs": pair_mask(pairs(plan)) if sides else 0,
            "starts_at": moment(plan.get("starts_at")), "ends_at": moment(plan.get("ends_at")),
        }  # fmt: skip
    return found


def at_alerts(events: Iterable[Recorded]) -> Table:
    """The same for the contact alerts: only what counts or is still planned has a date."""
    events = list(events)
    own = grouped(events, ["contact"], *KINDS)
    found: Table = {}
    for key, row in rows(events).items():
        told = [e.position for e in own[key] if e.kind == "contact.held"]
        is_planned = row["state"] == "planned" and row["starts_at"] is not None
        found[key] = {
            "position": told[-1] if told else None, "pairs": row["pairs"], "channel": row["channel"],
            "held_on": row["held_on"] if row["counted"] else None,
            "starts_at": utc(row["starts_at"]) if is_planned else None,
            "ends_at": utc(row["ends_at"] or row["starts_at"]) if is_planned else None,
        }  # fmt: skip
    return found


def utc(at: Any) -> str:
    """An instant as text: UTC to the microsecond."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"


def buckets(events: Iterable[Recorded]) -> Table:
    """The dates of contacts that count and the meetings that are planned, by pair of layers; no empty ones."""
    found: Table = {}
    for (relation, contact), row in at_alerts(events).items():
        for pair in (1 << n for n in range(16) if row["pairs"] & 1 << n):
            if row["held_on"] is not None:
                entry, column = [row["held_on"].isoformat(), row["position"], row["channel"]], "dates"
            elif row["starts_at"] is not None:
                entry, column = [contact, row["starts_at"], row["ends_at"], row["channel"]], "meetings"
            else:
                continue
            bucket = found.setdefault((relation, pair), {"dates": [], "meetings": []})
            bucket[column] = sorted([*bucket[column], entry])
    return found


def at_workflows(events: Iterable[Recorded]) -> Table:
    """As far as the workflows look: attention, and when. A fact of one that was not held counts for nothing."""
    events = list(events)
    counted = contacts(events)
    found: Table = {}
    for key, own in grouped(events, ["contact"], "contact.held", "contact.corrected", "contact.retracted").items():
        data = held(own)
        found[key] = {
            "position": None if data is None else data["position"],
            "held_on": local(data["occurred_at"]) if data is not None and key in counted else None,
            "minutes": 0 if data is None else data["duration_min"],
        }  # fmt: skip
    return found


def at_timeline(events: Iterable[Recorded]) -> Table:
    """Whose contact it is, and which entries say what became of it. A withdrawn fact still restricts."""
    events = list(events)
    roles = {
        "held": ("held",), "planned": ("planned", "rescheduled"), "corrected": ("corrected",),
        "retracted": ("retracted",), "off": ("cancelled", "no_show"),
    }  # fmt: skip
    counted = {e.position for e in counting(events)}
    every: dict[tuple[str, str], list[Recorded]] = {}
    for e in events:
        if e.kind in KINDS:
            every.setdefault((e.relation, e.data["contact"]), []).append(e)
    found: Table = {}
    for key, all_of_it in every.items():
        own = counting(e for e in all_of_it if e.position in counted)
        said = [e.data["changes"] if e.kind == "contact.corrected" else e.data for e in own]
        ours: Any = None
        for kind in ("planned", "rescheduled", "held", "corrected"):  # what took place says more than a plan
            for e, data in zip(own, said, strict=True):
                if e.kind == f"contact.{kind}" and "ours" in data:
                    ours = data["ours"]
        layers = {one["layer"] for data in said for side in ("ours", "theirs") for one in data.get(side) or ()}
        found[key] = {
            "restricted": bits(*all_of_it),
            "employees": sorted({one["employee"] for one in ours or () if one.get("employee")}),
            "layers": layer_mask(layers), "topics": sorted({t for data in said for t in data.get("topics") or ()}),
            **{
                role: None if (e := last(own, *(f"contact.{k}" for k in kinds))) is None else e.position
                for role, kinds in roles.items()
            },
        }  # fmt: skip
    return found
