"""Exports that were tampered with, books of odd sizes, and a database whose checkpoints are no use any more."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from typer.testing import CliRunner, Result

from events.append import Ledger
from events.audit import verify
from events.checkpoint import BadCheckpoint, Signer
from events.deciding import Arrival
from events.errors import Diverged
from events.postgres import Connection, connect
from events.privacy import Privacy
from events.proof import leaf_hash
from services.auditing.export import export
from services.cli.main import app
from services.notary.signing import Notary, Signed
from services.settings import Settings, as_environment
from tests.conftest import AddDepartment
from tests.given import KEYS
from tests.integration.book import held
from tests.integration.test_api_read import story
from tests.integration.test_tampering import ORIGIN, SIGNER, event, run_verifier
from tests.running_book import running

OTHER: Final = Signer("relatieboek.example/notary", b"\x08" * 32)
# What JSON does not escape and programs take for the end of a line; and what RFC 8785 orders by UTF-16.
ODD: Final = "Gemeente \u2028 \u0085 \ufb33 \U0001f600 é"


class Shelf:
    """A ledger and a notary; exports go to directories of their own."""

    def __init__(self, owner: Connection, ledger: Ledger, where: Path) -> None:
        self.owner, self._ledger, self._where = owner, ledger, where
        self._exports = 0

    async def add(self, *arrivals: Arrival) -> list[Any]:
        done = await self._ledger.append(list(arrivals))
        assert {v.verdict for v in done.verdicts} == {"accepted"}
        return list(done.verdicts)

    async def sign(self, origin: str = ORIGIN) -> Signed:
        async def nobody(note: str) -> None:
            del note

        return await Notary(SIGNER, origin, self._where / origin.replace("/", "-"), nobody).sign(self.owner)

    async def export(self, relation: str, *signed: Signed) -> Path:
        self._exports += 1
        out = self._where / f"export-{self._exports}"
        await export(self.owner, relation, [s.note for s in signed], SIGNER.verifier, out)
        return out


@pytest.fixture
async def shelf(service_url: str, owner_url: str, tmp_path: Path) -> AsyncGenerator[Shelf]:
    ledger, owner = Ledger(service_url, Privacy(secrets.token_bytes(32), KEYS)), await connect(owner_url)
    yield Shelf(owner, ledger, tmp_path)
    await owner.close()
    await ledger.close()


def registered(code: str, name: str) -> dict[str, Any]:
    return {
        "name": name, "kind": "municipality", "occurred_on": "2026-01-05",
        "identifiers": [{"scheme": "gemeentecode", "value": code}],
    }  # fmt: skip


def contact(n: int) -> dict[str, Any]:
    return held(f"c-{n}")


def passes(out: Path, *more: str) -> str:
    done = run_verifier(out, "--key", str(SIGNER.verifier), *more)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def fails(out: Path, *more: str) -> str:
    done = run_verifier(out, "--key", str(SIGNER.verifier), *more)
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("FAILS: ")
    assert "Traceback" not in done.stderr
    return done.stderr


async def test_books_of_every_small_size(shelf: Shelf) -> None:
    """Nothing, one entry, powers of two and what is beside them: each is signed, verified and exported; a name may hold
    what other programs take for the end of a line."""
    first = await shelf.sign()
    assert (await verify(shelf.owner, [first.checkpoint])).agree
    (verdict,) = await shelf.add(event(1, "relation.registered", "0518", registered("0518", ODD)))
    every = [first]
    for size in range(1, 18):
        if size > 1:
            await shelf.add(event(size, "contact.held", "0518", contact(size)))
        every.append(await shelf.sign())
        assert [s.checkpoint.size for s in every] == list(range(size + 1))
        assert (await verify(shelf.owner, [s.checkpoint for s in every])).agree
        if size in {1, 2, 3, 4, 15, 16, 17}:
            out = await shelf.export(verdict.relation, every[-1])
            assert f"{size} entries, complete and unaltered up to position {size}" in passes(out)
    # Each of them is one that somebody may have kept.
    out = await shelf.export(verdict.relation, *reversed(every[1:]))
    assert ODD.split(" ")[1] in lines_of(out)[0]
    for signed in every[1:]:
        kept = out.parent / "kept"
        kept.write_text(signed.note)
        assert f"{signed.checkpoint.size} entries, complete" in passes(out, "--checkpoint", str(kept))


def lines_of(out: Path) -> list[str]:
    return (out / "entries.jsonl").read_text(encoding="utf-8").split("\n")[:-1]


def put(out: Path, lines: list[str]) -> None:
    (out / "entries.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def proofs(out: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((out / "heads-proof.json").read_text())
    change(document)
    (out / "heads-proof.json").write_text(json.dumps(document))


def note(out: Path, change: Callable[[str], str]) -> None:
    file = out / "checkpoint"
    file.write_text(change(file.read_text()))


FORGED: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "nothing at all": (
        lambda out: (put(out, []), proofs(out, lambda d: [p.update(heads=[]) for p in d["proofs"]])), "no proof of"),
    "no entries": (lambda out: put(out, []), "were signed, 0 are here"),
    "the last one gone": (lambda out: put(out, lines_of(out)[:-1]), "were signed"),
    "cut off in a line": (
        lambda out: (out / "entries.jsonl").write_bytes((out / "entries.jsonl").read_bytes()[:-20]), "were signed"),
    "the first one gone": (lambda out: put(out, lines_of(out)[1:]), "version 1 is missing"),
    "one twice": (lambda out: put(out, [*lines_of(out)[:2], *lines_of(out)[1:]]), "version 3 is missing"),
    "all twice": (lambda out: put(out, lines_of(out) * 2), "is missing before it"),
    "backwards": (lambda out: put(out, lines_of(out)[::-1]), "is missing before it"),
    "a member twice": (
        lambda out: put(out, ['{"data":{"name":"Een ander"},' + lines_of(out)[0][1:], *lines_of(out)[1:]]), "RFC 8785"),
    "a member more": (
        lambda out: put(out, [lines_of(out)[0][:-1] + ',"zz":1}', *lines_of(out)[1:]]), "does not follow"),
    "a space": (lambda out: put(out, [lines_of(out)[0].replace(":", ": ", 1), *lines_of(out)[1:]]), "RFC 8785"),
    "an escape": (lambda out: put(out, [lines_of(out)[0].replace("é", "\\u00e9"), *lines_of(out)[1:]]), "RFC 8785"),
    "another number": (lambda out: put(out, [lines_of(out)[0].replace('"v":1', '"v":1.0'), *lines_of(out)[1:]]), "RFC"),
    "no number": (lambda out: put(out, [lines_of(out)[0].replace('"v":1', '"v":Infinity'), *lines_of(out)[1:]]), ""),
    "deep": (lambda out: put(out, ["[" * 100_000]), ""),
    "no JSON": (lambda out: put(out, ["x"]), ""),
    "no UTF-8": (lambda out: (out / "entries.jsonl").write_bytes(b"\xff\n"), ""),
    "a composed letter taken apart": (
        lambda out: put(out, [lines_of(out)[0].replace("é", "e\u0301"), *lines_of(out)[1:]]), "data were altered"),
    "the absorbed one left out": (
        lambda out: (put(out, [line for line in lines_of(out) if relation_in(line) == relation_in(lines_of(out)[0])]),
                     proofs(out, lambda d: d["proofs"][-1].update(heads=d["proofs"][-1]["heads"][:1]))),
        "was absorbed, and its history is not here"),
    "the survivor left out": (
        lambda out: (put(out, [line for line in lines_of(out) if relation_in(line) != relation_in(lines_of(out)[0])]),
                     proofs(out, lambda d: d["proofs"][-1].update(heads=d["proofs"][-1]["heads"][1:]))),
        "no proof of relation"),
    "a checkpoint of another key": (lambda out: note(out, resigned), "not signed by this notary"),
    "a size of its own": (lambda out: note(out, lambda text: text.replace("\n6\n", "\n5\n")), "no proof|altered"),
    "no signature": (lambda out: note(out, lambda text: text.split("\n\n")[0] + "\n\n"), "not signed"),
    "no checkpoint": (lambda out: (out / "checkpoint").unlink(), ""),
    "a sibling more": (
        lambda out: proofs(out, lambda d: d["proofs"][-1]["heads"][0]["siblings"].append("00" * 32)), "map of heads"),
    "257 siblings": (
        lambda out: proofs(out, lambda d: d["proofs"][-1]["heads"][0].update(siblings=["00" * 32] * 257)), ""),
}  # fmt: skip


def relation_in(line: str) -> str:
    return json.loads(line)["relation"]


def resigned(text: str) -> str:
    return OTHER.sign_text(text.split("\n\n")[0] + "\n")


async def test_no_forged_export_passes(shelf: Shelf) -> None:
    """The key is the notary's, known from elsewhere; all else in the directory may have been changed."""
    one, other = await shelf.add(
        event(1, "relation.registered", "0518", registered("0518", ODD)),
        event(2, "relation.registered", "0363", registered("0363", "Opgegaan")),
    )
    await shelf.add(*(event(n, "contact.held", "0518", contact(n)) for n in (3, 4)))
    before = await shelf.sign()
    merged = {"survivor": one.relation, "absorbed": other.relation, "occurred_on": "2026-04-01"}
    await shelf.add(event(5, "relation.merged", "0518", merged), event(6, "contact.held", "0518", contact(6)))
    signed = await shelf.sign()
    whole = await shelf.export(one.relation, signed, before)
    assert passes(whole).count("complete and unaltered up to position 6") == 2
    kept = whole.parent / "kept"
    kept.write_text(before.note)
    assert passes(whole, "--checkpoint", str(kept)).count("complete and unaltered up to position 4") == 2
    for name, (forge, said) in FORGED.items():
        out = whole.parent / "forged"
        shutil.copytree(whole, out)
        forge(out)
        told = fails(out)
        assert any(part in told for part in said.split("|")), f"{name}: {told}"
        shutil.rmtree(out)
    # More than the checkpoint knows: of those who keep an earlier one it is no fault.
    shutil.copy(kept, whole / "checkpoint")
    assert "there are entries after position 4" in fails(whole)


