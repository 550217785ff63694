"""One whole instance with the demo, killed as a whole while it loads and again while a department sends.

It is started by the command that people use; the examples in the documents are run against it as they are written. The
clock stands still, since what the demo tells depends on the day.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from services.api.openapi import ANSWERS
from services.cli.main import app
from services.cli.parts import Part
from services.demo.institution import DEPARTMENTS, TEAMS
from services.demo.load import demo_events
from services.embedded.credentials import read
from services.send import Login, VerdictJson, connected, json_line, send
from services.settings import Settings
from tests.faults.instance import Instance
from tests.faults.year import AFTER, SOURCE, year

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
# After `ready`, on a machine that has other things to do; without those it takes some seconds.
LOADED_WITHIN_S = 240.0

pytestmark = pytest.mark.timeout(600)


async def taken(client: httpx.AsyncClient) -> dict[str, Json]:
    """What the book counted of each department."""
    answer = await client.get("/status")
    return {d["name"]: d for d in answer.json()["departments"]} if answer.status_code == 200 else {}


async def accepted(client: httpx.AsyncClient) -> int:
    return sum(d["accepted"] for d in (await taken(client)).values())


@pytest.fixture(scope="module")
async def demo() -> AsyncGenerator[Instance]:
    """`up --demo`, killed in the middle of its load, and `up --demo` again until it says that all is there."""
    directory = Path(tempfile.mkdtemp(prefix="relatieboek-demo-"))
    book = Instance(directory / "var")
    try:
        await book.start(AFTER, "--demo")
        async with asyncio.timeout(LOADED_WITHIN_S), book.http() as client:
            while await accepted(client) < 1_500:
                await asyncio.sleep(0.05)
        await book.kill_everything()
        assert not any("demo is geladen" in line for line in book.said), "killed too late to show anything"
        await book.start(AFTER, "--demo")
        async with asyncio.timeout(LOADED_WITHIN_S):
            while not any("demo is geladen" in line for line in book.said):
                assert book.process is not None
                assert book.process.returncode is None, "\n".join(book.said)
                await asyncio.sleep(0.05)
        yield book
    finally:
        await book.stop()
        shutil.rmtree(directory)


async def test_a_demo_that_was_killed_while_it_loaded_is_completed_without_doubles(demo: Instance) -> None:
    parts = demo_events(datetime.fromisoformat(AFTER), Settings().institution)
    wanted = {d.name: sum(len(events) for name, events in parts if name == d.name) for d in DEPARTMENTS}
    async with demo.http() as client:
        counted = await taken(client)
        status = (await client.get("/status")).json()
    assert {name: counted[name]["accepted"] for name in wanted} == wanted
    assert sum(counted[name]["duplicates"] for name in wanted) >= 1_500, "the second load went over the first again"
    assert {name for name, d in counted.items() if d["rejected"]} == set()
    assert status["intake"]["parked"] == 0


async def test_soon_there_is_something_of_everything_to_see(demo: Instance) -> None:
    async with asyncio.timeout(LOADED_WITHIN_S), demo.http() as client:

        async def items(path: str) -> list[Json]:
            answer = await client.get(path)
            return answer.json()["items"] if answer.status_code == 200 else []

        async def missing() -> list[str]:
            relations = [r["id"] for r in await items("/relations?tier=A&limit=50")]
            scored = [r for r in relations if any(f["n"] for f in await items(f"/questions/7?relation={r}"))]
            programmes = await items("/questions/8")
            coalitions = {p["coalition"]["agreement"] for p in programmes if p["coalition"]}
            shared = [p for p in await items("/questions/9") if p["shared_cents"]]
            seen = {
                "overdue lines": await items("/questions/1"),
                "alerts": [a for a in await items("/alerts?limit=500") if a["rule"] != "contact_overdue"],
                "loops": await items("/loops"), "scores": scored, "shared savings": shared,
                "a coalition with five programmes": len(programmes) == 5 and len(coalitions) == 1,
                **{f"timeline of {t.team}": await items(f"/teams/{t.team}/timeline") for t in TEAMS},
            }  # fmt: skip
            return [name for name, found in seen.items() if not found]

        while lacking := await missing():
            assert demo.process is not None
            assert demo.process.returncode is None, lacking
            await asyncio.sleep(0.5)


# What needs somebody else than a viewer; their tests look at the shape.
ASKED_ELSEWHERE = {"findVerdict", "showPlanQuestion", "answerPlanQuestion", "exportPerson", "listPersonAccesses"}
OF_A_RELATION = {
    "showRelation": "", "showRelationMatrix": "/matrix", "showRelationAttention": "/attention",
    "showRelationPlan": "/plan", "showRelationSatisfaction": "/satisfaction", "showRelationSchedule": "/schedule",
    "showRelationAgreements": "/agreements", "showRelationChain": "/chain", "showRelationPartnership": "/partnership",
    "listRelationOpportunities": "/opportunities",
}  # fmt: skip


async def test_the_openapi_document_names_every_member_of_every_answer(demo: Instance) -> None:
    told: Counter[str] = Counter()
    async with demo.http() as client:

        async def asked(operation: str, path: str) -> list[Json]:
            answer = await client.get(path)
            assert answer.status_code == 200, f"{path}: {answer.text}"
            shape, is_list = ANSWERS[operation]
            documents: list[Json] = answer.json()["items"] if is_list else [answer.json()]
            for document in documents:
                shape.model_validate(document, extra="forbid")
            told[operation] += len(documents)
            return documents

        relations = [r["id"] for r in (await asked("listRelations", "/relations?limit=200"))[:6]]
        relations += [c["relation"] for p in await asked("answerQuestion9", "/questions/9") for c in p["chains"]]
        for number in (1, 2, 4, 5, 6, 8):
            found = await asked(f"answerQuestion{number}", f"/questions/{number}")
            relations += [one["relation"] for one in found[:4] if "relation" in one]
        for relation in dict.fromkeys(relations):
            for operation, part in OF_A_RELATION.items():
                for when in ("", "?asOf=2026-03-01T00:00:00Z"):
                    await asked(operation, f"/relations/{relation}{part}{when}")
            for operation, path in (
                ("showRelationTimeline", f"/relations/{relation}/timeline"),
                ("showRelationHistory", f"/relations/{relation}/history"),
                ("compareRelation", f"/relations/{relation}/difference?asOf=2026-03-01T00:00:00Z"),
                ("listRelationAccesses", f"/relations/{relation}/accesses"),
                ("answerQuestion3", f"/questions/3?relation={relation}"),
                ("answerQuestion7", f"/questions/7?relation={relation}"),
            ):  # fmt: skip
                await asked(operation, path)
        for alert in await asked("listAlerts", "/alerts?state=all"):
            await asked("showAlert", f"/alerts/{alert['id']}")
            await asked("answerQuestion10", f"/questions/10?alert={alert['id']}")
        for loop in await asked("listLoops", "/loops?state=all"):
            await asked("showLoop", f"/loops/{loop['id']}")
        for team in TEAMS:
            await asked("showTeamTimeline", f"/teams/{team.team}/timeline")
        for operation, path in (
            ("countContributors", "/contributors"), ("listStaffSatisfaction", "/staff-satisfaction"),
            ("showStatus", "/status"), ("showSession", "/session"), ("listAccesses", "/accesses"),
        ):  # fmt: skip
            await asked(operation, path)
    assert {operation for operation, count in told.items() if count} == ANSWERS.keys() - ASKED_ELSEWHERE


# Codes of the interface that people have no business with, but in `--json`, and the names of its members.
CODES = {
    "on_track", "overdue", "escalated", "senior_management", "tactical_management", "professional", "board",
    "municipality", "care_office", "health_insurer", "gains", "invests", "covered", "meeting", "phone", "conversation",
    "contacts_total", "tier_arguments", "open_alerts", "due_on", "approved", "drafted", "invested_cents",
}  # fmt: skip


async def test_what_a_newcomer_types_reads_well_in_the_terminal(demo: Instance) -> None:
    """The commands that the README advises, and every question: an answer, in words of people."""

    async def said(*words: str) -> str:
        invoke = CliRunner(env=demo.environment).invoke
        done = await asyncio.to_thread(invoke, app, list(words))
        assert done.exit_code == 0, done.output
        return done.stdout

    advised = re.findall(r"`relatieboek ([^`]*)`", (ROOT / "README.md").read_text().split("## The way")[0])
    assert len(advised) >= 5
    overdue = json.loads(await said("question", "1", "--json"))["items"][0]
    more = {3: ["--relation", overdue["relation"]], 7: ["--relation", overdue["relation"]],
            10: ["--alert", overdue["alert"]]}  # fmt: skip
    asked = [["question", str(n), *more.get(n, [])] for n in range(1, 11)]
    asked += [["alerts", overdue["alert"]], ["relation", "list"], ["timeline", "--relation", overdue["relation"]]]
    asked += [["relation", "show", overdue["relation"], "--part", part] for part in Part]
    for words in [*map(str.split, advised), *asked]:
        text = await said(*words)
        found = not text.splitlines()[0].endswith("niets gevonden.")
        assert found or words[:2] == ["question", "7"] or "--part" in words, words
        assert not re.search(r"\bNone\b|\bpending\b|Gebeurtenis: ", text), f"{words}: {text}"
        assert not CODES & set(re.findall(r"[a-z_]{4,}", text)), f"{words}: {text}"


async def test_the_page_reads_well_for_every_role(demo: Instance) -> None:
    held = read(demo.where / "credentials.json")
    assert held is not None
    for name, password in held.http.accounts.items():
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{demo.port}", timeout=60) as browser:
            assert (await browser.post("/", data={"name": name, "password": password})).status_code == 303
            pages = [await browser.get("/"), await browser.get("/?taal=en")]
            links = sorted(set(re.findall(r"/relations/[0-9a-f-]{36}", pages[0].text)))
            pages += [await browser.get(link) for link in links[:3]]
        for page in pages:
            assert page.status_code == 200, f"{name}: {page.url}"
            words = re.sub(r"<[^>]*>", " ", page.text)
            odd = re.findall(r"\b(?:None|NONE|null|NaN)\b|enc~|ref~|nog geen gebeurtenissen|no events yet|[{}]", words)
            assert not odd, f"{name}: {page.url}: {odd}"


@pytest.mark.full
async def test_kill_9_of_everything_on_a_filled_book_loses_nothing(demo: Instance, tmp_path: Path) -> None:
    await demo.run("department", "add", "crm", "--source", SOURCE, "--types", "*", "--json")
    events = year(3_000)
    lines = [json_line(e) for e in events]
    answered: list[VerdictJson] = []

    async def sends(some: Sequence[bytes]) -> None:
        held = read(demo.where / "credentials.json")
        assert held is not None
        keys = held.nats.departments["crm"]
        async with connected(Login(held.nats.url, "crm", keys.nkey_seed, keys.inbox_prefix)) as request:
            await send(some, request, answered.extend, batch=100)

    await sends(lines[:1_000])
    sending = asyncio.create_task(sends(lines[1_000:]))
    async with asyncio.timeout(60):
        while len(answered) < 1_500:
            await asyncio.sleep(0.005)
    await demo.kill_everything()
    assert not sending.done()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    before = {v["id"]: v for v in answered if v["verdict"] == "accepted"}
    assert len(before) > 1_000

    await demo.start(AFTER)
    file, verdicts = tmp_path / "events.jsonl", tmp_path / "verdicts.jsonl"
    file.write_bytes(b"\n".join(lines) + b"\n")
    await demo.run("send", str(file), "--department", "crm", "--verdicts", str(verdicts))
    after = {v["id"]: v for v in map(json.loads, verdicts.read_text().splitlines())}
    assert len(after) == len(events)
    assert {v["verdict"] for v in after.values()} <= {"accepted", "duplicate"}
    for id_, verdict in before.items():
        again = after[id_]
        assert again["verdict"] == "duplicate"
        assert (again["sequence"], again["leaf_hash"]) == (verdict["sequence"], verdict["leaf_hash"])
    assert len({v["sequence"] for v in after.values()}) == len(events)
    assert await demo.accepted("crm") == len(events), "each once"
    await demo.settled()
    assert json.loads(await demo.run("reconcile", "--json"))["agree"] is True
    verified = json.loads(await demo.run("audit", "verify", "--json"))
    assert verified["agree"] is True
    assert verified["checkpoints"] > 0
    assert json.loads(await demo.run("status", "--json"))["healthy"] is True


# What runs a block of a language; `sh` stops at the first command that fails.
RUN = {"sh": ["sh", "-e"], "python": [sys.executable, "-W", "error"], "js": ["node"]}
SUFFIX = {"sh": ".sh", "python": ".py", "js": ".mjs"}


class Blocks:
    """The blocks of a document, run one after the other in the directory in which the demo was started."""

    def __init__(self, demo: Instance) -> None:
        self.demo = demo
        self.ran = 0

    def of(self, text: str) -> list[tuple[str, str]]:
        return re.findall(r"^```(sh|python|js)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

    async def run(self, language: str, code: str) -> str:
        """What a block printed, run as it is written, but for the port; it must end with 0."""
        self.ran += 1
        file = self.demo.where.parent / f"block-{self.ran}{SUFFIX[language]}"
        file.write_text(code.replace("127.0.0.1:8080", f"127.0.0.1:{self.demo.port}"))
        process = await asyncio.create_subprocess_exec(
            *RUN[language], file.name, cwd=file.parent, stdout=PIPE, stderr=STDOUT
        )
        async with asyncio.timeout(60):
            out = (await process.communicate())[0].decode()
        assert process.returncode == 0, f"{code}\n{out}"
        return out


@pytest.fixture
def blocks(demo: Instance) -> Blocks:
    return Blocks(demo)


def verdicts(printed: str) -> list[str]:
    """The verdicts in what a block printed, whether as JSON, as Node's objects or as lines of a table."""
    return re.findall(r"\b(accepted|duplicate|parked|rejected|busy)\b", printed)


