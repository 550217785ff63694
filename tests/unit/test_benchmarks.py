"""The benchmarks start services by name: each name must be a service's."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.catchup import THREE, service_of
from projections.registry import PROJECTIONS
from services.settings import SERVICES

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
