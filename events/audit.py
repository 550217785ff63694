"""What an auditor asks of the book: a check of all of it against signed checkpoints, and the proof of one history.

The check believes no column: every leaf hash is made again from the stored bytes, every chain and the tree are followed
from the first entry, and what comes out is held against checkpoints that were signed, and kept, before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from events.canonical import canonical
from events.checkpoint import Checkpoint
from events.errors import Diverged, NotFound
from events.heads import Head, Heads
from events.merkle import Frontier
from events.postgres import Connection
from events.proof import entry_of, leaf_hash
from events.reconcile import Chains, Report, check_entries
from events.recorded import ORGANISATION, TYPE_PREFIX

AT_ONCE: Final = 5_000
# The map of heads is made whole for each of these; older checkpoints are held against the tree's root alone.
_NEWEST: Final = 50
_READ: Final = """SELECT position, relation, version, source, id, type, department, payload, prev, leaf
                    FROM ledger.entry WHERE position > $1 ORDER BY position LIMIT $2"""
_WHOLE: Final = """SELECT position, relation, version, source, id, type, department, payload, prev, leaf
                     FROM ledger.entry WHERE relation = $1 ORDER BY version, position"""
_OF_RELATION: Final = """SELECT position, relation, version, payload, prev, leaf FROM ledger.entry
                          WHERE relation = $1 AND position <= $2 ORDER BY version"""
_AT: Final = """SELECT e.relation, e.version, e.position, e.leaf
                   FROM unnest($1::text[], $2::bigint[]) AS q(relation, version)
                   JOIN ledger.entry e USING (relation, version)"""
_MERGED: Final = f"{TYPE_PREFIX}relation.merged."

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Book:
    """The book as it was read so far: the tree, and every relation's head. 80 bytes and some for each relation."""

    tree: Frontier
    chains: Chains
    expected: int = 1

    @classmethod
    def empty(cls) -> Book:
        return cls(Frontier(), Chains())

    def read(self, rows: Iterable[Any], report: Report) -> None:
        """Takes a run of ledger rows in, in order of position; what is wrong with them goes into the report."""
        rows = list(rows)
        self.expected = check_entries(rows, self.expected, self.chains, report)
        self.tree.extend(bytes(row["leaf"]) for row in rows)
        report.entries += len(rows)

    def heads(self) -> Heads:
        return Heads(Head(relation, version, leaf) for relation, (version, leaf) in self.chains.last.items())

    def agrees(self, checkpoint: Checkpoint, *, heads: bool) -> bool:
        """Whether this is the book that was signed; with `heads`, held against the map of heads too."""
        if self.tree.size != checkpoint.size or self.tree.root() != checkpoint.root:
            return False
        return not heads or self.heads().root() == checkpoint.heads

    def checkpoint(self, origin: str) -> Checkpoint:
        return Checkpoint(origin, self.tree.size, self.tree.root(), self.heads().root())


async def next_rows(conn: Connection, after: int, upto: int) -> list[Any]:
    """Ledger rows after a position, in order, at most `AT_ONCE` and none beyond `upto`."""
    rows: list[Any] = await conn.fetch(_READ, after, min(AT_ONCE, upto - after))
    return [row for row in rows if row["position"] <= upto]


async def verify(conn: Connection, kept: Sequence[Checkpoint], progress: Progress = lambda done, total: None) -> Report:
    """Reads the whole book and holds it against signed checkpoints (their signatures were checked before).

    Memory is one run of entries and the heads, whatever the size of the book. The report names positions: of an entry
    that was altered, left out or put in; and, where every hash was made to fit again, the two checkpoints in between
    which the book was rewritten.
    """
    report, book = Report(), Book.empty()
    report.head = await conn.fetchval("SELECT position FROM ledger.head")
    last = await conn.fetchval("SELECT coalesce(max(position), 0) FROM ledger.entry")
    if last != report.head:
        report.differ(f"ledger: its last entry is {last}, its head says {report.head}")
    waiting = sorted(kept, key=lambda c: c.size)
    with_heads = {c.size for c in waiting[-_NEWEST:]}
    at = agreed = 0
    while waiting and waiting[0].size == 0:  # signed while the book was empty
        agreed = _hold(book, waiting.pop(0), agreed, report, with_heads)
    while at < last:
        upto = waiting[0].size if waiting and waiting[0].size > at else last
        rows = await next_rows(conn, at, min(upto, last))
        if not rows:
            if min(upto, last) == last:
                break
            at = upto
        else:
            book.read(rows, report)
            at = rows[-1]["position"]
        while waiting and waiting[0].size <= at:
            agreed = _hold(book, waiting.pop(0), agreed, report, with_heads)
        progress(at, last)
    for checkpoint in waiting:
        report.differ(f"checkpoint of {checkpoint.size} entries: the ledger ends at {at}; entries after it are gone")
    return report


def _hold(book: Book, checkpoint: Checkpoint, agreed: int, report: Report, with_heads: set[int]) -> int:
    """The size up to which the book agrees with a checkpoint."""
    size = checkpoint.size
    if not book.agrees(checkpoint, heads=False):
        report.differ(f"checkpoint of {size} entries: entries after {agreed} up to {size} are not those that it signed")
        return agreed
    if size in with_heads and not book.agrees(checkpoint, heads=True):
        report.differ(f"checkpoint of {size} entries: its map of heads is not that of these entries")
        return agreed
    return size


