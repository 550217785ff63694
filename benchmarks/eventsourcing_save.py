"""The peer of intake: `eventsourcing` saves the same events in the same PostgreSQL. Run as a process of its own.

- `same_work`: what intake does for the same events and what `eventsourcing` has a means for. The same contract check,
  the relation's state as it is now (its repository's cache, fast-forwarded from the database, without copies), the
  same rule (a contact is held once), encrypted with its AES cipher, 100 events a call. Still less than intake does: no
  second engine, no hash chain, no deduplication by source and id, no request over the network and no verdicts.
- `hundreds`, `singles`: nothing but saving, 100 events a call and one. The aggregates stay in memory, none is read.

JSON transcoder, fsync on. Prints events a second.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from time import perf_counter

from benchmarks.eventsourcing_book import Book, Relation, encrypting, environment
from benchmarks.load import Json, Load
from services.settings import load as load_settings

_SINGLES = 2_000


def main() -> None:
    env = environment(load_settings().owner_database_url)
    count = int(sys.argv[1])
    load = Load("urn:nld:oin:00000000000000000000:systeem:peer")
    contacts = load.contacts(2 * count + _SINGLES)
    with SameWork(env={**env, **encrypting()}) as book:
        book.save(*{e["subject"]: Relation(e["subject"]) for e in contacts}.values())
        book.tell(contacts[-100:])  # everything imported, prepared and cached
        same_work = _rate(contacts[:count], 100, book.tell)
    with Book(env=env) as book:
        relations = {e["subject"]: Relation(e["subject"]) for e in contacts}
        book.save(*relations.values())

        def save(events: Sequence[Json]) -> None:
            touched: dict[str, Relation] = {}
            for event in events:
                relation = touched[event["subject"]] = relations[event["subject"]]
                relation.record(event)
            book.save(*touched.values())

        hundreds = _rate(contacts[count : 2 * count], 100, save)
        singles = _rate(contacts[2 * count :], 1, save)
    print(json.dumps({"same_work": same_work, "hundreds": hundreds, "singles": singles}))


class SameWork(Book):
    """Tables of its own: what is encrypted and what is not do not mix."""


def _rate(events: Sequence[Json], at_once: int, save: Callable[[Sequence[Json]], None]) -> float:
    began = perf_counter()
    for start in range(0, len(events), at_once):
        save(events[start : start + at_once])
    return len(events) / (perf_counter() - began)


if __name__ == "__main__":
    main()
