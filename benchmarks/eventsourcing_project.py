"""A peer of the catch-up: `eventsourcing`'s projection runner on a book of its own. Run as a process of its own.

Each event: one PostgreSQL transaction with the tracking row, a SELECT of each row that the event names, the fold, an
upsert of each row that changed (psycopg 3, prepared). Same contacts, fold, tables and indexes as the relation view;
its events come out of its own store. Its commits do not wait for the disk, as ours do not: position and rows are in one
transaction. Prints {"events", "seconds"}; the filling beforehand is not counted.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, cast
from uuid import UUID

from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.types.json import Jsonb
from sqlalchemy.dialects.postgresql import JSONB

from benchmarks.eventsourcing_book import Book, Relation, environment
from benchmarks.load import Load
from benchmarks.peer_tables import PeerRows, folding, make_tables, tables_in
from events.recorded import Recorded
from projections.rows import Need, One
from services.settings import load

_TABLES = tables_in("peer_eventsourcing")
_JSON = {name: {c.name for c in t.columns if isinstance(c.type, JSONB)} for name, t in _TABLES.items()}


def _statements() -> tuple[Mapping[str, str], Mapping[str, str], Mapping[str, str]]:
    groups: dict[str, str] = {}
    selects: dict[str, str] = {}
    upserts: dict[str, str] = {}
    for name, table in _TABLES.items():
        keys = [c.name for c in table.primary_key.columns]
        columns = [c.name for c in table.columns]
        full = f'{table.schema}."{name}"'
        listed = ", ".join(f'"{c}"' for c in columns)
        groups[name] = f'SELECT {listed} FROM {full} WHERE "{keys[0]}" = %s'
        selects[name] = f"SELECT {listed} FROM {full} WHERE " + " AND ".join(f'"{k}" = %s' for k in keys)
        changed = ", ".join(f'"{c}" = EXCLUDED."{c}"' for c in columns if c not in keys)
        values = ", ".join(f"%({c})s" for c in columns)
        conflict = ", ".join(f'"{k}"' for k in keys)
        upserts[name] = (
            f"INSERT INTO {full} ({listed}) VALUES ({values}) ON CONFLICT ({conflict}) DO UPDATE SET {changed}"
        )
    return groups, selects, upserts


_GROUPS, _SELECTS, _UPSERTS = _statements()


def _select(need: Need) -> tuple[str, Sequence[Any]]:
    return (_SELECTS[need.table], need.key) if isinstance(need, One) else (_GROUPS[need.table], (need.value,))


class View(PostgresTrackingRecorder):
    """Rows and position in one transaction."""

    def apply(self, event: Recorded, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            untyped: Any = cursor  # its statements are literal strings to the type checker
            self._insert_tracking(cursor, tracking)
            rows = PeerRows()
            for needs in folding(rows, [event]):
                for need in needs:
                    for found in untyped.execute(*_select(need), prepare=True).fetchall():
                        rows.loaded(need.table, dict(found))
            for name, changed in rows.changed.items():
                for row in changed.values():
                    values = {c: Jsonb(v) if c in _JSON[name] and v is not None else v for c, v in row.items()}
                    untyped.execute(_UPSERTS[name], values, prepare=True)


class RelationView(Projection[View]):
    """`began` and `ended`: when the first and the last event were handled."""

    events = 0
    began = ended = 0.0

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        told: dict[str, Any] | None = getattr(domain_event, "told", None)
        if told is None:  # an aggregate's creation: no event of the book
            self.view.insert_tracking(tracking)
            return
        self.began = self.began or perf_counter()
        self.view.apply(_recorded(domain_event, told, tracking), tracking)
        self.events += 1
        self.ended = perf_counter()


def _recorded(domain_event: Any, told: dict[str, Any], tracking: Tracking) -> Recorded:
    relation = str(cast(UUID, domain_event.originator_id))
    return Recorded(
        position=tracking.notification_id, version=domain_event.originator_version, relation=relation,
        type=told["type"], source=told["source"], id=told["id"], subject=told["subject"], department="zorgverkoop",
        recorded_at=datetime.now(UTC), data=told["data"], time=told["time"],
    )  # fmt: skip


def main() -> None:
    settings, count = load(), int(sys.argv[1])
    asyncio.run(make_tables(settings.owner_database_url, _TABLES))
    env = {
        **environment(settings.owner_database_url), "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "BOOK_NAME": "project",
    }  # fmt: skip
    book = ProjectedBook(env=env)
    relations: dict[str, Relation] = {}
    contacts = Load("urn:nld:oin:00000000000000000000:systeem:peer").contacts(count)
    for start in range(0, count, 100):
        touched: dict[str, Relation] = {}
        for event in contacts[start : start + 100]:
            subject = event["subject"]
            if subject not in relations:
                relations[subject] = Relation(subject)
            touched[subject] = relations[subject]
            relations[subject].record(event)
        book.save(*touched.values())
    last = book.recorder.max_notification_id()
    book.close()
    with ProjectionRunner(
        application_class=ProjectedBook, projection_class=RelationView, view_class=View, env=env
    ) as runner:
        runner.wait(last, timeout=600)
        projection = cast(RelationView, runner.projection)
        print(json.dumps({"events": projection.events, "seconds": projection.ended - projection.began}))


class ProjectedBook(Book):
    """The same in tables of its own: the book that the saving was measured on is not read again."""


if __name__ == "__main__":
    main()
