"""What each role may do: one table, operation × roles; what is not in it nobody may.

An operation is named by its `operationId`, a route outside the OpenAPI document by its function. A person with several
roles reads and does what each of them allows, as far as that role reaches: an auditor sees every relation, the board
those of tier A, all others the relations of their teams (`permitted`). Rows are judged in the queries (see
projections/viewer.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from fastapi.routing import APIRoute
from starlette.requests import Request

from projections.viewer import READING, Role, Viewer, as_far_as

# Anybody: health, documents, and the way in and out.
OPEN: Final = frozenset(
    {
        "openapi",
        "asyncapi_document",
        "alive",
        "ready",
        "show",
        "show_page",
        "show_all_accesses",
        "show_accesses",
        "show_person_accesses",
        "sign_in",
        "sign_out",
        "sign_in_elsewhere",
        "return_from_elsewhere",
    }
)
# Departments, with their token.
PUBLISHING: Final = frozenset({"publishEvents", "findVerdict"})

_EVERYONE: Final[frozenset[Role]] = frozenset(get_args(Role))
_READS: Final = READING
_ACTS: Final[frozenset[Role]] = frozenset({"relation_manager", "team_lead"})
_LOOKS: Final[frozenset[Role]] = frozenset({"auditor", "privacy_officer"})
_RUNS: Final[frozenset[Role]] = frozenset({"operations", "auditor", "administrator"})

PERMITS: Final[Mapping[str, frozenset[Role]]] = {
    # relations
    "listRelations": _READS,
    "showRelation": _READS,
    "showRelationTimeline": _READS,
    "showRelationHistory": _READS,
    "compareRelation": _READS,
    "showRelationMatrix": _READS,
    "showRelationSchedule": _READS,
    "showRelationAttention": _READS,
    "showRelationSatisfaction": _READS,
    "showRelationAgreements": _READS,
    "showRelationChain": _READS,
    "showRelationPartnership": _READS,
    "listRelationOpportunities": _READS,
    "showRelationPlan": _READS,
    "showPlanQuestion": _READS,
    "answerPlanQuestion": _ACTS,
    "countContributors": _READS,
    "listStaffSatisfaction": _READS,
    # timelines
    "showTeamTimeline": _READS,
    "followTeamTimeline": _READS,
    # alerts and loops
    "listAlerts": _READS,
    "showAlert": _READS,
    "acknowledgeAlert": _ACTS,
    "snoozeAlert": _ACTS,
    "resolveAlert": _ACTS,
    "listLoops": _READS,
    "showLoop": _READS,
    "followUpLoop": _ACTS,
    "closeLoop": _ACTS,
    # the ten questions
    **{f"answerQuestion{number}": _READS for number in range(1, 11)},
    "unanswered": _READS,
    # who saw what
    **dict.fromkeys(("listAccesses", "listRelationAccesses", "listPersonAccesses"), _LOOKS),
    "exportPerson": frozenset({"privacy_officer"}),
    # operations
    "showStatus": _EVERYONE,
    "showSession": _EVERYONE,
    "metrics": _RUNS,
}


def permitted(viewer: Viewer, operation: str) -> Viewer | None:
    """The viewer as this operation may see them: with the roles that allow it, and no further than those reach.
    None: no role allows it."""
    roles = viewer.roles & PERMITS.get(operation, frozenset())
    if not roles:
        return None
    return as_far_as(viewer, roles)


def operation_of(request: Request) -> str:
    """The name by which the table knows the route that answers."""
    route: Any = request.scope["route"]
    return operation_named(route)


def operation_named(route: APIRoute) -> str:
    return route.operation_id or route.name
