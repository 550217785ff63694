"""A made-up year of a whole institution, as the book would have recorded it: large benchmarks fill a book with it.

Contacts and scores at random over all relations, and beside them what questions 5, 8 and 9 are about: promises of
every relation, coalitions with five programmes of which each reports every quarter, chains with money that goes in and
comes out. One seed, so every run has the same events. Texts are as people wrote them and people are references: who
writes the events down seals the former, and finds the latter in `Year.people`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import chain, islice
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from benchmarks.load import Json, Load, identifier
from events.privacy import REF, Kind
from events.recorded import ORGANISATION, Recorded

SOURCE: Final = "urn:nld:oin:00000000000000000000:systeem:bench"
_TIERS: Final = "ABC"
_KINDS: Final = ("municipality", "care_office", "health_insurer", "primary_care_provider", "care_partner")
_COALITIONS: Final = 100
_CHAINS: Final = 100
_PROGRAMMES: Final = 5  # of each coalition
_QUARTERS: Final = 8
_SYSTEMS: Final = ("zvw", "wlz", "wmo")
_WORDS: Final = "Een extra team, en cijfers over de wachttijden voor de zomer."
TEXTS: Final = ("summary", "what", "decision")  # the fields that hold a text


class Year:
    """`count` events after position `after`, in order, as the stream would give them: versions dense per relation.

    Of relation 1 and further: relation 0 is left to who wants a history of their own. To be gone through once; then
    `people` holds the kind and the id behind every reference.
    """

    def __init__(self, relations: int, count: int, *, after: int = 0, versions: int = 0) -> None:
        self._relations, self.count, self._position = relations, count, after
        self._versions = {ORGANISATION: versions}
        self._random = random.Random(7)
        self.people: dict[str, tuple[Kind, str]] = {}
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._first = self._now - timedelta(days=760)
        self._day = self._first.date().isoformat()
        self._load = Load(SOURCE, seed=8, today=self._now)

    def __iter__(self) -> Iterator[Recorded]:
        beginnings = (self._recorded(kind, identifier(n), data) for n, kind, data in self._beginnings())
        return islice(chain(self._institution(), beginnings, self._contacts()), self.count)

    def _institution(self) -> Iterator[Recorded]:
        team: Json = {"team": "regio-oost", "name": "Oost", "occurred_on": self._day}
        yield self._recorded("team.formed", ORGANISATION, team)
        yield self._recorded("satisfaction.instrument_defined", ORGANISATION, {
            "instrument": "nps-1", "wording_version": 1, "kind": "nps", "scale_min": 0, "scale_max": 10, "min_n": 5,
            "bands": [{"name": "low", "from": 0, "to": 6}, {"name": "high", "from": 7, "to": 10}],
            "occurred_on": self._day,
        })  # fmt: skip

    def _beginnings(self) -> Iterator[tuple[int, str, Json]]:
        for n in range(1, self._relations):
            for kind, data in self._start(n):
                yield n, kind, {**data, "occurred_on": self._day}
        for n in range(1, min(_COALITIONS, self._relations - 1) + 1):
            yield from ((n, kind, data) for kind, data in self._coalition(n))
        for n in range(1, min(_CHAINS, self._relations - 1) + 1):
            yield from ((n, kind, data) for kind, data in self._chain(n))

    def _contacts(self) -> Iterator[Recorded]:
        while True:
            n = self._random.randrange(1, self._relations)
            contact = self._load.contact(n)
            yield self._recorded("contact.held", contact["subject"], self._met(contact["data"]))
            if self._random.random() < 0.05:
                score: Json = {
                    "response": f"r-{self._position}", "instrument": "nps-1", "wording_version": 1,
                    "anonymous": True, "score": self._random.randrange(11),
                    "occurred_on": contact["data"]["occurred_at"][:10],
                }  # fmt: skip
                yield self._recorded("satisfaction.scored", contact["subject"], score)

    def _start(self, n: int) -> Iterator[tuple[str, Json]]:
        kind = _KINDS[n % len(_KINDS)]
        yield "relation.registered", {
            "name": f"Gemeente Voorbeeld {n}", "kind": kind, "region": "West", "identifiers": [],
        }  # fmt: skip
        yield "relation.tier_assigned", {"tier": _TIERS[n % len(_TIERS)], "arguments": []}
        yield "team.relation_assigned", {"team": "regio-oost"}
        owner = self._ref("employee", f"e-{n % 120}")
        for line, layer in (("l-1", "board"), ("l-2", "tactical_management")):
            yield "schedule.line_set", {
                "line": line, "our_layer": layer, "their_layer": layer, "starts_on": self._day,
                "grace_working_days": 5, "cadence": {"mode": "rolling", "every": "P3M"}, "owner": owner,
            }  # fmt: skip
        if n % 10 == 1:
            yield "alert.raised", {
                "alert": alert_of(n), "rule": "contact_overdue", "rule_version": 1, "line": "l-2", "owner": None,
                "due_on": self._on(92), "overdue_on": self._on(100), "last_ok_on": self._on(99), "level": 0,
                "evidence": [self._position], "silent": True,
            }  # fmt: skip
        for by in ("us", "them"):
            made: Json = {"commitment": f"k-{by}", "by": by, "what": _WORDS, "due_on": self._on(n % 900)}
            yield "commitment.made", made

    def _on(self, days: int) -> str:
        return (self._first.date() + timedelta(days=days)).isoformat()

    def _coalition(self, n: int) -> Iterator[tuple[str, Json]]:
        us_and = ["us", identifier(n), identifier(n + 1)]
        name = f"Coalitie {n}"
        yield "agreement.signed", {
            "agreement": f"a-{n}", "type": "coalition", "name": name, "parties": us_and, "from": self._on(0),
            "until": self._on(1_100), "basis": "transformation", "occurred_on": self._day,
            "frame": [{"year": date.fromisoformat(self._day).year, "cents": 500_000_000, "certainty": "firm"}],
        }  # fmt: skip
        for p in range(_PROGRAMMES):
            programme = f"p-{n}-{p}"
            indicators = [f"{programme}-{i}" for i in range(2)]
            yield "programme.started", {
                "programme": programme, "agreement": f"a-{n}", "name": f"Programma {p}", "starts_on": self._on(0),
                "ends_on": self._on(500 + (n * 37 + p * 101) % 600), "occurred_on": self._day,
                "indicators": [{"indicator": i, "baseline": 21, "target": 10, "unit": "dagen"} for i in indicators],
            }  # fmt: skip
            for quarter in range(_QUARTERS):
                for indicator in indicators:
                    rag = ("green", "amber", "red")[(n + p + quarter) % 3]
                    yield "programme.progress_reported", {
                        "programme": programme, "indicator": indicator, "baseline": 21, "target": 10,
                        "actual": 20 - quarter, "rag": rag, "occurred_on": self._on(90 * quarter + 30),
                    }  # fmt: skip
            for decided in range(2):
                yield "programme.steering_decision_taken", {
                    "programme": programme, "decision": _WORDS, "parties": us_and[:2],
                    "due_on": self._on(400 * decided + 200), "occurred_on": self._on(400 * decided + 100),
                }  # fmt: skip

    def _chain(self, n: int) -> Iterator[tuple[str, Json]]:
        about: Json = {"chain": f"keten-{n}", "occurred_on": self._day}
        partners = ["us", *(identifier(n + k) for k in range(5))]
        phases = [{"phase": f"f-{k}", "name": f"Fase {k}"} for k in range(len(partners))]
        yield "chain.defined", {**about, "name": f"Keten {n}", "phases": phases}
        shares = [
            {"organisation": one, "share_pct": share} for one, share in zip(partners, [50, *[10] * 5], strict=True)
        ]
        yield "chain.sharing_key_agreed", {**about, "shares": shares}
        for k, one in enumerate(partners):
            system = _SYSTEMS[k % len(_SYSTEMS)]
            yield "chain.partner_assigned", {
                **about, "phase": f"f-{k}", "organisation": one, "financing_system": system,
            }  # fmt: skip
            for quarter in range(4):
                year = date.fromisoformat(self._day).year
                money: Json = {
                    **about, "organisation": one, "financing_system": system, "period": f"{year}-Q{quarter + 1}",
                    "cents": 1_000_000 * (k + 1),
                }  # fmt: skip
                yield "chain.investment_recorded", money
                yield "chain.return_recorded", {**money, "cents": 900_000 * (7 - k)}

    def _met(self, data: Json) -> Json:
        ours = [{**o, "employee": self._ref("employee", o["employee"])} for o in data["ours"]]
        theirs = [{**t, "person": self._ref("person", t["person"])} for t in data["theirs"]]
        return {**data, "ours": ours, "theirs": theirs}

    def _ref(self, kind: Kind, id_: str) -> str:
        ref = f"{REF}{uuid5(NAMESPACE_URL, f'{kind}:{id_}').hex}"
        self.people[ref] = (kind, id_)
        return ref

    def _recorded(self, kind: str, subject: str, data: Json) -> Recorded:
        relation = relation_of(subject)
        self._position += 1
        version = self._versions[relation] = self._versions.get(relation, 0) + 1
        return Recorded(
            position=self._position, version=version, relation=relation, type=f"nl.relatieboek.{kind}.v1",
            source=SOURCE, id=f"made-{self._position}", subject=subject, department="bench", recorded_at=self._now,
            data=data, time=self._now.isoformat(),
        )  # fmt: skip


def relation_of(subject: str) -> str:
    return subject if subject == ORGANISATION else str(uuid5(NAMESPACE_URL, f"urn:relatieboek:{subject}"))


def alert_of(n: int) -> str:
    """The id of the alert that relation n has, where n is 1 modulo 10."""
    return str(uuid5(NAMESPACE_URL, f"urn:bench:alert:{n}"))
