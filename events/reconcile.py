"""Proof that stream and ledger agree, and the repair of a stream that was lost, replaced or shortened.

The ledger is checked in itself (dense positions, versions, chains, every leaf hash recomputed from the stored bytes),
then against the stream: one digest per range of positions over the payloads and the leaf hashes on both sides. Memory
is one range, whatever the size of the book.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from events.errors import Diverged
from events.postgres import connect
from events.proof import GENESIS, leaf_hash
from events.stream import MOST_IN_BATCH, Message, Stream

RANGE: Final = 5_000
_MOST_DIFFERENCES: Final = 20
_READ = """SELECT position, relation, version, source, id, type, department, payload, prev, leaf FROM ledger.entry
            WHERE position > $1 ORDER BY position LIMIT $2"""

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Report:
    """`differences` is bounded; `entries` and `messages` count what was compared."""

    head: int = 0
    entries: int = 0
    messages: int = 0
    differences: list[str] = field(default_factory=list[str])

    @property
    def agree(self) -> bool:
        return not self.differences

    def differ(self, what: str) -> None:
        if len(self.differences) < _MOST_DIFFERENCES:
            self.differences.append(what)


@dataclass(slots=True)
class Chains:
    """The end of every relation's chain up to here: 80 bytes and a few for each relation."""

    last: dict[str, tuple[int, bytes]] = field(default_factory=dict[str, tuple[int, bytes]])


def check_entries(rows: Iterable[Any], expected: int, chains: Chains, report: Report) -> int:
    """Checks a run of ledger rows by themselves; returns the position expected next."""
    for row in rows:
        position = row["position"]
        if position > expected:
            report.differ(f"ledger: position {expected} is missing")
            expected = position
        if position < expected:
            report.differ(f"ledger: position {position} is there twice")
            continue
        expected += 1
        version, prev = chains.last.get(row["relation"], (0, GENESIS))
        if row["version"] != version + 1 or bytes(row["prev"]) != prev:
            report.differ(f"ledger: position {position} does not follow the chain of its relation")
        chains.last[row["relation"]] = (row["version"], bytes(row["leaf"]))
        try:
            event: dict[str, Any] = orjson.loads(row["payload"])
        except orjson.JSONDecodeError:
            report.differ(f"ledger: position {position} was altered: it cannot be read")
            continue
        if leaf_hash(event, position, row["version"], bytes(row["prev"])) != bytes(row["leaf"]):
            report.differ(f"ledger: position {position} was altered: its leaf hash does not fit its content")
        same = ("source", "id", "type", "department", "relation")
        if any(event[name] != row[name] for name in same) or int(event["sequence"]) != position:
            report.differ(f"ledger: position {position} has columns that differ from its event")
    return expected


def _digest(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    total = hashlib.sha256()
    for payload, leaf in items:
        total.update(hashlib.sha256(payload).digest() + leaf)
    return total.digest()


async def reconcile(dsn: str, nc: Client, progress: Progress = lambda done, total: None) -> Report:
    """Compares the whole ledger with the whole stream, up to the ledger's head at its start.

    `nc` needs to read the stream. Raises asyncpg's and NATS's errors when an engine is out.
    """
    report, chains = Report(), Chains()
    conn = await connect(dsn)
    try:
        head = await conn.fetchrow("SELECT position, stream_created FROM ledger.head")
        assert head is not None
        report.head = head["position"]
        try:
            state = await Stream(nc).state()
        except NotFoundError:
            if report.head:
                report.differ("stream: it is gone")
            state = None
        if state is not None:
            if head["stream_created"] != state.created:
                report.differ(f"stream: it was made at {state.created}, the ledger's at {head['stream_created']}")
            if state.deleted or state.messages != state.last:
                report.differ(f"stream: {state.messages} messages up to {state.last}, so some are missing")
            if state.last < report.head:
                report.differ(f"stream: it ends at {state.last}, the ledger at {report.head}")
        at, expected = 0, 1
        while at < report.head:
            rows = await conn.fetch(_READ, at, min(RANGE, report.head - at))
            if not rows:
                report.differ(f"ledger: nothing after position {at}, its head says {report.head}")
                break
            expected = check_entries(rows, expected, chains, report)
            report.entries += len(rows)
            last = rows[-1]["position"]
            if state is not None:
                await _compare(nc, rows, at, min(last, state.last), report)
            at = last
            progress(at, report.head)
    finally:
        await conn.close()
    return report


async def _compare(nc: Client, rows: list[Any], after: int, last: int, report: Report) -> None:
    if last <= after:
        return
    theirs = {m.position: (m.payload, m.leaf) async for run in Stream(nc).read(after, last) for m in run}
    report.messages += len(theirs)
    mine = {r["position"]: (bytes(r["payload"]), bytes(r["leaf"])) for r in rows if r["position"] <= last}
    if _digest(mine.values()) == _digest(theirs[p] for p in sorted(theirs)):
        return
    for position in sorted(mine.keys() | theirs.keys()):
        if mine.get(position) != theirs.get(position):
            report.differ(f"position {position}: ledger and stream have different content")


async def repair(dsn: str, nc: Client, progress: Progress = lambda done, total: None) -> None:
    """Deletes the stream and fills a new one from the ledger, from position 1. Nothing else may publish meanwhile.

    `nc` has the operations credential. Holds the ledger's head lock to the end, so no intake can append; a crash in
    the middle leaves an incomplete stream of unknown identity, which every service refuses, and the repair is run
    again. Raises Diverged when the ledger itself is not whole: then a backup is needed, not this.
    """
    conn = await connect(dsn)
    stream = Stream(nc, timeout_s=15)
    try:
        async with conn.transaction():
            head = await conn.fetchval("SELECT position FROM ledger.head FOR UPDATE")
            try:
                await stream.delete()
            except NotFoundError:
                pass
            state = await stream.create()
            chains, report, at, expected = Chains(), Report(), 0, 1
            while at < head:
                rows = await conn.fetch(_READ, at, MOST_IN_BATCH)
                expected = check_entries(rows, expected, chains, report)
                if report.differences or not rows:
                    raise Diverged(
                        "; ".join(report.differences) or f"the ledger ends at {at}, its head says {head}", at
                    )
                await _republish(stream, rows)
                at = rows[-1]["position"]
                progress(at, head)
            await conn.execute("UPDATE ledger.head SET stream_created = $1", state.created)
    finally:
        await conn.close()


async def _republish(stream: Stream, rows: list[Any]) -> None:
    names = ("position", "relation", "version", "type", "department", "payload", "prev", "leaf")
    messages = [Message(**{n: r[n] for n in names}) for r in rows]
    while messages:
        size, n = 0, 0
        while n < len(messages) and (n == 0 or size + len(messages[n].payload) <= 4 << 20):
            size += len(messages[n].payload)
            n += 1
        await stream.publish(messages[:n])
        messages = messages[n:]
