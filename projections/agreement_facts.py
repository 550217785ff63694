"""Agreements: their table and how facts land in it, for every read model that has them.

Signing, renewals and the end may arrive in any order; the row is derived from all of them.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Date, Float, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from events.identity import is_uuid
from events.recorded import Recorded, local_date
from projections.heads import FOLD, iso_day, shown, text_key
from projections.registers import day, later
from projections.rows import Need, One, Row, Rows
from projections.viewer import restriction

AGREEMENT_KINDS: Final = frozenset({"agreement.signed", "agreement.renewed", "agreement.ended"})


def party_key(party: str) -> str:
    """One spelling for each name of a party: a UUID in lower case."""
    return party.lower() if is_uuid(party) else party


def agreement_table(metadata: MetaData) -> Table:
    return Table(
        "agreement",
        metadata,
        text_key("relation"),
        text_key("agreement"),
        Column("type", Text, comment="contract, covenant, chain, coalition; null: not signed yet"),
        Column("name", Text),
        Column("parties", JSONB, nullable=False, comment="`us` and names of relations"),
        Column("from_on", Date),
        Column("until_on", Date, comment="the last day, as renewed"),
        Column("basis", Text),
        Column("frame", JSONB, nullable=False, comment="[{year, cents, certainty}], as renewed"),
        Column("insured_share_pct", Float),
        Column("signed_on", Date),
        Column("renewals", JSONB, nullable=False, comment="[{on, until, position, stamp}], the first one first"),
        Column("ended_on", Date, comment="ended before its time, or not renewed"),
        Column("end_reason", Text),
        Column("hidden", BigInteger, nullable=False, comment="restriction bits, see viewer.py"),
        Column("positions", JSONB, nullable=False),
        Column("facts", JSONB, nullable=False, info=FOLD),
    )


def agreement_needs(event: Recorded) -> list[Need]:
    return [One("agreement", (event.relation, event.data["agreement"]))]


def fold_agreement(rows: Rows, event: Recorded) -> None:
    data, stamp, on = event.data, event.stamp, local_date(event.occurred_at)
    known = rows.get("agreement", event.relation, data["agreement"])
    row: Row = dict(known) if known is not None else {
        "relation": event.relation, "agreement": data["agreement"], "type": None, "name": None, "parties": [],
        "from_on": None, "until_on": None, "basis": None, "frame": [], "insured_share_pct": None, "signed_on": None,
        "renewals": [], "ended_on": None, "end_reason": None, "hidden": 0, "positions": [], "facts": {},
    }  # fmt: skip
    facts: dict[str, Any] = dict(row["facts"])
    if event.kind == "agreement.signed":
        if later(facts, "signed", stamp):
            facts["until"], facts["frame"] = data["until"], list(data.get("frame") or ())
            row.update(
                type=data["type"], name=data.get("name"), parties=[party_key(p) for p in data["parties"]],
                from_on=day(data["from"]), basis=data["basis"], insured_share_pct=data.get("insured_share_pct"),
                signed_on=on,
            )  # fmt: skip
    elif event.kind == "agreement.renewed":
        renewal: dict[str, Any] = {
            "on": on.isoformat(),
            "until": data["until"],
            "position": event.position,
            "stamp": stamp,
        }
        if data.get("frame") is not None:
            renewal["frame"] = data["frame"]
        row["renewals"] = sorted([*row["renewals"], renewal], key=lambda r: r["stamp"])
    elif later(facts, "ended", stamp):
        row.update(ended_on=on, end_reason=data.get("reason"))
    until: str | None = facts.get("until")
    frame: list[Any] = facts.get("frame", [])
    # A renewal from before the signing is overtaken by it, as for the alert that the agreement ends.
    for renewal in (r for r in row["renewals"] if r["stamp"] > facts.get("signed", [])):
        until, frame = renewal["until"], renewal.get("frame", frame)
    row.update(until_on=day(until), frame=frame, hidden=row["hidden"] | restriction(event))
    rows.put("agreement", {**row, "positions": sorted([*row["positions"], event.position]), "facts": facts})


def agreement_state(row: Row, today: date) -> str:
    """`coming`, `running`, `expired` (its last day is past) or `ended` (before its time, or not renewed)."""
    if row["ended_on"] is not None and row["ended_on"] <= today:
        return "ended"
    if row["from_on"] is not None and today < row["from_on"]:
        return "coming"
    return "running" if row["until_on"] is None or today <= row["until_on"] else "expired"


def agreements_of(rows: Rows, relation: str, today: date, *, hidden: int) -> list[dict[str, Any]]:
    """The signed agreements of a relation that this reader may see, running ones first, the first to end first.

    `ends_in_days` counts from today to the last day; None when it does not run. `evidence` holds positions.
    """
    found = [a for a in rows.group("agreement", relation) if a["type"] is not None and shown(a, hidden)]
    return sorted(
        (agreement_json(a, today) for a in found),
        key=lambda a: (a["state"] != "running", str(a["until"] or ""), str(a["agreement"])),
    )


def agreement_json(row: Row, today: date) -> dict[str, Any]:
    state = agreement_state(row, today)
    until: date | None = row["until_on"]
    return {
        "agreement": row["agreement"], "type": row["type"], "name": row["name"], "parties": row["parties"],
        "state": state, "from": iso_day(row["from_on"]), "until": iso_day(row["until_on"]),
        "ends_in_days": (until - today).days if state == "running" and until is not None else None,
        "basis": row["basis"], "frame": row["frame"], "insured_share_pct": row["insured_share_pct"],
        "signed_on": iso_day(row["signed_on"]),
        "renewals": [{"on": r["on"], "until": r["until"], "position": r["position"]} for r in row["renewals"]],
        "ended_on": iso_day(row["ended_on"]), "end_reason": row["end_reason"], "evidence": row["positions"],
    }  # fmt: skip
