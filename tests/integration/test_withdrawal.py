"""A publisher takes events back: through the doors, in the ledger, and in every read model, live and folded anew."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from events.clock import set_clock
from projections.registry import PROJECTIONS
from projections.standing_check import check_relation
from services.settings import Settings
from tests.alert_trial import at
from tests.conftest import AddDepartment
from tests.running_book import Book, running

RELATION = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001"
SOURCE = "urn:nld:oin:00000000000000000000:systeem:zorg"
SERVICES = ["intake", "relation-view", "contact-alerts", "team-timeline", "api"]


@pytest.fixture
async def book(settings: Settings, engine: AsyncEngine, department: AddDepartment) -> AsyncGenerator[Book]:
    del department
    async with engine.begin() as conn:
        await set_clock(conn, at("2026-06-30"))  # within a year of the contacts
    async with running(settings, SERVICES) as book:
        yield book


def event(id_: str, kind: str, data: dict[str, Any], subject: str = RELATION) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": id_, "source": SOURCE, "type": f"nl.relatieboek.{kind}.v1", "subject": subject,
        "data": data,
    }  # fmt: skip


def held(contact: str, on: str, minutes: int) -> dict[str, Any]:
    data = {
        "contact": contact, "occurred_at": f"{on}T10:00:00+01:00", "duration_min": minutes, "channel": "meeting",
        "activity": "conversation", "topics": ["wmo"], "ours": [{"layer": "board"}], "theirs": [{"layer": "board"}],
    }  # fmt: skip
    return event(f"held-{contact}", "contact.held", data)


def withdrawn(id_: str, subject: str = RELATION) -> dict[str, Any]:
    data = {"source": SOURCE, "id": id_, "reason": "vergissing", "occurred_at": "2026-03-01T09:00:00+01:00"}
    return event(f"w-{id_}", "correction.withdrawn", data, subject)


async def test_a_withdrawn_event_counts_as_if_it_had_never_happened(
    book: Book, department: AddDepartment, engine: AsyncEngine
) -> None:
    token = (await department("zorg")).http_token
    on = {"occurred_on": "2026-01-05"}
    why = [{"criterion": "revenue_share", "evidence": "18 %"}]
    line = {
        "line": "l-1", "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
        "starts_on": "2026-01-01", "grace_working_days": 5, "owner": "e-12", **on,
    }  # fmt: skip
    early = await book.publish([withdrawn("held-c-2")], token)
    assert (early[0]["verdict"], early[0]["problem"]["type"].rpartition(":")[2]) == ("parked", "unknown_relation")
    told = await book.publish(
        [
            event("e-1", "relation.registered", {"name": "G", "kind": "municipality", "identifiers": [], **on}),
            event("e-2", "team.formed", {"team": "wmo", "name": "Wmo", **on}, "organisation"),
            event("e-3", "team.formed", {"team": "fout", "name": "Fout", **on}, "organisation"),
            event("e-4", "team.relation_assigned", {"team": "wmo", **on}),
            event("e-5", "relation.tier_assigned", {"tier": "B", "arguments": [], **on}),
            event("e-6", "relation.tier_assigned", {"tier": "A", "arguments": why, "occurred_on": "2026-01-06"}),
            event("e-7", "schedule.line_set", line),
            held("c-1", "2026-02-02", 30),
            held("c-2", "2026-02-03", 60),
            held("c-3", "2026-02-04", 90),
            withdrawn("e-6"),
        ],
        token,
    )
    assert [v["verdict"] for v in told] == ["accepted"] * 11
    last = told[-1]["sequence"]
    freed = await book.publish([held("c-4", "2026-02-05", 45)], token)  # the batch that frees what waited for c-2
    same = {"contacts": ["c-1", "c-3"], "canonical": "c-3", "occurred_on": "2026-02-06"}
    later = await book.publish(
        [event("same", "contact.declared_same", same), withdrawn("e-3", "organisation"), withdrawn("held-c-4")], token
    )
    assert {v["verdict"] for v in later} == {"accepted"}
    upto = {"If-Position": later[-1]["sequence"]}

    seen = (await book.get(f"/v1/relations/{RELATION}", **upto)).json()
    assert (seen["tier"], seen["contacts_total"]) == ("B", 1)
    assert seen["contacts_by_channel"] == {"meeting": 1}
    assert seen["last_contact_at"].startswith("2026-02-04")

    page = (await book.get(f"/v1/relations/{RELATION}/timeline?limit=100", **upto)).json()["items"]
    by_type = {
        (entry["type"].split(".", 2)[2], entry["detail"].get("contact", entry["detail"].get("tier"))): entry
        for entry in page
    }
    gone = by_type["contact.held.v1", "c-2"]
    corrections = {entry["corrects"]: entry["position"] for entry in page if "withdrawn" in entry["type"]}
    assert gone["retracted_by"] == corrections[gone["position"]]
    assert by_type["contact.held.v1", "c-3"]["retracted_by"] is None
    assert by_type["contact.held.v1", "c-1"]["same_as"] == by_type["contact.held.v1", "c-3"]["position"]
    assert by_type["relation.tier_assigned.v1", "A"]["retracted_by"] is not None
    assert (await book.get("/v1/teams/wmo/timeline", **upto)).status_code == 200
    assert (await book.get("/v1/teams/fout/timeline", **upto)).status_code == 404

    # The declaration that two are the same taken back: each counts again.
    apart = await book.publish([withdrawn("same")], token)
    assert [v["verdict"] for v in apart] == ["accepted"]
    seen = (await book.get(f"/v1/relations/{RELATION}", **{"If-Position": apart[0]["sequence"]})).json()
    assert (seen["contacts_total"], seen["minutes_12m"], seen["contacts_by_channel"]) == (2, 120, {"meeting": 2})

    # As known before the withdrawals, and as known now of a day before them.
    before = (await book.get(f"/v1/relations/{RELATION}?knownAt={int(last) - 1}")).json()
    assert (before["tier"], before["contacts_total"]) == ("A", 3)
    then = (await book.get(f"/v1/relations/{RELATION}?asOf=2026-02-03")).json()
    assert (then["tier"], then["contacts_total"]) == ("B", 1)

    assert freed[0]["verdict"] == "accepted"
    for name in ("relation_view", "contact_alerts", "team_timeline"):
        for of in (RELATION, "organisation"):
            async with engine.connect() as conn:
                await conn.execution_options(isolation_level="REPEATABLE READ")
                checked = await check_relation(conn, PROJECTIONS[name], of)
            assert checked is not None
            assert (name, of, dict(checked.drift)) == (name, of, {})


async def test_only_the_publisher_withdraws_and_only_what_the_book_can_do_without(
    book: Book, department: AddDepartment
) -> None:
    zorg, other = (await department("zorg")).http_token, (await department("crm")).http_token
    on = {"occurred_on": "2026-01-05"}
    await book.publish(
        [
            event("e-1", "relation.registered", {"name": "G", "kind": "municipality", "identifiers": [], **on}),
            event("e-2", "relation.tier_assigned", {"tier": "B", "arguments": [], **on}),
        ],
        zorg,
    )

    async def refused(sent: dict[str, Any], token: str) -> str:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/cloudevents+json"}
        answer = await book.client.post("/v1/events", json=sent, headers=headers)
        assert answer.status_code == 400, answer.text
        return answer.json()["detail"]

    theirs = {**withdrawn("e-2"), "source": SOURCE.replace("zorg", "crm")}
    assert "another department" in await refused(theirs, other)
    assert "relation.details_changed" in await refused(withdrawn("e-1"), zorg)
    assert "give that as subject" not in await refused({**withdrawn("e-1"), "id": "x"}, zorg)
    assert (await book.publish([withdrawn("e-2")], zorg))[0]["verdict"] == "accepted"
    assert "before" in await refused({**withdrawn("e-2"), "id": "again"}, zorg)
