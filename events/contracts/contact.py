"""Family `contact`: two-way exchanges with a relation, planned and held."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from events.fields import (
    Activity,
    Channel,
    Closed,
    EmployeeRef,
    Ident,
    Label,
    Layer,
    Maybe,
    Moment,
    Note,
    OccurredAt,
    OccurredOn,
    Payload,
    PersonRef,
    Prose,
    told,
)
from events.values import Whole, refuse

_CALENDAR = "calendar of the publishing department"
_CRM = "calendar or CRM of the publishing department"


class Ours(Closed):
    """One of us who takes part."""

    employee: Annotated[Maybe[EmployeeRef], told("Reference to the colleague", origin=_CALENDAR)] = None
    layer: Annotated[Layer, told("The colleague's layer", origin="HR system")]


class Theirs(Closed):
    """One of them who takes part."""

    person: Annotated[Maybe[PersonRef], told("Reference to the person", origin=_CALENDAR)] = None
    layer: Annotated[Layer, told("The person's layer at the relation", origin="CRM")]


Contact = Annotated[Ident, told("Id of the contact, unique within the relation", origin=_CRM)]
Reason = Annotated[Maybe[Note], told("Why", origin="who recorded it")]
OursList = Annotated[tuple[Ours, ...], Field(min_length=1, max_length=50)]
TheirsList = Annotated[tuple[Theirs, ...], Field(min_length=1, max_length=50)]
Topics = Annotated[tuple[Label, ...], Field(max_length=20)]
Minutes = Annotated[int, Whole(1, 1440)]

OursField = Annotated[OursList, told("Who took part on our side", origin=_CALENDAR)]
TheirsField = Annotated[TheirsList, told("Who took part on their side", origin=_CALENDAR)]
ChannelField = Annotated[Channel, told("How the exchange takes place", origin=_CALENDAR)]


class _Times(Payload):
    contact: Contact
    starts_at: Annotated[Moment, told("When it begins", origin=_CALENDAR)]
    ends_at: Annotated[Moment, told("When it ends, after its begin", origin=_CALENDAR)]

    @field_validator("ends_at")
    @classmethod
    def _later(cls, ends_at: datetime, info: ValidationInfo) -> datetime:
        starts_at = info.data.get("starts_at")
        if isinstance(starts_at, datetime) and ends_at <= starts_at:
            raise refuse("The meeting ends before it has begun; give an ends_at after starts_at.")
        return ends_at


class Planned(_Times):
    """A meeting is planned. It is not yet a contact."""

    channel: ChannelField
    ours: OursField
    theirs: TheirsField


class Rescheduled(_Times):
    """A planned meeting moves to another time."""

    reason: Reason = None
    occurred_at: OccurredAt


class Cancelled(Payload):
    """A planned meeting will not take place."""

    contact: Contact
    occurred_at: OccurredAt
    reason: Reason = None


class NoShow(Payload):
    """A planned meeting did not take place because somebody stayed away."""

    contact: Contact
    occurred_at: OccurredAt
    reason: Reason = None


class Held(Payload):
    """A two-way exchange took place. Send it after the event, from the system in which it was logged."""

    contact: Contact
    occurred_at: Annotated[Moment, told("When it began; not in the future", origin=_CALENDAR)]
    duration_min: Annotated[Minutes, told("How long it took", unit="minutes", origin=_CALENDAR)]
    channel: ChannelField
    activity: Annotated[Activity, told("What kind of exchange it was", origin=_CRM)]
    topics: Annotated[Topics, told("What it was about, as tags or case numbers", origin=_CRM)] = ()
    ours: OursField
    theirs: TheirsField
    summary: Annotated[Maybe[Prose], told("What was said, without anything about a patient", origin=_CRM)] = None


class Changes(Closed):
    """The fields of a held contact that were wrong, each with its right value; at least one."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    occurred_at: Annotated[Maybe[Moment], told("When it really began", origin=_CALENDAR)] = None
    duration_min: Annotated[Maybe[Minutes], told("How long it really took", unit="minutes", origin=_CALENDAR)] = None
    channel: Annotated[Maybe[Channel], told("How it really took place", origin=_CALENDAR)] = None
    activity: Annotated[Maybe[Activity], told("What kind of exchange it really was", origin=_CRM)] = None
    topics: Annotated[Maybe[Topics], told("What it was really about; replaces the list", origin=_CRM)] = None
    ours: Annotated[Maybe[OursList], told("Who of us really took part; replaces the list", origin=_CALENDAR)] = None
    theirs: Annotated[Maybe[TheirsList], told("Who of them took part; replaces the list", origin=_CALENDAR)] = None
    summary: Annotated[Maybe[Prose], told("What was really said", origin=_CRM)] = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise refuse("Nothing is corrected; name at least one field of the contact with its right value.")
        return self


class Corrected(Payload):
    """A held contact was recorded wrongly; these fields replace the old ones."""

    contact: Contact
    changes: Annotated[Changes, told("What changes", origin="who found the mistake")]
    reason: Reason = None
    occurred_at: OccurredAt


class Retracted(Payload):
    """A contact was recorded that did not take place, or was recorded twice."""

    contact: Contact
    reason: Reason = None
    occurred_at: OccurredAt


class DeclaredSame(Payload):
    """Several contacts that were recorded are one and the same exchange: it counts once, as the canonical one."""

    contacts: Annotated[
        tuple[Ident, ...],
        Field(min_length=2, max_length=20),
        told("Ids of the contacts held, each once", origin="who found it"),
    ]
    canonical: Annotated[Ident, told("The one of them that counts", origin="who found it")]
    occurred_on: OccurredOn

    @field_validator("contacts")
    @classmethod
    def _each_once(cls, contacts: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(contacts)) < len(contacts):
            raise refuse("A contact stands in the list twice; name each once.")
        return contacts

    @field_validator("canonical")
    @classmethod
    def _among_them(cls, canonical: str, info: ValidationInfo) -> str:
        contacts = info.data.get("contacts")
        if isinstance(contacts, tuple) and canonical not in contacts:
            raise refuse("The canonical contact is not in the list; choose one of contacts.")
        return canonical


MODELS: Final[dict[str, type[Payload]]] = {
    "planned.v1": Planned,
    "rescheduled.v1": Rescheduled,
    "cancelled.v1": Cancelled,
    "no_show.v1": NoShow,
    "held.v1": Held,
    "corrected.v1": Corrected,
    "retracted.v1": Retracted,
    "declared_same.v1": DeclaredSame,
}
