"""Our own people as far as alerts need them: who is in which team, who leads it, who has left. Facts of no relation."""

from __future__ import annotations

from datetime import date
from typing import Final

from events.recorded import Recorded, local_date
from projections.rows import Need, One, Row, Rows

STAFF_KINDS: Final = frozenset({"team.member_joined", "team.member_left", "employee.left"})


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
