"""An office for tests of the alerts: one department, a real ledger, and tickers that are turned by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import delete, insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from events import ledger, tables
from events.append import Ledger
from events.privacy import Privacy
from projections.contact_alerts import PROJECTION
from projections.rows import fold
from projections.store import versioned
from projections.tables import checkpoint
from projections.workflows.projection import build as workflows
from projections.workflows.thresholds import Terms, Thresholds
from projections.working_calendar import WorkingCalendar
from services.alerts.work import contact_work
from services.intake.arriving import arrive
from services.intake.departments import Department
from services.ticking.ticker import Ticker
from services.workflows.work import workflow_work
from tests.alert_trial import at
from tests.given import KEYS

Json = Mapping[str, Any]
SOURCE = "urn:nld:oin:00000001234567890000:systeem:crm"
OWN = "urn:nld:oin:00000000000000000000:systeem:relatieboek-contact-alerts"
OWN_WORKFLOWS = "urn:nld:oin:00000000000000000000:systeem:relatieboek-workflows"
ZORG = Department("zorg", frozenset({SOURCE}), ("*",))
SELF = Department("relatieboek", frozenset(), ())
HAAG, DELFT = "0b1f5b0e-7d0a-4c55-9a58-1f3a54f0a001", "0b1f5b0e-7d0a-4c55-9a58-1f3a54f0a002"


class Office:
    """A book with one department, and the read models as runners that have caught up leave them: the contact alerts,
    and with `thresholds` also the workflows."""

    def __init__(self, engine: AsyncEngine, thresholds: Thresholds | None = None) -> None:
        self.engine = engine
        self.privacy = Privacy(bytes(range(32)), KEYS)
        self.ledger = Ledger(engine.url.render_as_string(hide_password=False), self.privacy)
        self.announced: list[Json] = []
        self.sent: list[Json] = []
        self._count = 0
        calendar = WorkingCalendar()
        work = contact_work(calendar)
        self._projections = [PROJECTION]
        self.ticker = Ticker(PROJECTION, work, self._submit, self._announce, source=OWN, catch_up_s=0.5)
        self._tickers = [self.ticker]
        if thresholds is not None:
            projection, work = workflows(calendar, thresholds), workflow_work(Terms(thresholds, calendar))
            self._projections.append(projection)
            self._tickers.append(Ticker(projection, work, self._submit, self._announce, source=OWN_WORKFLOWS))

    async def clock(self, to: str) -> None:
        async with self.engine.begin() as conn:
            await conn.execute(update(tables.head).values(clock_at=at(to)))

    async def tell(self, kind: str, data: Json, relation: str = HAAG, **envelope: str) -> None:
        """Sends an event as department zorg; it must be accepted."""
        self._count += 1
        event = {
            "specversion": "1.0", "id": f"z-{self._count}", "source": SOURCE, "type": f"nl.relatieboek.{kind}.v1",
            "subject": relation, "data": data, **envelope,
        }  # fmt: skip
        (verdict,) = (await self.ledger.append([arrive(ZORG, event)])).verdicts
        assert verdict.verdict == "accepted", verdict.as_json()

    async def open_relation(self, relation: str, name: str, *, tier: str = "A", team: str | None = None) -> None:
        registered: dict[str, Any] = {
            "name": name, "kind": "municipality", "identifiers": [], "occurred_on": "2026-01-05",
        }  # fmt: skip
        await self.tell("relation.registered", registered, relation)
        arguments = [{"criterion": "revenue_share", "evidence": "18 %"}]
        assigned = {"tier": tier, "arguments": arguments, "occurred_on": "2026-01-06"}
        await self.tell("relation.tier_assigned", assigned, relation)
        if team is not None:
            formed = {"team": team, "name": team, "occurred_on": "2026-01-01"}
            await self.tell("team.formed", formed, "organisation")
            await self.tell("team.relation_assigned", {"team": team, "occurred_on": "2026-01-06"}, relation)

    async def line(self, line: str, relation: str = HAAG, *, visibility: str = "organisation", **changes: Any) -> None:
        data: dict[str, Any] = {
            "line": line, "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
            "starts_on": "2026-01-01", "grace_working_days": 5, "owner": "e-12", "occurred_on": "2026-01-06", **changes,
        }  # fmt: skip
        await self.tell("schedule.line_set", data, relation, visibility=visibility)

    async def held(self, contact: str, occurred: str, relation: str = HAAG, *, topics: Sequence[str] = ()) -> None:
        side = [{"layer": "board"}]
        data = {
            "contact": contact, "occurred_at": f"{occurred}T10:00:00+01:00", "duration_min": 60, "channel": "meeting",
            "activity": "conversation", "topics": list(topics), "ours": side, "theirs": side,
        }  # fmt: skip
        await self.tell("contact.held", data, relation)

    async def catch_up(self) -> None:
        async with self.engine.begin() as conn:
            events = await ledger.read(conn, 0, 10_000)
            for projection in self._projections:
                rows = fold(projection, events)
                for name, table in versioned(projection).items():
                    await conn.execute(delete(table))
                    if rows.tables[name]:
                        await conn.execute(insert(table), list(rows.tables[name].values()))
                mine = (checkpoint.c.name == projection.name, checkpoint.c.state == "live")
                await conn.execute(update(checkpoint).where(*mine).values(position=len(events)))

    async def tick(self) -> dict[tuple[str, str], int]:
        verdicts: dict[tuple[str, str], int] = {}
        for ticker in self._tickers:
            await self.catch_up()
            async with self.engine.connect() as conn:
                tick = await ticker.tick(conn)
            assert not tick.missed
            for key, count in tick.verdicts.items():
                verdicts[key] = verdicts.get(key, 0) + count
        await self.catch_up()
        return verdicts

    async def _submit(self, events: Sequence[Json]) -> Sequence[Json]:
        self.sent += events
        done = await self.ledger.append([arrive(SELF, orjson.loads(orjson.dumps(e))) for e in events])
        return [orjson.loads(orjson.dumps(v.as_json())) for v in done.verdicts]

    async def _announce(self, message: Json) -> None:
        self.announced.append(message)