async def test_no_export_of_what_does_not_fit(shelf: Shelf) -> None:
    one, other = await shelf.add(
        event(1, "relation.registered", "0518", registered("0518", "Een")),
        event(2, "relation.registered", "0363", registered("0363", "Twee")),
    )
    early = await shelf.sign()
    merged = {"survivor": one.relation, "absorbed": other.relation, "occurred_on": "2026-04-01"}
    await shelf.add(event(3, "relation.merged", "0518", merged))
    last = await shelf.sign()
    elsewhere = await shelf.sign("relatieboek.example/another")
    with pytest.raises(BadCheckpoint, match="of another book"):
        await shelf.export(one.relation, last, elsewhere)
    # A column says that nothing was absorbed; the entries say that it was.
    await shelf.owner.execute("UPDATE ledger.chain SET absorbed_by = NULL")
    assert passes(await shelf.export(one.relation, last)).count("complete and unaltered") == 2
    # The end was replaced: an old checkpoint still fits and is given, the new one is not.
    await rewrite_last(shelf.owner)
    assert "complete and unaltered up to position 2" in passes(await shelf.export(one.relation, early))
    for signed in ((last,), (early, last)):
        with pytest.raises(Diverged):
            await shelf.export(one.relation, *signed)
    await shelf.owner.execute("UPDATE ledger.entry SET payload = convert_to('{}', 'UTF8') WHERE position = 1")
    with pytest.raises(Diverged, match="position 1 was altered"):
        await shelf.export(one.relation, early)


