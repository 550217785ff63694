"""The events that the benchmarks send: a made-up year of one department, realistic in size and spread.

400 relations (a Dutch care institution has some 700), each with two schedule lines; contacts at random over two
years, between people of every layer, with a Dutch summary of 60 to 200 characters that intake encrypts. Event ids are
UUIDs. One seed, so that every run and every peer gets the same events.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from nats.aio.client import Client

from benchmarks.servers import DEPARTMENT

Json = dict[str, Any]

RELATIONS: Final = 400
EMPLOYEES: Final = 120
COUNTERPARTS: Final = 8  # of each relation
_SEED: Final = 20_260_101
_LAYERS: Final = ("board", "senior_management", "tactical_management", "professional")
_CHANNELS: Final = ("meeting", "video", "phone", "email", "visit")
_MINUTES: Final = (15, 30, 45, 60, 90)
_TOPICS: Final = ("wmo", "jeugd", "tarieven", "wachttijden", "wijkteams", "mantelzorg", "inkoop", "kwaliteit")
_SENTENCES: Final = (
    "Afspraken over {a} doorgenomen; {b} komt de volgende keer terug. ",
    "Cijfers over {a} gedeeld. Zij willen meer zicht op {b} en op de planning van volgend jaar. ",
    "Knelpunt bij {a} besproken. Wij komen met een voorstel voor {b}. ",
    "Tevreden over {a}; zorgen over {b} benoemd en een eigenaar afgesproken. ",
)


def identifier(number: int) -> str:
    """The subject of relation `number`."""
    return f"gemeentecode:{number:04d}"


class Load:
    """Makes events. `source` is the department's; events of one `Load` never repeat an id."""

    def __init__(
        self, source: str, *, seed: int = _SEED, today: datetime | None = None, relations: int = RELATIONS
    ) -> None:
        self._source = source
        self._relations = relations
        self._random = random.Random(seed)
        self._today = (today or datetime.now(UTC)).replace(microsecond=0)
        self._contacts = 0

    def event(self, kind: str, subject: str, data: Json) -> Json:
        """One structured CloudEvent."""
        return {
            "specversion": "1.0", "id": str(UUID(int=self._random.getrandbits(128), version=4)),
            "source": self._source, "type": f"nl.relatieboek.{kind}.v1", "subject": subject,
            "time": self._today.isoformat(), "datacontenttype": "application/json", "data": data,
        }  # fmt: skip

    def structure(self) -> Iterator[Json]:
        """A team, the relations, whose they are, and their schedule lines."""
        day = (self._today - timedelta(days=760)).date().isoformat()
        team: Json = {"team": "regio-west", "name": "Regio West", "occurred_on": day}
        yield self.event("team.formed", "organisation", team)
        for n in range(self._relations):
            subject = identifier(n)
            registered: Json = {
                "name": f"Gemeente Voorbeeld {n}", "kind": "municipality", "region": "West", "identifiers": [],
                "occurred_on": day,
            }  # fmt: skip
            yield self.event("relation.registered", subject, registered)
            yield self.event("team.relation_assigned", subject, {"team": "regio-west", "occurred_on": day})
            for line, layer in (("l-1", "board"), ("l-2", "tactical_management")):
                set_: Json = {
                    "line": line, "our_layer": layer, "their_layer": layer,
                    "cadence": {"mode": "rolling", "every": "P3M"}, "starts_on": day, "grace_working_days": 5,
                    "owner": f"e-{n % EMPLOYEES}", "occurred_on": day,
                }  # fmt: skip
                yield self.event("schedule.line_set", subject, set_)

    def contact(self, relation: int | None = None) -> Json:
        """One contact that was held, of a relation at random or of this one."""
        pick = self._random
        n = pick.randrange(self._relations) if relation is None else relation
        self._contacts += 1
        a, b = pick.sample(_TOPICS, 2)
        at = self._today - timedelta(minutes=pick.randrange(1_000, 1_000_000))
        layer = pick.choice(_LAYERS)
        data: Json = {
            "contact": f"c-{self._contacts}", "occurred_at": at.isoformat(), "duration_min": pick.choice(_MINUTES),
            "channel": pick.choice(_CHANNELS), "activity": "conversation", "topics": [a],
            "ours": [{"employee": f"e-{pick.randrange(EMPLOYEES)}", "layer": layer}],
            "theirs": [{"person": f"p-{n}-{pick.randrange(COUNTERPARTS)}", "layer": layer}],
            "summary": "".join(s.format(a=a, b=b) for s in pick.sample(_SENTENCES, pick.randrange(1, 3))).strip(),
        }  # fmt: skip
        return self.event("contact.held", identifier(n), data)

    def contacts(self, count: int) -> list[Json]:
        return [self.contact() for _ in range(count)]


def in_arrays(events: Sequence[Json], size: int = 1_000) -> list[bytes]:
    """Bodies of requests, ready to send: encoding is the sender's time, not the book's."""
    return [orjson.dumps(list(events[i : i + size])) for i in range(0, len(events), size)]


async def send_array(nc: Client, body: bytes) -> list[Json]:
    """One request; the verdicts in order. Raises when one was not accepted."""
    reply = await nc.request(f"submit.{DEPARTMENT}", body, timeout=60)
    return check_accepted(reply.data)


def check_accepted(reply: bytes) -> list[Json]:
    verdicts: list[Json] = orjson.loads(reply)
    wrong = next((v for v in verdicts if v["verdict"] != "accepted"), None)
    if wrong is not None:
        raise RuntimeError(f"not accepted: {wrong}")
    return verdicts
