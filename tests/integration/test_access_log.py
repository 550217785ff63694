"""The access log in a real PostgreSQL: one dense chain whoever writes, and nothing that is changed unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import pytest

from events.checkpoint import Signer
from events.errors import Diverged, Unavailable
from events.postgres import Connection, connect
from services.access_log.note import Head, opened
from services.access_log.record import EVERYBODY, MOST_PERSONS, Record, leaf_of
from services.access_log.store import append, log
from services.access_log.verify import verify
from services.access_log.writer import Writer
from services.notary.access_log import AccessNotary
from services.notary.signing import note_texts

AT: Final = datetime(2026, 6, 30, 10, 0, tzinfo=UTC)
RELATION: Final = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001"
PERSON: Final = "ref~0123456789abcdef0123456789abcdef"


PAGE: Final = Record(
    at=AT, event="page", action="R", kind="person", actor="anna", operation="showRelation", outcome="granted",
    relations=frozenset({RELATION}), persons=frozenset({PERSON}),
)  # fmt: skip


def record(actor: str = "anna", **more: Any) -> Record:
    return replace(PAGE, actor=actor, **more)


def writer_on(url: str, *, within_s: float = 30.0, most_waiting: int = 2_000) -> Writer:
    return Writer(url, within_s=within_s, most_waiting=most_waiting)


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Connection]:
    conn = await connect(url)
    try:
        yield conn
    finally:
        await conn.close()


async def write(url: str, count: int, actor: str = "anna") -> None:
    async with aclosing(writer_on(url)) as writer:
        await asyncio.gather(*(writer.write(record(f"{actor}-{n}")) for n in range(1, count + 1)))


async def written(writer: Writer, record: Record) -> None:
    """Writes until it is taken: by a writer that is given little time, on a machine that takes more."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await writer.write(record)
            except Unavailable:
                await asyncio.sleep(0.01)


async def test_many_writers_make_one_dense_chain(service_url: str) -> None:
    """Two replicas, each with hundreds of requests at once: every record there once, none lost, and it verifies."""
    await asyncio.gather(write(service_url, 400, "a"), write(service_url, 400, "b"))
    async with connected(service_url) as conn:
        found = await verify(conn, [])
        assert (found.differences, found.records, found.last) == ([], 800, 800)
        actors = {row["actor"] for row in await conn.fetch("SELECT actor FROM access.record")}
        assert len(actors) == 800
        commits = await conn.fetchval("SELECT count(DISTINCT xmin::text) FROM access.record")
    assert commits < 80  # group commit: far fewer transactions than records


async def test_a_record_is_on_disk_when_write_returns(service_url: str) -> None:
    async with aclosing(writer_on(service_url)) as writer, connected(service_url) as conn:
        await writer.write(record())
        row = await conn.fetchrow("SELECT * FROM access.record")
    assert row["about"] == [UUID(RELATION), UUID(hex=PERSON[4:])]
    assert b'"name":"anna"' in row["entry"]


async def test_a_page_about_more_people_than_are_listed_counts_as_about_everybody(service_url: str) -> None:
    refs = frozenset(f"ref~{n:032x}" for n in range(1, MOST_PERSONS + 2))
    async with aclosing(writer_on(service_url)) as writer, connected(service_url) as conn:
        await writer.write(record(persons=refs))
        about = await conn.fetchval("SELECT about FROM access.record")
        assert len(about) == MOST_PERSONS + 2
        assert about[-1].hex == EVERYBODY
        assert (await verify(conn, [])).agree


