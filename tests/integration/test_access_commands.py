"""Every command that shows or changes something about relations or persons has exactly one record in the access log:
when it may, when it may not, and when the log is out it shows nothing and changes nothing.

The commands are those of the command line itself: a new one without a case here, or a reason in
`services/cli/reads.py` why it needs none, fails.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from events.postgres import Connection, connect
from services.access_log.verify import verify
from services.cli.main import app
from services.cli.reads import API, COMMANDS, ITSELF
from services.settings import Settings, as_environment
from tests.conftest import AddDepartment
from tests.integration.test_access_layer import newest, records
from tests.integration.test_api_read import MINE, event, story, until
from tests.running_book import Book, running
from tests.unit.test_access_log import commands

ANNA: Final = "person:p-81"
NOBODY: Final = "person:niemand"
# What a case names and only the running book knows.
ALERT, HOLD, MAIL, NUMBER, OUT, VALUES = "{alert}", "{hold}", "{mail}", "{number}", "{out}", "{values}"


@dataclass(frozen=True, slots=True)
class Case:
    """`words` come after the command. `refused`: the same command where it may not, in words of its own; None where
    whoever may run it may see all of it. `operation`: as the API names it."""

    words: tuple[str, ...] = ()
    refused: tuple[str, ...] | None = None
    outcome: str = "denied"
    operation: str = ""


CASES: Final[Mapping[str, Case]] = {
    "relation show": Case((MINE,), operation="showRelation"),
    "relation list": Case(operation="listRelations"),
    "relation diff": Case((MINE, "--as-of", "2026-03-01"), operation="compareRelation"),
    "timeline": Case(("--relation", MINE), operation="showRelationTimeline"),
    "alerts": Case((ALERT,), operation="showAlert"),
    "loops": Case(operation="listLoops"),
    "history": Case((MINE,), operation="showRelationHistory"),
    "question": Case(("3", "--relation", MINE), operation="answerQuestion3"),
    "contributors": Case(operation="countContributors"),
    "staff-satisfaction": Case(operation="listStaffSatisfaction"),
    "accesses list": Case(operation="listAccesses"),
    "accesses relation": Case((MINE,), operation="listRelationAccesses"),
    "accesses person": Case((ANNA,), operation="listPersonAccesses"),
    "accesses verify": Case(),
    "rejected list": Case(),
    "rejected show": Case((NUMBER,), ("987654",)),
    "rejected retry": Case((NUMBER,), ("987654",)),
    "parked list": Case(),
    "parked retry": Case(),
    "audit export": Case((MINE, "--out", f"{OUT}/bewijs"), (str(uuid4()), "--out", f"{OUT}/niets")),
    "audit verify": Case(("--relation", MINE), ("--relation", str(uuid4()))),
    "reconcile": Case(("--quick",)),
    "rebuild": Case(("relation_view", "--diff")),
    "account list": Case(),
    "account add": Case(("nieuw", "--role", "auditor"), ("anna", "--role", "auditor"), "failed"),
    "account change": Case(("anna", "--role", "auditor"), ("niemand", "--role", "auditor")),
    "account password": Case(("anna",), ("niemand",)),
    "account disable": Case(("anna",), ("niemand",)),
    "mail list": Case(),
    "mail retry": Case((MAIL,), ("987654",)),
    "backup": Case((f"{OUT}/kopie",)),
    "retention run": Case(),
    "person export": Case((ANNA,), (NOBODY,)),
    "person verify-erased": Case(("--values", VALUES)),
    "person hold list": Case(),
    "person hold add": Case((ANNA, "--reason", "Zaak 12"), (NOBODY, "--reason", "Zaak 12")),
    "person hold release": Case((HOLD,), ("987654",)),
    "person erase": Case((ANNA, "--yes"), (NOBODY, "--yes")),
}  # fmt: skip
# Their exit code says what they found: what was rejected is so again, and the value is still there.
FINDS: Final = {"rejected retry": 1, "person verify-erased": 1}


def test_every_command_has_a_case_or_a_reason() -> None:
    wanted = {name for name in commands() if COMMANDS[name] in {API, ITSELF}}
    assert set(CASES) == wanted


class Desk:
    """The command line on a running book, and the log beside it. `within_s`: how long a record may take."""

    def __init__(self, book: Book, log: Connection, department_token: str) -> None:
        self.log = log
        self._book, self._department_token = book, department_token
        self.known: dict[str, str] = {}

    async def run(
        self, name: str, words: tuple[str, ...], *, within_s: float = 20.0, stranger: bool = False, said: str = ""
    ) -> Result:
        settings = self._book.settings.model_copy(
            update={"url": str(self._book.client.base_url), "access_log_within_s": within_s}
        )
        env = as_environment(settings)
        if stranger:
            env["RELATIEBOEK_VIEWER_TOKEN"] = self._department_token
        command = [*name.split(), *(self._filled(word) for word in words)]
        return await asyncio.to_thread(CliRunner(env=env).invoke, app, command, input=said)

    def _filled(self, word: str) -> str:
        for what, value in self.known.items():
            word = word.replace(what, value)
        return word

    async def only(self, at: int) -> dict[str, Any]:
        """The one record after a position."""
        found = await records(self.log, at)
        assert len(found) == 1, found
        return found[0]


@pytest.mark.timeout(400)
async def test_every_command_has_one_record(
    settings: Settings, department: AddDepartment, engine: AsyncEngine, owner_url: str
) -> None:
    token = (await department("zorg")).http_token
    settings = settings.model_copy(update={"tick_s": 0.3, "retention": "contact=P7Y"})
    async with running(settings) as book:
        log = await connect(owner_url)
        try:
            desk = Desk(book, log, token)
            desk.known = await fill(book, token, engine)
            for name in CASES:
                await nothing_without_its_record(desk, name, engine)
            for name, case in CASES.items():
                await is_refused(desk, name, case)
            await tells_before_it_asks(desk)
            for name, case in CASES.items():
                if HOLD in case.words:
                    found = await desk.log.fetchval("SELECT max(hold_id) FROM ledger.hold")
                    desk.known[HOLD] = str(found)
                await is_granted(desk, name, case)
            assert (await verify(log, [])).agree
        finally:
            await log.close()


async def fill(book: Book, token: str, engine: AsyncEngine) -> dict[str, str]:
    """What the cases are about; where the running book chose its number or name."""
    person = {
        "person": "p-81",
        "name": "Jansen",
        "function": "Wethouder",
        "layer": "board",
        "decision_role": "influences",
    }
    added = event("cp-1", "counterpart.added", MINE, {**person, "occurred_on": "2026-01-06"})
    await book.publish([*story(), added], token)
    headers = {"Content-Type": "application/cloudevents+json", "Authorization": f"Bearer {token}"}
    wrong = event("r-9", "relation.registered", MINE, {"name": "geheim"})
    assert (await book.client.post("/v1/events", json=wrong, headers=headers)).status_code == 400
    alerts = (await until(book, "/v1/alerts", lambda answer: bool(answer["items"])))["items"]
    out = book.settings.data_dir / "out"
    out.mkdir()
    (out / "waarden").write_text("Gemeente Den Haag\n")
    desk = CliRunner(env=as_environment(book.settings))
    made = await asyncio.to_thread(desk.invoke, app, ["account", "add", "anna", "--role", "auditor"])
    assert made.exit_code == 0, made.output
    async with engine.begin() as conn:
        number = await conn.scalar(text("SELECT max(rejected_id) FROM ledger.rejected"))
        ref = await conn.scalar(text("SELECT ref FROM ledger.person_key WHERE kind = 'employee' LIMIT 1"))
        mail = await conn.scalar(
            text(
                "INSERT INTO effect.mail (recipient, for_on, state, attempts, next_at, announced)"
                " VALUES (:ref, '2026-06-30', 'failed', 9, now(), true) RETURNING mail_id"
            ),
            {"ref": ref},
        )
    return {
        ALERT: str(alerts[0]["id"]), NUMBER: str(number), MAIL: str(mail), HOLD: "1", OUT: str(out),
        VALUES: str(out / "waarden"),
    }  # fmt: skip


# What commands change, each as one text; without the mails and events that the book makes by itself meanwhile.
_STATE: Final = text(
    """SELECT (SELECT string_agg(a::text, ';' ORDER BY name) FROM identity.account a),
              (SELECT string_agg(h::text, ';' ORDER BY hold_id) FROM ledger.hold h),
              (SELECT string_agg(m::text, ';' ORDER BY mail_id) FROM effect.mail m WHERE for_on = '2026-06-30'),
              (SELECT string_agg(rejected_id::text, ';' ORDER BY rejected_id) FROM ledger.rejected),
              (SELECT count(*) FROM ledger.entry WHERE type NOT SIMILAR TO 'nl.relatieboek.(alert|loop).%'),
              (SELECT count(*) FROM access.record)"""
)


async def nothing_without_its_record(desk: Desk, name: str, engine: AsyncEngine) -> None:
    """The log cannot be written: nothing on stdout, nothing changed, and one line that says so."""
    case = CASES[name]
    if COMMANDS[name] == API or name == "person hold release":  # over HTTP: tests/integration/test_access_layer.py
        return
    async with engine.connect() as conn:
        before = (await conn.execute(_STATE)).one()
    async with desk.log.transaction():
        await desk.log.execute("LOCK TABLE access.record IN SHARE MODE")  # reading goes on
        done = await desk.run(name, case.words, within_s=0.2)
    assert (done.exit_code, done.stdout) == (2, ""), f"{name}: {done.output}"
    assert "Het inzagelogboek is niet te schrijven" in done.stderr, f"{name}: {done.stderr}"
    async with engine.connect() as conn:
        assert (await conn.execute(_STATE)).one() == before, name


async def is_refused(desk: Desk, name: str, case: Case) -> None:
    """Over HTTP: with the token of a department, which may read nothing."""
    over_http = COMMANDS[name] == API
    if case.refused is None and not over_http:
        return
    at = await newest(desk.log)
    done = await desk.run(name, case.words if case.refused is None else case.refused, stranger=over_http)
    assert (done.exit_code, done.stdout) == (2, ""), f"{name}: {done.output}"
    one = await desk.only(at)
    assert (one["what"]["operation"], one["result"]["outcome"]) == (case.operation or name, case.outcome)


async def tells_before_it_asks(desk: Desk) -> None:
    """The question before an erasure says how much is held: a look of its own, whatever the answer."""
    at = await newest(desk.log)
    done = await desk.run("person erase", (ANNA,), said="n\n")
    assert done.exit_code == 130, done.output
    one = await desk.only(at)
    assert (one["action"], one["what"]["operation"]) == ("R", "person erase")
    assert done.stderr.startswith(f"{one['result']['items']} gebeurtenissen noemen deze persoon.")


async def is_granted(desk: Desk, name: str, case: Case) -> None:
    at = await newest(desk.log)
    done = await desk.run(name, case.words)
    assert done.exit_code == FINDS.get(name, 0), f"{name}: {done.output}"
    one = await desk.only(at)
    assert (one["what"]["operation"], one["result"]["outcome"]) == (case.operation or name, "granted")
    if COMMANDS[name] == API:
        assert (one["who"]["kind"], one["for"]["claimed"][:3]) == ("person", "os:")
    else:
        assert (one["who"]["kind"], one["from"]["client"]) == ("command_line", "command_line")
    if MINE in case.words:
        assert one["what"]["relations"] == [MINE], name
    if ANNA in case.words:
        assert len(one["what"]["persons"]) == 1, name
    assert "Jansen" not in json.dumps(one)
