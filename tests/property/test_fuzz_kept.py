"""What is read of files, settings and headers rather than of events: notes, keys, lists, manifests, exports. Whatever
stands there, it is taken or refused by the error that its reader promises, and never a crash."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from events.checkpoint import BadCheckpoint, Checkpoint, Signer, Verifier, opened
from events.errors import SetupError
from events.heads import Head, Heads
from events.keys import Ring
from events.proof import GENESIS, entry_of, leaf_hash
from services.access_log import note
from services.access_log.record import Record, prepare, prepared
from services.api.answering import prefers_csv, to_csv
from services.api.asking import moment, position_in
from services.backup import MANIFEST, read_manifest
from services.erasures import read_erasures
from services.notary.signing import note_texts
from services.privacy.retention import due, periods_of
from services.problems import Refused
from tests.property.test_fuzz import anything, scrambled
from tests.unit.test_access_log import RECORD
from tests.unit.test_proof import STORED

SIGNER: Final = Signer("relatieboek.example/notary", b"\x07" * 32)
NOTE: Final = SIGNER.sign(Checkpoint("relatieboek.example/book", 7, b"\x01" * 32, b"\x02" * 32))
LOG_NOTE: Final = SIGNER.sign_text(note.Head("relatieboek.example/log", 7, b"\x01" * 32, RECORD.at).text())
RING: Final = "0a1b2c3d:" + "ab" * 32
TEXTS: Final = st.text(max_size=200)
_SLOW: Final = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


def refused(read: Callable[..., Any], *given_: Any, by: type[Exception] | tuple[type[Exception], ...]) -> bool:
    """Whether it was refused as promised; any other error is a crash."""
    try:
        read(*given_)
    except by:
        return True
    return False


@given(TEXTS, st.integers(0, 2**32), st.integers(1, 6))
@example("", 0, 1)
def test_notes_and_keys(text: str, chance: int, times: int) -> None:
    """A note that was touched is none: its signature says so, whatever was changed."""
    for whole, read in ((NOTE, opened), (LOG_NOTE, note.opened)):
        assert not refused(read, whole, [SIGNER.verifier], by=BadCheckpoint)
        touched = scrambled(whole.encode(), chance, times).decode(errors="replace")
        for said in (text, touched):
            if said != whole:
                assert refused(read, said, [SIGNER.verifier], by=BadCheckpoint)
    # What is signed for the one is not taken for the other.
    assert refused(opened, LOG_NOTE, [SIGNER.verifier], by=BadCheckpoint)
    assert refused(note.opened, NOTE, [SIGNER.verifier], by=BadCheckpoint)
    touched = scrambled(str(SIGNER.verifier).encode(), chance, times).decode(errors="replace")
    for said in (text, touched):
        if said.strip() != str(SIGNER.verifier):
            assert refused(Verifier.read, said, by=BadCheckpoint)


@given(st.text(st.characters(codec="latin-1"), max_size=80), TEXTS)
@example("contact=P999Y", "")
@example("contact=P0Y,contact=P1Y", "")
@example("contact=P\u0661Y", "")
def test_settings_and_keys(said: str, text: str) -> None:
    for one in (said, text, f"contact={said}", f"{text}=P7Y"):
        if not refused(periods_of, one, by=SetupError):
            assert all(day < date(2026, 6, 30) for day in due(periods_of(one), date(2026, 6, 30)).values())
    for one in (said, text, RING + said, f"{text},{RING}"):
        if not refused(Ring.read, one, by=SetupError):
            assert Ring.read(Ring.read(one).text()) == Ring.read(one)


@given(TEXTS)
@example("text/csv;q=nan")
@example("text/csv;q=inf, application/json;q=-inf")
@example("text/csv;q=1e999,,;;==,q")
@example("2026-02-30")
@example("9999-12-31T23:59:59-23:59")
def test_headers_and_query_values(text: str) -> None:
    assert prefers_csv(text) in {True, False}
    refused(position_in, text, by=Refused)
    refused(moment, text, by=ValueError)


@given(st.lists(st.dictionaries(st.text(max_size=5), anything, max_size=3), max_size=4))
@example([{"a": "=cmd()"}, {"a": "\n=1"}, {"a": ["=x", {"b": "\r\n"}]}])
def test_no_cell_of_a_table_is_a_formula(items: list[dict[str, Any]]) -> None:
    clean = json.loads(json.dumps(items).encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
    try:
        orjson.dumps(clean)
    except (TypeError, orjson.JSONEncodeError):
        return  # no JSON that the book could have made
    rows = list(csv.reader(io.StringIO(to_csv(clean).decode(), newline="")))
    if any(clean):
        assert len(rows) == len(clean) + 1
    for cell in itertools.chain.from_iterable(rows):
        with contextlib.suppress(ValueError):
            float(cell)
            continue
        assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")), cell
        assert cell[:1] not in {"\t", "\r", "\n"} or not cell, cell


@settings(max_examples=60, suppress_health_check=_SLOW, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 2**32), st.integers(1, 6))
@example(b'{"ref":"\xff"}', 0, 1)
def test_files_that_are_kept(scratch: Path, raw: bytes, chance: int, times: int) -> None:
    erasure = b'{"ref":"ref~0123456789abcdef0123456789abcdef","kind":"person","lookup":null,"position":7}\n'
    for content in (raw, raw + b"\n", scrambled(erasure * 3, chance, times)):
        (scratch / "erasures").write_bytes(content)
        refused(read_erasures, scratch / "erasures", by=SetupError)
        (scratch / MANIFEST).write_bytes(content)
        refused(read_manifest, scratch, by=SetupError)
        (scratch / "checkpoints").write_bytes(content + NOTE.encode() + b"\x1e\n" + content)
        for text in note_texts(scratch / "checkpoints"):
            refused(opened, text, [SIGNER.verifier], by=BadCheckpoint)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@given(st.binary(max_size=200), st.integers(0, 2**32), st.integers(1, 5), anything)
def test_records_of_the_access_log(raw: bytes, chance: int, times: int, value: Any) -> None:
    """As `accesses verify` reads them: other bytes are found out, whatever they say."""
    whole = prepare(RECORD).entry
    wrong = (ValueError, KeyError, TypeError, AttributeError)
    for entry in (
        raw,
        scrambled(whole, chance, times),
        json.dumps({"what": value, "who": value, "at": value}).encode(),
    ):
        refused(prepared, entry, by=wrong)
    actor = str(value)[:50].encode("utf-8", "replace").decode() or "-"  # nobody acts without a name
    made = Record(RECORD.at, "page", "R", "person", actor, "x", "granted")
    assert prepared(prepare(made).entry) == prepare(made)


def export_of(where: Path) -> Path:
    """A whole export of one entry, as `audit export` writes it."""
    stored = {**STORED, "relation": "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001"}
    head = Head(stored["relation"], 1, leaf_hash(stored, 1, 1, GENESIS))
    entry = {**entry_of(stored, 1, 1, GENESIS), "data": stored["data"]}
    proof: dict[str, Any] = {"relation": head.relation, "version": 1, "leaf": head.leaf.hex(), "siblings": []}
    document: dict[str, Any] = {
        "relation": head.relation,
        "key": str(SIGNER.verifier),
        "proofs": [{"size": 1, "heads": [proof]}],
    }
    signed = SIGNER.sign(Checkpoint("relatieboek.example/book", 1, head.leaf, Heads([head]).root()))
    (where / "entries.jsonl").write_bytes(orjson.dumps(entry, option=orjson.OPT_SORT_KEYS) + b"\n")
    (where / "heads-proof.json").write_bytes(orjson.dumps(document))
    (where / "checkpoint").write_text(signed)
    return where


# Runs the program's own `main` in one process for many exports, so that it need not start for each.
_MANY: Final = """
import runpy, sys
for line in sys.stdin:
    sys.argv = ["verify.py", *line.split()]
    try:
        runpy.run_path(PROGRAM, run_name="__main__")
        print("passes")
    except SystemExit as end:
        print("fails" if str(end.code).startswith("FAILS: ") else f"odd {end.code}")
    except BaseException as error:
        print("crash", type(error).__name__, error)