async def rewrite_last(owner: Connection) -> None:
    """Changes the newest entry of the book and makes its hashes fit."""
    row = await owner.fetchrow("SELECT * FROM ledger.entry ORDER BY position DESC LIMIT 1")
    assert row is not None
    stored = {**orjson.loads(row["payload"]), "id": "forged"}
    leaf = leaf_hash(stored, row["position"], row["version"], bytes(row["prev"]))
    await owner.execute(
        "UPDATE ledger.entry SET payload = $1, id = 'forged', leaf = $2 WHERE position = $3",
        orjson.dumps(stored), leaf, row["position"],
    )  # fmt: skip
    await owner.execute("UPDATE ledger.chain SET leaf = $1 WHERE relation = $2", leaf, row["relation"])


@pytest.mark.timeout(300)
async def test_throwing_the_databases_checkpoints_away_hides_nothing(
    settings: Settings, department: AddDepartment, owner_url: str, tmp_path: Path
) -> None:
    token = (await department("zorg")).http_token

    async def run(*words: str, code: int) -> Result:
        invoke = CliRunner(env=as_environment(settings)).invoke
        done = await asyncio.to_thread(invoke, app, list(words))
        assert done.exit_code == code, done.output
        return done

    def found(done: Result) -> list[str]:
        document = json.loads(done.stdout)
        assert document["agree"] is (document["differences"] == [])
        return document["differences"]

    async with running(settings, ["intake", "notary", "api"]) as book:
        owner = await connect(owner_url)
        try:
            await book.publish(story(), token)
            answer = json.loads((await run("audit", "checkpoint", "--json", code=0)).stdout)
            assert found(await run("audit", "verify", "--json", code=0)) == []
            assert found(await run("accesses", "verify", "--json", code=0)) == []
            # A service that was taken over may add rows: what nobody signed is named, and all else checked.
            await owner.execute("INSERT INTO ledger.checkpoint (size, note) VALUES (3, 'x'), (4, $1)", answer["note"])
            await owner.execute("INSERT INTO access.checkpoint (size, note) VALUES (987654, $1)", answer["note"])
            names = found(await run("audit", "verify", "--json", code=1))
            assert [name.split(":")[0] for name in names] == [
                "checkpoint of 3 in the database",
                "checkpoint of 4 in the database",
            ]
            names = found(await run("accesses", "verify", "--json", code=1))
            assert [name.split(":")[0] for name in names] == ["checkpoint of 987654 in the database"]
            kept = tmp_path / "kept"
            kept.write_text(OTHER.sign_text(answer["note"].split("\n\n")[0] + "\n"))
            refused = await run("audit", "verify", "--checkpoint", str(kept), code=2)
            assert f"{kept} is geen controlepunt van deze notaris" in refused.stderr
            assert "Traceback" not in refused.output

            await owner.execute("DELETE FROM ledger.checkpoint")
            await owner.execute("DELETE FROM access.checkpoint")
            assert found(await run("audit", "verify", "--json", code=0)) == []
            await rewrite_last(owner)
            names = found(await run("audit", "verify", "--json", code=1))
            assert names[0].startswith("checkpoint of 10 entries: entries after 0 up to 10 are not those")
            # Also for who has the key from elsewhere: nothing in the database says any more how it was.
            assert found(await run("audit", "verify", "--key", answer["key"], "--json", code=1)) == names
            names = found(await run("audit", "verify", "--key", str(OTHER.verifier), "--json", code=1))
            assert "what the notary says now: nobody whose key is known signed this note" in names
            # A record takes the place of another one that the notary knows.
            await owner.execute("DELETE FROM access.record WHERE position = (SELECT max(position) FROM access.record)")
            for words in ((), ("--key", answer["key"])):
                names = found(await run("accesses", "verify", "--json", *words, code=1))
                assert re.match(r"signed head of \d+ records|the notary signs nothing: the access log", names[0])
        finally:
            await owner.close()
    # Without a notary: only what somebody kept, by the key that they have.
    for words in ((), ("--key", answer["key"]), ("--checkpoint", str(kept))):
        assert "De notaris antwoordt niet" in (await run("audit", "verify", *words, code=2)).stderr
    kept.write_text(answer["note"])
    done = await run("audit", "verify", "--json", "--key", answer["key"], "--checkpoint", str(kept), code=1)
    assert "De notaris antwoordt niet" in done.stderr
    assert found(done)[0].startswith("checkpoint of 10 entries")
