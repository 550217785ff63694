"""Our own people as far as owners need them: who is in which team, who leads it, who has left. Facts of no relation."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from sqlalchemy import Boolean, Column, Date, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from events.recorded import Recorded, local_date
from projections.rows import Need, One, Row, Rows

STAFF_KINDS: Final = frozenset({"team.member_joined", "team.member_left", "employee.left"})


def employee_table(metadata: MetaData) -> Table:
    """Who left, by reference; a row for nobody else."""
    return Table(
        "employee",
        metadata,
        Column("employee", Text, primary_key=True),
        Column("left_on", Date, nullable=False),
        Column("stamp", JSONB, nullable=False),
    )


def member_table(metadata: MetaData) -> Table:
    return Table(
        "member",
        metadata,
        Column("team", Text, primary_key=True),
        Column("employee", Text, primary_key=True),
        Column("role", Text),
        Column("present", Boolean, nullable=False),
        Column("stamp", JSONB, nullable=False),
    )


def owner_in(rows: Rows, first: Iterable[str | None], teams: Iterable[Row], today: date) -> str | None:
    """Whose something is: the first of `first` who is here today, else the lead of the team assigned first.

    `teams`: the relation's rows of `assignment`. None: nobody's (SPEC section 5). What `alert_select.owner_of` says in
    SQL.
    """

    def here(who: str) -> bool:
        gone = rows.get("employee", who)
        return gone is None or gone["left_on"] > today

    for who in first:
        if who is not None and here(who):
            return who
    assigned = min(((a["stamp"], a["team"]) for a in teams if a["assigned"]), default=None)
    if assigned is None:
        return None
    members = rows.group("member", assigned[1])
    leads = [(m["stamp"], m["employee"]) for m in members if m["role"] == "lead" and m["present"]]
    return min(((stamp, who) for stamp, who in leads if here(who)), default=(None, None))[1]


def staff_needs(event: Recorded) -> list[Need]:
    """What `fold_staff` reads of this event; nothing for other kinds."""
    if event.kind == "employee.left":
        return [One("employee", (event.data["employee"],))]
    return [One("member", (event.data["team"], event.data["employee"]))] if event.kind in STAFF_KINDS else []


def fold_staff(rows: Rows, event: Recorded) -> None:
    """Keeps the newest fact of each member, and of each who left."""
    data, stamp = event.data, event.stamp
    if event.kind == "employee.left":
        known = rows.get("employee", data["employee"])
        if known is None or stamp > known["stamp"]:
            on = date.fromisoformat(data["on"][:10]) if data.get("on") else local_date(event.occurred_at)
            rows.put("employee", {"employee": data["employee"], "left_on": on, "stamp": stamp})
        return
    known = rows.get("member", data["team"], data["employee"])
    if known is None or stamp > known["stamp"]:
        present = event.kind == "team.member_joined"
        row: Row = {
            "team": data["team"], "employee": data["employee"], "role": data.get("role") or "member",
            "present": present, "stamp": stamp,
        }  # fmt: skip
        rows.put("member", row)
