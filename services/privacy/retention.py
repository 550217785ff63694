"""Retention: how long the texts of a family's events can be read, and the event that ends it.

Default: for ever, for every family; a period is set by who knows which law holds. What goes is the key of the texts
(and of the content's HMAC); what happened, when, with which organisation, stays, and every proof holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from dateutil.relativedelta import relativedelta

from events import erasing
from events.errors import SetupError
from events.event_types import TYPES
from events.postgres import Connection
from events.schemas import personal_paths

# Those with texts under a key of their event. What lies under a person's key (counterpart) goes by `person erase`.
FAMILIES: Final = frozenset(
    t.family for t in TYPES.values() if any(mark.kind == "free_text" for _, mark in personal_paths(t.model))
)
_PERIOD: Final = re.compile(r"P([1-9]\d{0,2})([YM])")


def periods_of(setting: str) -> dict[str, relativedelta]:
    """From `contact=P7Y,note=P2Y`. Raises SetupError for a family without texts of its own, or what is no period."""
    found: dict[str, relativedelta] = {}
    for part in filter(None, (p.strip() for p in setting.split(","))):
        family, _, text = part.partition("=")
        period = _PERIOD.fullmatch(text)
        if family not in FAMILIES or period is None:
            raise SetupError(
                f"RELATIEBOEK_RETENTION: '{part}' is onjuist. Schrijf een familie en een termijn, zoals contact=P7Y. "
                f"Families met teksten: {', '.join(sorted(FAMILIES))}."
            )
        count = int(period[1])
        found[family] = relativedelta(years=count) if period[2] == "Y" else relativedelta(months=count)
    return found


def due(periods: Mapping[str, relativedelta], today: date) -> dict[str, date]:
    """For each family the first day whose texts stay: everything before it is older than its period."""
    return {family: today - period for family, period in periods.items()}


def applied_event(source: str, family: str, before_on: date, today: date) -> dict[str, Any]:
    """`retention.applied`: the same family and day make the same event, which is in the book once."""
    return {
        "specversion": "1.0", "id": f"retention-{family}-{before_on.isoformat()}", "source": source,
        "type": "nl.relatieboek.retention.applied.v1", "subject": "organisation",
        "data": {"family": family, "before_on": before_on.isoformat(), "occurred_on": today.isoformat()},
    }  # fmt: skip


async def would_go(conn: Connection, family: str, before_on: date) -> int:
    """How many events' texts a run now would end."""
    head: int = await conn.fetchval("SELECT position FROM ledger.head")
    count = 0
    for after in range(0, head, erasing.AT_ONCE):
        count += len(await erasing.old_events(conn, family, before_on, after, min(after + erasing.AT_ONCE, head)))
    return count
