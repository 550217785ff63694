"""What people are told: once for each transition, at once or in a mail a working day, over a real mail server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from datetime import date, timedelta
from email import message_from_string, policy
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from prometheus_client import CollectorRegistry
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from events.clock import system_now
from projections.contact_alerts import PROJECTION
from projections.tables import checkpoint
from projections.workflows.low_score import loop_id
from projections.workflows.projection import PROJECTION as WORKFLOWS
from projections.workflows.thresholds import Thresholds
from projections.working_calendar import WorkingCalendar
from services.alerts.digests import MOST_TOLD, Digest
from services.alerts.effects import mail, notice, progress
from services.alerts.mailing import MOST_ATTEMPTS, Addresses, Mailer, smtp
from services.alerts.notifier import Notifier
from services.cli.main import app
from services.identity import accounts
from services.settings import Settings, as_environment
from services.ticking.lease import Lease
from tests.alert_office import HAAG, Json, Office
from tests.alert_trial import at
from tests.ports import free_port
from tests.workflow_trial import NPS

Mailbox = list[tuple[list[str], str]]


class _Handler:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.mails: Mailbox = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 the library's name
        content = envelope.content
        text = content.decode() if isinstance(content, bytes) else str(content)
        message = message_from_string(text, policy=policy.default)
        self.mails.append(([str(to) for to in envelope.rcpt_tos], str(message.get_content())))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A mail server on this machine: what it was given, and its port."""
    handler = _Handler()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), ready_timeout=60)
    controller.start()
    try:
        yield handler.mails, controller.port
    finally:
        controller.stop()


class Desk:
    """An office whose notifier is turned by hand."""

    def __init__(self, office: Office, port: int, addresses: Addresses) -> None:
        self.office = office
        self.told: list[Json] = []
        self.digests: list[Json] = []
        settings = Settings(smtp_host="127.0.0.1", smtp_port=port, smtp_tls="none", mail_from="boek@zorg.example")
        calendar = WorkingCalendar()
        self.mailer = Mailer(office.privacy, addresses, smtp(settings), sender=settings.mail_from, calendar=calendar)
        self.notifier = Notifier(
            PROJECTION, office.engine, Lease(office.engine, 3), self._tell, self.mailer, CollectorRegistry(),
            calendar=calendar, hour=8, every_s=1.0,
        )  # fmt: skip

    async def _tell(self, message: Json) -> None:
        (self.digests if message["type"] == "digest" else self.told).append(message)

    async def turn(self, to: str | None = None) -> None:
        """Ticks until there is nothing to do, at a moment, and lets the notifier look."""
        if to is not None:
            await self.office.clock(to)
        while await self.office.tick():
            pass
        async with self.office.engine.connect() as conn:
            await self.notifier.once(await conn.execution_options(isolation_level="AUTOCOMMIT"))

    async def rows(self, of: Any) -> list[Any]:
        async with self.office.engine.connect() as conn:
            return list((await conn.execute(select(of))).mappings())


ADDRESSES = Addresses({"e-12": "jansen@zorg.example", "e-20": "bakker@zorg.example"}, ("bestuur@zorg.example",))


@pytest_asyncio.fixture(loop_scope="session")
async def office(engine: AsyncEngine) -> AsyncGenerator[Office]:
    """The Hague, an A relation: every three months, last contact 3 February, overdue on 12 May 2026."""
    office = Office(engine)
    await office.clock("2026-02-04")
    await office.open_relation(HAAG, "Gemeente Den Haag", team="haaglanden")
    lead = {"team": "haaglanden", "employee": "e-20", "role": "lead", "occurred_on": "2026-01-06"}
    await office.tell("team.member_joined", lead, "organisation")
    await office.tell("team.member_joined", {**lead, "employee": "e-12", "role": "member"}, "organisation")
    await office.line("l-1")
    await office.held("c-1", "2026-02-03")
    yield office
    await office.ledger.close()


