"""The service workflows beside a running intake: replicas, a kill, a restart, on real NATS and PostgreSQL."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from events import tables
from events.clock import advance_clock, set_clock
from projections.viewer import EVERYTHING
from projections.workflows.loop_queries import list_loops
from services.settings import Settings, as_environment
from tests.alert_trial import at
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, registered, running_intake
from tests.running_book import ROOT
from tests.workflow_trial import NPS

HAAG = "gemeentecode:0518"


class Replicas:
    """Processes of the service, to be killed at will."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        log = (self._settings.data_dir / f"workflows-{len(self.running)}.log").open("wb")
        command = [sys.executable, "-m", "services.serve", "workflows"]
        environment = as_environment(self._settings)
        self.running.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
        log.close()
        return self.running[-1]

    def logs(self) -> str:
        return "\n".join(p.read_text()[-3000:] for p in sorted(self._settings.data_dir.glob("workflows-*.log")))


@contextmanager
def _replicas(settings: Settings) -> Generator[Replicas]:
    replicas = Replicas(settings)
    try:
        yield replicas
    finally:
        for process in replicas.running:
            process.terminate()
        for process in replicas.running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def _loop_becomes(engine: AsyncEngine, state: str, replicas: Replicas) -> dict[str, Any]:
    try:
        async with asyncio.timeout(60):
            while True:
                async with engine.connect() as conn:
                    items = (await list_loops(conn, at("2026-02-10"), state=state, viewer=EVERYTHING)).items
                if items:
                    return items[0]
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(replicas.logs())


async def _kinds(engine: AsyncEngine) -> dict[str, int]:
    kind = tables.entry.c.type
    query = select(kind, func.count()).where(tables.entry.c.department == "relatieboek").group_by(kind)
    async with engine.connect() as conn:
        return {r[0].removeprefix("nl.relatieboek.").removesuffix(".v1"): r[1] for r in await conn.execute(query)}


async def test_a_low_score_opens_its_loop_once_whoever_dies_and_a_follow_up_closes_it(
    settings: Settings, engine: AsyncEngine, department: AddDepartment
) -> None:
    settings = settings.model_copy(update={"tick_s": 0.1})
    added = await department("zorg")
    async with engine.begin() as conn:
        await set_clock(conn, at("2026-02-06"))
    async with running_intake(settings), connection(settings, added.nats) as client:
        zorg = Department("zorg", client, f"urn:nld:oin:{settings.institution}:systeem:zorg")

        async def tell(kind: str, data: dict[str, Any], subject: str = HAAG) -> None:
            verdict = await zorg.send(zorg.event(kind, data, subject))
            assert verdict["verdict"] == "accepted", verdict

        await tell("relation.registered", registered("Gemeente Den Haag", ("gemeentecode", "0518")))
        await tell("satisfaction.instrument_defined", NPS, "organisation")
        with _replicas(settings) as replicas:
            first, _ = replicas.start(), replicas.start()
            score = {"response": "r-1", "instrument": "nps-2026", "score": 3, "anonymous": True}
            await tell("satisfaction.scored", {**score, "occurred_on": "2026-02-06"})
            opened = await _loop_becomes(engine, "open", replicas)
            assert (opened["due_on"], opened["respondent"], opened["silent"]) == ("2026-02-10", None, False)

            first.kill()
            replicas.start()
            async with engine.begin() as conn:
                await advance_clock(conn, at("2026-02-12"))
            async with asyncio.timeout(60):
                while (await _kinds(engine)).get("loop.escalated", 0) == 0:
                    await asyncio.sleep(0.05)

            held: dict[str, Any] = {
                "contact": "c-1", "occurred_at": "2026-02-12T09:00:00+01:00", "duration_min": 15, "channel": "phone",
                "activity": "conversation", "topics": ["opvolging"], "ours": [{"layer": "professional"}],
                "theirs": [{"layer": "professional"}],
            }  # fmt: skip
            await tell("contact.held", held)
            closed = await _loop_becomes(engine, "closed", replicas)
        assert (closed["id"], closed["reason"]) == (opened["id"], "followed_up")
        assert await _kinds(engine) == {"loop.opened": 1, "loop.escalated": 1, "loop.closed": 1}