async def test_nobody_is_answered_while_the_log_cannot_be_written(service_url: str, owner_url: str) -> None:
    """The table locked by somebody else: Unavailable in time; released: it goes on by itself."""
    async with aclosing(writer_on(service_url, within_s=0.3)) as writer, connected(owner_url) as owner:
        await written(writer, record())
        async with owner.transaction():
            await owner.execute("LOCK TABLE access.record IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(Unavailable):
                await writer.write(record())
        await written(writer, record("after"))
        found = await verify(owner, [])
    assert found.agree
    assert found.records >= 2


async def test_the_queue_is_bounded(service_url: str, owner_url: str) -> None:
    async with aclosing(writer_on(service_url, most_waiting=10)) as writer, connected(owner_url) as owner:
        async with owner.transaction():
            await owner.execute("LOCK TABLE access.record IN ACCESS EXCLUSIVE MODE")
            writes = [asyncio.create_task(writer.write(record(str(n)))) for n in range(30)]
            await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
        ended = await asyncio.gather(*writes, return_exceptions=True)
    refused = [e for e in ended if isinstance(e, Unavailable)]
    assert len(refused) == 20
    assert len(ended) - len(refused) == 10


async def test_a_killed_connection_costs_its_batch_and_nothing_else(service_url: str, owner_url: str) -> None:
    async with aclosing(writer_on(service_url)) as writer, connected(owner_url) as owner:
        await writer.write(record())
        await owner.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'relatieboek_service' AND datname = current_database()"
        )
        await written(writer, record("again"))
        assert (await verify(owner, [])).agree


async def test_the_services_may_add_and_read_only(service_url: str) -> None:
    await write(service_url, 1)
    async with connected(service_url) as conn:
        for statement in (
            "UPDATE access.record SET actor = 'x'", "DELETE FROM access.record", "TRUNCATE access.record",
            "DELETE FROM access.pruned", "INSERT INTO access.pruned VALUES (1, 1, 1, '', now(), now())",
            "DELETE FROM access.checkpoint", "UPDATE access.checkpoint SET size = 9", "DROP TABLE access.record",
            "UPDATE access.kept SET months = 12", "DELETE FROM access.kept",
        ):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)