async def test_an_alert_interrupts_once_and_is_in_one_mail(office: Office, mailbox: tuple[Mailbox, int]) -> None:
    mails, port = mailbox
    desk = Desk(office, port, ADDRESSES)
    await desk.turn()

    await desk.turn("2026-05-12T07:00:00+02:00")
    assert [m["type"] for m in desk.told] == ["nl.relatieboek.alert.raised.v1"]
    assert set(desk.told[0]) == {"position", "relation", "type"}
    assert mails == []  # not before eight

    await desk.turn("2026-05-12T08:00:00+02:00")
    await desk.turn("2026-05-12T09:00:00+02:00")
    ((to, text),) = mails
    assert to == ["jansen@zorg.example"]
    assert "Nieuw: Gemeente Den Haag" in text
    assert "1 werkdag te laat" in text
    assert len(desk.told) == 1

    # Another process, or the same after a rebuild, that looks at everything again.
    async with office.engine.begin() as conn:
        await conn.execute(update(progress).values(position=0))
    again = Desk(office, port, ADDRESSES)
    await again.turn("2026-05-13T09:00:00+02:00")
    assert (again.told, len(mails)) == ([], 1)


async def test_escalations_go_to_the_lead_and_the_board(office: Office, mailbox: tuple[Mailbox, int]) -> None:
    mails, port = mailbox
    desk = Desk(office, port, ADDRESSES)
    await desk.turn()
    for day in ("2026-05-12", "2026-05-19", "2026-05-27"):
        await desk.turn(f"{day}T09:00:00+02:00")
    assert [to for to, _ in mails] == [["jansen@zorg.example"], ["bakker@zorg.example"], ["bestuur@zorg.example"]]
    assert "Doorgezet" in mails[1][1]
    assert [m["type"].split(".")[3] for m in desk.told] == ["raised", "escalated", "escalated"]


async def test_a_mail_says_no_more_than_its_reader_may_see(office: Office, mailbox: tuple[Mailbox, int]) -> None:
    mails, port = mailbox
    people = {"e-12": "jansen@zorg.example", "e-30": "smit@zorg.example", "e-31": "vos@zorg.example"}
    async with office.engine.begin() as conn:
        # Of this department, and of the team by the account alone: the book does not have e-31 in it.
        await accounts.add(
            conn, "vos", roles=["relation_manager"], teams=["haaglanden"], department="zorg",
            employee=office.privacy.lookup("employee", "e-31"),
        )  # fmt: skip
    same = {"starts_on": "2026-02-03", "their_layer": "professional"}
    await office.line("l-2", our_layer="professional", owner="e-30", **same)
    await office.line("l-3", our_layer="tactical_management", owner="e-12", visibility="department", **same)
    await office.line("l-4", our_layer="senior_management", owner="e-31", visibility="department", **same)
    desk = Desk(office, port, Addresses(people))
    await desk.turn()
    await desk.turn("2026-05-12T09:00:00+02:00")

    lines = {to[0]: [x for x in text.splitlines() if x.startswith("- ")] for to, text in mails}
    assert {to: len(found) for to, found in lines.items()} == {"jansen@zorg.example": 1, "vos@zorg.example": 1}
    assert "ons bestuur met hun bestuur" in lines["jansen@zorg.example"][0]
    # Owner of a line, but of no team that has the relation.
    assert [row["error"] for row in await desk.rows(mail) if row["state"] != "sent"] == ["nothing to tell"]
    # At once, where everybody listens, only what is not restricted.
    assert len(desk.told) == 2
    # And of a mail what it says to its reader: jansen's has one of two lines, smit's is not sent.
    positions = [row["position"] for row in await desk.rows(notice) if row["mail_id"] is not None]
    assert len(positions) == 4
    assert sorted(d["count"] for d in desk.digests) == [1, 1]
    assert all(set(d["positions"]) < set(positions) for d in desk.digests)
    assert desk.told[0]["position"] in {p for d in desk.digests for p in d["positions"]}


async def test_no_mail_on_a_day_off_and_none_about_what_is_over(office: Office, mailbox: tuple[Mailbox, int]) -> None:
    mails, port = mailbox
    desk = Desk(office, port, ADDRESSES)
    await desk.turn()
    await desk.turn("2026-05-12T07:00:00+02:00")
    await office.held("c-2", "2026-05-11")
    await desk.turn("2026-05-12T12:30:00+02:00")
    assert mails == []
    assert [row["state"] for row in await desk.rows(notice)] == ["dropped"]


