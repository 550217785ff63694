"""The read models of rare facts after a merge: rows of the absorbed relation count for the survivor, it stands in no
list, who asks for it gets the survivor; and after an unmerge each has its own again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from events.recorded import ORGANISATION
from projections.agreement_queries import agreements, programmes
from projections.chain_queries import chains, pockets
from projections.partnership_queries import commitments, contributors, opportunities, partnership
from projections.registry import INSIGHT
from projections.satisfaction_queries import satisfaction
from projections.viewer import EVERYTHING, of_team
from tests.given import DELFT, HAAG, NPS, Book
from tests.read_models import record

NOW: Final = datetime(2026, 6, 30, 10, tzinfo=UTC)
OF_DELFT: Final = of_team("delft")
OTHERS: Final = of_team("jeugd")
ON: Final = {"occurred_on": "2026-01-10"}
BOTH: Final = {"survivor": HAAG, "absorbed": DELFT, "occurred_on": "2026-04-01"}


@pytest.fixture
def book() -> Book:
    """Everything happened to Delft, but that Den Haag has a promise and a score of its own; then Delft is absorbed."""
    book = Book()
    for relation, name, team in ((HAAG, "Gemeente Den Haag", "haag"), (DELFT, "Gemeente Delft", "delft")):
        book.register(relation, name)
        book.tell("team.formed", {"team": team, "name": team, "occurred_on": "2026-01-01"}, ORGANISATION)
        book.tell("team.relation_assigned", {"team": team, "occurred_on": "2026-01-06"}, relation)
    book.tell("relation.tier_assigned", {"tier": "A", "occurred_on": "2026-01-06"}, HAAG)
    book.tell("satisfaction.instrument_defined", {**NPS, "min_n": 3, "occurred_on": "2026-01-01"}, ORGANISATION)
    for n, (relation, score) in enumerate(((HAAG, 9), (DELFT, 3), (DELFT, 6))):
        scored = {"response": f"r-{n}", "instrument": NPS["instrument"], "score": score, "anonymous": True, **ON}
        book.tell("satisfaction.scored", scored, relation)
    for relation, commitment in ((HAAG, "k-1"), (DELFT, "k-2")):
        promise = {"commitment": commitment, "by": "us", "what": "enc~1", "due_on": "2026-05-01", **ON}
        book.tell("commitment.made", promise, relation)
    facts: tuple[tuple[str, dict[str, Any]], ...] = (
        ("agreement.signed", {"agreement": "a-1", "type": "coalition", "name": "Samen", "parties": ["us", DELFT],
                              "from": "2026-01-01", "until": "2028-12-31", "basis": "transformation", "frame": []}),
        ("programme.started", {"programme": "p-1", "agreement": "a-1", "name": "Thuis", "starts_on": "2026-01-01",
                               "ends_on": "2026-12-31"}),
        ("programme.progress_reported", {"programme": "p-1", "indicator": "dagen", "target": 2, "actual": 9,
                                         "rag": "red"}),
        ("chain.defined", {"chain": "c-1", "name": "Ouderen", "phases": [{"phase": "f-1", "name": "Thuis"}]}),
        ("chain.investment_recorded", {"chain": "c-1", "organisation": DELFT, "financing_system": "wmo", "cents": 500,
                                       "period": "2026-Q1"}),
        ("partnership.interest_recorded", {"interest": "i-1", "holder": "theirs", "text": "enc~2"}),
        ("opportunity.tender_announced", {"opportunity": "o-1", "title": "enc~3"}),
        ("schedule.line_set", {"line": "l-1", "our_layer": "board", "their_layer": "board",
                               "cadence": {"mode": "rolling", "every": "P3M"}, "starts_on": "2026-01-01",
                               "grace_working_days": 5, "owner": "ref~1"}),
    )  # fmt: skip
    for kind, data in facts:
        book.tell(kind, {**data, **ON}, DELFT)
    book.tell("relation.merged", BOTH, HAAG, absorbed=DELFT)
    return book


async def test_satisfaction_is_of_all_members(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events, INSIGHT)
    async with engine.connect() as conn:
        seen = await satisfaction(conn, HAAG, NOW, viewer=EVERYTHING)
        assert await satisfaction(conn, DELFT, NOW, viewer=EVERYTHING) == seen
        assert await satisfaction(conn, DELFT, NOW, OF_DELFT) == seen
        assert await satisfaction(conn, HAAG, NOW, OTHERS) is None
    assert seen is not None
    assert (seen["relation"], seen["absorbed"]) == (HAAG, [DELFT])
    (figure,) = seen["figures"]
    assert (figure["n"], figure["mean"]) == (3, 6.0), "enough together, where neither had enough"


async def test_agreements_and_programmes_are_the_survivors(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events, INSIGHT)
    async with engine.connect() as conn:
        seen = await agreements(conn, HAAG, NOW, viewer=EVERYTHING)
        assert await agreements(conn, DELFT, NOW, viewer=EVERYTHING) == seen
        assert seen is not None
        assert (seen["relation"], [a["agreement"] for a in seen["agreements"]]) == (HAAG, ["a-1"])
        assert seen["agreements"][0]["programmes"] == ["p-1"]
        for viewer, asked in ((EVERYTHING, DELFT), (EVERYTHING, HAAG), (EVERYTHING, None), (OF_DELFT, None)):
            (item,) = (await programmes(conn, NOW, relation=asked, viewer=viewer)).items
            assert (item["relation"], item["relation_name"], item["tier"]) == (HAAG, "Gemeente Den Haag", "A")
            assert (item["programme"], item["red_without_decision"]) == ("p-1", True)
        assert (await programmes(conn, NOW, viewer=OTHERS)).items == []


async def test_chains_and_their_money_are_the_survivors(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events, INSIGHT)
    async with engine.connect() as conn:
        seen = await chains(conn, HAAG, NOW, viewer=EVERYTHING)
        assert await chains(conn, DELFT, NOW, viewer=EVERYTHING) == seen
        assert seen is not None
        assert (seen["relation"], [c["chain"] for c in seen["chains"]]) == (HAAG, ["c-1"])
        for asked in (DELFT, HAAG, None):
            (item,) = (await pockets(conn, relation=asked, viewer=EVERYTHING)).items
            assert (item["organisation"], item["organisation_name"]) == (HAAG, "Gemeente Den Haag")
            assert [(c["relation"], c["chain"]) for c in item["chains"]] == [(HAAG, "c-1")]
        assert len((await pockets(conn, viewer=OF_DELFT, tier="A")).items) == 1
        assert (await pockets(conn, viewer=OTHERS)).items == []


async def test_promises_interests_and_opportunities_are_the_survivors(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events, INSIGHT)
    async with engine.connect() as conn:
        seen = await partnership(conn, HAAG, NOW, viewer=EVERYTHING)
        assert await partnership(conn, DELFT, NOW, viewer=EVERYTHING) == seen
        assert seen is not None
        assert (seen["relation"], [i["interest"] for i in seen["interests"]]) == (HAAG, ["i-1"])
        for viewer, asked in ((EVERYTHING, DELFT), (EVERYTHING, HAAG), (EVERYTHING, None), (OF_DELFT, None)):
            items = (await commitments(conn, NOW, relation=asked, tier="A", viewer=viewer)).items
            assert {(i["relation"], i["commitment"]) for i in items} == {(HAAG, "k-1"), (HAAG, "k-2")}
        assert (await commitments(conn, NOW, viewer=OTHERS)).items == []
        for asked in (DELFT, HAAG):
            found = await opportunities(conn, asked, viewer=EVERYTHING)
            assert found is not None
            assert ([i["opportunity"] for i in found[0].items], found[1]) == (["o-1"], HAAG)
        asked_for = (await contributors(conn, NOW, OF_DELFT))["asked"]
        assert [(a["tier"], a["our_layer"], a["lines"]) for a in asked_for] == [("A", "board", 1)]


async def test_after_an_unmerge_each_has_its_own_again(engine: AsyncEngine, book: Book) -> None:
    book.tell("relation.unmerged", {**BOTH, "occurred_on": "2026-05-01"}, HAAG, absorbed=DELFT)
    await record(engine, book.events, INSIGHT)
    async with engine.connect() as conn:
        seen = await satisfaction(conn, HAAG, NOW, viewer=EVERYTHING)
        assert seen is not None
        assert (seen["relation"], seen["absorbed"]) == (HAAG, [])
        (item,) = (await programmes(conn, NOW, viewer=EVERYTHING)).items
        assert (item["relation"], item["tier"]) == (DELFT, None)
        items = (await commitments(conn, NOW, viewer=EVERYTHING)).items
        assert {(i["relation"], i["commitment"]) for i in items} == {(HAAG, "k-1"), (DELFT, "k-2")}
        assert (await programmes(conn, NOW, relation=HAAG, viewer=EVERYTHING)).items == []
