"""A made-up half year of one department, of any size: valid events of many kinds that depend on each other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]

# Nothing is overdue at BEFORE, and everything happened by then; at AFTER the lines without a later contact are overdue.
BEFORE = "2026-02-27T12:00:00+01:00"
AFTER = "2026-06-30T12:00:00+02:00"
SOURCE = "urn:nld:oin:00000001234567890000:systeem:crm"
LAYERS = ("board", "senior_management", "tactical_management", "professional")
CHANNELS = ("meeting", "video", "phone", "email", "letter", "event", "visit")
TEAMS = ("noord", "oost", "zuid", "west")
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
PER_RELATION = 50


def year(size: int) -> list[Json]:
    """About `size` events in the order in which a department would send them. The same for the same size."""
    random = Random(20260227)
    events: list[Json] = []

    def add(kind: str, data: Json, subject: str = "organisation", **more: Any) -> None:
        number = len(events)
        # `time` breaks ties between facts that replace each other and occurred together.
        at = datetime(2026, 1, 1, tzinfo=AMSTERDAM) + timedelta(seconds=number)
        events.append(
            {
                "specversion": "1.0",
                "id": f"f-{number:x}-{size}",
                "source": SOURCE,
                "subject": subject,
                "type": f"nl.relatieboek.{kind}.v1",
                "time": at.isoformat(),
                "data": data,
                **more,
            }
        )

    for team in TEAMS:
        add("team.formed", {"team": team, "name": f"Team {team}", "occurred_on": "2025-12-01"})
        add("team.member_joined", {"team": team, "employee": f"e-{team}", "occurred_on": "2025-12-01"})
    bands = [
        {"name": "low", "from": 0, "to": 6},
        {"name": "middle", "from": 7, "to": 8},
        {"name": "high", "from": 9, "to": 10},
    ]
    add(
        "satisfaction.instrument_defined",
        {
            "instrument": "nps",
            "kind": "nps",
            "scale_min": 0,
            "scale_max": 10,
            "bands": bands,
            "min_n": 5,
            "wording_version": 1,
            "occurred_on": "2025-12-01",
        },
    )
    number = 0
    while len(events) < size:
        for kind, data, subject, more in relation(number, random):
            add(kind, data, subject, **more)
        number += 1
    return events


def relation(number: int, random: Random) -> Iterator[tuple[str, Json, str, Json]]:
    """The events of one relation, some 50, in order."""
    subject = f"local:r{number}"

    def day(first: int = 0, last: int = 55) -> datetime:
        start = datetime(2026, 1, 2, 9, tzinfo=AMSTERDAM)
        return start + timedelta(days=random.randint(first, last), minutes=15 * random.randint(0, 30))

    yield (
        "relation.registered",
        {
            "name": f"Relatie {number}",
            "kind": "municipality",
            "region": random.choice(TEAMS),
            "identifiers": [],
            "occurred_on": "2025-12-05",
        },
        subject,
        {},
    )
    yield (
        "relation.identifier_linked",
        {"scheme": "local", "value": f"alt{number}", "occurred_on": "2025-12-05"},
        subject,
        {},
    )
    yield "team.relation_assigned", {"team": TEAMS[number % 4], "occurred_on": "2025-12-06"}, subject, {}
    for tier in ("B", random.choice("AB")):
        yield (
            "relation.tier_assigned",
            {
                "tier": tier,
                "arguments": [{"criterion": "revenue_share", "evidence": "aandeel in de omzet"}],
                "occurred_on": "2026-01-06",
            },
            subject,
            {},
        )
    for n, layer in enumerate(random.sample(LAYERS, 2)):
        cadence = random.choice(
            [
                {"mode": "rolling", "every": random.choice(["P3M", "P2M", "P4M"])},
                {"mode": "quota", "times": random.choice([1, 2]), "per": "quarter"},
            ]
        )
        yield (
            "schedule.line_set",
            {
                "line": f"l{n}",
                "our_layer": layer,
                "their_layer": layer,
                "cadence": cadence,
                "starts_on": "2026-01-01",
                "grace_working_days": 5,
                "owner": f"e-{number % 9}",
                "occurred_on": "2026-01-06",
            },
            subject,
            {},
        )
    if number % 5 == 0:
        yield "schedule.line_paused", {"line": "l0", "until": "2026-04-01", "occurred_on": "2026-02-20"}, subject, {}
    if number % 7 == 0:
        yield "schedule.line_ended", {"line": "l1", "occurred_on": "2026-02-25"}, subject, {}
    for n in range(28):
        layer = random.choice(LAYERS)
        at = day()
        people: Json = {
            "ours": [{"employee": f"e-{random.randint(0, 40)}", "layer": layer}],
            "theirs": [{"person": f"p-{number}-{random.randint(0, 4)}", "layer": layer}],
        }
        channel = random.choice(CHANNELS)
        if n % 6 == 0:
            yield (
                "contact.planned",
                {
                    "contact": f"c{n}",
                    "starts_at": at.isoformat(),
                    "channel": channel,
                    "ends_at": (at + timedelta(hours=1)).isoformat(),
                    **people,
                },
                subject,
                {},
            )
        alias = subject if n % 3 else f"local:alt{number}"
        yield (
            "contact.held",
            {
                "contact": f"c{n}",
                "occurred_at": at.isoformat(),
                "duration_min": random.choice([15, 30, 60]),
                "channel": channel,
                "activity": "conversation",
                "topics": random.sample(["wmo", "inkoop", "wlz"], 1),
                "summary": f"Gesprek {n} over de afspraken van dit jaar.",
                **people,
            },
            alias,
            {"visibility": "named"} if n % 11 == 0 else {},
        )
        if n % 9 == 0:
            changes: Json = {"occurred_at": day().isoformat()} if n else {"duration_min": 45}
            yield (
                "contact.corrected",
                {
                    "contact": f"c{n}",
                    "changes": changes,
                    "reason": "andere dag",
                    "occurred_at": "2026-02-26T09:00:00+01:00",
                },
                subject,
                {},
            )
        if n % 13 == 12:
            yield (
                "contact.retracted",
                {"contact": f"c{n}", "reason": "dubbel", "occurred_at": "2026-02-26T10:00:00+01:00"},
                subject,
                {},
            )
    for n in range(3):
        yield (
            "satisfaction.scored",
            {
                "response": f"s{n}",
                "instrument": "nps",
                "score": random.randint(0, 10),
                "anonymous": True,
                "occurred_on": "2026-02-10",
            },
            subject,
            {},
        )
    yield (
        "plan.question_answered",
        {"plan": "2026", "question": "4", "answer": "Samen verder", "occurred_on": "2026-01-10"},
        subject,
        {},
    )
    yield (
        "plan.question_answered",
        {"plan": "2026", "question": "4", "answer": "Toch anders", "occurred_on": "2026-01-11"},
        subject,
        {},
    )
    yield (
        "plan.action_agreed",
        {
            "plan": "2026",
            "action": "a1",
            "what": "Bellen",
            "owner": "e-1",
            "due_on": "2026-04-01",
            "occurred_on": "2026-01-10",
        },
        subject,
        {},
    )
    yield (
        "commitment.made",
        {"commitment": "k1", "by": "us", "what": "Sturen", "due_on": "2026-04-01", "occurred_on": "2026-01-10"},
        subject,
        {},
    )
    yield (
        "knowledge.item_recorded",
        {"item": "objectives", "text": "Langer thuis", "valid_until": "2027-01-01", "occurred_on": "2026-01-10"},
        subject,
        {},
    )
