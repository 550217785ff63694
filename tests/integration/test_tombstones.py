"""A key that is gone says which event destroyed it; whoever makes up a tombstone, or takes a key away, is found out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from events.postgres import Connection, connect
from events.reconcile import Report
from events.tombstones import check_tombstones
from services.bus import NatsBus
from services.embedded.doors import signed_in
from services.privacy.erase import publish
from services.privacy.retention import applied_event
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, held, running_intake, scalar
from tests.integration.test_erasing import ANNA, erase, erased, ref_of, story

# Positions: 1 the relation, 2 Anna, 3 Bert, 4 a contact with Anna, 5 one with Bert, 6 an old one, 7 Anna erased, 8 the
# retention of contacts.
BERT: Final = "(SELECT ref FROM ledger.person_key WHERE kind = 'person' AND erased_by IS NULL)"
_TEXTS: Final = "UPDATE ledger.event_key SET key = NULL, content_mac = NULL, erased_by ="
_PERSON: Final = "UPDATE ledger.person_key SET key = NULL, sealed_id = NULL, erased_by ="
FORGED: Final[dict[str, tuple[str, str]]] = {
    "a person by no event": (
        f"{_PERSON} 99 WHERE ref = {BERT}", "a person that position 3 names is erased by position 99"),
    "a person by an event of another kind": (
        f"{_PERSON} 1 WHERE ref = {BERT}", "a person that position 3 names is erased by position 1"),
    "a person by another one's erasure": (
        f"{_PERSON} 7 WHERE ref = {BERT}", "a person that position 3 names is erased by position 7"),
    "a person's key": (
        f"UPDATE ledger.person_key SET key = NULL WHERE ref = {BERT}", "those of 1 persons are gone"),
    "texts by no event": (f"{_TEXTS} 99 WHERE position = 5", "the texts of position 5 are erased by 99"),
    "texts by another one's erasure": (f"{_TEXTS} 7 WHERE position = 5", "the texts of position 5 are erased by 7"),
    "texts of another family": (f"{_TEXTS} 8 WHERE position = 3", "the texts of position 3 are erased by 8"),
    "a text's key": ("UPDATE ledger.event_key SET key = NULL WHERE position = 5", "of position 5 is gone"),
    "a text's row": ("DELETE FROM ledger.event_key WHERE position = 5", "of position 5 is gone"),
    "the erasure itself": (
        "UPDATE ledger.entry SET payload = '\\x00' WHERE position = 7", "is erased by position 7, which did not"),
}  # fmt: skip


@pytest.fixture
async def crm(settings: Settings, department: AddDepartment) -> AsyncGenerator[Department]:
    added = await department("crm")
    async with connection(settings, added.nats) as client:
        yield Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")


async def differences(conn: Connection) -> list[str]:
    report = Report()
    await check_tombstones(conn, report)
    return report.differences


async def test_every_tombstone_has_its_event(
    settings: Settings, crm: Department, engine: AsyncEngine, owner_url: str
) -> None:
    seed = settings.nats_seed
    assert seed is not None
    async with running_intake(settings):
        await story(crm)
        old = held("c-oud", occurred_at="2015-02-03T10:00:00+01:00", theirs=[{"layer": "board"}])
        assert (await crm.send(crm.event("contact.held", old)))["verdict"] == "accepted"
        await erase(settings, await ref_of(settings, engine))
        today = await scalar(engine, "SELECT recorded_at::date FROM ledger.entry WHERE position = 1")
        event = applied_event(settings.source_of("privacy"), "contact", today.replace(year=2016), today)
        async with signed_in(settings.nats_url, seed.get_secret_value()) as client:
            assert (await publish(NatsBus(client), event))["verdict"] == "accepted"
        await erased(engine, 2)
    owner = await connect(owner_url)
    try:
        gone = await owner.fetch(
            "SELECT position, erased_by FROM ledger.event_key WHERE erased_by > 0 ORDER BY position"
        )
        assert {7, 8} == {row["erased_by"] for row in gone}
        assert 6 in {row["position"] for row in gone}
        assert await differences(owner) == []
        # On the list outside the database, and never in this book: nothing of theirs was here to be taken away.
        await owner.execute(
            "INSERT INTO ledger.person_key (ref, kind, lookup, erased_by) VALUES ($1, 'person', '\\x01', 99)",
            "ref~" + "f" * 32,
        )
        # And what went with a lost database.
        await owner.execute(f"{_TEXTS} 0 WHERE position = 2")
        assert await differences(owner) == []
        for name, (statement, named) in FORGED.items():
            trial = owner.transaction()
            await trial.start()
            assert not (await owner.execute(statement)).endswith(" 0"), name
            found = await differences(owner)
            assert found, name
            assert any(named in one for one in found), f"{name}: {found}"
            assert ANNA not in str(found)
            assert "ref~" not in str(found)
            await trial.rollback()
        assert await differences(owner) == []
    finally:
        await owner.close()
