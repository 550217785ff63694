"""Intake's part in forgetting: before a door opens every erasure is in force, and each new one is carried through.

What the ledger's transaction cannot do at once is done here, in small steps that may break off anywhere: the keys of
the texts of all events that name the person, what is parked or was rejected and names them, mails that wait for them,
their account and sessions, and the line on the list outside the database (`services.erasures`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
import structlog

from events import erasing
from events.append import Ledger
from events.catalog import check
from events.clock import system_now
from events.deciding import Arrival
from events.errors import FieldError, Unavailable
from events.keys import KEPT
from events.postgres import OUTAGES, Connection, connect
from events.privacy import Privacy
from events.recorded import local_date
from events.recording import Stored
from events.verdict import Verdict, problem
from services.erasures import Erasure, add_erasures, read_erasures
from services.intake.departments import OWN
from services.settings import Settings

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 500
_EVERY_S: Final = 0.5
_RETRY_S: Final = 1.0
_KNOWN: Final = "SELECT ref, lookup, erased_by FROM ledger.person_key WHERE ref = $1 OR lookup = $2"
_FIND_AGAIN: Final = """
INSERT INTO ledger.person_key (ref, kind, lookup, erased_by) VALUES ($1, $2, $3, $4)
ON CONFLICT (ref) DO UPDATE SET lookup = excluded.lookup
"""
_PARKED: Final = "SELECT arrival AS n, sealed, key FROM ledger.parked WHERE arrival > $1 ORDER BY arrival LIMIT $2"
_REJECTED: Final = """SELECT rejected_id AS n, sealed, key FROM ledger.rejected
                       WHERE rejected_id > $1 AND sealed IS NOT NULL ORDER BY rejected_id LIMIT $2"""
_UNPARK: Final = "DELETE FROM ledger.parked WHERE arrival = ANY($1::bigint[]) RETURNING department, source, id"
_END_SESSIONS: Final = """
DELETE FROM identity.session s USING ledger.person_key k WHERE k.erased_by > 0 AND k.lookup IN
    (s.employee, (SELECT a.employee FROM identity.account a WHERE a.name = s.account))
