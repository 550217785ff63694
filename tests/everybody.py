"""People of each role, team and department, and a book with facts for some of them: who sees what, said by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from events.privacy import lookup_of
from services.identity import accounts
from services.settings import Settings
from tests.workflow_trial import NPS

HAAG: Final = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001"
DELFT: Final = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0002"
SOURCE: Final = "urn:nld:oin:00000000000000000000:systeem:zorg"
ON: Final = {"occurred_on": "2026-01-05"}

# Each word stands in one fact; whom it is for follows below.
OPEN_WORD, TEAM_WORD, ZORG_WORD, NAMED_WORD, DELFT_WORD = (
    "openbaarwoord",
    "teamwoord",
    "zorgwoord",
    "naamwoord",
    "delftwoord",
)

WORDS: Final = frozenset({OPEN_WORD, TEAM_WORD, ZORG_WORD, NAMED_WORD, DELFT_WORD})


@dataclass(frozen=True, slots=True)
class Person:
    """An account, and the words that are for it."""

    name: str
    roles: frozenset[str]
    words: frozenset[str]
    team: str | None = None
    department: str | None = None
    employee: str | None = None


def _person(
    name: str, roles: str, words: frozenset[str], team: str | None = None, department: str | None = None,
    employee: str | None = None,
) -> Person:  # fmt: skip
    return Person(name, frozenset(roles.split()), words, team, department, employee)


def persons() -> list[Person]:
    wmo = frozenset({OPEN_WORD, TEAM_WORD})
    every = WORDS
    found = [
        _person("lead-wmo", "team_lead", wmo, "wmo"),
        _person("wmo-zorg", "relation_manager", wmo | {ZORG_WORD}, "wmo", "zorg"),
        _person("wmo-financien", "relation_manager", wmo, "wmo", "financien"),
        _person("wmo-genoemd", "relation_manager", wmo | {NAMED_WORD}, "wmo", None, "e-12"),
        _person("jeugd-zorg", "relation_manager", frozenset({DELFT_WORD}), "jeugd", "zorg"),
        _person("geen", "team_lead", frozenset(), None, "zorg", "e-12"),
        _person("board", "board", frozenset({OPEN_WORD})), _person("auditor", "auditor", every),
        # Acts as the manager that they are, and sees as the auditor that they are too.
        _person("auditor-wmo", "auditor relation_manager", every, "wmo"),
        _person("board-zorg", "board", frozenset({OPEN_WORD, ZORG_WORD}), None, "zorg"),
    ]  # fmt: skip
    return found + [_person(role, role, frozenset()) for role in ("operations", "privacy_officer", "administrator")]


def event(id_: str, kind: str, subject: str, data: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": id_, "source": SOURCE, "type": f"nl.relatieboek.{kind}.v1", "subject": subject,
        "data": dict(data), **more,
    }  # fmt: skip


def held(id_: str, relation: str, word: str, **more: Any) -> dict[str, Any]:
    data = {
        "contact": f"zorg-{id_}", "occurred_at": "2026-02-03T10:00:00+01:00", "duration_min": 45, "channel": "meeting",
        "activity": "conversation", "topics": ["wmo"], "ours": [{"employee": "e-12", "layer": "board"}],
        "theirs": [{"layer": "board"}], "summary": f"Over {word}",
    }  # fmt: skip
    return event(id_, "contact.held", relation, data, **more)


def promise(id_: str, word: str, **more: Any) -> dict[str, Any]:
    data = {"commitment": f"zorg-{id_}", "by": "us", "what": f"Belofte {word}", "due_on": "2026-04-01", **ON}
    return event(id_, "commitment.made", HAAG, data, **more)


def score(response: str, relation: str, **more: Any) -> dict[str, Any]:
    data = {"response": response, "instrument": "nps-2026", "score": 3, "anonymous": True, "occurred_on": "2026-06-25"}
    return event(f"s-{response}", "satisfaction.scored", relation, data, **more)


def story() -> list[dict[str, Any]]:
    municipality: dict[str, Any] = {"kind": "municipality", "identifiers": [], **ON}
    line = {
        "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
        "starts_on": "2025-01-01", "grace_working_days": 5, "owner": "e-12", **ON,
    }  # fmt: skip
    tier = {"tier": "A", "arguments": [{"criterion": "revenue_share", "evidence": "18 %"}], **ON}
    item = {"item": "objectives", "valid_until": "2027-01-01", **ON}
    return [
        event("r-1", "relation.registered", HAAG, {"name": "Gemeente Den Haag", **municipality}),
        event("r-2", "relation.registered", DELFT, {"name": f"Gemeente {DELFT_WORD}", **municipality}),
        event("a-1", "relation.tier_assigned", HAAG, tier),
        event("t-1", "team.formed", "organisation", {"team": "wmo", "name": "Wmo", **ON}),
        event("t-2", "team.formed", "organisation", {"team": "jeugd", "name": "Jeugd", **ON}),
        event("t-3", "team.relation_assigned", HAAG, {"team": "wmo", **ON}),
        event("t-4", "team.relation_assigned", DELFT, {"team": "jeugd", **ON}),
        event("l-1", "schedule.line_set", HAAG, {"line": "zorg-l-1", **line}),
        event("l-2", "schedule.line_set", DELFT, {"line": "zorg-l-2", **line}),
        event("n-1", "satisfaction.instrument_defined", "organisation", NPS),
        score("open", HAAG), score("zorg", HAAG, visibility="department"), score("delft", DELFT),
        held("c-1", HAAG, OPEN_WORD), held("c-2", HAAG, TEAM_WORD, visibility="team"),
        held("c-3", HAAG, ZORG_WORD, visibility="department"), held("c-4", HAAG, NAMED_WORD, visibility="named"),
        held("c-5", DELFT, DELFT_WORD),
        promise("k-1", OPEN_WORD), promise("k-2", TEAM_WORD, visibility="team"),
        promise("k-3", ZORG_WORD, visibility="department"),
        event("i-1", "knowledge.item_recorded", HAAG, {**item, "text": f"Kennis {ZORG_WORD}"}, visibility="department"),
    ]  # fmt: skip


async def give_accounts(engine: AsyncEngine, settings: Settings) -> dict[str, str]:
    """An account for each of `persons`; their passwords by name."""
    made: dict[str, str] = {}
    async with engine.begin() as conn:
        for one in persons():
            employee = None if one.employee is None else lookup_of(settings.lookup_key_bytes, "employee", one.employee)
            made[one.name] = await accounts.add(
                conn, one.name, roles=sorted(one.roles), teams=[one.team] if one.team else [],
                department=one.department, employee=employee,
            )  # fmt: skip
    return made
