"""Instruments, responses and loops: their tables and how facts land in them, for every read model that has them.

Every row is a register as a whole (the greater stamp stands) or, for loops, is derived from registers by name, so the
same facts give the same rows in whatever order they arrive.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Float, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from events.recorded import Recorded, local_date
from projections.heads import FOLD, stamp_column, text_key
from projections.registers import day, later, put_newest
from projections.rows import Row, Rows
from projections.viewer import restriction

LOOP_KINDS: Final = frozenset(f"loop.{k}" for k in ("opened", "followed_up", "escalated", "closed"))


def instrument_table(metadata: MetaData) -> Table:
    return Table(
        "instrument",
        metadata,
        text_key("instrument"),
        Column("wording_version", Integer, primary_key=True, autoincrement=False),
        Column("kind", Text, nullable=False),
        Column("scale_min", Float, nullable=False),
        Column("scale_max", Float, nullable=False),
        Column("low_is_best", Boolean, nullable=False),
        Column("bands", JSONB, nullable=False),
        Column("min_n", Integer, nullable=False),
        Column("defined_at", DateTime(timezone=True), nullable=False, comment="its wording holds from here on"),
        stamp_column(),
    )


def response_table(metadata: MetaData) -> Table:
    return Table(
        "response",
        metadata,
        text_key("relation"),
        text_key("response"),
        Column("instrument", Text, nullable=False),
        Column("score", Float, nullable=False),
        Column("layer", Text),
        Column("anonymous", Boolean, nullable=False),
        Column("scored_at", DateTime(timezone=True), nullable=False),
        Column("hidden", BigInteger, nullable=False, comment="restriction bits, see viewer.py"),
        Column("position", BigInteger, nullable=False),
        stamp_column(),
    )


def loop_table(metadata: MetaData) -> Table:
    return Table(
        "loop",
        metadata,
        text_key("relation"),
        text_key("loop"),
        Column("response", Text),
        Column("instrument", Text),
        Column("due_on", Date),
        Column("owner", Text),
        Column("state", Text, nullable=False, comment="open, followed_up, closed"),
        Column("level", Integer, nullable=False, comment="of escalation; 0: not escalated"),
        Column("opened_on", Date),
        Column("followed_up_on", Date),
        Column("closed_on", Date),
        Column("reason", Text, comment="of its closing"),
        Column("evidence", JSONB, nullable=False, comment="positions"),
        Column("facts", JSONB, nullable=False, info=FOLD),
    )


def fold_instrument(rows: Rows, event: Recorded) -> None:
    data = event.data
    row: Row = {
        "instrument": data["instrument"], "wording_version": data["wording_version"], "kind": data["kind"],
        "scale_min": data["scale_min"], "scale_max": data["scale_max"], "bands": data["bands"],
        "low_is_best": bool(data.get("low_is_best")), "min_n": data["min_n"], "defined_at": event.occurred_at,
        "stamp": event.stamp,
    }  # fmt: skip
    put_newest(rows, "instrument", row, row["instrument"], row["wording_version"])


def fold_response(rows: Rows, event: Recorded) -> None:
    data = event.data
    row: Row = {
        "relation": event.relation, "response": data["response"], "instrument": data["instrument"],
        "score": data["score"], "layer": data.get("layer"), "anonymous": bool(data.get("anonymous")),
        "scored_at": event.occurred_at, "hidden": restriction(event), "position": event.position,
        "stamp": event.stamp,
    }  # fmt: skip
    put_newest(rows, "response", row, event.relation, data["response"])


def fold_loop(rows: Rows, event: Recorded) -> None:
    """A follow-up of a bad score. Closed stays closed; the level is that of the escalation that occurred last."""
    data = event.data
    known = rows.get("loop", event.relation, data["loop"])
    row: Row = dict(known) if known is not None else {
        "relation": event.relation, "loop": data["loop"], "response": None, "instrument": None, "due_on": None,
        "owner": None, "state": "open", "level": 0, "opened_on": None, "followed_up_on": None, "closed_on": None,
        "reason": None, "evidence": [], "facts": {},
    }  # fmt: skip
    facts: dict[str, Any] = dict(row["facts"])
    if later(facts, event.kind, event.stamp):
        on = local_date(event.occurred_at)
        match event.kind:
            case "loop.opened":
                row.update(
                    response=data["response"], instrument=data["instrument"], due_on=day(data["due_on"]),
                    owner=data.get("owner"), opened_on=on,
                )  # fmt: skip
            case "loop.followed_up":
                row.update(followed_up_on=on)
            case "loop.escalated":
                row.update(level=data["level"])
            case _:
                row.update(closed_on=on, reason=data["reason"])
    row["evidence"] = sorted({*row["evidence"], *(data.get("evidence") or ()), event.position})
    row["state"] = "closed" if row["closed_on"] else "followed_up" if row["followed_up_on"] else "open"
    rows.put("loop", {**row, "facts": facts})