"""
_CLOSE_ACCOUNTS: Final = """
DELETE FROM identity.account a USING ledger.person_key k WHERE k.erased_by > 0 AND k.lookup = a.employee
"""
_EMPTY: Final = "UPDATE ledger.rejected SET sealed = NULL, key = NULL WHERE rejected_id = ANY($1::bigint[])"


class Eraser:
    """Puts erasures in force and carries them through. `offer` hears of what it appended itself."""

    def __init__(self, settings: Settings, privacy: Privacy, offer: Callable[[Sequence[Stored], int], None]) -> None:
        self._dsn, self._file = settings.database_url, settings.erasures_path
        self._source = settings.source_of("privacy")
        self._privacy, self._offer = privacy, offer

    async def in_force(self) -> None:
        """Returns once everybody who was ever erased is erased in this database too: by its own events, by those that
        came back from the stream, and by the list outside. Idempotent; costs a look when there is nothing to do.

        Nothing else may append meanwhile. Raises asyncpg's errors and OSError when PostgreSQL or the disk is out,
        SetupError when the list is not one.
        """
        conn = await connect(self._dsn)
        try:
            begun = await erasing.heed(conn)
            listed = await asyncio.to_thread(read_erasures, self._file)
            again = [await self._again(conn, e) for e in listed]
            await self._list(conn)
            while await self._step(conn) is not None:
                pass
            await _close_accounts(conn)
            if begun or any(again):
                log.warning("erasures of before are in force again", of_events=begun, of_list=sum(again))
        finally:
            await conn.close()

    async def run(self) -> None:
        """Carries new erasures through, whoever accepted them, for as long as the service lives."""
        while True:
            try:
                conn = await connect(self._dsn)
                try:
                    while True:
                        while await self._step(conn) is not None:
                            pass
                        await asyncio.sleep(_EVERY_S)
                finally:
                    await conn.close(timeout=5)
            except (Unavailable, *OUTAGES) as error:
                log.warning("erasing waits", error=type(error).__name__)
            await asyncio.sleep(_RETRY_S)

    async def _again(self, conn: Connection, erasure: Erasure) -> bool:
        """Whether somebody on the list had come back, and was erased again."""
        lookup = bytes.fromhex(erasure.lookup) if erasure.lookup else None
        rows = await conn.fetch(_KNOWN, erasure.ref, lookup)
        back = [row["ref"] for row in rows if not row["erased_by"]]
        for ref in back:
            await self._append(ref)
        if not any(row["lookup"] == lookup for row in rows):
            # This book does not know them, or lost what finds them: events that name them are refused all the same.
            async with conn.transaction():
                await conn.execute("UPDATE ledger.head SET erasures = erasures + 1")
                await conn.execute(_FIND_AGAIN, erasure.ref, erasure.kind, lookup, max(1, erasure.position))
        return bool(back)

    async def _append(self, ref: str) -> None:
        event = erased_event(self._source, ref)
        ledger = Ledger(self._dsn, self._privacy)
        try:
            done = await ledger.append([Arrival(OWN, event, check(event))], heed_holds=False)
        finally:
            await ledger.close()
        self._offer(done.entries, done.head)
        if done.verdicts[0].verdict == "rejected":
            raise RuntimeError(f"person.erased was refused: {done.verdicts[0].problem}")

    async def _list(self, conn: Connection, ref: str | None = None) -> None:
        """Puts everybody with a tombstone on the list outside the database, or one of them."""
        rows = await conn.fetch(
            "SELECT ref, kind, lookup, erased_by FROM ledger.person_key "
            "WHERE erased_by > 0 AND ($1::text IS NULL OR ref = $1) ORDER BY erased_by",
            ref,
        )
        erasures = [
            Erasure(r["ref"], r["kind"], r["lookup"].hex() if r["lookup"] else None, r["erased_by"]) for r in rows
        ]
        await asyncio.to_thread(add_erasures, self._file, erasures)

    async def _step(self, conn: Connection) -> erasing.Step | None:
        async with conn.transaction():
            step = await erasing.step(conn)
        if step is None or not step.through:
            return step
        ref = step.work.ref
        if ref is not None:
            await self._list(conn, ref)
            await self._scrub(conn, ref)
        await erasing.done(conn, step.work)
        log.info("erased", position=step.work.position)
        return step

    async def _scrub(self, conn: Connection, ref: str) -> None:
        """What is kept outside the book and names the person: account, parked, rejected, and mails that wait. What
        comes after the event is looked at when it is judged, so one look is enough."""
        await _close_accounts(conn)
        await conn.execute(
            "UPDATE effect.mail SET state = 'failed', error = 'erased' WHERE recipient = $1 AND state = 'waiting'", ref
        )
        row = await conn.fetchrow("SELECT lookup FROM ledger.person_key WHERE ref = $1", ref)
        if row is None or row["lookup"] is None:
            return
        while not await self._scrub_kept(conn, {bytes(row["lookup"])}):
            pass

    async def _scrub_kept(self, conn: Connection, lookups: set[bytes]) -> bool:
        """False when a parked event that names them went elsewhere meanwhile: it may be a rejected one by now."""
        parked = await self._naming(conn, _PARKED, lookups)
        rejected = await self._naming(conn, _REJECTED, lookups)
        async with conn.transaction():
            await conn.execute("SELECT 1 FROM ledger.head FOR UPDATE")  # as every append, first
            gone = await conn.fetch(_UNPARK, parked)
            rows = [(r["department"], _verdict(r["id"], r["source"])) for r in gone]
            await conn.executemany("INSERT INTO ledger.outbox (department, verdict) VALUES ($1, $2)", rows)
            await conn.execute("UPDATE ledger.head SET parked = parked - $1", len(gone))
            await conn.execute(_EMPTY, rejected)
        return len(gone) == len(parked)

    async def _naming(self, conn: Connection, query: str, lookups: set[bytes]) -> list[int]:
        """Which kept events name one of these people. Their ids are gone: each word of an event is looked up."""
        found: list[int] = []
        after = 0
        while rows := await conn.fetch(query, after, _AT_ONCE):
            after = rows[-1]["n"]
            keys = await self._privacy.keys.unwrap([(KEPT, row["key"]) for row in rows])
            for row, key in zip(rows, keys, strict=True):
                if erasing.names(self._privacy, erasing.opened(key, row["sealed"]), lookups):
                    found.append(row["n"])
        return found


async def _close_accounts(conn: Connection) -> None:
    """Deletes the accounts and sessions of everybody who was erased, also those that a backup brought back."""
    async with conn.transaction():
        await conn.execute(_END_SESSIONS)
        await conn.execute(_CLOSE_ACCOUNTS)


def erased_event(source: str, ref: str) -> dict[str, Any]:
    """`person.erased` as the book sends it: the same for the same person for ever, so that it is in the book once."""
    on = local_date(system_now()).isoformat()
    return {
        "specversion": "1.0", "id": f"erased-{ref.removeprefix('ref~')}", "source": source,
        "type": "nl.relatieboek.person.erased.v1", "subject": "organisation",
        "data": {"person": ref, "occurred_on": on},
    }  # fmt: skip


def _verdict(id_: str, source: str) -> str:
    document = problem("erased_person", [FieldError("", erasing.DETAIL)])
    return orjson.dumps(Verdict("rejected", id_, source, problem=document).as_json()).decode()