async def test_an_import_of_the_past_tells_nobody(office: Office, mailbox: tuple[Mailbox, int]) -> None:
    mails, port = mailbox
    desk = Desk(office, port, ADDRESSES)
    await desk.turn()
    await office.clock("2026-05-11T12:00:00+02:00")
    await office.line("l-old", their_layer="professional", starts_on="2025-01-01", occurred_on="2025-01-01")
    await desk.turn("2026-05-11T13:00:00+02:00")
    async with office.engine.connect() as conn:
        assert await conn.scalar(select(notice.c.cause)) is None
    assert (desk.told, mails) == ([], [])


async def test_a_book_that_is_older_than_its_notices_begins_at_its_end(
    office: Office, mailbox: tuple[Mailbox, int]
) -> None:
    mails, port = mailbox
    await office.clock("2026-05-14T09:00:00+02:00")
    while await office.tick():
        pass
    desk = Desk(office, port, ADDRESSES)
    await desk.turn()
    await desk.turn("2026-05-15T09:00:00+02:00")
    assert (desk.told, mails) == ([], [])


async def test_a_mail_server_that_is_out_is_tried_again_and_not_for_ever(office: Office, settings: Settings) -> None:
    desk = Desk(office, 1, ADDRESSES)
    await desk.turn()
    await desk.turn("2026-05-12T09:00:00+02:00")
    (row,) = await desk.rows(mail)
    assert (row["state"], row["attempts"]) == ("waiting", 1)
    assert row["next_at"] > system_now()

    for _ in range(MOST_ATTEMPTS):
        async with office.engine.begin() as conn:
            await conn.execute(update(mail).values(next_at=system_now()))
        await desk.turn()
    (row,) = await desk.rows(mail)
    assert (row["state"], row["attempts"]) == ("failed", MOST_ATTEMPTS)

    async def mail_command(*words: str) -> Any:
        environment = as_environment(settings)
        done = await asyncio.to_thread(CliRunner(env=environment).invoke, app, ["mail", *words, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    (shown,) = (await mail_command("list", "--state", "failed"))["items"]
    assert (shown["mail_id"], shown["error"], shown["notices"]) == (row["mail_id"], row["error"], 1)
    assert await mail_command("retry") == {"waiting": 1}
    (row,) = await desk.rows(mail)
    assert (row["state"], row["attempts"], row["error"]) == ("waiting", 0, None)
    assert await mail_command("retry", str(row["mail_id"])) == {"waiting": 1}
    assert (await mail_command("list", "--state", "failed"))["items"] == []

    async with office.engine.begin() as conn:  # one of another day, to the same person: mails are counted, not people
        other = {"recipient": row["recipient"], "for_on": row["for_on"] - timedelta(days=1), "next_at": system_now()}
        await conn.execute(insert(mail).values(**other, state="failed", attempts=MOST_ATTEMPTS, announced=False))
        await conn.execute(update(mail).values(state="failed"))
    assert await mail_command("retry") == {"waiting": 2}


async def test_live_alerts_tells_each_digest_once_by_a_token_and_the_positions_in_it(office: Office) -> None:
    desk = Desk(office, 1, ADDRESSES)
    await desk.turn()
    await desk.turn("2026-05-12T07:00:00+02:00")
    assert desk.digests == []
    await desk.turn("2026-05-12T09:00:00+02:00")
    await desk.turn("2026-05-12T10:00:00+02:00")
    (row,) = await desk.rows(mail)
    (told,) = desk.digests
    assert told == {
        "type": "digest", "id": f"mail-{row['mail_id']}-2026-05-12", "recipient": row["recipient"], "on": "2026-05-12",
        "count": 1, "positions": [desk.told[0]["position"]],
    }  # fmt: skip
    assert told["recipient"].startswith("ref~")

    # As if the process had died between telling and noting that it did: once more, to be known by its id.
    async with office.engine.begin() as conn:
        await conn.execute(update(mail).values(announced=False))
    again = Desk(office, 1, ADDRESSES)
    await again.turn()
    await again.turn("2026-05-12T11:00:00+02:00")
    assert again.digests == [told]


async def test_what_interrupts_nobody_is_in_a_digest_on_live_alerts(office: Office) -> None:
    await office.tell("relation.tier_assigned", {"tier": "B", "occurred_on": "2026-02-04"})
    desk = Desk(office, 1, ADDRESSES)
    await desk.turn()
    await desk.turn("2026-05-12T09:00:00+02:00")
    assert (desk.told, [d["count"] for d in desk.digests]) == ([], [1])


def test_a_digest_message_is_bounded() -> None:
    message = Digest(7, "board", date(2026, 5, 12), range(1, 20_001)).as_json()
    assert (message["count"], message["positions"]) == (20_000, [*range(1, MOST_TOLD + 1)])


async def test_the_outbox_names_no_person(office: Office) -> None:
    desk = Desk(office, 1, Addresses({}))
    await desk.turn()
    await desk.turn("2026-05-12T09:00:00+02:00")
    (row,) = await desk.rows(mail)
    assert row["recipient"].startswith("ref~")
    assert (row["state"], row["error"]) == ("waiting", "no address")


def test_addresses_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "adressen.toml"
    path.write_text('board = ["bestuur@zorg.example"]\n[employees]\n"e-12" = "jansen@zorg.example"\n')
    known = Addresses.read(path)
    assert [*known.of("e-12"), *known.of("board"), *known.of("e-13")] == ["jansen@zorg.example", "bestuur@zorg.example"]


# Nothing but the scores asks for anything.
QUIET = Thresholds(incomplete_grace_working_days=260, schedule_working_days=260)


@pytest_asyncio.fixture(loop_scope="session")
async def clinic(engine: AsyncEngine) -> AsyncGenerator[Office]:
    """The Hague, an A relation of e-12 and of team haaglanden, whose lead is e-20; its satisfaction is asked."""
    office = Office(engine, QUIET)
    await office.clock("2026-02-06T07:00:00+01:00")
    await office.open_relation(HAAG, "Gemeente Den Haag", team="haaglanden")
    lead = {"team": "haaglanden", "employee": "e-20", "role": "lead", "occurred_on": "2026-01-06"}
    await office.tell("team.member_joined", lead, "organisation")
    await office.tell("team.member_joined", {**lead, "employee": "e-12", "role": "member"}, "organisation")
    await office.tell("relation.owner_assigned", {"employee": "e-12", "occurred_on": "2026-01-06"})
    await office.tell("satisfaction.instrument_defined", NPS, "organisation")
    yield office
    await office.ledger.close()


async def _score(office: Office, score: int, on: str, **more: Any) -> None:
    data = {"response": "r-1", "instrument": "nps-2026", "score": score, "anonymous": False, "occurred_on": on, **more}
    await office.tell("satisfaction.scored", data)


async def test_a_loop_is_told_to_the_owner_then_the_lead_then_the_board_each_once(
    clinic: Office, mailbox: tuple[Mailbox, int]
) -> None:
    mails, port = mailbox
    desk = Desk(clinic, port, ADDRESSES)
    await desk.turn()
    await _score(clinic, 3, "2026-02-06", respondent="p-81", comment="Te lang gewacht")
    # Due on Tuesday 10 February; two and five working days later it is asked of the next.
    for day in ("2026-02-06", "2026-02-09", "2026-02-12", "2026-02-13", "2026-02-17"):
        await desk.turn(f"{day}T09:00:00+01:00")
    assert [m["type"] for m in desk.told] == [
        "nl.relatieboek.loop.opened.v1", "nl.relatieboek.loop.escalated.v1", "nl.relatieboek.loop.escalated.v1",
    ]  # fmt: skip
    assert {m["relation"] for m in desk.told} == {HAAG}
    assert [to for to, _ in mails] == [["jansen@zorg.example"], ["bakker@zorg.example"], ["bestuur@zorg.example"]]
    assert "een lage score vraagt om een reactie. Dit moet op 10 februari 2026 klaar" in mails[0][1]
    assert "Doorgezet: Gemeente Den Haag" in mails[1][1]
    assert "2 werkdagen te laat" in mails[1][1]
    assert [d["positions"] for d in desk.digests] == [[m["position"]] for m in desk.told]

    async with clinic.engine.begin() as conn:
        await conn.execute(update(progress).values(position=0))
    again = Desk(clinic, port, ADDRESSES)
    await again.turn("2026-02-18T09:00:00+01:00")
    assert (again.told, again.digests, len(mails)) == ([], [], 3)


async def test_an_anonymous_score_shows_neither_itself_nor_who_gave_it(
    clinic: Office, mailbox: tuple[Mailbox, int]
) -> None:
    mails, port = mailbox
    desk = Desk(clinic, port, ADDRESSES)
    await desk.turn()
    await _score(clinic, 3, "2026-02-06", anonymous=True, comment="Te lang gewacht")
    await desk.turn("2026-02-06T09:00:00+01:00")
    ((_, text),) = mails
    (line,) = [line for line in text.splitlines() if line.startswith("- ")]
    assert line == (
        "- Nieuw: Gemeente Den Haag, een lage score vraagt om een reactie. Dit moet op 10 februari 2026 klaar zijn."
    )
    assert "gewacht" not in text
    assert [set(m) for m in desk.told] == [{"position", "relation", "type"}]


async def test_a_loop_of_another_tier_waits_for_the_digest_and_a_closed_one_is_dropped(clinic: Office) -> None:
    await clinic.tell("relation.tier_assigned", {"tier": "B", "occurred_on": "2026-02-04"})
    desk = Desk(clinic, 1, ADDRESSES)
    await desk.turn()
    await _score(clinic, 3, "2026-02-05")
    await _score(clinic, 2, "2026-02-06", response="r-2")
    await desk.turn("2026-02-06T07:30:00+01:00")
    followed_up, open_still = loop_id(HAAG, "r-1"), loop_id(HAAG, "r-2")
    positions = {row["alert"]: row["position"] for row in await desk.rows(notice)}
    assert positions.keys() == {followed_up, open_still}
    await clinic.held("c-1", "2026-02-05", topics=["opvolging"])
    await desk.turn("2026-02-06T09:00:00+01:00")
    assert desk.told == []
    assert [d["positions"] for d in desk.digests] == [[positions[open_still]]]
    assert {row["alert"]: row["state"] for row in await desk.rows(notice)} == {
        followed_up: "dropped", open_still: "mailed",
    }  # fmt: skip


async def test_a_loop_of_the_past_is_told_only_when_it_climbs_later(clinic: Office) -> None:
    desk = Desk(clinic, 1, ADDRESSES)
    await desk.turn()
    # Due on Wednesday 4 February and learned of on the 9th: three working days late, beyond the first step.
    await clinic.clock("2026-02-09T08:00:00+01:00")
    await _score(clinic, 3, "2026-02-02")
    await desk.turn("2026-02-09T09:00:00+01:00")
    assert (desk.told, desk.digests, await desk.rows(notice)) == ([], [], [])
    await desk.turn("2026-02-11T09:00:00+01:00")
    assert [m["type"] for m in desk.told] == ["nl.relatieboek.loop.escalated.v1"]


async def test_what_climbs_because_the_rules_changed_is_told_to_nobody(clinic: Office) -> None:
    desk = Desk(clinic, 1, ADDRESSES)
    await desk.turn()
    await clinic.clock("2026-02-09T08:00:00+01:00")
    await _score(clinic, 3, "2026-02-02")
    while await clinic.tick():
        pass
    async with clinic.engine.begin() as conn:
        # Another build took the place of this one on the day of the next step.
        older = {"name": WORKFLOWS.name, "version": 0, "code_version": 1, "state": "old", "position": 1, "epoch": 0}
        await conn.execute(checkpoint.insert().values(**older, updated_at=at("2026-02-11T08:00:00+01:00")))
    await desk.turn("2026-02-11T09:00:00+01:00")
    assert (desk.told, await desk.rows(notice)) == ([], [])


async def test_loops_wait_while_their_read_model_is_made_and_alerts_do_not(office: Office) -> None:
    async with office.engine.begin() as conn:
        await conn.execute(update(checkpoint).where(checkpoint.c.name == WORKFLOWS.name).values(code_version=0))
    desk = Desk(office, 1, ADDRESSES)
    await desk.turn()
    await desk.turn("2026-05-12T09:00:00+02:00")
    assert (len(desk.told), len(desk.digests)) == (1, 1)
