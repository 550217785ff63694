"""From the events of alerts and loops to notices: what people are to be told, once for each transition.

Silent alerts and loops make no notice, nor does an escalation that only catches up, with the day on which they were
silently raised or with a change of the rules: an import or a rebuild tells nobody about the past. Only A relations and
escalations interrupt, and only about what is not restricted: who listens is not known. Everything else waits for the
digest (`digests`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import NotYetThere
from events.recorded import TYPE_PREFIX, Recorded, decode, local_date
from events.tables import entry
from projections.alert_line import RULE as CONTACT_OVERDUE
from projections.institution import BOARD_TIER
from projections.rows import Projection
from projections.store import Live, last_switch, live
from projections.workflows import low_score
from projections.workflows.projection import PROJECTION as WORKFLOWS
from services.alerts.effects import notice, progress

What = Literal["alert", "loop"]

# How far the events were looked at stands under these names.
_NAMES: Final[Mapping[What, str]] = {"alert": "notices", "loop": "loops"}
_TRANSITIONS: Final[Mapping[What, tuple[str, ...]]] = {
    "alert": ("raised", "reopened", "escalated"), "loop": ("opened", "escalated"),
}  # fmt: skip
# Positions looked at in one go: bounded, whatever the book holds.
MOST_POSITIONS: Final = 20_000


class Builds(NamedTuple):
    """The live read models that tell what people are to hear. `workflows`: None while it is being made; its loops are
    told after that. `switched_on`: the day on which its rules last changed, None when they never did."""

    alerts: Live
    workflows: Live | None
    switched_on: date | None


class Interruption(NamedTuple):
    """What is told at once: position, relation and type of the event, and nothing else."""

    position: int
    relation: str
    type: str


async def load_builds(conn: AsyncConnection, contact_alerts: Projection) -> Builds:
    """Raises NotYetThere when the contact alerts are being made."""
    alerts = await live(conn, contact_alerts)
    try:
        workflows = await live(conn, WORKFLOWS)
    except NotYetThere:
        workflows = None
    switch = await last_switch(conn, WORKFLOWS)
    return Builds(alerts, workflows, None if switch is None else local_date(switch.at))


async def note(conn: AsyncConnection, builds: Builds, now: datetime) -> list[Interruption]:
    """Looks at the events that came since the last time, in one transaction; what interrupts of the new ones, in the
    order of the book.

    A book that is older than this ledger of effects begins at its present end: nobody is told of its past.
    """
    # Whose a loop is, the contact alerts know: neither may be behind the events that are looked at.
    loops_to = 0 if builds.workflows is None else min(builds.workflows.position, builds.alerts.position)
    told = await _look(conn, "alert", builds, builds.alerts.position, now)
    return sorted(told + await _look(conn, "loop", builds, loops_to, now))


async def _look(conn: AsyncConnection, what: What, builds: Builds, known_to: int, now: datetime) -> list[Interruption]:
    here = progress.c.name == _NAMES[what]
    began = await conn.scalar(select(progress.c.position).where(here).with_for_update())
    if began is None:
        first = insert(progress).values(name=_NAMES[what], position=builds.alerts.position).on_conflict_do_nothing()
        await conn.execute(first)
        return []
    upto = min(known_to, began + MOST_POSITIONS)
    if upto <= began:
        return []
    types = [f"{TYPE_PREFIX}{what}.{transition}.v1" for transition in _TRANSITIONS[what]]
    query = select(entry.c.payload, entry.c.version).where(
        entry.c.position > began, entry.c.position <= upto, entry.c.type.in_(types)
    )
    events = [decode(r.payload, r.version) for r in await conn.execute(query.order_by(entry.c.position))]
    interruptions = await _note(conn, what, builds, events, now)
    await conn.execute(update(progress).where(here).values(position=upto))
    return interruptions


async def _note(
    conn: AsyncConnection, what: What, builds: Builds, events: Sequence[Recorded], now: datetime
) -> list[Interruption]:
    if not events:
        return []
    known = await _known(conn, what, builds, {e.data[what] for e in events})
    rows: dict[str, dict[str, Any]] = {}
    for event in events:
        id_ = event.data[what]
        of = known.get(id_)
        if of is None or _of_the_past(event, of, builds.switched_on):
            continue
        transition = event.kind.partition(".")[2]
        rows[f"{id_}:{transition}:{event.position}"] = {
            "position": event.position, "relation": event.relation, "what": what, "alert": id_,
            "transition": transition, "level": event.data.get("level", 0), "noted_at": now, "state": "waiting",
            "interrupts": (of["tier"] == BOARD_TIER or transition == "escalated") and not of["hidden"],
        }  # fmt: skip
    if not rows:
        return []
    values = [{"cause": cause, **row} for cause, row in rows.items()]
    added = await conn.scalars(insert(notice).values(values).on_conflict_do_nothing().returning(notice.c.cause))
    new = [rows[cause] for cause in added if rows[cause]["interrupts"]]
    return [
        Interruption(row["position"], row["relation"], f"{TYPE_PREFIX}{what}.{row['transition']}.v1") for row in new
    ]


def _of_the_past(event: Recorded, of: Mapping[str, Any], switched_on: date | None) -> bool:
    if not event.kind.endswith(".escalated"):
        return bool(event.data["silent"])
    on = local_date(event.recorded_at)
    # Other rules of the workflows may let what stands silently open climb on the day that they come into force.
    caught_up_on = {local_date(of["since"]), None if of["rule"] == CONTACT_OVERDUE else switched_on}
    return bool(of["silent"]) and on in caught_up_on


async def _known(conn: AsyncConnection, what: What, builds: Builds, ids: set[str]) -> dict[str, Mapping[str, Any]]:
    """Of each alert or loop: its rule, whether it was raised silently and since when it is open, and the tier."""
    of, home = builds.alerts.tables["relation"], builds.alerts.tables["relation"].alias("home")
    if what == "alert":
        item = builds.alerts.tables["alert"]
        id_, rule, since = item.c.alert, item.c.rule, item.c.turned_at
    else:
        assert builds.workflows is not None, "no loop's event is looked at without them"
        item = builds.workflows.tables["loop"]
        id_, rule, since = item.c.loop, literal(low_score.NAME), item.c.opened_at
    query = (
        select(id_.label("id"), rule.label("rule"), item.c.silent, item.c.hidden, since.label("since"), home.c.tier)
        .join_from(item, of, of.c.relation == item.c.relation)
        .join(home, home.c.relation == of.c.root)
        .where(id_.in_(ids))
    )
    return {r["id"]: dict(r) for r in (await conn.execute(query)).mappings()}
