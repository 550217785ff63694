"""`backup` and `restore` as people use them: while the book runs, elsewhere, in place, and refused."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from events.append import Ledger
from events.catalog import check
from events.deciding import Arrival
from events.errors import SetupError
from events.keys import Ring
from events.postgres import connect
from services.backup import backup, check_files, read_manifest
from services.embedded.datadir import DataDir
from services.embedded.processes import end
from services.erasures import Erasure, add_erasures, read_erasures
from services.keys import privacy_of
from services.restore import database, restore
from services.settings import Settings
from tests.faults.instance import Instance
from tests.faults.year import BEFORE, SOURCE, year
from tests.integration.book import registered

Json = dict[str, Any]
ANNA = Erasure(f"ref~{'1' * 32}", "person", "2" * 64, 3)


@pytest.fixture
def directory() -> Generator[Path]:
    path = Path(tempfile.mkdtemp(prefix="relatieboek-backup-"))
    path.chmod(0o711)
    yield path
    for var in path.iterdir():
        if var.is_dir():
            end(DataDir(var).left_over(), within_s=5)
    shutil.rmtree(path)


async def refused(book: Instance, *arguments: str) -> str:
    """The one line that a command ends with, and exit code 2."""
    process = await asyncio.create_subprocess_exec(
        *book.command(*arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=book.environment,
    )  # fmt: skip
    out, err = await process.communicate()
    assert (process.returncode, out) == (2, b""), err.decode()
    (line,) = err.decode().splitlines()
    return line


async def verdicts(book: Instance, file: Path) -> list[str]:
    out = file.with_suffix(".verdicts")
    await book.run("send", str(file), "--department", "crm", "--verdicts", str(out))
    return [json.loads(line)["verdict"] for line in out.read_text().splitlines()]


async def whole(book: Instance, *checkpoints: Path) -> int:
    """The head of a book of which every part agrees with every other, and with checkpoints kept elsewhere."""
    head = await book.settled()
    assert json.loads(await book.run("reconcile", "--json"))["agree"] is True
    kept = [word for path in checkpoints for word in ("--checkpoint", str(path))]
    assert json.loads(await book.run("audit", "verify", "--json", *kept))["agree"] is True
    return head


@pytest.mark.full
@pytest.mark.timeout(1500)
async def test_there_and_back(directory: Path) -> None:
    events = [json.dumps(e) for e in year(300)]
    half, all_of_it = directory / "half.jsonl", directory / "all.jsonl"
    half.write_text("\n".join(events[:200]) + "\n")
    all_of_it.write_text("\n".join(events) + "\n")
    copy, keys, late = directory / "kopie", directory / "sleutels.json", directory / "late.checkpoint"
    book = Instance(directory / "var")
    await book.start(BEFORE)
    try:
        await book.run("department", "add", "crm", "--source", SOURCE, "--types", "*", "--json")
        assert set(await verdicts(book, half)) == {"accepted"}
        await book.run("audit", "checkpoint")
        manifest = json.loads(await book.run("backup", str(copy), "--keys", str(keys), "--json"))
        assert manifest["position"] >= 200
        assert keys.stat().st_mode & 0o777 == 0o600
        secrets = json.loads(keys.read_text())["internal"]
        for file in copy.rglob("*"):
            if file.is_file():
                assert file.stat().st_mode & 0o077 == 0
                assert not any(str(s).encode() in file.read_bytes() for s in secrets.values() if len(str(s)) > 10)
        [read] = [
            a for a in json.loads(await book.run("accesses", "list", "--json"))["items"] if a["operation"] == "backup"
        ]
        assert (read["event"], read["kind"]) == ("export", "command_line")
        assert "niet leeg" in await refused(book, "backup", str(copy))
        assert "niet in de map" in await refused(book, "backup", str(directory / "x"), "--keys", str(directory / "x/k"))
        assert "bestaat al" in await refused(book, "backup", str(directory / "x"), "--keys", str(keys))
        await verdicts(book, all_of_it)
        head = await book.settled()
        late.write_text(await book.run("audit", "checkpoint"))
        assert "draait al" in await refused(book, "restore", str(copy), "--force")
    finally:
        await book.stop()
    assert "niet leeg" in await refused(book, "restore", str(copy))

    # Elsewhere, with the keys: the book as it was when the backup was made.
    other = Instance(directory / "elders")
    assert "sleutels" in await refused(other, "restore", str(copy))
    await other.run("restore", str(copy), "--keys", str(keys))
    await other.start(BEFORE)
    try:
        assert await whole(other) == manifest["position"]
        found = await verdicts(other, all_of_it)
        assert found[:200] == ["duplicate"] * 200
        assert set(found[200:]) == {"accepted"}
        assert "Gesprek" in await other.run("timeline", "--team", "noord", "--json")
    finally:
        await other.stop()

    # In place: the stream has more, which comes back before a door opens, and everything signed since still holds.
    await book.run("restore", str(copy), "--force")
    assert [p.name[:16] for p in book.where.glob("postgres*")].count("postgres.before-") == 1
    await book.start(BEFORE)
    try:
        assert await whole(book, late) == head
        assert await verdicts(book, all_of_it) == ["duplicate"] * len(events)
        shown = await book.run("timeline", "--team", "noord", "--json", "--limit", "500")
        assert "Gesprek" in shown
        assert "gegevens verloren bij herstel" in shown
        assert "gegevens gewist" not in shown
    finally:
        await book.stop()

    # A backup of a book that does not run.
    again = directory / "weer"
    await book.run("backup", str(again))
    assert read_manifest(again).position >= head
    check_files(again, read_manifest(again))


async def a_book(settings: Settings, out: Path) -> None:
    """A backup of a book with one entry."""
    ledger = Ledger(settings.database_url, privacy_of(settings))
    sent = {
        "specversion": "1.0", "id": "e-1", "source": SOURCE, "type": "nl.relatieboek.relation.registered.v1",
        "subject": "gemeentecode:0518", "data": registered(),
    }  # fmt: skip
    await ledger.append([Arrival("crm", sent, check(sent))])
    await ledger.close()
    await backup(
        settings.owner_database_url, lookup_key=settings.lookup_key_bytes, institution=settings.institution,
        checkpoints=settings.checkpoints_path, erasures=settings.erasures_path, out=out,
    )  # fmt: skip


async def test_into_a_data_directory(settings: Settings, directory: Path) -> None:
    """Keys of the file, the database in place, what was there kept; other keys and an incomplete ring refused."""
    add_erasures(settings.erasures_path, [ANNA])
    await a_book(settings, directory / "kopie")
    own = (settings.data_dir / "credentials.json").read_text()
    keys = directory / "sleutels.json"
    keys.write_text(own)
    there = Settings(data_dir=directory / "var")
    with pytest.raises(SetupError, match="Zonder sleutels"):
        await restore(there, directory / "kopie", keys=None, force=False)
    poor = json.loads(own)
    poor["internal"]["key_ring"] = Ring.fresh().text()
    (directory / "arm.json").write_text(json.dumps(poor))
    with pytest.raises(SetupError, match="De sleutelring mist"):
        await restore(there, directory / "kopie", keys=directory / "arm.json", force=False)
    assert not (there.data_dir / "postgres").exists()
    assert not (there.data_dir / "credentials.json").exists()

    done = await restore(there, directory / "kopie", keys=keys, force=False)
    assert read_erasures(there.erasures_path) == [ANNA]
    assert (done.manifest.position, done.before) == (1, None)
    assert (there.data_dir / "credentials.json").stat().st_mode & 0o777 == 0o600
    async with database(there) as url:
        conn = await connect(url)
        assert await conn.fetchval("SELECT leaf FROM ledger.entry") == bytes.fromhex(done.manifest.leaf or "")
        assert await conn.fetchval("SELECT stream_created FROM ledger.head") is None, "the next start makes a stream"
        await conn.close()
    with pytest.raises(SetupError, match="niet leeg"):
        await restore(there, directory / "kopie", keys=keys, force=False)
    again = await restore(there, directory / "kopie", keys=None, force=True)
    assert again.before is not None
    assert (again.before / "PG_VERSION").exists()
    wrong = json.loads(own)
    wrong["internal"]["lookup_key"] = "ab" * 32
    (directory / "andere.json").write_text(json.dumps(wrong))
    with pytest.raises(SetupError, match="ander boek"):
        await restore(there, directory / "kopie", keys=directory / "andere.json", force=True)


async def test_who_was_erased_stays_so(settings: Settings, tmp_path: Path) -> None:
    """The list of erasures goes along; put back it is added to the one that is there, which loses nobody."""
    early, late = (Erasure(f"ref~{n * 32}", "person", n * 64, 3) for n in "ab")
    add_erasures(settings.erasures_path, [early])
    copy = tmp_path / "kopie"
    await a_book(settings, copy)
    check_files(copy, read_manifest(copy))
    assert read_erasures(copy / "erasures") == [early]
    settings.erasures_path.unlink()
    add_erasures(settings.erasures_path, [late])
    with settings.erasures_path.open("ab") as list_:
        list_.write(b'{"ref":"ref~c')  # a crash cut it off
    await restore(settings, copy, keys=None, force=True)
    assert read_erasures(settings.erasures_path) == [late, early]
    await restore(settings, copy, keys=None, force=True)
    assert read_erasures(settings.erasures_path) == [late, early]

    elsewhere = settings.model_copy(update={"erasures": tmp_path / "elders" / "erasures"})
    await restore(elsewhere, copy, keys=None, force=True)
    assert read_erasures(elsewhere.erasures_path) == [early]

    # A list that cannot be read, there or in the backup: nothing is put back, and the list is as it was.
    elsewhere.erasures_path.write_text("stuk\n")
    with pytest.raises(SetupError, match="beschadigd"):
        await restore(elsewhere, copy, keys=None, force=True)
    assert elsewhere.erasures_path.read_text() == "stuk\n"
    with (copy / "erasures").open("ab") as list_:
        list_.write(b"\n")
    with pytest.raises(SetupError, match="erasures is beschadigd of veranderd"):
        await restore(settings, copy, keys=None, force=True)
    assert read_erasures(settings.erasures_path) == [late, early]


async def test_an_altered_backup_is_refused(settings: Settings, tmp_path: Path) -> None:
    copy = tmp_path / "kopie"
    await a_book(settings, copy)
    check_files(copy, read_manifest(copy))
    with pytest.raises(SetupError, match="niet leeg"):
        await a_book(settings, copy)
    entries = copy / "tables" / "ledger.entry.copy"
    data = bytearray(entries.read_bytes())
    data[len(data) // 2] ^= 1
    entries.write_bytes(data)
    with pytest.raises(SetupError, match="beschadigd of veranderd"):
        await restore(settings, copy, keys=None, force=True)
    entries.unlink()
    with pytest.raises(SetupError, match="ontbreekt"):
        await restore(settings, copy, keys=None, force=True)
    (copy / "manifest.json").unlink()
    with pytest.raises(SetupError, match="geen \\(hele\\) reservekopie"):
        await restore(settings, copy, keys=None, force=True)


async def test_a_rewritten_backup_whose_digests_fit_is_no_whole_book(settings: Settings, tmp_path: Path) -> None:
    """Who alters rows and makes the manifest fit is found by the hashes, before anything is put in place."""
    await a_book(settings, tmp_path / "eerst")
    owner = await connect(settings.owner_database_url)
    await owner.execute(
        "UPDATE ledger.entry SET payload = convert_to(replace(convert_from(payload, 'UTF8'), 'Haag', 'Helder'), 'UTF8')"
    )
    await backup(
        settings.owner_database_url, lookup_key=settings.lookup_key_bytes, institution=settings.institution,
        checkpoints=settings.checkpoints_path, erasures=settings.erasures_path, out=tmp_path / "kopie",
    )  # fmt: skip
    with pytest.raises(SetupError, match="geen heel boek: ledger: position 1 was altered"):
        await restore(settings, tmp_path / "kopie", keys=None, force=True)
    assert await owner.fetchval("SELECT position FROM ledger.head") == 1, "as it was"
    with pytest.raises(SetupError, match="niet leeg"):
        await restore(settings, tmp_path / "kopie", keys=None, force=False)
    await owner.close()
