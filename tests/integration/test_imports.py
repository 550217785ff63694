"""A department's export and calendar on the command line, twice: the second time changes nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec
import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.demo.load import wabo_mapping
from services.settings import Settings, as_environment
from tests.conftest import AddDepartment
from tests.running_book import running

WABO = ("csv", "services/demo/data/receipt-wabo.csv.gz", "--mapping", "services/demo/mappings/wabo.toml")
# With the relation that the export registers.
CALENDAR = (
    "ics", "tests/data/team.ics", "--department", "communicatie", "--relation", "local:wabo-gemeente",
    "--our-layer", "board", "--their-layer", "board", "--employee", "e-12", "--topic", "wmo",
    "--from", "2026-01-01", "--to", "2026-12-31",
)  # fmt: skip
MEETINGS = 9


@pytest.mark.timeout(400)
async def test_an_import_that_runs_again_changes_nothing(settings: Settings, department: AddDepartment) -> None:
    # After every meeting of the calendar that was moved or cancelled.
    settings = settings.model_copy(update={"clock": datetime.fromisoformat("2026-11-30T12:00:00+01:00")})
    agenda = f"urn:nld:oin:{settings.institution}:systeem:communicatie-agenda"
    await department("communicatie", [wabo_mapping().source, agenda])

    async def told(words: Sequence[str]) -> Counter[str]:
        """The verdicts on all that this import sent."""
        out = settings.data_dir / "verdicts.jsonl"
        args = ["import", *words, "--verdicts", str(out), "--data-dir", str(settings.data_dir)]
        done = await asyncio.to_thread(CliRunner(env=as_environment(settings)).invoke, app, args)
        assert done.exit_code == 0, done.output
        return Counter(msgspec.json.decode(line)["verdict"] for line in out.read_bytes().splitlines())

    async with running(settings, ["intake", "api"]) as book:

        async def head() -> int:
            return (await book.get("/v1/status")).json()["log"]["head"]

        for words, sent in ((WABO, 1435), (CALENDAR, MEETINGS)):
            before = await head()
            assert await told(words) == {"accepted": sent}
            assert await head() == before + sent
            assert await told(words) == {"duplicate": sent}
            assert await head() == before + sent
