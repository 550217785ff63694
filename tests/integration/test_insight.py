"""Agreements, chains, partnerships and satisfaction through the doors: published, folded by `insight`, read, asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import httpx
from typer.testing import CliRunner, Result

from services.api.shapes.agreements import ProgrammeAnswer, RelationAgreements
from services.api.shapes.alerts import Explanation
from services.api.shapes.chains import Pocket, RelationChains
from services.api.shapes.partnership import RelationPartnership
from services.cli.main import app
from services.cli.parts import Part
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.test_api_read import found, until
from tests.running_book import Book, running

HAAG: Final = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001"
DSW: Final = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0002"
OTHER: Final = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0003"
SOURCE: Final = "urn:nld:oin:00000000000000000000:systeem:zorg"
ON: Final = {"occurred_on": "2026-01-05"}


def event(id_: str, kind: str, subject: str, data: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": id_, "source": SOURCE, "type": f"nl.relatieboek.{kind}.v1", "subject": subject,
        "data": {**ON, **data}, **more,
    }  # fmt: skip


def numbered(facts: list[tuple[str, str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [event(f"e-{n}", kind, subject, data) for n, (kind, subject, data) in enumerate(facts)]


def story() -> list[dict[str, Any]]:
    bands = [{"name": n, "from": a, "to": b} for n, a, b in (("low", 0, 6), ("middle", 7, 8), ("high", 9, 10))]
    instrument = {
        "instrument": "nps-2026", "kind": "nps", "scale_min": 0, "scale_max": 10, "bands": bands, "min_n": 3,
        "wording_version": 1,
    }  # fmt: skip
    wait = {"indicator": "wachttijd", "baseline": 30, "target": 20, "unit": "dagen"}
    facts: list[tuple[str, str, dict[str, Any]]] = [
        ("relation.registered", HAAG, {"name": "Gemeente Den Haag", "kind": "municipality",
                                       "identifiers": [{"scheme": "gemeentecode", "value": "0518"}]}),
        ("relation.registered", DSW, {"name": "DSW", "kind": "health_insurer",
                                      "identifiers": [{"scheme": "uzovi", "value": "7029"}]}),
        ("relation.registered", OTHER, {"name": "Elders", "kind": "municipality", "identifiers": []}),
        ("relation.tier_assigned", HAAG, {"tier": "A", "arguments": [{"criterion": "omzet", "evidence": "18 %"}]}),
        ("team.formed", "organisation", {"team": "wmo", "name": "Wmo"}),
        ("team.relation_assigned", HAAG, {"team": "wmo"}),
        ("satisfaction.instrument_defined", "organisation", instrument),
        *(
            ("satisfaction.scored", HAAG, {"response": f"r-{n}", "instrument": "nps-2026", "score": score,
                                           "anonymous": True, "occurred_on": f"2026-0{month}-10"})
            for n, (score, month) in enumerate(((9, 1), (8, 2), (10, 3), (6, 4), (5, 5), (7, 6)))
        ),
        ("satisfaction.complaints_reported", HAAG, {"period": "2026-Q1", "count": 3, "resolved": 2}),
        ("agreement.signed", HAAG, {"agreement": "a-1", "type": "coalition", "name": "Samen sterk",
                                    "parties": ["us", HAAG, "uzovi:7029"], "from": "2026-01-01", "until": "2028-12-31",
                                    "basis": "transformation",
                                    "frame": [{"year": 2026, "cents": 1_000_000, "certainty": "firm"}]}),
        ("agreement.signed", OTHER, {"agreement": "a-1", "type": "coalition", "parties": ["us", OTHER],
                                     "from": "2026-01-01", "until": "2027-12-31", "basis": "transformation"}),
        ("programme.started", HAAG, {"programme": "p-1", "agreement": "a-1", "name": "Wachttijd omlaag",
                                     "starts_on": "2026-01-01", "ends_on": "2026-12-31", "indicators": [wait]}),
        ("programme.progress_reported", HAAG, {"programme": "p-1", "indicator": "wachttijd", "target": 25,
                                               "actual": 31, "rag": "red", "occurred_on": "2026-03-01"}),
        ("chain.defined", HAAG, {"chain": "c-1", "name": "Kwetsbare ouderen",
                                 "phases": [{"phase": "f-1", "name": "Thuis"}, {"phase": "f-2", "name": "Kliniek"}]}),
        ("chain.partner_assigned", HAAG, {"chain": "c-1", "phase": "f-1", "organisation": "us",
                                          "financing_system": "wlz"}),
        ("chain.phase_guaranteed", HAAG, {"chain": "c-1", "phase": "f-1", "organisation": "us"}),
        ("chain.investment_recorded", HAAG, {"chain": "c-1", "organisation": "us", "financing_system": "wlz",
                                             "cents": 5_000, "period": "2026-Q1"}),
        ("chain.return_recorded", HAAG, {"chain": "c-1", "organisation": "uzovi:7029", "financing_system": "zvw",
                                         "cents": 9_000, "period": "2026-Q1"}),
        ("chain.sharing_key_agreed", HAAG, {"chain": "c-1", "shares": [
            {"organisation": "us", "share_pct": 60}, {"organisation": DSW, "share_pct": 40}]}),
        ("chain.savings_assessed", HAAG, {"chain": "c-1", "assessment": "s-1", "period": "2026", "saving_cents": 1_000,
                                          "quality_met": True}),
        ("chain.savings_distributed", HAAG, {"chain": "c-1", "assessment": "s-1", "amounts": [
            {"organisation": "us", "cents": 600}, {"organisation": DSW, "cents": 400}]}),
        ("partnership.interest_recorded", HAAG, {"interest": "i-1", "holder": "theirs", "text": "Minder wachten"}),
        ("partnership.interest_acknowledged", HAAG, {"interest": "i-1", "by": "us"}),
        ("commitment.made", HAAG, {"commitment": "k-1", "by": "us", "what": "Een plan", "due_on": "2026-02-01"}),
        ("commitment.made", HAAG, {"commitment": "k-2", "by": "them", "what": "Een brief", "due_on": "2099-02-01"}),
        ("commitment.made", OTHER, {"commitment": "k-1", "by": "them", "what": "Geld", "due_on": "2026-03-01"}),
        ("opportunity.tender_announced", HAAG, {"opportunity": "o-1", "title": "Dagbesteding", "value_cents": 100}),
        ("opportunity.lost", HAAG, {"opportunity": "o-1", "reason": "Te duur", "occurred_on": "2026-04-01"}),
        ("plan.question_answered", HAAG, {"plan": "2026", "question": "4", "answer": "Meer zorg\nthuis"}),
        ("plan.question_answered", HAAG, {"plan": "2026", "question": "4", "answer": "Meer zorg\ndichtbij",
                                          "occurred_on": "2026-02-05"}),
        ("contributor.profiled", "organisation", {"employee": "e-1", "profile": "innovator", "stage": "tactical"}),
    ]  # fmt: skip
    return numbered(facts)


async def test_insight(settings: Settings, department: AddDepartment) -> None:
    token = (await department("zorg")).http_token
    # What is late, running, or of the last twelve months depends on the day.
    settings = settings.model_copy(update={"clock": datetime.fromisoformat("2026-06-30T12:00:00+02:00")})
    async with running(settings) as book:
        verdicts = await book.publish(story(), token)
        assert [v["problem"] for v in verdicts if v["verdict"] != "accepted"] == []
        last = {"If-Position": verdicts[-1]["sequence"]}
        team = {**last, "Authorization": f"Bearer {(await book.viewers())['wmo']}"}
        await shows_one_relation(book, last)
        await shows_the_plan_with_its_past(book, last)
        await answers_promises(book, last, team)
        await answers_programmes(book, last, team)
        await answers_pockets(book, last, team)
        await narrows_by_its_filters(book, last)
        await keeps_others_out(book, team)
        # The rules tick by themselves; what they raised is then known to every read model.
        await until(book, "/v1/alerts?rule=commitment_late&state=all", lambda d: len(d["items"]) == 2)
        await until(book, "/v1/alerts?rule=tier_without_schedule&state=all", lambda d: bool(d["items"]))
        await book.caught_up()
        await shows_it_on_the_pages(book)
        await answers_why(book)
        await answers_on_the_command_line(book)
        await shows_each_part_on_the_command_line(book)


async def shows_one_relation(book: Book, last: Mapping[str, str]) -> None:
    satisfied = found(await book.get("/v1/relations/gemeentecode:0518/satisfaction", **last))
    (figure,) = satisfied["items"]
    assert (figure["n"], figure["mean"], figure["direction"]) == (6, 7.5, "down")
    assert [(q["quarter"], q["mean"]) for q in figure["trend"]] == [("2026-Q1", 9.0), ("2026-Q2", 6.0)]
    assert (satisfied["relation"], satisfied["complaints"][0]["count"]) == (HAAG, 3)
    asked = found(await book.get(f"/v1/questions/7?relation={HAAG}", **last))
    assert (asked["question"], asked["items"]) == (7, satisfied["items"])

    agreed = found(await book.get(f"/v1/relations/{HAAG}/agreements", **last))
    RelationAgreements.model_validate(agreed)
    assert agreed["agreements"][0]["parties"][2] == {"organisation": DSW, "name": "DSW"}
    assert agreed["programmes"][0]["red_without_decision"] is True

    chained = found(await book.get(f"/v1/relations/{HAAG}/chain", **last))
    RelationChains.model_validate(chained)
    assert [p["without_guarantor"] for p in chained["chains"][0]["phases"]] == [False, True]

    partner = found(await book.get(f"/v1/relations/{HAAG}/partnership", **last))
    RelationPartnership.model_validate(partner)
    assert (partner["interests"][0]["text"], partner["interests"][0]["acknowledged"]) == ("Minder wachten", True)

    (lost,) = found(await book.get(f"/v1/relations/{HAAG}/opportunities", **last))["items"]
    assert (lost["state"], lost["reason"], lost["relation_then"]["tier"]) == ("lost", "Te duur", "A")

    counted = found(await book.get("/v1/contributors", **last))
    assert counted["contributors"] == [{"profile": "innovator", "stage": "tactical", "people": 1}]


async def shows_the_plan_with_its_past(book: Book, last: Mapping[str, str]) -> None:
    path = f"/v1/relations/{HAAG}/plan?question=4"
    plan = found(await book.get(path, **last))
    newer, older = plan["history"]
    assert (plan["state"], newer["answer"], newer["stands"], older["stands"]) == (
        "drafted", "Meer zorg\ndichtbij", True, False,
    )  # fmt: skip
    assert newer["changes"] == ["@@ -1,2 +1,2 @@", " Meer zorg", "-thuis", "+dichtbij"]
    both = found(await book.get(f"{path}&older={newer['position']}&newer={older['position']}", **last))
    assert both["changes"][2:] == ["-dichtbij", "+thuis"]
    assert (await book.get(f"{path}&older=1&newer=2", **last)).status_code == 404


async def answers_promises(book: Book, last: Mapping[str, str], team: Mapping[str, str]) -> None:
    first = found(await book.get("/v1/questions/5?limit=2", **last))
    rest = found(await book.get(f"/v1/questions/5?limit=2&cursor={first['next']}", **last))
    promised = [*first["items"], *rest["items"]]
    assert [(p["relation"], p["commitment"], p["late"]) for p in promised] == [
        (HAAG, "k-1", True), (OTHER, "k-1", True), (HAAG, "k-2", False),
    ]  # fmt: skip
    assert (promised[0]["what"], rest["next"]) == ("Een plan", None)
    assert promised[0]["evidence"] != []
    late = found(await book.get("/v1/questions/5?late=true&by=us&tier=A", **last))
    assert [p["commitment"] for p in late["items"]] == ["k-1"]
    mine = found(await book.get("/v1/questions/5", **team))
    assert {p["relation"] for p in mine["items"]} == {HAAG}
    as_csv = await book.get("/v1/questions/5", Accept="text/csv", **last)
    assert as_csv.text.splitlines()[0].startswith("relation,relation_name,tier,commitment,by,what")


async def answers_programmes(book: Book, last: Mapping[str, str], team: Mapping[str, str]) -> None:
    first = found(await book.get("/v1/questions/8?limit=1", **last))
    assert (first["items"][0]["programme"], first["items"][0]["rag"]) == ("p-1", "red")
    assert first["items"][0]["coalition"]["name"] == "Samen sterk"
    rest = found(await book.get(f"/v1/questions/8?limit=1&cursor={first['next']}", **last))
    assert (rest["items"][0]["relation"], rest["items"][0]["programme"], rest["next"]) == (OTHER, None, None)
    for item in (*first["items"], *rest["items"]):
        ProgrammeAnswer.model_validate(item)
    assert found(await book.get("/v1/questions/8?rag=green", **last))["items"] == []
    assert [i["relation"] for i in found(await book.get("/v1/questions/8", **team))["items"]] == [HAAG]
    soon = found(await book.get("/v1/questions/8?endsBefore=2027-01-01", **last))
    assert [i["programme"] for i in soon["items"]] == ["p-1"]


async def answers_pockets(book: Book, last: Mapping[str, str], team: Mapping[str, str]) -> None:
    first = found(await book.get("/v1/questions/9?limit=1", **last))
    rest = found(await book.get(f"/v1/questions/9?limit=1&cursor={first['next']}", **last))
    dsw, us = first["items"][0], rest["items"][0]
    assert (dsw["organisation"], dsw["organisation_name"], dsw["financing_system"]) == (DSW, "DSW", "zvw")
    assert (dsw["returned_cents"], dsw["shared_cents"], dsw["role"]) == (9_000, 400, "gains")
    assert (us["organisation"], us["invested_cents"], us["shared_cents"], us["role"]) == ("us", 5_000, 600, "invests")
    assert (us["chains"][0]["share_pct"], us["chains"][0]["relation"]) == (60, HAAG)
    Pocket.model_validate(us)
    assert len(found(await book.get("/v1/questions/9?organisation=uzovi:7029", **last))["items"]) == 1
    seen = found(await book.get("/v1/questions/9?organisation=us&period=2026-Q1", **team))["items"]
    assert [(i["organisation_name"], i["shared_cents"]) for i in seen] == [(None, 0)]


async def narrows_by_its_filters(book: Book, last: Mapping[str, str]) -> None:
    """Each with a value that something has, and one that nothing has."""
    for query, expected in (
        ("4?tier=A", [HAAG]), ("4?tier=B", []),
        ("8?tier=A", ["p-1"]), ("8?tier=B", []),
        ("9?chain=c-1", [DSW, "us"]), ("9?chain=c-2", []), ("9?tier=A", [DSW, "us"]), ("9?tier=B", []),
        ("9?financingSystem=wlz", ["us"]), ("9?financingSystem=zvw", [DSW]), ("9?financingSystem=pgb", []),
    ):  # fmt: skip
        name = {"4": "relation", "8": "programme", "9": "organisation"}[query[0]]
        items = found(await book.get(f"/v1/questions/{query}", **last))["items"]
        assert [item[name] for item in items] == expected, query
    # In which state a programme is depends on the day: in one of the three.
    in_state = [found(await book.get(f"/v1/questions/8?state={s}", **last)) for s in ("coming", "running", "past")]
    assert [item["programme"] for answer in in_state for item in answer["items"]] == ["p-1"]
    for query in ("4?state=open", "8?state=x", "9?financingSystem=x", "6?kind=x", "6?cursor=x"):
        assert (await book.get(f"/v1/questions/{query}", **last)).status_code == 400, query


async def keeps_others_out(book: Book, team: Mapping[str, str]) -> None:
    for part in ("agreements", "chain", "partnership", "opportunities", "satisfaction"):
        assert (await book.get(f"/v1/relations/{OTHER}/{part}", **team)).status_code == 404
        assert (await book.get(f"/v1/relations/{HAAG}/{part}", **team)).status_code == 200


async def shows_it_on_the_pages(book: Book) -> None:
    viewers = await book.viewers()
    async with httpx.AsyncClient(base_url=book.client.base_url, timeout=30) as browser:
        assert "Inloggen" in (await browser.get(f"/relations/{HAAG}")).text
        await browser.post("/", data={"token": viewers["all"]})
        home = (await browser.get("/")).text
        for said in ("Wachttijd omlaag", "geen bijsturing", "30 → 31 doel 25", "Een plan", "€ -44", "goedgekeurd plan"):
            assert said in home
        assert f'href="/relations/{OTHER}"' in home
        one = (await browser.get("/relations/gemeentecode:0518")).text
        for said in (
            "Gemeente Den Haag",
            "2026-Q1: 66,7, 2026-Q2: -66,7",
            "Een toezegging is te laat",
            "Er is nog geen contactschema",
        ):
            assert said in one
        assert "Contact schedule" in (await browser.get(f"/relations/{HAAG}?taal=en")).text
        assert (await browser.get("/relations/gemeentecode:9999")).status_code == 404
    async with httpx.AsyncClient(base_url=book.client.base_url, timeout=30) as browser:
        await browser.post("/", data={"token": viewers["wmo"]})
        home = (await browser.get("/")).text
        assert "Wachttijd omlaag" in home
        assert OTHER not in home
        assert (await browser.get(f"/relations/{OTHER}")).status_code == 404


async def answers_why(book: Book) -> None:
    """Question 10 of an alert that is no line's: the promise to Den Haag that is late."""
    listed = found(await book.get("/v1/alerts?rule=commitment_late&state=all"))["items"]
    (late,) = [one for one in listed if one["relation"] == HAAG]
    why = Explanation.model_validate(found(await book.get(f"/v1/questions/10?alert={late['id']}")))
    assert (why.rule.name, why.computation, why.alert.about) == ("commitment_late", None, "commitment:k-1")
    assert why.explanation[:2] == ["Een toezegging is te laat (k-1).", "Dit moest op 1 februari 2026 klaar zijn."]
    assert [(e.type, e.department) for e in why.evidence] == [("nl.relatieboek.commitment.made.v1", "zorg")]
    assert [(source.department, source.silent) for source in why.sources] == [("zorg", False)]
    shown = await printed(book, "question", "10", "--alert", late["id"])
    assert "Dit moest op 1 februari 2026 klaar zijn." in shown


