"""Municipal reorganisations, through the doors: Finsterwolde into Reiderland, into Oldambt, into a larger one.

The facts are told late and out of order, as departments do, and what is read is compared with a naive count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.running_book import Book, running

SOURCE: Final = "urn:nld:oin:00000000000000000000:systeem:zorg"
SERVICES: Final = ("intake", "relation-view", "team-timeline", "api")
NAMES: Final = {"1649": "Finsterwolde", "1661": "Reiderland", "1895": "Oldambt", "9001": "Oost-Groningen"}
A, B, C, D = NAMES
# Who was absorbed by whom, when; the last one was undone.
MERGES: Final = ((A, B, "1991-07-01"), (B, C, "2010-01-01"), (C, D, "2025-01-01"))
UNDONE_ON: Final = "2026-03-01"
HELD: Final = (
    (A, "1990-05-01"), (B, "1995-05-01"), (C, "2012-05-01"), (D, "2025-05-01"), (A, "2026-02-02"), (B, "2009-12-31"),
)  # fmt: skip

Json = dict[str, Any]


def event(id_: str, kind: str, code: str, data: Mapping[str, Any], **more: Any) -> Json:
    subject = code if code == "organisation" else f"gemeentecode:{code}"
    return {
        "specversion": "1.0", "id": id_, "source": SOURCE, "type": f"nl.relatieboek.{kind}.v1", "subject": subject,
        "data": dict(data), **more,
    }  # fmt: skip


def registered(code: str) -> Json:
    data = {"name": f"Gemeente {NAMES[code]}", "kind": "municipality", "occurred_on": "1980-01-01"}
    return event(f"r-{code}", "relation.registered", code, data)


def merged(kind: str, absorbed: str, survivor: str, on: str, id_: str | None = None) -> Json:
    codes = {"survivor": f"gemeentecode:{survivor}", "absorbed": f"gemeentecode:{absorbed}"}
    data = {**codes, "reason": "gemeentelijke herindeling", "occurred_on": on}
    return event(id_ or f"{kind}-{absorbed}-{survivor}", f"relation.{kind}", survivor, data)


def held(n: int) -> Json:
    code, on = HELD[n]
    data = {
        "contact": f"c-{n}", "occurred_at": f"{on}T10:00:00+01:00", "duration_min": 60, "channel": "meeting",
        "activity": "conversation", "topics": [], "ours": [{"layer": "board"}], "theirs": [{"layer": "board"}],
    }  # fmt: skip
    return event(f"h-{n}", "contact.held", code, data)


def naive(code: str, on: str, *, told: Sequence[int], undone: bool = True) -> tuple[str, int]:
    """The survivor on a day, and how many of the contacts told it has by then: straight from the tables above."""

    def above(one: str) -> str | None:
        for absorbed, survivor, since in MERGES:
            gone = undone and absorbed == C and on >= UNDONE_ON
            if absorbed == one and since <= on and not gone:
                return survivor
        return None

    def root(one: str) -> str:
        return one if (up := above(one)) is None else root(up)

    return root(code), sum(1 for n in told if HELD[n][1] <= on and root(HELD[n][0]) == root(code))


async def seen(book: Book, path: str, after: str = "0") -> Json:
    answer = await book.get(path, **{"If-Position": after})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_four_municipalities_in_a_chain(
    settings: Settings, department: AddDepartment, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = (await department("zorg")).http_token
    async with running(settings, SERVICES) as book:
        ids = await merges_are_judged(book, token)
        told = [0, 1, 2, 3]
        late = await a_late_fact_reaches_the_survivor(book, token, ids)
        told += [4, 5]
        await all_readers_see_one_relation(book, ids, late)
        for on in ("1990-12-31", "1991-07-01", "2009-12-31", "2010-01-01", "2024-12-31", "2025-06-01", "2026-02-28"):
            for code in NAMES:
                survivor, contacts = naive(code, on, told=told, undone=False)
                past = await seen(book, f"/v1/relations/gemeentecode:{code}?asOf={on}")
                assert (past["id"], past["contacts_total"]) == (ids[survivor], contacts), (code, on)
        (undone,) = await book.publish([merged("unmerged", C, D, UNDONE_ON)], token)
        for code in NAMES:
            survivor, contacts = naive(code, "2026-06-30", told=told)
            now = await seen(book, f"/v1/relations/gemeentecode:{code}", undone["sequence"])
            assert (now["id"], now["contacts_total"]) == (ids[survivor], contacts)
            folded = await seen(book, f"/v1/relations/{ids[code]}?knownAt={int(undone['sequence'])}")
            assert {**folded, "position": 0} == {**now, "position": 0}, "read model and ledger agree"
        listed = await seen(book, "/v1/relations", undone["sequence"])
        assert [i["name"] for i in listed["items"]] == ["Gemeente Oldambt", "Gemeente Oost-Groningen"]
        await differences_are_told(book, ids, monkeypatch)


async def merges_are_judged(book: Book, token: str) -> dict[str, str]:
    """The last municipality is registered after the merge that names it: that one waits, and is accepted by itself."""
    team = event("t-1", "team.formed", "organisation", {"team": "oost", "name": "Oost", "occurred_on": "2020-01-01"})
    given = event("t-2", "team.relation_assigned", A, {"team": "oost", "occurred_on": "2020-01-01"})
    chain = [merged("merged", *one) for one in MERGES]
    verdicts = await book.publish([team, *map(registered, (A, B, C)), given, *chain, *map(held, (0, 1, 2))], token)
    assert [v["verdict"] for v in verdicts] == ["accepted"] * 7 + ["parked"] + ["accepted"] * 3
    ids = {code: v["relation"] for code, v in zip((A, B, C), verdicts[1:4], strict=True)}
    last = await book.publish([registered(D), held(3)], token)
    ids[D] = last[0]["relation"]
    async with asyncio.timeout(20):
        while (await book.get(f"/v1/verdicts?source={SOURCE}&id=merged-{C}-{D}", token=token)).json()[
            "verdict"
        ] == "parked":
            await asyncio.sleep(0.05)
    refused = [
        (merged("merged", D, A, "2026-01-01", "circle"), "unmerge that first"),
        (merged("merged", A, D, "2026-01-01", "twice"), ids[B]),
        (merged("unmerged", A, D, "2026-01-01", "indirect"), ids[B]),
    ]
    for wrong, told in refused:
        answer = await book.client.post("/v1/events", json=wrong, headers={
            "Content-Type": "application/cloudevents+json", "Authorization": f"Bearer {token}",
        })  # fmt: skip
        assert answer.status_code == 400, answer.text
        assert told in answer.json()["errors"][0]["detail"]
    return ids


async def a_late_fact_reaches_the_survivor(book: Book, token: str, ids: Mapping[str, str]) -> str:
    first, second = await book.publish([held(4), held(5)], token)
    assert (first["relation"], first["survivor"]) == (ids[A], ids[D])
    assert first["version"] == 4, "registered, assigned, held, held: its own chain goes on"
    assert (second["relation"], second["survivor"]) == (ids[B], ids[D])
    found = await book.get(f"/v1/verdicts?source={SOURCE}&id=h-4", token=token)
    assert found.json() == first
    (again,) = await book.publish([held(4)], token)
    assert (again["verdict"], again["survivor"]) == ("duplicate", ids[D])
    return str(second["sequence"])


async def all_readers_see_one_relation(book: Book, ids: Mapping[str, str], late: str) -> None:
    listed = await seen(book, "/v1/relations", late)
    assert [(i["id"], i["contacts_total"], i["teams"]) for i in listed["items"]] == [(ids[D], 6, ["oost"])]
    for code in NAMES:
        document = await seen(book, f"/v1/relations/gemeentecode:{code}", late)
        assert document["id"] == ids[D]
        assert document["absorbed"] == sorted(ids[c] for c in (A, B, C))
        assert [i["value"] for i in document["identifiers"]] == sorted(NAMES)
    oost = (await book.viewers())["oost"]
    answer = await book.get("/v1/teams/oost/timeline?family=contact", token=oost, **{"If-Position": late})
    entries = answer.json()["items"]
    assert [e["occurred_at"][:10] for e in entries] == sorted((on for _, on in HELD), reverse=True)
    assert {(e["relation"], e.get("survivor")) for e in entries} == {
        (ids[D], None), *((ids[c], ids[D]) for c in (A, B, C)),
    }  # fmt: skip
    history = await seen(book, f"/v1/relations/{ids[A]}/history?asOf=2000-01-01")
    assert history["relation"] == ids[B]
    assert {e["relation"] for e in history["items"]} == {ids[A], ids[B]}


async def differences_are_told(book: Book, ids: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    query = "asOf=2009-12-31&withAsOf=2026-02-28"
    told = await seen(book, f"/v1/relations/gemeentecode:{A}/difference?{query}")
    fields = {d["pointer"]: (d["before"], d["after"]) for d in told["items"]}
    assert fields["/name"] == ("Gemeente Reiderland", "Gemeente Oost-Groningen")
    assert fields["/contacts_total"] == (3, 6)
    assert fields["/absorbed"] == ([ids[A]], sorted(ids[c] for c in (A, B, C)))
    assert told["relation"] == ids[D]
    assert (await seen(book, f"/v1/relations/{ids[D]}/difference"))["items"] == []
    assert (await book.get(f"/v1/relations/{ids[D]}/difference?asOf=1970-01-01&withAsOf=1971-01-01")).status_code == 404
    one = await seen(book, f"/v1/relations/{ids[D]}/difference?asOf=1970-01-01&withAsOf={date(1985, 1, 1)}")
    assert [(d["pointer"], d["before"]) for d in one["items"]] == [("", None)]
    monkeypatch.setenv("RELATIEBOEK_URL", str(book.client.base_url))
    monkeypatch.setenv("RELATIEBOEK_VIEWER_TOKEN", (await book.viewers())["all"])
    command = ["relation", "diff", f"gemeentecode:{A}", "--as-of", "2009-12-31", "--with-as-of", "2026-02-28"]
    shown = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert shown.exit_code == 0, shown.output
    assert "/contacts_total" in shown.stdout
