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

from services.backup import check_files, read_manifest
from services.embedded.datadir import DataDir
from services.embedded.processes import end
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.faults.instance import Instance
from tests.faults.year import BEFORE, SOURCE, year

Json = dict[str, Any]


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

    # A backup of a book that does not run; of another book; altered; cut off.
    again = directory / "weer"
    await book.run("backup", str(again))
    assert read_manifest(again).position >= head
    check_files(again, read_manifest(again))
    wrong = json.loads(keys.read_text())
    wrong["internal"]["lookup_key"] = "ab" * 32
    (directory / "andere.json").write_text(json.dumps(wrong))
    fresh = Instance(directory / "nieuw")
    assert "ander boek" in await refused(fresh, "restore", str(again), "--keys", str(directory / "andere.json"))
    entries = next(again.glob("tables/ledger.entry.copy"))
    data = bytearray(entries.read_bytes())
    data[len(data) // 2] ^= 1
    entries.write_bytes(bytes(data))
    assert "beschadigd" in await refused(fresh, "restore", str(again), "--keys", str(keys))
    (again / "manifest.json").unlink()
    assert "geen (hele) reservekopie" in await refused(fresh, "restore", str(again), "--keys", str(keys))
    assert not (fresh.where / "postgres").exists()


async def test_a_rewritten_backup_whose_digests_fit_is_no_whole_book(
    settings: Settings, department: AddDepartment, tmp_path: Path
) -> None:
    """Who alters rows and makes the manifest fit is found by the hashes, before anything is put in place."""
    from events.append import Arrival, Ledger
    from events.catalog import check
    from events.errors import SetupError
    from events.postgres import connect
    from services.backup import backup
    from services.keys import privacy_of
    from services.restore import restore
    from tests.integration.book import registered

    ledger = Ledger(settings.database_url, privacy_of(settings))
    sent = {
        "specversion": "1.0", "id": "e-1", "source": SOURCE, "type": "nl.relatieboek.relation.registered.v1",
        "subject": "gemeentecode:0518", "data": registered(),
    }  # fmt: skip
    await ledger.append([Arrival("crm", sent, check(sent))])
    await ledger.close()
    owner = await connect(settings.owner_database_url)
    await owner.execute(
        "UPDATE ledger.entry SET payload = convert_to(replace(convert_from(payload, 'UTF8'), 'Haag', 'Helder'), 'UTF8')"
    )
    await backup(
        settings.owner_database_url, lookup_key=settings.lookup_key_bytes, institution=settings.institution,
        checkpoints=settings.checkpoints_path, out=tmp_path / "kopie",
    )  # fmt: skip
    with pytest.raises(SetupError, match="geen heel boek: ledger: position 1 was altered"):
        await restore(settings, tmp_path / "kopie", keys=None, force=True)
    assert await owner.fetchval("SELECT position FROM ledger.head") == 1, "as it was"
    with pytest.raises(SetupError, match="niet leeg"):
        await restore(settings, tmp_path / "kopie", keys=None, force=False)
    await owner.close()
