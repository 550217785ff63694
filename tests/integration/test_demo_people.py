"""The demo's accounts: passwords of this machine only, and each signs in."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncEngine

from services.demo.people import PEOPLE, ensure_people
from services.embedded import credentials as store
from services.identity import accounts
from services.identity.tables import account
from services.settings import Settings


def held(settings: Settings) -> dict[str, str]:
    found = store.read(settings.credentials_path)
    return found.http.accounts if found else {}


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"data_dir": tmp_path})


async def test_each_role_has_somebody_who_signs_in(own: Settings, engine: AsyncEngine) -> None:
    await ensure_people(own, engine)
    passwords = held(own)
    assert passwords.keys() == {person.name for person in PEOPLE}
    assert own.credentials_path.stat().st_mode & 0o777 == 0o600
    assert len(set(passwords.values())) == len(PEOPLE)
    for name, password in passwords.items():
        assert await accounts.sign_in(engine, name, password, "127.0.0.1") is not None

    await ensure_people(own, engine)
    assert held(own) == passwords


async def test_broken_off_it_goes_on(own: Settings, engine: AsyncEngine) -> None:
    await ensure_people(own, engine)
    before = held(own)
    lost, gone = PEOPLE[0].name, PEOPLE[1].name
    store.update(
        own.credentials_path,
        lambda c: c.model_copy(
            update={
                "http": c.http.model_copy(
                    update={"accounts": {k: v for k, v in c.http.accounts.items() if k not in {lost, gone}}}
                )
            }
        ),
    )
    async with engine.begin() as conn:
        await conn.execute(delete(account).where(account.c.name == gone))
    await ensure_people(own, engine)
    after = held(own)
    assert {name for name in after if after[name] != before[name]} == {lost, gone}
    for name in (lost, gone):
        assert await accounts.sign_in(engine, name, after[name], "127.0.0.1") is not None
