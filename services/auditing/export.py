"""`audit export`: everything that someone needs to check one relation's history without us."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from events.audit import Evidence, evidence
from events.checkpoint import BadCheckpoint, Verifier, opened
from events.errors import SetupError
from events.postgres import Connection

_HERE: Final = Path(__file__).parent
_FILES: Final = ("verify.py", "VERIFY.md")


async def export(conn: Connection, relation: str, notes: Sequence[str], verifier: Verifier, out: Path) -> int:
    """Writes the directory `out`; how many entries. `notes`: signed checkpoints, the first of which goes along.

    Every note gets a proof of its own, so that whoever kept an earlier one can check against that. Raises SetupError
    when the directory is not empty, BadCheckpoint for a note that the notary did not sign or that is of another book,
    and what `evidence` raises.
    """
    found: dict[int, Evidence] = {}
    first, *_ = checkpoints = [opened(note, [verifier]) for note in notes]
    kin: set[str] = set()
    for checkpoint in sorted(checkpoints, key=lambda c: c.size, reverse=True):
        if checkpoint.origin != first.origin:
            raise BadCheckpoint(f"a checkpoint of {checkpoint.size} entries is of another book: {checkpoint.origin}")
        found[checkpoint.size] = await evidence(conn, relation, checkpoint, kin)
        kin |= {head["relation"] for head in found[checkpoint.size].proof}
    proofs = [{"size": size, "heads": of_size.proof} for size, of_size in sorted(found.items())]
    document = {"relation": relation, "key": str(verifier), "proofs": proofs}
    entries = found[max(found)].entries
    await asyncio.to_thread(_write, out, entries, notes[0], document)
    return len(entries)


def _write(out: Path, entries: Sequence[bytes], note: str, proofs: Mapping[str, Any]) -> None:
    if out.exists() and any(out.iterdir()):
        raise SetupError(f"{out} is niet leeg. Kies een nieuwe map met --out.")
    out.mkdir(parents=True, exist_ok=True)
    (out / "entries.jsonl").write_bytes(b"".join(line + b"\n" for line in entries))
    (out / "checkpoint").write_text(note)
    (out / "heads-proof.json").write_bytes(orjson.dumps(proofs, option=orjson.OPT_INDENT_2) + b"\n")
    for name in _FILES:
        shutil.copyfile(_HERE / name, out / name)
