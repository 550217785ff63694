"""A department that is revoked while its events wait their turn at the desk."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from services.health import ServiceState
from services.intake.departments import Department
from services.intake.desk import Desk


class Known:
    """What the desk asks of `Departments`: zorg, until it is revoked."""

    revoked = False

    async def get(self, name: str) -> Department | None:
        return None if self.revoked else Department(name, frozenset(), ("*",))


async def test_what_waits_is_refused() -> None:
    departments: Any = Known()
    nothing: Any = SimpleNamespace(unrelayed=0, diverged=None)
    desk = Desk(
        nothing, nothing, departments, ServiceState("intake"), CollectorRegistry(), batch=10, max_queued=100,
        max_unrelayed=10, tiers=frozenset(),
    )  # fmt: skip
    desk.open()
    sent = asyncio.create_task(desk.submit("zorg", [b'{"id": "e-1"}', b"{}"]))
    await asyncio.sleep(0)
    assert not sent.done()
    departments.revoked = True
    checking = asyncio.create_task(desk.check())
    verdicts = await asyncio.wait_for(sent, 60)
    checking.cancel()
    assert [(v.verdict, v.id) for v in verdicts] == [("rejected", "e-1"), ("rejected", None)]
    assert all(v.problem and v.problem["type"] == "urn:relatieboek:problem:authority" for v in verdicts)
