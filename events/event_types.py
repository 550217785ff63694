"""Every event type that the book takes, with its contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from events.contracts import (
    agreement,
    alert,
    chain,
    commitment,
    contact,
    contributor,
    correction,
    counterpart,
    employee,
    knowledge,
    loop,
    matrix,
    note,
    opportunity,
    partnership,
    person,
    plan,
    programme,
    relation,
    retention,
    satisfaction,
    schedule,
    team,
)
from events.fields import About, Payload
from events.recorded import TYPE_PREFIX

_FAMILIES: Final = {
    "relation": relation.MODELS,
    "counterpart": counterpart.MODELS,
    "team": team.MODELS,
    "contributor": contributor.MODELS,
    "contact": contact.MODELS,
    "note": note.MODELS,
    "correction": correction.MODELS,
    "schedule": schedule.MODELS,
    "knowledge": knowledge.MODELS,
    "matrix": matrix.MODELS,
    "plan": plan.MODELS,
    "opportunity": opportunity.MODELS,
    "satisfaction": satisfaction.MODELS,
    "loop": loop.MODELS,
    "agreement": agreement.MODELS,
    "programme": programme.MODELS,
    "chain": chain.MODELS,
    "partnership": partnership.MODELS,
    "commitment": commitment.MODELS,
    "alert": alert.MODELS,
    "person": person.MODELS,
    "retention": retention.MODELS,
    "employee": employee.MODELS,
}


@dataclass(frozen=True, slots=True)
class EventType:
    """One version of one type: `nl.relatieboek.contact.held.v1` has kind `contact.held` and version 1."""

    name: str
    kind: str
    family: str
    event: str
    version: int
    model: type[Payload]
    about: About


def _event_type(family: str, event_version: str, model: type[Payload]) -> EventType:
    event, _, version = event_version.rpartition(".v")
    name = f"{TYPE_PREFIX}{family}.{event_version}"
    return EventType(name, f"{family}.{event}", family, event, int(version), model, model.subject)


TYPES: Final[Mapping[str, EventType]] = MappingProxyType(
    {t.name: t for family, models in _FAMILIES.items() for v, m in models.items() for t in [_event_type(family, v, m)]}
)
"""Every event type that the book takes, by its full name."""
