"""Every projection by its name. What runs, rebuilds, checks or lists projections finds them here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from projections import contact_alerts, relation_view, team_timeline
from projections.rows import Projection

PROJECTIONS: Final[Mapping[str, Projection]] = MappingProxyType(
    {p.name: p for p in (relation_view.PROJECTION, contact_alerts.PROJECTION, team_timeline.PROJECTION)}
)