@dataclass(frozen=True, slots=True)
class Evidence:
    """The proof of one relation, those that it absorbed included, against one checkpoint.

    `entries`: canonical lines of `entries.jsonl`, chain after chain, each in order. `proof`: of every chain its head
    and the siblings up to the root of the map of heads, hex.
    """

    entries: list[bytes]
    proof: list[dict[str, Any]]


async def evidence(
    conn: Connection, relation: str, checkpoint: Checkpoint, also: Collection[str] = ()
) -> Evidence:  # fmt: skip
    """`also`: what it absorbed after the checkpoint, whose entries of before it go along.

    Raises NotFound where the book had no such relation then, Diverged where it is not what the checkpoint signed.
    """
    heads = await _heads_at(conn, checkpoint.size)
    tree = Heads(heads.values())
    if tree.root() != checkpoint.heads:
        raise Diverged("the book's heads are not those that the checkpoint signed: run `relatieboek audit verify`")
    entries: list[bytes] = []
    proof: list[dict[str, Any]] = []
    for member, rows in (await _histories(conn, [relation, *sorted(also)], checkpoint.size)).items():
        if member not in heads:
            continue
        entries.extend(map(line_of, rows))
        head = heads[member]
        siblings = [s.hex() for s in tree.proof(member)]
        proof.append({"relation": member, "version": head.version, "leaf": head.leaf.hex(), "siblings": siblings})
    if not proof or relation == ORGANISATION:
        raise NotFound(f"relation {relation} in the first {checkpoint.size} entries")
    return Evidence(entries, proof)


async def _histories(conn: Connection, asked: list[str], size: int) -> dict[str, list[Any]]:
    """The entries among the first `size` of relations and of all that these had absorbed by then, as the entries say
    themselves: no column is believed."""
    found: dict[str, list[Any]] = {}
    while asked:
        for one in asked:
            found[one] = await conn.fetch(_OF_RELATION, one, size)
        rows = sorted((row for rows in found.values() for row in rows), key=lambda row: row["position"])
        asked = sorted(_absorbed(map(stored_in, rows)) - found.keys())
    return found


def _absorbed(stored: Iterable[Mapping[str, Any]]) -> set[str]:
    """The relations that were merged by these events, in order, and not unmerged after it."""
    merged = {e["absorbed"]: str(e["type"]).startswith(_MERGED) for e in stored if "absorbed" in e}
    return {relation for relation, is_so in merged.items() if is_so}


async def _heads_at(conn: Connection, size: int) -> dict[str, Head]:
    """Every relation's last entry among the first `size`, whatever came after them.

    Positions grow with a relation's versions, so the place is found by halving, for all relations at once: one round
    for those that got nothing since, some ten for those that got a thousand entries.
    """
    chains: list[Any] = await conn.fetch("SELECT relation, version FROM ledger.chain")
    # From the first version that may be it, less one, up to the last.
    spans: dict[str, tuple[int, int]] = {row["relation"]: (0, row["version"]) for row in chains}
    asked: dict[str, int] = {relation: last for relation, (_, last) in spans.items()}
    heads: dict[str, Head] = {}
    while asked:
        rows: list[Any] = await conn.fetch(_AT, list(asked), list(asked.values()))
        within: dict[str, Any] = {row["relation"]: row for row in rows if row["position"] <= size}
        for relation, version in asked.items():
            low, high = spans[relation]
            if relation in within:
                heads[relation] = Head(relation, version, bytes(within[relation]["leaf"]))
                spans[relation] = (version, high)
            else:
                spans[relation] = (low, version - 1)
        open_ = {relation: spans[relation] for relation in asked}
        asked = {relation: (low + high + 1) // 2 for relation, (low, high) in open_.items() if low < high}
    return heads


async def verify_relation(conn: Connection, relation: str, kept: Sequence[Checkpoint]) -> Report:
    """One relation's chain from its first entry, and its head against the newest checkpoint that has it.

    Costs what the relation has, and the heads. Raises NotFound when the book has no such relation.
    """
    report, chains = Report(), Chains()
    rows = await conn.fetch(_WHOLE, relation)
    if not rows:
        raise NotFound(f"relation {relation}")
    report.head, report.entries = rows[-1]["position"], len(rows)
    for row in rows:
        check_entries([row], row["position"], chains, report)
    newest = max((c for c in kept if c.size >= rows[0]["position"]), key=lambda c: c.size, default=None)
    if newest is not None:
        try:
            await evidence(conn, relation, newest)
        except Diverged as error:
            report.differ(error.what)
    return report


def line_of(row: Any) -> bytes:
    """One line of `entries.jsonl`: the canonical entry with the stored `data` beside it. Raises as `stored_in`."""
    position, version, prev = row["position"], row["version"], bytes(row["prev"])
    stored = stored_in(row)
    return canonical({**entry_of(stored, position, version, prev), "data": stored["data"]})


def stored_in(row: Any) -> dict[str, Any]:
    """The stored event of a ledger row. Raises Diverged for one that is not what its leaf hash says."""
    position: int = row["position"]
    try:
        stored: dict[str, Any] = orjson.loads(row["payload"])
        if leaf_hash(stored, position, row["version"], bytes(row["prev"])) == bytes(row["leaf"]):
            return stored
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    raise Diverged(f"position {position} was altered: its leaf hash does not fit its content", position)
