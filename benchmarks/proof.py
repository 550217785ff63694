"""Proof at size: the notary reads a whole book and signs it, an auditor checks all of it, one relation is exported.

1,000,000 entries (without `--full` 100,000), of which the exported relation has 1,000. Through the product's own
`Notary`, `verify` and `export`; the export is checked by its own `verify.py` as an auditor would. `export_old`: against
a checkpoint that was kept from the first tenth of the book.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

from benchmarks.filled import OWN, FilledBook
from benchmarks.results import Results
from benchmarks.servers import Rig
from events.audit import Book, next_rows, verify
from events.checkpoint import Checkpoint, Signer
from events.postgres import Connection, connect
from events.reconcile import Report
from services.auditing.export import export
from services.notary.signing import Notary

_MILLION: Final = 1_000_000


async def measure(rig: Rig, results: Results, filled: FilledBook) -> None:
    """Reads only; wants a filled book."""
    conn = await connect(rig.settings.database_url)
    try:
        await _measure(rig, conn, results, filled)
    finally:
        await conn.close()


async def _measure(rig: Rig, conn: Connection, results: Results, filled: FilledBook) -> None:
    signer, origin = Signer("bench/notary", bytes(32)), rig.settings.origin

    async def nobody(note: str) -> None:
        return None

    results.tell("proof_entries", filled.head)
    old = signer.sign(await _checkpoint(conn, origin, filled.head // 10))
    with tempfile.TemporaryDirectory() as directory:
        notary = Notary(signer, origin, Path(directory) / "checkpoints", nobody)
        began = perf_counter()
        signed = await notary.sign(conn)
        results.tell("notary_reads_the_book_s", perf_counter() - began)
        began, cpu = perf_counter(), process_time()
        report = await verify(conn, [signed.checkpoint])
        took = perf_counter() - began
        if not report.agree or report.entries != filled.head:
            raise RuntimeError(f"the filled book does not verify: {report.differences[:3]}")
        results.tell("verify_s", took)
        results.tell("verify_cpu_us_an_entry", (process_time() - cpu) / filled.head * 1e6)
        results.tell("verify_of_a_million_s", took / filled.head * _MILLION, most=60)
        for name, notes in (("export", [signed.note]), ("export_old", [old])):
            out = Path(directory) / name
            began, cpu = perf_counter(), process_time()
            entries = await export(conn, OWN, notes, signer.verifier, out)
            results.tell(f"{name}_s", perf_counter() - began, most=1)
            results.tell(f"{name}_cpu_s", process_time() - cpu)
            began = perf_counter()
            await _check(out)
            results.tell(f"{name}_check_s", perf_counter() - began)
            results.tell(f"{name}_entries", entries)


async def _checkpoint(conn: Connection, origin: str, size: int) -> Checkpoint:
    """What was signed when the book had this size."""
    book = Book.empty()
    while book.tree.size < size:
        book.read(await next_rows(conn, book.tree.size, size), Report())
    return book.checkpoint(origin)


async def _check(out: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(out / "verify.py"), str(out), stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait() != 0:
        raise RuntimeError("the export does not verify")
