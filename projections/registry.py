"""Every projection by its name. What runs, rebuilds, checks or lists projections finds them here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from projections import (
    agreement_view,
    chain_view,
    contact_alerts,
    partnership_view,
    relation_view,
    satisfaction_view,
    team_timeline,
)
from projections.rows import Projection
from projections.workflows import projection as workflows
from projections.workflows.thresholds import Thresholds
from projections.working_calendar import WorkingCalendar

# The read models of rare facts: one service, `insight`, keeps them all.
INSIGHT: Final = (
    satisfaction_view.PROJECTION, agreement_view.PROJECTION, chain_view.PROJECTION, partnership_view.PROJECTION,
)  # fmt: skip
_EACH: Final = (relation_view.PROJECTION, contact_alerts.PROJECTION, workflows.PROJECTION, team_timeline.PROJECTION)
PROJECTIONS: Final[Mapping[str, Projection]] = MappingProxyType({p.name: p for p in (*_EACH, *INSIGHT)})


def projections_of(
    *, good_friday_free: bool, lead_working_days: int, thresholds: Thresholds
) -> Mapping[str, Projection]:
    """The projections under an institution's own rules: a rebuild must use those that the running service uses."""
    calendar = WorkingCalendar(good_friday_free=good_friday_free)
    own = (contact_alerts.build(calendar, lead_working_days), workflows.build(calendar, thresholds))
    return {**PROJECTIONS, **{p.name: p for p in own}}
