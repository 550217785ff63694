"""A database superuser who wants to rewrite history: whatever they do is found, and named.

They may drop every constraint and make every hash fit again. What they cannot do is sign: the notary's key is not in
the database, and neither is the file of what it signed before.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from events.append import Ledger
from events.audit import line_of, verify
from events.catalog import check
from events.checkpoint import BadCheckpoint, Signer
from events.deciding import Arrival
from events.errors import Diverged, NotFound, SetupError
from events.postgres import Connection, connect
from events.privacy import Privacy
from events.proof import leaf_hash
from services.auditing.export import export
from services.notary.signing import Notary, Shorter, Signed, add_note, read_notes
from tests.given import KEYS
from tests.integration.book import held, registered

SIGNER = Signer("relatieboek.example/notary", b"\x07" * 32)
ORIGIN = "relatieboek.example/book"
SOURCE = "urn:nld:oin:00000000000000000000:systeem:crm"
CODES = ("0518", "0363", "0599", "0344")


def event(n: int, kind: str, code: str, data: dict[str, Any]) -> Arrival:
    sent = {
        "specversion": "1.0", "id": f"e-{n}", "source": SOURCE, "type": f"nl.relatieboek.{kind}.v1",
        "subject": f"gemeentecode:{code}", "data": data,
    }  # fmt: skip
    return Arrival("crm", sent, check(sent))


def batch(first: int, count: int) -> list[Arrival]:
    return [event(n, "contact.held", CODES[n % 4], held(f"c-{n}")) for n in range(first, first + count)]


class Book:
    """A ledger with 44 entries of 4 relations, signed at 4, 24 and 44."""

    def __init__(self, owner: Connection, file: Path, told: list[str]) -> None:
        self.owner, self.file, self.told = owner, file, told
        self.signed: list[Signed] = []

    async def found(self) -> list[str]:
        """What a check finds."""
        return (await verify(self.owner, [s.checkpoint for s in self.signed])).differences

    def notary(self) -> Notary:
        async def tell(note: str) -> None:
            self.told.append(note)

        return Notary(SIGNER, ORIGIN, self.file, tell)


@pytest.fixture
async def book(service_url: str, owner_url: str, tmp_path: Path) -> AsyncGenerator[Book]:
    ledger = Ledger(service_url, Privacy(secrets.token_bytes(32), KEYS))
    owner = await connect(owner_url)
    made = Book(owner, tmp_path / "checkpoints", [])
    notary = made.notary()
    rounds = [
        [event(n, "relation.registered", code, registered(f"Gemeente {n}")) for n, code in enumerate(CODES)],
        batch(100, 20),
        batch(200, 20),
    ]
    for arrivals in rounds:
        done = await ledger.append(arrivals)
        assert {v.verdict for v in done.verdicts} == {"accepted"}
        made.signed.append(await notary.sign(owner))
    # The constraints and who owns what do not stop a superuser.
    await owner.execute("ALTER TABLE ledger.entry DROP CONSTRAINT entry_source_id, DROP CONSTRAINT entry_pkey")
    await owner.execute("ALTER TABLE ledger.entry DROP CONSTRAINT entry_relation_version")
    yield made
    await owner.close()
    await ledger.close()


async def test_an_untouched_book_agrees(book: Book) -> None:
    assert await book.found() == []
    assert [s.checkpoint.size for s in book.signed] == [4, 24, 44]
    assert book.told == [s.note for s in book.signed] == [s.note for s in read_notes(book.file, [SIGNER.verifier])]
    rows = await book.owner.fetch("SELECT size, note FROM ledger.checkpoint ORDER BY size")
    assert [(r["size"], r["note"]) for r in rows] == [(s.checkpoint.size, s.note) for s in book.signed]


async def test_a_book_signed_while_empty_is_followed_after_a_restart(
    owner_url: str, service_url: str, tmp_path: Path
) -> None:
    owner, ledger = await connect(owner_url), Ledger(service_url, Privacy(secrets.token_bytes(32), KEYS))
    book = Book(owner, tmp_path / "checkpoints", [])
    assert (await book.notary().sign(owner)).checkpoint.size == 0
    await ledger.append([event(1, "relation.registered", "0518", registered())])
    assert (await book.notary().sign(owner)).checkpoint.size == 1
    assert (await book.notary().sign(owner)).checkpoint.size == 1
    assert (await verify(owner, [s.checkpoint for s in read_notes(book.file, [SIGNER.verifier])])).agree
    await ledger.close()
    await owner.close()


async def test_a_note_that_a_crash_cut_off_is_written_over(book: Book) -> None:
    whole = book.file.read_bytes()
    for cut in (1, 2, 100):
        book.file.write_bytes(whole + whole[:cut])
        assert [s.checkpoint.size for s in read_notes(book.file, [SIGNER.verifier])] == [4, 24, 44]
        add_note(book.file, book.signed[0].note)
        assert [s.checkpoint.size for s in read_notes(book.file, [SIGNER.verifier])] == [4, 24, 44]
        assert book.file.stat().st_size == len(whole) + len(book.signed[0].note.encode()) + 2


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints"
    file.write_bytes(b"x" * 100_000)
    with pytest.raises(BadCheckpoint):
        add_note(file, "note\n")
    assert file.stat().st_size == 100_000


async def test_nothing_new_is_signed_twice(book: Book) -> None:
    again = await book.notary().sign(book.owner)
    assert again == book.signed[-1]
    assert len(book.told) == 3


async def change(book: Book, where: str, position: int) -> None:
    await book.owner.execute(f"UPDATE ledger.entry SET {where} WHERE position = $1", position)


async def mutate(book: Book) -> None:
    await change(book, "payload = convert_to(replace(convert_from(payload, 'UTF8'), '60', '61'), 'UTF8')", 30)


async def break_json(book: Book) -> None:
    await change(book, r"payload = '\x00'", 30)


async def drop(book: Book) -> None:
    await book.owner.execute("DELETE FROM ledger.entry WHERE position = 30")


async def reorder(book: Book) -> None:
    await change(book, "position = -1", 30)
    await change(book, "position = 30", 31)
    await change(book, "position = 31", -1)


async def truncate(book: Book) -> None:
    await book.owner.execute("DELETE FROM ledger.entry WHERE position > 30")
    await book.owner.execute("UPDATE ledger.head SET position = 30")


async def duplicate(book: Book) -> None:
    await book.owner.execute("INSERT INTO ledger.entry SELECT * FROM ledger.entry WHERE position = 30")


async def swap_ciphertexts(book: Book) -> None:
    rows = await book.owner.fetch("SELECT position, payload FROM ledger.entry WHERE position IN (30, 34)")
    one, two = ({"row": r, "event": orjson.loads(r["payload"])} for r in rows)
    texts = one["event"]["data"]["summary"], two["event"]["data"]["summary"]
    two["event"]["data"]["summary"], one["event"]["data"]["summary"] = texts
    for each in (one, two):
        payload, position = orjson.dumps(each["event"]), each["row"]["position"]
        await book.owner.execute("UPDATE ledger.entry SET payload = $1 WHERE position = $2", payload, position)


async def mislabel(book: Book) -> None:
    await change(book, "department = 'another'", 30)


async def rewrite(book: Book) -> None:
    """Changes an event and makes every hash after it fit again."""
    relation = await book.owner.fetchval("SELECT relation FROM ledger.entry WHERE position = 30")
    rows = await book.owner.fetch(
        "SELECT position, version, payload, prev FROM ledger.entry WHERE relation = $1 AND position >= 30"
        " ORDER BY version", relation,
    )  # fmt: skip
    prev = bytes(rows[0]["prev"])
    for row in rows:
        stored = orjson.loads(row["payload"])
        if row["position"] == 30:
            stored["data"]["duration_min"] = 61
        leaf = leaf_hash(stored, row["position"], row["version"], prev)
        await book.owner.execute(
            "UPDATE ledger.entry SET payload = $1, prev = $2, leaf = $3 WHERE position = $4",
            orjson.dumps(stored), prev, leaf, row["position"],
        )  # fmt: skip
        prev = leaf
    await book.owner.execute("UPDATE ledger.chain SET leaf = $1 WHERE relation = $2", prev, relation)


async def fork(book: Book) -> None:
    """Replaces the end of the book by another one, without a gap."""
    await truncate(book)
    await book.owner.execute("UPDATE ledger.entry SET position = position WHERE false")
    rows = await book.owner.fetch(
        "SELECT DISTINCT ON (relation) * FROM ledger.entry ORDER BY relation, version DESC LIMIT 4"
    )
    position, by_relation = 30, {r["relation"]: (r["version"], bytes(r["leaf"])) for r in rows}
    for row in [*rows, *rows, *rows, *rows][:14]:
        position += 1
        version, prev = by_relation[row["relation"]]
        stored = {**orjson.loads(row["payload"]), "id": f"forged-{position}", "sequence": f"{position:020d}"}
        leaf = leaf_hash(stored, position, version + 1, prev)
        by_relation[row["relation"]] = (version + 1, leaf)
        await book.owner.execute(
            "INSERT INTO ledger.entry (position, relation, version, source, id, type, department, recorded_at, payload,"
            " prev, leaf) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            position, row["relation"], version + 1, row["source"], stored["id"], row["type"], row["department"],
            row["recorded_at"], orjson.dumps(stored), prev, leaf,
        )  # fmt: skip
    await book.owner.execute("UPDATE ledger.head SET position = 44")


DEEDS: dict[Callable[[Book], Awaitable[None]], str] = {
    mutate: "position 30 was altered",
    break_json: "position 30 was altered: it cannot be read",
    drop: "position 30 is missing",
    reorder: "position 30 ",
    truncate: "checkpoint of 44 entries",
    duplicate: "position 30 is there twice",
    swap_ciphertexts: "position 30 was altered",
    mislabel: "position 30 has columns that differ",
    rewrite: "checkpoint of 44 entries: entries after 24 up to 44 are not those that it signed",
    fork: "checkpoint of 44 entries: entries after 24 up to 44 are not those that it signed",
}


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
async def test_what_a_superuser_does_is_found_and_the_notary_signs_no_more(
    book: Book, deed: Callable[[Book], Awaitable[None]]
) -> None:
    await deed(book)
    found = await book.found()
    assert DEEDS[deed] in found[0]
    notary = book.notary()
    for _ in range(2):  # once it has seen that, it never signs again
        with pytest.raises(Diverged, match=r"position \d|checkpoint|signed"):
            await notary.sign(book.owner)
    assert len(read_notes(book.file, [SIGNER.verifier])) == 3


async def test_a_ledger_that_was_put_back_older_is_signed_again_once_it_is_whole(book: Book) -> None:
    """Intake refills it from the stream; whoever fills it with something else is found all the same."""
    notary = book.notary()
    assert await notary.sign(book.owner) == book.signed[-1]
    await book.owner.execute("CREATE TEMPORARY TABLE gone AS SELECT * FROM ledger.entry WHERE position > 30")
    await truncate(book)
    for _ in range(2):
        with pytest.raises(Shorter):
            await notary.sign(book.owner)
    await book.owner.execute("INSERT INTO ledger.entry SELECT * FROM gone")
    await book.owner.execute("UPDATE ledger.head SET position = 44")
    assert await notary.sign(book.owner) == book.signed[-1]

    await truncate(book)
    with pytest.raises(Shorter):
        await notary.sign(book.owner)
    await fork(book)
    with pytest.raises(Diverged, match="the first 44 entries are not those that were signed"):
        await notary.sign(book.owner)


async def test_a_checkpoint_of_the_superusers_own_is_no_checkpoint(book: Book) -> None:
    await rewrite(book)
    other = Signer("relatieboek.example/notary", b"\x08" * 32)
    book.file.write_text("")
    notary = Notary(other, ORIGIN, book.file, lambda note: _nobody())
    forged = await notary.sign(book.owner)
    with pytest.raises(BadCheckpoint):
        read_notes(book.file, [SIGNER.verifier])
    assert forged.checkpoint.root != book.signed[-1].checkpoint.root


async def _nobody() -> None:
    return None


async def relation_of(book: Book, code: str) -> str:
    return await book.owner.fetchval(
        "SELECT value->>'relation' FROM ledger.thing WHERE key = $1", f"identifier:gemeentecode:{code}"
    )


def run_verifier(out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(out / "verify.py"), str(out), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


async def test_an_export_is_checked_by_a_program_of_its_own(book: Book, tmp_path: Path) -> None:
    relation, out = await relation_of(book, "0518"), tmp_path / "bewijs"
    notes = [book.signed[2].note, book.signed[1].note]
    count = await export(book.owner, relation, notes, SIGNER.verifier, out)
    assert count == 11
    assert {p.name for p in out.iterdir()} == {
        "entries.jsonl",
        "checkpoint",
        "heads-proof.json",
        "VERIFY.md",
        "verify.py",
    }
    done = run_verifier(out, "--key", str(SIGNER.verifier))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"relation {relation}: 11 entries, complete and unaltered up to position 44" in done.stdout

    kept = tmp_path / "kept"
    kept.write_text(book.signed[1].note)
    earlier = run_verifier(out, "--checkpoint", str(kept))
    assert (earlier.returncode, earlier.stderr) == (0, "")
    assert "6 entries, complete and unaltered up to position 24" in earlier.stdout
    kept.write_text(book.signed[0].note)
    assert "no proof for a checkpoint of 4 entries" in run_verifier(out, "--checkpoint", str(kept)).stderr
    wrong = Signer("relatieboek.example/notary", b"\x08" * 32)
    assert run_verifier(out, "--key", str(wrong.verifier)).returncode == 1

    with pytest.raises(SetupError):
        await export(book.owner, relation, notes, SIGNER.verifier, out)
    with pytest.raises(NotFound):
        await export(book.owner, "organisation", notes, SIGNER.verifier, tmp_path / "other")


async def test_the_program_names_the_first_entry_that_fails(book: Book, tmp_path: Path) -> None:
    relation, out = await relation_of(book, "0518"), tmp_path / "bewijs"
    await export(book.owner, relation, [book.signed[2].note], SIGNER.verifier, out)
    file = out / "entries.jsonl"
    lines = file.read_text().splitlines()
    position = orjson.loads(lines[5])["position"]

    def fails(changed: list[str]) -> str:
        file.write_text("\n".join(changed) + "\n")
        done = run_verifier(out)
        assert done.returncode == 1
        return done.stderr

    altered = lines[5].replace('"duration_min":60', '"duration_min":61')
    assert f"position {position} " in fails([*lines[:5], altered, *lines[6:]])
    assert "version 6 is missing" in fails([*lines[:5], *lines[6:]])
    assert "11 entries were signed, 10 are here" in fails(lines[:-1])
    assert "version 5 is missing" in fails([*lines[:4], lines[5], lines[4], *lines[6:]])
    another = await book.owner.fetchrow("SELECT * FROM ledger.entry WHERE relation <> $1 LIMIT 1", relation)
    assert "no proof covers" in fails([*lines, line_of(another).decode()])
    file.write_text("\n".join(lines) + "\n")
    proof = (out / "heads-proof.json").read_text()
    (out / "heads-proof.json").write_text(proof.replace('"version": 11', '"version": 10'))
    assert "10 entries were signed, 11 are here" in fails(lines)


async def test_a_book_that_was_rewritten_gives_no_export(book: Book, tmp_path: Path) -> None:
    relation = await relation_of(book, "0518")
    await rewrite(book)
    with pytest.raises(Diverged):
        await export(book.owner, relation, [book.signed[2].note], SIGNER.verifier, tmp_path / "bewijs")
