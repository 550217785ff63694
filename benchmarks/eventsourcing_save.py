"""The peer of intake: `eventsourcing` saves the same events in the same PostgreSQL. Run as a process of its own.

Its best case: the aggregates stay in memory (none is loaded), events are stored with its default JSON transcoder,
fsync on. It neither validates nor encrypts, keeps no deduplication by source and id, no hash chain and no second
engine. Prints {"hundreds", "singles"}: events a second in calls of `save` with 100 events, and with one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from time import perf_counter

from benchmarks.eventsourcing_book import Book, Relation, environment
from benchmarks.load import Json, Load
from services.settings import load as load_settings

_SINGLES = 2_000


def main() -> None:
    settings = load_settings()
    count = int(sys.argv[1])
    contacts = Load("urn:nld:oin:00000000000000000000:systeem:peer").contacts(count + _SINGLES)
    book = Book(env=environment(settings.owner_database_url))
    relations = {e["subject"]: Relation(e["subject"]) for e in contacts}
    book.save(*relations.values())
    print(
        json.dumps(
            {
                "hundreds": _save(book, relations, contacts[:count], 100),
                "singles": _save(book, relations, contacts[count:], 1),
            }
        )
    )
    book.close()


def _save(book: Book, relations: dict[str, Relation], events: Sequence[Json], at_once: int) -> float:
    began = perf_counter()
    for start in range(0, len(events), at_once):
        touched: dict[str, Relation] = {}
        for event in events[start : start + at_once]:
            relation = touched[event["subject"]] = relations[event["subject"]]
            relation.record(event)
        book.save(*touched.values())
    return len(events) / (perf_counter() - began)


if __name__ == "__main__":
    main()