async def command(book: Book, *words: str) -> Result:
    known = {
        "RELATIEBOEK_URL": f"http://127.0.0.1:{book.settings.port}",
        "RELATIEBOEK_VIEWER_TOKEN": (await book.viewers())["all"],
    }
    return await asyncio.to_thread(CliRunner(env=known).invoke, app, words)


async def printed(book: Book, *words: str) -> str:
    done = await command(book, *words)
    assert done.exit_code == 0, done.output
    return done.stdout


# Words that the table of each part shows.
PARTS: Final[Mapping[Part, tuple[str, ...]]] = {
    Part.MATRIX: ("Wie heeft contact met wie, twaalf maanden: niets gevonden.", "Contactpersonen", "professionals"),
    Part.SCHEDULE: ("Contactschema: niets gevonden.",),
    Part.PLAN: ("Antwoorden", "+dichtbij", "Alle plannen"),
    Part.SATISFACTION: ("nps-2026", "2026-Q1: 9 (n 3)", "Klachten"),
    Part.AGREEMENTS: ("Samen sterk", "2026: € 10.000", "Wachttijd omlaag"),
    Part.CHAIN: ("Kwetsbare ouderen", "Wie staat garant", "DSW", "DSW: € 4"),
    Part.PARTNERSHIP: ("Minder wachten", "wij 05-01-2026", "Een plan"),
    Part.OPPORTUNITIES: ("Dagbesteding", "Te duur"),
    Part.ATTENTION: ("Minuten", "Soort contact: niets gevonden."),
}


