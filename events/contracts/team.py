"""Family `team`: colleagues, across departments, who share relations and their timeline."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from events.fields import About, EmployeeRef, Ident, Name, OccurredOn, Payload, told

Team = Annotated[Ident, told("Id of the team, unique in the institution", origin="the department that formed it")]
Member = Annotated[EmployeeRef, told("Reference to the colleague, unique in the institution", origin="HR system")]


class Formed(Payload):
    """A team begins, or takes another name."""

    subject: ClassVar[About] = "organisation"
    team: Team
    name: Annotated[Name, told("Name of the team", origin="the department that formed it")]
    occurred_on: OccurredOn


class MemberJoined(Payload):
    """A colleague joins a team, or takes another role in it."""

    subject: ClassVar[About] = "organisation"
    team: Team
    employee: Member
    role: Annotated[Literal["member", "lead"], told("Part in the team; member when left out", origin="team lead")] = (
        "member"
    )
    occurred_on: OccurredOn


class MemberLeft(Payload):
    """A colleague leaves a team."""

    subject: ClassVar[About] = "organisation"
    team: Team
    employee: Member
    occurred_on: OccurredOn


class RelationAssigned(Payload):
    """A team gets the relation: from now on it sees the relation's whole timeline."""

    team: Team
    occurred_on: OccurredOn


class RelationUnassigned(Payload):
    """A team no longer has the relation, and sees nothing of it any more."""

    team: Team
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {
    "formed.v1": Formed,
    "member_joined.v1": MemberJoined,
    "member_left.v1": MemberLeft,
    "relation_assigned.v1": RelationAssigned,
    "relation_unassigned.v1": RelationUnassigned,
}
