"""The benchmarks start services by name: each name must be a service's."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.catchup import THREE, service_of
from benchmarks.peer_tables import RELATION_VIEW, PeerRows, folding
from projections.registry import PROJECTIONS
from projections.rows import fold
from services.settings import SERVICES
from tests.given import HAAG, Book

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_every_projection_is_kept_by_a_service() -> None:
    assert {service_of(name) for name in PROJECTIONS} == set(SERVICES) - {"intake", "notary", "api"}
    assert set(THREE) <= PROJECTIONS.keys()


def test_services_named_in_benchmarks_exist() -> None:
    named = {
        name
        for module in _BENCHMARKS.glob("*.py")
        for name in re.findall(r'\.service\("([^"]+)"\)', module.read_text())
    }
    assert {"intake", "api", "relation-view"} <= named <= set(SERVICES)


def test_the_peers_do_the_relation_views_own_fold() -> None:
    book = Book()
    book.register()
    line = {
        "line": "l-1", "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
        "starts_on": "2026-01-01", "grace_working_days": 5, "owner": "ref~12", "occurred_on": "2026-01-06",
    }  # fmt: skip
    book.tell("schedule.line_set", line, HAAG)
    book.held("c-1", "2026-02-03T10:00:00+01:00")
    rows = PeerRows()
    for _ in folding(rows, book.events):
        pass  # everything is in memory
    assert rows.tables == fold(RELATION_VIEW, book.events).tables
    assert rows.changed == {name: table for name, table in rows.tables.items() if table}
