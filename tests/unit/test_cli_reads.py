"""What can be read over HTTP can be read on the command line, with the same filters."""

from __future__ import annotations

from typing import Any, Final

import pytest
import typer
from typer.core import TyperArgument, TyperGroup

from services.api.site import application
from services.cli.main import app

COMMAND_OF: Final = {
    "listRelations": "relation list", "showRelation": "relation show", "compareRelation": "relation diff",
    "showRelationTimeline": "timeline", "showTeamTimeline": "timeline", "showRelationHistory": "history",
    "showRelationAttention": "relation show",
    "showRelationMatrix": "relation show", "showRelationSchedule": "relation show", "showRelationPlan": "relation show",
    "showRelationSatisfaction": "relation show", "showRelationAgreements": "relation show",
    "showRelationChain": "relation show", "showRelationPartnership": "relation show",
    "listRelationOpportunities": "relation show",
    "listAlerts": "alerts", "showAlert": "alerts", "listLoops": "loops", "showLoop": "loops",
    "countContributors": "contributors", "listStaffSatisfaction": "staff-satisfaction", "showStatus": "status",
    **{f"answerQuestion{n}": "question" for n in range(1, 11)},
    "listAccesses": "accesses list", "listRelationAccesses": "accesses relation", "listPersonAccesses":
    "accesses person", "exportPerson": "person export", "openapi": "schema",
}  # fmt: skip
WITHOUT: Final = {
    "followTeamTimeline": "it does not end",
    "findVerdict": "for a department's program; `send` tells each verdict",
    "showPlanQuestion": "gives the tag for a change, which the command line does not make; `--part plan` shows it",
    "showSession": "the command line has no session",
}  # fmt: skip


def reads() -> dict[str, frozenset[str]]:
    """Every reading operation with the keys of its query."""
    found: dict[str, frozenset[str]] = {}
    for path in application().openapi()["paths"].values():
        if "get" in path:
            asked = path["get"].get("parameters", [])
            found[path["get"]["operationId"]] = frozenset(p["name"] for p in asked if p["in"] == "query")
    return found


READS: Final = reads()


def options(words: str) -> set[str]:
    command: Any = typer.main.get_command(app)
    for word in words.split():
        assert isinstance(command, TyperGroup)
        command = command.commands[word]
    return {o for p in command.params for o in p.opts if not isinstance(p, TyperArgument)}


def test_of_every_read_it_is_known_which_command_has_it() -> None:
    assert set(READS) == {*COMMAND_OF, *WITHOUT}


@pytest.mark.parametrize("operation", COMMAND_OF)
def test_a_command_takes_what_its_operation_takes(operation: str) -> None:
    wanted = {"--" + "".join(f"-{c.lower()}" if c.isupper() else c for c in key) for key in READS[operation]}
    assert wanted <= options(COMMAND_OF[operation])
