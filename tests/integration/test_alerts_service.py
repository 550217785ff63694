"""The service contact-alerts beside a running intake: over NATS and PostgreSQL, as in production."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from events import ledger, tables
from events.clock import advance_clock, set_clock
from events.recorded import ORGANISATION
from projections.alert_queries import list_alerts
from projections.viewer import EVERYTHING
from services.alerts.app import NAME, setup
from services.bus import NatsBus
from services.settings import Settings
from services.wiring import Context, make_app, make_context, serve
from tests.alert_trial import at
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, registered, running_intake

HAAG = "gemeentecode:0518"
TIER_A: dict[str, Any] = {
    "tier": "A", "arguments": [{"criterion": "revenue_share", "evidence": "18 %"}], "occurred_on": "2026-01-06",
}  # fmt: skip
LINE: dict[str, Any] = {
    "line": "l-1", "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
    "starts_on": "2026-01-01", "grace_working_days": 5, "owner": "e-12", "occurred_on": "2026-01-06",
}  # fmt: skip


def _held(contact: str, occurred: str) -> dict[str, Any]:
    side = [{"layer": "board"}]
    return {
        "contact": contact, "occurred_at": f"{occurred}T10:00:00+01:00", "duration_min": 60, "channel": "meeting",
        "activity": "conversation", "topics": [], "ours": side, "theirs": side,
    }  # fmt: skip


@asynccontextmanager
async def _running_alerts(settings: Settings) -> AsyncGenerator[Context]:
    """The service, ready, until the block ends; then stopped as SIGTERM stops it."""
    context = make_context(settings, NAME)
    stop = asyncio.Event()
    task = asyncio.create_task(serve(context, make_app(context, setup=setup), stop))
    try:
        async with asyncio.timeout(60):
            while not context.state.opened or context.state.state != "ready":
                if task.done():
                    task.result()
                await asyncio.sleep(0.01)
        yield context
    finally:
        stop.set()
        await task


async def _alert_becomes(engine: AsyncEngine, state: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            async with engine.connect() as conn:
                items = (await list_alerts(conn, state=state, now=at("2026-05-12"), viewer=EVERYTHING)).items
            if items:
                return items[0]
            await asyncio.sleep(0.02)


async def _alert_events(engine: AsyncEngine) -> int:
    ours = tables.entry.c.department == "relatieboek"
    async with engine.connect() as conn:
        return await conn.scalar(select(func.count()).select_from(tables.entry).where(ours)) or 0


async def test_time_passes_and_the_alert_comes_goes_and_is_never_sent_twice(
    settings: Settings, engine: AsyncEngine, department: AddDepartment
) -> None:
    settings = settings.model_copy(update={"tick_s": 0.1})
    added = await department("zorg")
    async with engine.begin() as conn:
        await set_clock(conn, at("2026-02-04"))
    async with running_intake(settings), connection(settings, added.nats) as client:
        heard: list[dict[str, Any]] = []

        async def hear(subject: str, body: bytes) -> None:
            heard.append(orjson.loads(body))

        zorg = Department("zorg", client, f"urn:nld:oin:{settings.institution}:systeem:zorg")
        # Of a team that has the relation: else the owner could not see what a digest is about, and would get none.
        wmo = {"team": "wmo", "occurred_on": "2026-01-05"}
        for kind, data, subject in (
            ("relation.registered", registered("Gemeente Den Haag", ("gemeentecode", "0518")), HAAG),
            ("relation.tier_assigned", TIER_A, HAAG),
            ("team.formed", {**wmo, "name": "Wmo"}, ORGANISATION),
            ("team.member_joined", {**wmo, "employee": LINE["owner"]}, ORGANISATION),
            ("team.relation_assigned", wmo, HAAG),
            ("schedule.line_set", LINE, HAAG),
            ("contact.held", _held("c-1", "2026-02-03"), HAAG),
        ):
            verdict = await zorg.send(zorg.event(kind, data, subject))
            assert verdict["verdict"] == "accepted", verdict

        async with _running_alerts(settings) as context:
            await NatsBus(context.nats).subscribe("live.alerts", hear)
            async with engine.begin() as conn:
                await advance_clock(conn, at("2026-05-12"))
            raised = await _alert_becomes(engine, "open")
            assert (raised["due_on"], raised["working_days_overdue"], raised["silent"]) == ("2026-05-04", 1, False)
            assert str(raised["owner"]).startswith("ref~")
            async with asyncio.timeout(60):
                while len(heard) < 2:
                    await asyncio.sleep(0.01)
            position = raised["evidence"][-1] + 1
            told = {"relation": raised["relation"], "type": "nl.relatieboek.alert.raised.v1", "position": position}
            (digest,) = [one for one in heard if one["type"] == "digest"]
            (interruption,) = [one for one in heard if one["type"] != "digest"]
            assert interruption == told
            assert (digest["type"], digest["recipient"], digest["positions"]) == ("digest", raised["owner"], [position])

        # A restart finds nothing to add: what it would say is in the book.
        async with _running_alerts(settings):
            await zorg.send(zorg.event("contact.held", _held("c-2", "2026-05-12"), HAAG))
            resolved = await _alert_becomes(engine, "resolved")
            assert resolved["resolution"] == "contact_held"
        assert await _alert_events(engine) == 2
        async with engine.connect() as conn:
            assert (await ledger.head(conn)).position == 10
