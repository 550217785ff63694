"""Which plain look stands beside which table of the read models, and what is not compared, with the reason.

Every column of a table is compared, but those that `NOT_COMPARED` names: a table or column that is new, and in neither,
fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from events.recorded import Recorded
from projections.registry import PROJECTIONS
from projections.rows import MemoryRows
from tests import naive_alerts as alerts
from tests import naive_chain as chain
from tests import naive_contacts as contacts
from tests import naive_heads as heads
from tests import naive_insight as insight
from tests import naive_lines as lines
from tests import naive_partnership as partnership
from tests import naive_relation as relation
from tests import naive_timeline as timeline
from tests import naive_workflows as workflows
from tests.naive import Table

Look = Callable[[Sequence[Recorded]], Table]
_POLICY_AND_CALENDAR: Final = heads.institution("schedule.policy_set", "schedule.working_calendar_set")
_SIGHT: Final[Mapping[str, Look]] = {"restricted": heads.restricted, "guarded": heads.guarded}
_HEADS: Final[Mapping[str, Look]] = {
    "relation": heads.heads, "assignment": heads.assignments, "alias": heads.aliases,
}  # fmt: skip
_RESPONSES: Final[Mapping[str, Look]] = {
    "instrument": insight.instruments, "response": insight.responses, "loop": alerts.loops,
}  # fmt: skip
_STAFF: Final[Mapping[str, Look]] = {"employee": heads.employees, "member": heads.members}

TABLES: Final[Mapping[str, Mapping[str, Look]]] = {
    "relation_view": {
        "alias": heads.aliases, "assignment": heads.assignments, **_SIGHT, **_STAFF, **_RESPONSES,
        "institution": _POLICY_AND_CALENDAR, "same": contacts.same, "relation": relation.relations,
        "contact": contacts.rows, "line": lines.at_relation, "alert": alerts.at_relation,
        "agreement": insight.agreements,
        "plan": relation.plans, "answer": relation.answers, "answer_version": relation.answer_versions,
        "action": relation.actions, "knowledge": relation.knowledge, "measured": relation.measured,
        "link": relation.links, "commitment": relation.commitments, "counterpart": relation.counterparts,
    },
    "contact_alerts": {
        "alias": heads.aliases, "assignment": heads.assignments, **_SIGHT, **_STAFF,
        "institution": _POLICY_AND_CALENDAR, "same": contacts.same, "relation": heads.at_alerts,
        "roster": heads.roster, "kinship": heads.kinship, "department": heads.departments,
        "contact": contacts.at_alerts, "bucket": contacts.buckets, "line": lines.stored, "alert": alerts.alerts,
        "pending": heads.nothing, "lodging": alerts.lodgings,
    },
    "workflows": {
        "alias": heads.aliases, "assignment": heads.assignments, **_SIGHT,
        "institution": heads.institution("schedule.working_calendar_set"), "same": contacts.same,
        "roster": workflows.roster, "pending": heads.nothing, "relation": workflows.relations,
        "contact": contacts.at_workflows, "instrument": workflows.instruments, "loop": alerts.at_workflows,
    },
    "team_timeline": {
        "alias": heads.aliases, "assignment": heads.assignments, **_SIGHT, "same": contacts.same,
        "relation": heads.at_timeline, "team": heads.teams, "kin_team": heads.kin_teams,
        "contact": contacts.at_timeline, "entry": timeline.entries,
    },
    "satisfaction_view": {
        **_HEADS, **_RESPONSES, "survey_round": insight.rounds, "staff": insight.staff,
        "complaints": insight.complaints, "outcome": insight.outcomes,
    },
    "agreement_view": {
        **_HEADS, "agreement": insight.agreements, "programme": insight.programmes, "report": insight.reports,
        "decision": insight.decisions,
    },
    "chain_view": {
        **_HEADS, "chain": chain.chains, "partner": chain.partners, "guarantee": chain.guarantees,
        "flow": chain.flows, "baseline": chain.baselines, "saving": chain.savings,
    },
    "partnership_view": {
        **_HEADS, "interest": partnership.interests, "performance": partnership.performances,
        "commitment": relation.promises, "opportunity": partnership.opportunities,
        "contributor": partnership.contributors, "ask": partnership.asks, "ended": heads.ended,
    },
}  # fmt: skip

_MEMORY: Final = "what a fold keeps to take facts in any order; the columns that follow from it are compared"
_ARRIVAL: Final = "which event came last: by the order of arrival, not by the facts. test_alert_rule has its cases"
_LATER: Final = "compared as what is open by it at a day, in naive_open"

# projection, table ("*": all), column ("*": all) → why it is not compared as it stands
NOT_COMPARED: Final[Mapping[tuple[str, str, str], str]] = {
    **{("*", "*", column): _MEMORY for column in ("facts", "stamp", "stamps", "declared", "kept", "tier_stamp")},
    ("relation_view", "spent", "*"): "kept by PostgreSQL itself: tests/integration/test_attention_sums.py adds it up",
    ("contact_alerts", "counterpart", "*"): f"{_MEMORY}: vacant_on of the lines",
    ("contact_alerts", "foreign_alert", "*"): f"{_MEMORY}: the alerts that are open, in naive_open",
    **{
        ("contact_alerts", "bucket", column): _ARRIVAL for column in ("cause_position", "cause_at")
    },
    **{
        ("contact_alerts", "line", column): _ARRIVAL
        for column in ("own_position", "own_at", "own_seen_at", "cause_position", "cause_at", "seen_at")
    },
    **{
        ("contact_alerts", "line", column): _LATER
        for column in ("open", "alerts", "last_overdue_on", "hosted", "target", "check_at", "overdue_from",
                       "overdue_on")
    },
    **{("workflows", "relation", column): _ARRIVAL for column in ("cause_position", "seen_at", "position", "version")},
    ("workflows", "fact", "*"): _MEMORY,
    ("workflows", "duty", "*"): "compared as what is asked (naive_duties) and what is open (naive_open)",
}  # fmt: skip


def compared(name: str, table: str) -> list[str]:
    """The columns of a table, beside its key, that are compared; none where the table is not."""
    known = PROJECTIONS[name].metadata.tables[table]
    keys = {c.name for c in known.primary_key.columns}
    left_out = {c for (n, t, c) in NOT_COMPARED if n in (name, "*") and t in (table, "*")}
    return [] if "*" in left_out else [c.name for c in known.columns if c.name not in keys | left_out]


def compare(name: str, rows: MemoryRows, events: Sequence[Recorded]) -> None:
    """Every row and column of a read model against a plain look at the events of its kinds."""
    heard = PROJECTIONS[name].heard
    told = [e for e in events if heard is None or e.kind in heard]
    for table, look in TABLES[name].items():
        columns = compared(name, table)
        found = {key: {c: row[c] for c in columns} for key, row in _shown(name, table, rows).items()}
        assert found == look(told), (name, table)


def _shown(name: str, table: str, rows: MemoryRows) -> Mapping[Any, Any]:
    stored = rows.tables[table]
    if (name, table) == ("contact_alerts", "bucket"):  # one that was emptied again is as good as none
        return {key: row for key, row in stored.items() if row["dates"] or row["meetings"]}
    if (name, table) == ("contact_alerts", "line"):  # asked for by no policy any more, it stays for its alerts
        return {key: row for key, row in stored.items() if row["our_layer"] is not None and not _is_over(key, row)}
    return stored


def _is_over(key: tuple[str, str], line: Mapping[str, Any]) -> bool:
    return key[1].startswith("policy:") and line["ended_on"] is not None and line["ended_on"] <= line["starts_on"]
