"""Every projection by its name. What runs, rebuilds, checks or lists projections finds them here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from projections import contact_alerts, relation_view, team_timeline
from projections.rows import Projection
from projections.working_calendar import WorkingCalendar

PROJECTIONS: Final[Mapping[str, Projection]] = MappingProxyType(
    {p.name: p for p in (relation_view.PROJECTION, contact_alerts.PROJECTION, team_timeline.PROJECTION)}
)


def projections_of(*, good_friday_free: bool, lead_working_days: int) -> Mapping[str, Projection]:
    """The projections under an institution's own rules: a rebuild must use those that the running service uses."""
    alerts = contact_alerts.build(WorkingCalendar(good_friday_free=good_friday_free), lead_working_days)
    return {**PROJECTIONS, alerts.name: alerts}
