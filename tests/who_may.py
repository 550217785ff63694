"""Who may do what over HTTP: written by hand from what is agreed about roles, and compared with what the book does.

From SPEC section 6 ("see what their teams, department and role allow; everyone else: nothing"), the interface's
sections 3 to 5 and docs/reading.md, call by call, and on purpose not from `services/api/permits.py`: a mistake there
must not be a mistake here. A call that is not in this table is one that nobody thought about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Who = Literal["anybody", "departments"] | frozenset[str]

# What each role is for.
_MANAGER, _LEAD = "relation_manager", "team_lead"  # read, and act on, the relations of their teams
_BOARD = "board"  # reads those of tier A, and acts on none
_AUDITOR = "auditor"  # reads everything, and acts on nothing
_OPERATIONS = "operations"  # sees that the book runs, and no relation
_PRIVACY = "privacy_officer"  # what is held about a person, and who saw it; no relation
_ADMINISTRATOR = "administrator"  # accounts and departments, at the command line; no relation

_READ_RELATIONS: Final = frozenset({_MANAGER, _LEAD, _BOARD, _AUDITOR})
_ACT: Final = frozenset({_MANAGER, _LEAD})
_SEE_WHO_SAW: Final = frozenset({_AUDITOR, _PRIVACY})
_SIGNED_IN: Final = frozenset({_MANAGER, _LEAD, _BOARD, _AUDITOR, _OPERATIONS, _PRIVACY, _ADMINISTRATOR})

WHO_MAY: Final[Mapping[str, Who]] = {
    "POST /v1/events": "departments",
    "GET /v1/verdicts": "departments",
    "GET /v1/openapi.json": "anybody",
    "GET /v1/relations": _READ_RELATIONS,
    "GET /v1/relations/{id}": _READ_RELATIONS,
    "GET /v1/relations/{id}/timeline": _READ_RELATIONS,
    "GET /v1/relations/{id}/history": _READ_RELATIONS,
    "GET /v1/relations/{id}/difference": _READ_RELATIONS,
    "GET /v1/relations/{id}/matrix": _READ_RELATIONS,
    "GET /v1/relations/{id}/schedule": _READ_RELATIONS,
    "GET /v1/relations/{id}/attention": _READ_RELATIONS,
    "GET /v1/relations/{id}/satisfaction": _READ_RELATIONS,
    "GET /v1/relations/{id}/agreements": _READ_RELATIONS,
    "GET /v1/relations/{id}/chain": _READ_RELATIONS,
    "GET /v1/relations/{id}/partnership": _READ_RELATIONS,
    "GET /v1/relations/{id}/opportunities": _READ_RELATIONS,
    "GET /v1/relations/{id}/plan": _READ_RELATIONS,
    "GET /v1/relations/{id}/plan/questions/{question}": _READ_RELATIONS,
    "PUT /v1/relations/{id}/plan/questions/{question}": _ACT,
    "GET /v1/relations/{id}/accesses": _SEE_WHO_SAW,
    "GET /v1/contributors": _READ_RELATIONS,
    "GET /v1/staff-satisfaction": _READ_RELATIONS,
    "GET /v1/teams/{team}/timeline": _READ_RELATIONS,
    "GET /v1/teams/{team}/timeline/_live": _READ_RELATIONS,
    "GET /v1/alerts": _READ_RELATIONS,
    "GET /v1/alerts/{id}": _READ_RELATIONS,
    "POST /v1/alerts/{id}/_acknowledge": _ACT,
    "POST /v1/alerts/{id}/_snooze": _ACT,
    "POST /v1/alerts/{id}/_resolve": _ACT,
    "GET /v1/loops": _READ_RELATIONS,
    "GET /v1/loops/{id}": _READ_RELATIONS,
    "POST /v1/loops/{id}/_followup": _ACT,
    "POST /v1/loops/{id}/_close": _ACT,
    "GET /v1/questions/1": _READ_RELATIONS,
    "GET /v1/questions/2": _READ_RELATIONS,
    "GET /v1/questions/3": _READ_RELATIONS,
    "GET /v1/questions/4": _READ_RELATIONS,
    "GET /v1/questions/5": _READ_RELATIONS,
    "GET /v1/questions/6": _READ_RELATIONS,
    "GET /v1/questions/7": _READ_RELATIONS,
    "GET /v1/questions/8": _READ_RELATIONS,
    "GET /v1/questions/9": _READ_RELATIONS,
    "GET /v1/questions/10": _READ_RELATIONS,
    "GET /v1/accesses": _SEE_WHO_SAW,
    "GET /v1/persons/{ref}/accesses": _SEE_WHO_SAW,
    "GET /v1/persons/{ref}/export": frozenset({_PRIVACY}),
    "GET /v1/session": _SIGNED_IN,
    "GET /v1/status": _SIGNED_IN,
    # Not in the OpenAPI document. A page asks by itself who reads, and shows nobody a form to sign in with.
    "GET /v1/questions/{number}": _READ_RELATIONS,
    "GET /metrics": frozenset({_OPERATIONS, _AUDITOR, _ADMINISTRATOR}),
    "GET /healthz": "anybody",
    "GET /readyz": "anybody",
    "GET /v1/asyncapi.json": "anybody",
    "GET /": "anybody",
    "POST /": "anybody",
    "POST /sign-out": "anybody",
    "GET /relations/{id}": "anybody",
    "GET /accesses": "anybody",
    "GET /relations/{id}/accesses": "anybody",
    "GET /persons/{ref}/accesses": "anybody",
    "GET /sign-in/elsewhere": "anybody",
    "GET /sign-in/return": "anybody",
}


def may(roles: frozenset[str], call: str) -> bool:
    """Whether somebody signed in with these roles may make this call at all."""
    who = WHO_MAY[call]
    return who == "anybody" or (who != "departments" and not roles.isdisjoint(who))