_COLUMNS: Final = "record 5: the columns by which it is found say something else than the record"
TAMPERING: Final[dict[str, tuple[list[str], list[str]]]] = {
    "altered": (
        [("UPDATE access.record SET entry = replace(encode(entry, 'escape'), 'anna-5', 'piet-5')::bytea"
         " WHERE position = 5")],
        ["record 5: altered, moved or put in"],
    ),
    "found by something else": (["UPDATE access.record SET actor = 'piet' WHERE position = 5"], [_COLUMNS]),
    "hidden from a search": (["UPDATE access.record SET about = '{}' WHERE position = 5"], [_COLUMNS]),
    "removed": (["DELETE FROM access.record WHERE position = 5"], ["record 5: not there"]),
    "many removed": (["DELETE FROM access.record WHERE position BETWEEN 5 AND 7"], ["record 5 to 7: not there"]),
    "first removed": (["DELETE FROM access.record WHERE position = 1"], ["record 1: not there"]),
    "swapped": (
        [("UPDATE access.record a SET entry = b.entry, actor = b.actor FROM access.record b"
         " WHERE (a.position, b.position) IN ((5, 7), (7, 5))")],
        ["record 5: altered, moved or put in", "record 7: altered, moved or put in"],
    ),
    "put in": (
        ["INSERT INTO access.record SELECT 11, at, actor, about, entry, leaf FROM access.record WHERE position = 3"],
        ["record 11: altered, moved or put in"],
    ),
    "moved up after a removal": (
        ["DELETE FROM access.record WHERE position = 5",
         "UPDATE access.record SET position = position - 1 WHERE position = 6"],
        ["record 5: altered, moved or put in", "record 6: not there"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERING)
async def test_what_a_superuser_does_is_found_and_named(service_url: str, owner_url: str, how: str) -> None:
    await write(service_url, 10)
    statements, named = TAMPERING[how]
    async with connected(owner_url) as owner:
        assert (await verify(owner, [])).agree
        for statement in statements:
            await owner.execute(statement)
        assert (await verify(owner, [])).differences == named


async def test_what_was_signed_shows_a_log_that_was_rewritten_or_cut_off(service_url: str, owner_url: str) -> None:
    """Every hash made to fit again, and the end cut off: only a head that was signed before tells."""
    signer = Signer("test/notary", b"\x07" * 32)
    await write(service_url, 4)
    async with connected(owner_url) as owner:
        heads = [await _signed(owner, signer)]
        await write(service_url, 4)
        heads.append(await _signed(owner, signer))
        assert (await verify(owner, heads)).agree

        rows = await owner.fetch("SELECT position, entry, leaf FROM access.record ORDER BY position")
        leaf = bytes(rows[4]["leaf"])
        for row in rows[5:]:
            entry = bytes(row["entry"]).replace(b"anna", b"kees")
            leaf = leaf_of(row["position"], leaf, entry)
            await owner.execute(
                "UPDATE access.record SET entry = $2, leaf = $3, actor = replace(actor, 'anna', 'kees')"
                " WHERE position = $1", row["position"], entry, leaf,
            )  # fmt: skip
        assert (await verify(owner, [])).agree
        wrong = "signed head of 8 records: records after 4 up to 8 are not those signed"
        assert (await verify(owner, heads)).differences == [wrong]
        await owner.execute("DELETE FROM access.record WHERE position > 5")
        gone = "signed head of 8 records: the log ends at 5; records after it are gone"
        assert (await verify(owner, heads)).differences == [gone]


async def _signed(conn: Connection, signer: Signer) -> Head:
    row = await conn.fetchrow("SELECT position, leaf, at FROM access.record ORDER BY position DESC LIMIT 1")
    head = Head("relatieboek/x/access-log", row["position"], bytes(row["leaf"]), row["at"])
    note = signer.sign_text(head.text())
    await conn.execute("INSERT INTO access.checkpoint (size, note) VALUES ($1, $2)", row["position"], note)
    return opened(note, [signer.verifier])


async def test_pruning_takes_whole_old_months_and_leaves_what_can_be_verified(service_url: str, owner_url: str) -> None:
    now = datetime.now(UTC)
    signer = Signer("test/notary", b"\x07" * 32)
    old = now - timedelta(days=366 * 6)
    async with connected(service_url) as conn, connected(owner_url) as owner:
        for at in (old, old + timedelta(days=40), now - timedelta(days=400), now):
            await log(service_url, record(at=at), within_s=30)
            await _signed(owner, signer)
        notes = await owner.fetch("SELECT note FROM access.checkpoint ORDER BY size")
        heads = [opened(r["note"], [signer.verifier]) for r in notes]
        assert await conn.fetchval("SELECT access.prune()") == 2
        assert await conn.fetchval("SELECT access.prune()") == 0
        found = await verify(conn, heads)
        assert (found.differences, found.records, found.pruned, found.last) == ([], 2, 2, 4)
        await log(service_url, record(), within_s=30)
        assert (await verify(conn, heads)).last == 5
        # How long is the owner's to say, and a year at least.
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("UPDATE access.kept SET months = 12")
        with pytest.raises(asyncpg.CheckViolationError):
            await owner.execute("UPDATE access.kept SET months = 11")
        assert await conn.fetchval("SELECT access.prune()") == 0
        # Whoever removes more, and writes a stub for it, cannot make it join on what was signed.
        await owner.execute("UPDATE access.pruned SET leaf = sha256('x')")
        assert (
            "signed head of 2 records: records after 0 up to 2 are not those signed"
            in (await verify(conn, heads)).differences
        )


async def test_what_is_removed_before_its_time_is_found(service_url: str, owner_url: str) -> None:
    """A line that says that it was pruned, as whoever has the database can write it: it joins on what was signed."""
    now, signer = datetime.now(UTC), Signer("test/notary", b"\x07" * 32)
    years_ago = now - timedelta(days=366 * 5)
    async with connected(owner_url) as owner:
        heads: list[Head] = []
        for days in (366 * 6, 366 * 5 + 40, 300, 200, 0):
            await log(service_url, record(at=now - timedelta(days=days)), within_s=30)
            heads.append(await _signed(owner, signer))
        assert await owner.fetchval("SELECT access.prune()") == 2
        found = await verify(owner, heads, kept_since=years_ago)
        assert (found.differences, found.pruned) == ([], 2)
        for last in (3, 4):
            await owner.execute(
                "INSERT INTO access.pruned SELECT position, position, 1, leaf, $2, $2, now() FROM access.record"
                " WHERE position = $1", last, years_ago - timedelta(days=1),
            )  # fmt: skip
            await owner.execute("DELETE FROM access.record WHERE position = $1", last)
        assert (await verify(owner, heads)).agree  # by its hashes there is nothing wrong with it
        on = heads[3].last_at
        assert on is not None
        wrong = f"pruned records up to 4: those of {on:%Y-%m-%d} are to be kept longer"
        assert (await verify(owner, heads, kept_since=years_ago)).differences == [wrong]
        # Between two of what was signed nothing is ever pruned.
        assert (
            "pruned records 3 to 3: nothing that was signed ends there"
            in (await verify(owner, [heads[0], heads[1], heads[3], heads[4]], kept_since=years_ago)).differences
        )


async def test_what_was_not_signed_is_not_pruned(service_url: str) -> None:
    await log(service_url, record(at=AT - timedelta(days=366 * 6)), within_s=30)
    async with connected(service_url) as conn:
        assert await conn.fetchval("SELECT access.prune()") == 0


async def test_the_notary_signs_where_the_log_ends_and_nothing_more_once_it_was_changed(
    service_url: str, owner_url: str, tmp_path: Path
) -> None:
    signer, file = Signer("test/notary", b"\x07" * 32), tmp_path / "checkpoints.access-log"

    def notary() -> AccessNotary:
        return AccessNotary(signer, "relatieboek/x/access-log", file)

    await write(service_url, 3)
    async with connected(service_url) as conn, connected(owner_url) as owner:
        first = notary()
        assert (await first.sign(conn)).head.size == 3
        assert (await first.sign(conn)).head.size == 3
        await write(service_url, 2)
        signed = await first.sign(conn)
        assert signed.head == opened(signed.note, [signer.verifier])
        assert (signed.head.size, len(note_texts(file))) == (5, 2)
        assert (await notary().sign(conn)).note == signed.note  # a restart remembers
        kept = [opened(text, [signer.verifier]) for text in note_texts(file)]
        assert (await verify(conn, kept)).agree
        await owner.execute("DELETE FROM access.checkpoint")
        await notary().sign(conn)
        assert await conn.fetchval("SELECT count(*) FROM access.checkpoint") == 2

        await owner.execute("DELETE FROM access.record WHERE position = 5")
        again = notary()
        for _ in range(2):
            with pytest.raises(Diverged, match="shorter than a head of it that was signed"):
                await again.sign(conn)
        await log(service_url, record("put in its place"), within_s=30)
        with pytest.raises(Diverged, match="the first 5 records are not those that were signed"):
            await notary().sign(conn)
        assert len(note_texts(file)) == 2


async def test_the_notary_prunes_what_it_signed_and_goes_on_after_it(
    service_url: str, owner_url: str, tmp_path: Path
) -> None:
    signer, file = Signer("test/notary", b"\x07" * 32), tmp_path / "checkpoints.access-log"
    now = datetime.now(UTC)
    async with connected(service_url) as conn, connected(owner_url) as owner:
        notary = AccessNotary(signer, "relatieboek/x/access-log", file)
        for at in (now - timedelta(days=366 * 6), now - timedelta(days=366 * 6), now):
            await log(service_url, record(at=at), within_s=30)
            await notary.sign(conn)
        assert await notary.prune(conn) == 2
        await log(service_url, record(), within_s=30)
        assert (await notary.sign(conn)).head.size == 4
        assert (await AccessNotary(signer, "relatieboek/x/access-log", file).sign(conn)).head.size == 4
        await owner.execute("UPDATE access.pruned SET leaf = sha256('x')")
        with pytest.raises(Diverged, match="what is left of the first 2 records is not what was signed"):
            await AccessNotary(signer, "relatieboek/x/access-log", file).sign(conn)


async def test_all_pruned_but_the_last_goes_on(service_url: str) -> None:
    async with connected(service_url) as conn:
        await append(conn, [])
        await write(service_url, 3, str(uuid4()))
        assert (await verify(conn, [])).last == 3