async def test_the_first_event_of_the_readme_is_sent_in_three_languages(blocks: Blocks) -> None:
    text = (ROOT / "README.md").read_text().split("## Publish your first event")[1].split("\n## ")[0]
    written = blocks.of(text)
    assert [language for language, _ in written] == ["sh", "sh", "python", "js"]
    said = [await blocks.run(language, code) for language, code in written if language != "js"]
    assert [verdicts(s) for s in said] == [[], ["accepted"], ["duplicate"]]
    if shutil.which("node") is None:
        pytest.skip("node is not there: the block for Node was not run, the others were")
    assert verdicts(await blocks.run(*written[-1])) == ["duplicate"]


async def test_the_examples_of_publishing_run_as_written(blocks: Blocks) -> None:
    await blocks.run(*blocks.of((ROOT / "README.md").read_text())[0])  # event.json, which they send
    written = blocks.of((ROOT / "docs" / "publishing.md").read_text())
    # The one in Node needs a package from npm: see below.
    said = [await blocks.run(language, code) for language, code in written if language != "js"]
    assert len(written) - len(said) == 1
    assert [bool(verdicts(s)) for s in said] == [True] * 4
    assert {v for s in said for v in verdicts(s)} <= {"accepted", "duplicate"}


@pytest.mark.full
async def test_the_example_in_node_over_nats_runs_as_written(blocks: Blocks) -> None:
    await blocks.run(*blocks.of((ROOT / "README.md").read_text())[0])  # event.json, which it sends
    where = blocks.demo.where.parent
    for file in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(ROOT / "tests" / "examples" / file, where)
    await blocks.run("sh", "npm ci")
    (example,) = [b for b in blocks.of((ROOT / "docs" / "publishing.md").read_text()) if b[0] == "js"]
    assert verdicts(await blocks.run(*example)) in (["accepted"], ["duplicate"])


async def test_the_examples_of_reading_run_as_written(blocks: Blocks) -> None:
    for language, code in blocks.of((ROOT / "docs" / "reading.md").read_text()):
        if "_live" in code:  # listens until it is stopped
            continue
        printed = await blocks.run(language, code)
        assert printed.strip()
        assert "urn:relatieboek:problem" not in printed
