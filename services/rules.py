"""The read models under this institution's own rules: its calendar, its lead, its thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from projections.registry import projections_of
from projections.rows import Projection
from projections.workflows.thresholds import Thresholds
from services.settings import Settings


def thresholds_of(settings: Settings) -> Thresholds:
    """The thresholds of the workflows: the settings of the same names."""
    return Thresholds(**{field.name: getattr(settings, field.name) for field in fields(Thresholds)})


def own_projections(settings: Settings) -> Mapping[str, Projection]:
    """Every projection by name: a rebuild must fold by the same rules as the running service."""
    return projections_of(
        good_friday_free=settings.good_friday_free, lead_working_days=settings.default_lead_days,
        thresholds=thresholds_of(settings),
    )  # fmt: skip