async def shows_each_part_on_the_command_line(book: Book) -> None:
    for part in Part:
        told = await printed(book, "relation", "show", HAAG, "--part", part, "--json")
        assert json.loads(told) == found(await book.get(f"/v1/relations/{HAAG}/{part}"))
        shown = await printed(book, "relation", "show", HAAG, "--part", part)
        assert [word for word in PARTS[part] if word not in shown] == []
        then = await printed(book, "relation", "show", HAAG, "--part", part, "--as-of", "2026-01-20", "--json")
        assert json.loads(then) == found(await book.get(f"/v1/relations/{HAAG}/{part}?asOf=2026-01-20"))
    plan = json.loads(await printed(book, "relation", "show", HAAG, "--part", "plan", "--question", "5", "--json"))
    assert plan["history"] == []
    refused = await command(book, "relation", "show", HAAG, "--part", "chain", "--plan", "2026")
    assert (refused.exit_code, ": plan is hier niet bekend" in refused.output) == (2, True), refused.output

    assert json.loads(await printed(book, "contributors", "--json")) == found(await book.get("/v1/contributors"))
    assert "innovator" in await printed(book, "contributors")
    assert json.loads(await printed(book, "staff-satisfaction", "--json"))["items"] == []
    first = json.loads(await printed(book, "history", HAAG, "--limit", "2", "--json"))
    rest = json.loads(await printed(book, "history", HAAG, "--cursor", first["next"], "--json"))
    every = json.loads(await printed(book, "history", HAAG, "--json"))
    assert (len(first["items"]), [*first["items"], *rest["items"]]) == (2, every["items"])
    for narrowed in ("--topic", "geen"), ("--layer", "board"):
        assert json.loads(await printed(book, "timeline", "--relation", HAAG, *narrowed, "--json"))["items"] == []


async def answers_on_the_command_line(book: Book) -> None:
    async def ask(*words: str) -> str:
        return await printed(book, "question", *words)

    about = {3: ("--relation", HAAG), 7: ("--relation", HAAG)}
    for number in range(1, 10):
        words = (str(number), *about.get(number, ()))
        document = json.loads(await ask(*words, "--json"))
        assert (document["question"], "items" in document) == (number, True)
        assert (await ask(*words)).strip() != ""
    assert [i["commitment"] for i in json.loads(await ask("5", "--late", "--by", "us", "--json"))["items"]] == ["k-1"]
    assert "Een plan" in await ask("5", "--late")
    refused = await command(book, "question", "6", "--by", "us")
    assert refused.exit_code != 0