"""


def test_the_stand_alone_program(tmp_path: Path) -> None:
    """300 exports with something wrong in a file of theirs: each fails in a sentence. The whole one passes."""
    program = Path(__file__).parents[2] / "services" / "auditing" / "verify.py"
    whole = tmp_path / "whole"
    whole.mkdir()
    export_of(whole)
    asked, chance = [whole], random.Random(20260105)
    for n in range(300):
        out = tmp_path / str(n)
        out.mkdir()
        export_of(out)
        file = out / chance.choice(["entries.jsonl", "heads-proof.json", "checkpoint"])
        before = file.read_bytes()
        while (after := scrambled(before, chance.randrange(2**32), chance.randrange(1, 4))) == before:
            pass
        file.write_bytes(after)
        asked.append(out)
    key = str(SIGNER.verifier)
    done = subprocess.run(
        [sys.executable, "-c", f"PROGRAM = {str(program)!r}\n{_MANY}"], text=True, capture_output=True, check=True,
        input="".join(f"{out} --key {key}\n" for out in asked),
    )  # fmt: skip
    told = [line for line in done.stdout.splitlines() if line.split()[0] in {"passes", "fails", "odd", "crash"}]
    assert len(told) == len(asked)
    assert told[0] == "passes"
    assert [line for line in told if line.split()[0] in {"odd", "crash"}] == []
    for out, line in zip(asked[1:], told[1:], strict=True):
        if line == "passes":  # what was changed said nothing: it is in no part that is read
            assert (out / "entries.jsonl").read_bytes() == (whole / "entries.jsonl").read_bytes(), out
