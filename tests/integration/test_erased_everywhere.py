"""After an erasure, in a whole book: every proof holds, and every way to read says so and tells nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.ledger import read
from events.privacy import ENC
from services.api.shapes.privacy import PersonExport
from services.identity import accounts
from services.keys import privacy_of
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.test_api_read import MINE, NOW, event, found, held, story
from tests.integration.test_erasing import ref_of
from tests.integration.test_privacy_commands import command
from tests.running_book import Book, running

PLANTED: Final = ("p-81", "Jansen", "Geheime functie", "Kennismaking, met")
VIEWS: Final = (
    f"/v1/relations/{MINE}/history?limit=100",
    f"/v1/relations/{MINE}/history?limit=100&asOf=2026-12-31",
    f"/v1/relations/{MINE}/timeline",
    f"/v1/relations/{MINE}",
    f"/v1/relations/{MINE}?asOf=2026-12-31",
    "/v1/teams/wmo/timeline",
)


@asynccontextmanager
async def signed_in(book: Book, engine: AsyncEngine, name: str, role: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with engine.begin() as conn:
        password = await accounts.add(conn, name, roles=[role])
    async with httpx.AsyncClient(base_url=book.client.base_url, timeout=30) as browser:
        assert (await browser.post("/", data={"name": name, "password": password})).status_code == 303
        yield browser


@pytest.mark.timeout(600)
async def test_every_proof_holds_and_every_view_says_so(
    settings: Settings, department: AddDepartment, engine: AsyncEngine, owner_engine: AsyncEngine, tmp_path: Path
) -> None:
    token = (await department("zorg")).http_token
    named = {"person": "p-81", "name": "Jansen", "layer": "board", "decision_role": "influences"}
    added = event(
        "cp-1", "counterpart.added", MINE, {**named, "function": "Geheime functie", "occurred_on": "2026-01-06"}
    )
    other = held("c-3", "2026-04-03")
    other["data"] |= {
        "theirs": [{"person": "p-bert", "layer": "board"}], "ours": [{"employee": "e-77", "layer": "board"}],
        "summary": "Met Bert besproken",
    }  # fmt: skip
    promise = {"commitment": "b-1", "by": "us", "what": "Een beloofd gesprek", "due_on": "2026-02-15"}
    promised = event("b-1", "commitment.made", MINE, {**promise, "occurred_on": "2026-01-10"})
    async with running(settings.model_copy(update={"clock": NOW})) as book:
        last = (await book.publish([*story(), added, other, promised], token))[-1]["sequence"]
        await seen_by(book, last, PLANTED, there=True)
        kept = tmp_path / "kept"
        kept.write_text(json.loads((await command(settings, "audit", "checkpoint", "--json"))[0])["note"])
        ref = await ref_of(settings, engine, "p-81")
        async with signed_in(book, engine, "officier", "privacy_officer") as officer:
            await is_told_to_the_privacy_officer_alone(book, engine, officer, token, ref)
            done = json.loads((await command(settings, "person", "erase", "person:p-81", "--yes", "--json"))[0])
            assert (done["clean"], done["ref"]) == (True, ref)
            told = found(await officer.get(f"/v1/persons/{ref}/export"))
            PersonExport.model_validate(told, extra="forbid")
            assert (told["person"]["erased"], told["person"]["id"]) == (True, None)
            assert not [word for word in PLANTED if word in json.dumps(told, ensure_ascii=False)]
        # A colleague, whose name pages show as the owner of a line.
        done = json.loads((await command(settings, "person", "erase", "employee:e-12", "--yes", "--json"))[0])
        assert done["clean"] is True
        await asyncio.to_thread(every_proof_holds, settings, kept, tmp_path / "bewijs")
        await seen_by(book, done["position"], PLANTED, there=False)
        await pages_say(book, "gegevens gewist", "data erased")
        for model in ("relation_view", "team_timeline"):
            report = json.loads((await command(settings, "rebuild", model, "--json"))[0])
            assert (report["differs"], report["switched"]) == (False, True), model
        await seen_by(book, done["position"], PLANTED, there=False)
        await pages_say(book, "gegevens gewist", "data erased")
        await a_token_opens_in_its_own_place_only(settings, engine)

        # What went with a lost database, as a refill leaves it, reads otherwise.
        async with owner_engine.begin() as conn:
            await conn.execute(text(
                "UPDATE ledger.event_key SET key = NULL, content_mac = NULL, erased_by = 0 WHERE erased_by IS NULL"
            ))  # fmt: skip
        await pages_say(book, "gegevens verloren bij herstel", "data lost in a recovery", f"/relations/{MINE}")


async def seen_by(book: Book, position: Any, planted: tuple[str, ...], *, there: bool) -> None:
    """The planted words are in every view, or in none, which then says that they were erased."""
    seen = ""
    for path in VIEWS:
        answer = await book.get(path, **{"If-Position": str(position)})
        assert answer.status_code == 200, (path, answer.text)
        seen += answer.text
        words = [word for word in planted if word in answer.text]
        assert bool(words) is there, (path, words)
        assert ("gegevens gewist" in answer.text) is not there, path
    assert not there or all(word in seen for word in planted)
    assert "Met Bert besproken" in seen


async def is_told_to_the_privacy_officer_alone(
    book: Book, engine: AsyncEngine, officer: httpx.AsyncClient, token: str, ref: str
) -> None:
    path = "/v1/persons/person:p-81/export"
    told = found(await officer.get(path))
    PersonExport.model_validate(told, extra="forbid")
    assert (told["person"]["id"], told["person"]["erased"]) == ("p-81", False)
    assert {e["type"] for e in told["events"]} == {"counterpart.added", "contact.held"}
    assert "Jansen" in json.dumps(told["events"])
    async with engine.connect() as conn:
        last = json.loads(
            await conn.scalar(text("SELECT entry FROM access.record ORDER BY position DESC LIMIT 1")) or ""
        )
    assert (last["who"]["name"], last["what"]["operation"]) == ("officier", "exportPerson")
    assert ref in last["what"]["persons"]
    assert last["result"]["outcome"] == "granted"
    viewers = await book.viewers()
    for asker in (viewers["wmo"], token):
        assert (await book.get(path, token=asker)).status_code == 403
    async with signed_in(book, engine, "controleur", "auditor") as auditor:
        assert (await auditor.get(path)).status_code == 403
    assert (await officer.get("/v1/persons/person:niemand/export")).status_code == 404
    async with httpx.AsyncClient(base_url=book.client.base_url) as nobody:
        assert (await nobody.get(path)).status_code == 401


def every_proof_holds(settings: Settings, kept: Path, out: Path) -> None:
    """The whole ledger against what was signed before; an export, checked by a program that shares nothing with us."""
    checked = asyncio.run(command(settings, "audit", "verify", "--json", "--checkpoint", str(kept)))
    assert json.loads(checked[0])["agree"] is True
    words = ("audit", "export", "gemeentecode:0518", "--out", str(out), "--checkpoint", str(kept))
    asyncio.run(command(settings, *words))
    for more in ([], ["--checkpoint", str(kept)]):
        alone = [sys.executable, "-I", str(out / "verify.py"), str(out), *more]
        done = subprocess.run(alone, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "complete and unaltered" in done.stdout
    exported = b"".join(file.read_bytes() for file in out.iterdir())
    assert not [word for word in PLANTED if word.encode() in exported]


async def pages_say(book: Book, dutch: str, english: str, *paths: str) -> None:
    viewer = (await book.viewers())["all"]
    for path in paths or (f"/relations/{MINE}", "/?team=wmo"):
        for query, said, unsaid in (("", dutch, english), ("taal=en", english, dutch)):
            page = await book.page(viewer, f"{path}{'&' if '?' in path else '?'}{query}")
            assert page.status_code == 200
            assert said in page.text, (path, said)
            assert unsaid not in page.text, (path, unsaid)
            assert not [word for word in (*PLANTED, ">e-12<") if word in page.text]


async def a_token_opens_in_its_own_place_only(settings: Settings, engine: AsyncEngine) -> None:
    """Whoever can write in the database puts one event's text under another event's, or another field's, name."""
    async with engine.connect() as conn:
        found_texts: list[Any] = [value for e in await read(conn, 0, 100) for value in e.data.values()]
        texts = [str(value) for value in found_texts if str(value).startswith(f"{ENC}e~")]
        opened: list[str] = await privacy_of(settings).reveal(conn, texts)
        mine = texts[opened.index("Met Bert besproken")]
        _, _, position, pointer, sealed = mine.split("~")
        elsewhere = texts[opened.index("verkeerde dag")].split("~")[2]
        for moved in (f"{ENC}e~{elsewhere}~{pointer}~{sealed}", f"{ENC}e~{position}~/reason~{sealed}"):
            with pytest.raises(InvalidTag):
                await privacy_of(settings).reveal(conn, {"summary": moved})
