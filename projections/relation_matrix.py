"""The relation matrix: who has contact with whom, on which layer, and where the gaps are (question 2). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from events.recorded import local_date
from projections.kin import united
from projections.layers import LAYERS, pair_bit
from projections.line_state import DEFAULT_RULES, Rules
from projections.relation_present import counterparts_of, local_iso, present, year_before
from projections.rows import Row, Rows

# Lines in these states ask for no contact today.
_NOT_OWED: Final = frozenset({"ended", "paused", "not_started"})
_LATE: Final = frozenset({"overdue", "escalated"})


def matrix_of(
    rows: Rows, relation: str, now: datetime, rules: Rules = DEFAULT_RULES, *, position: int = 0, hidden: int
) -> dict[str, Any] | None:
    """Required (schedule lines) against actual (contacts of the last twelve months) per layer pair; None: no relation.

    A cell's `state`: `covered` (asked for, and there was contact), `late` (there was, but a line is overdue), `gap`
    (asked for, and no contact that counts for its lines in twelve months), `extra` (contact that no line asks for).
    Cells with neither are left out. `gaps` are the cells that are a gap, plus vacant lines. `position`: how far the
    rows are.
    """
    rows, (relation, *_) = united(rows, relation)
    seen = present(rows, relation, now, rules=rules, hidden=hidden)
    if seen is None:
        return None
    today = local_date(now)
    since = year_before(today)
    recent = [c for c in rows.group("contact", relation) if c["counted"] and since < c["held_on"] <= today]
    cells = [
        cell
        for our in LAYERS
        for their in LAYERS
        if (cell := _cell(our, their, seen["schedule"], recent, since)) is not None
    ]
    counterparts = counterparts_of(rows.group("counterpart", relation), hidden)
    return {
        "relation": relation,
        "relation_name": seen["name"],
        "tier": seen["tier"],
        "since": since.isoformat(),
        "layers": list(LAYERS),
        "cells": cells,
        "gaps": [cell for cell in cells if cell["state"] == "gap"],
        "counterparts": [
            {"layer": layer, "people": [c for c in counterparts if c["layer"] == layer]} for layer in LAYERS
        ],
        "position": position,
    }


def _cell(
    our: str, their: str, schedule: Sequence[dict[str, Any]], recent: Sequence[Row], since: date
) -> dict[str, Any] | None:
    bit = pair_bit(our, their)
    met = [c for c in recent if c["pairs"] & bit]
    asked = [
        line for line in schedule
        if (line["our_layer"], line["their_layer"]) == (our, their) and line["state"] not in _NOT_OWED
    ]  # fmt: skip
    if not met and not asked:
        return None
    if not asked:
        state = "extra"
    elif any(_uncovered(line, since) for line in asked):
        state = "gap"
    else:
        state = "late" if any(line["state"] in _LATE for line in asked) else "covered"
    fields = ("line", "cadence", "channels", "state", "due_on", "overdue_on", "last_contact_on", "owner")
    return {
        "our_layer": our,
        "their_layer": their,
        "state": state,
        "required": [{field: line[field] for field in fields} for line in asked],
        "contacts_12m": len(met),
        "minutes_12m": sum(c["minutes"] for c in met),
        "last_at": local_iso(max((c["held_at"] for c in met), default=None)),
    }


def _uncovered(line: dict[str, Any], since: date) -> bool:
    last = line["last_contact_on"]
    return line["state"] == "vacant" or last is None or date.fromisoformat(last) <= since
