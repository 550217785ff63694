"""A small book on real servers, for tests of feeds and projections."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from services.embedded.nats import Nats
from services.settings import Settings
from tests.small_book import SmallBook, connect, disconnect, small_book


@pytest.fixture
async def book(settings: Settings, owner_engine: AsyncEngine) -> AsyncGenerator[SmallBook]:
    async with small_book(settings, owner_engine) as book:
        yield book


@pytest.fixture
async def client(settings: Settings, nats_server: Nats) -> AsyncGenerator[Client]:
    client = await connect(settings)
    yield client
    await disconnect(client)
