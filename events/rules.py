"""The rules that need state, one entry per kind of event (SPEC sections 1 to 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from events.affair_rules import AFFAIRS
from events.alert_rules import ALERTING
from events.book import Case, Decision, Need, Park, Reject, Rule, Value, identifier_keys
from events.catalog import Submission
from events.chain_rules import CHAINING
from events.errors import FieldError
from events.identity import relation_key
from events.judging import ATTENTION, against
from events.merging import MERGING
from events.plan_rules import PLANNING
from events.recorded import instant
from events.survey_rules import SURVEYING
from events.withdrawing import withdrawing

_TEAM = Need("team:{team}", "unknown_team", "/data/team")
_PLANNED = Need("planned:{relation}:{contact}", "unknown_contact", "/data/contact")
_HELD = Need("held:{relation}:{contact}", "unknown_contact", "/data/contact")
_LINE = Need("line:{relation}:{line}", "unknown_line", "/data/line")


def _identifiers_free(case: Case) -> Decision | None:
    """An identifier belongs to one relation for ever; the subject and all identifiers are linked, or none is."""
    for key in identifier_keys(case.event, case.department):
        thing = case.look(key)
        if thing is not None and thing.value["relation"] != case.relation:
            other = str(thing.value["relation"])
            name = key.removeprefix("identifier:")
            detail = f"{name} belongs to relation {other}; use that relation, or correct the identifier"
            pointer = "/subject" if case.event.subject == key.removeprefix("identifier:") else "/data/identifiers"
            if case.event.event_type.kind == "relation.identifier_linked":
                pointer = "/data/value"
            return Reject("identifier_taken", (FieldError(pointer, detail),), thing.position, {"relation": other})
    return None


def _link(case: Case) -> Mapping[str, Value]:
    values: dict[str, Value] = {k: {"relation": case.relation} for k in identifier_keys(case.event, case.department)}
    if case.event.event_type.kind == "relation.registered":
        values[relation_key(case.relation)] = {}
    return values


def _not_in_future(pointer: str, value: str | None, case: Case) -> Decision | None:
    if value is None or instant(value) <= case.now:
        return None
    detail = f"a contact that was held lies not in the future ({value}); publish contact.planned for one to come"
    return Reject("rule", (FieldError(pointer, detail),))


def _held_in_past(case: Case) -> Decision | None:
    return _not_in_future("/data/occurred_at", case.event.data["occurred_at"], case)


def _corrected_to_past(case: Case) -> Decision | None:
    return _not_in_future("/data/changes/occurred_at", case.event.data["changes"].get("occurred_at"), case)


def _contacts_held(case: Case) -> Decision | None:
    """Only contacts that were held can be one and the same."""
    # A retracted one may be named too. Were it refused, what counts would hang on which came first: of 1 = 2 and 2 = 3,
    # with 2 retracted, 1 and 3 are one contact in every order. The read models leave the retracted one out.
    missing = [k for k in _same_contacts(case.event, case.relation) if case.look(k) is None]
    if not missing:
        return None
    detail = f"the book does not know contact {', '.join(k.rpartition(case.relation + ':')[2] for k in missing)} yet"
    return Park("unknown_contact", tuple(missing), (FieldError("/data/contacts", f"{detail}; it is kept until then"),))


def _same_contacts(event: Submission, relation: str) -> list[str]:
    return [f"held:{relation}:{contact}" for contact in event.data["contacts"]]


def _relation_ends_once(case: Case) -> Decision | None:
    ended = case.look(f"relation_ended:{case.relation}")
    if ended is None:
        return None
    return against("occurred_on", "this relation was ended before; it ends once", ended)


RULES: Final[dict[str, Rule]] = {
    "relation.registered": Rule(touches=("details:{relation}",), check=_identifiers_free, values=_link),
    "relation.identifier_linked": Rule(check=_identifiers_free, values=_link),
    **MERGING,
    "relation.tier_assigned": Rule(touches=("tier:{relation}",)),
    "relation.details_changed": Rule(touches=("details:{relation}",)),
    "relation.owner_assigned": Rule(touches=("owner:{relation}",)),
    "relation.ended": Rule(touches=("relation_ended:{relation}",), check=_relation_ends_once),
    "counterpart.added": Rule(touches=("counterpart:{relation}:{#person}",)),
    "counterpart.moved": Rule(touches=("counterpart:{relation}:{#person}",)),
    "counterpart.departed": Rule(touches=("counterpart:{relation}:{#person}",)),
    "contributor.profiled": Rule(touches=("profile:{#employee}",)),
    "team.formed": Rule(touches=("team:{team}",)),
    "team.member_joined": Rule(touches=("member:{team}:{#employee}",), needs=(_TEAM,)),
    "team.member_left": Rule(touches=("member:{team}:{#employee}",), needs=(_TEAM,)),
    "team.relation_assigned": Rule(touches=("assigned:{relation}:{team}",), needs=(_TEAM,)),
    "team.relation_unassigned": Rule(touches=("assigned:{relation}:{team}",), needs=(_TEAM,)),
    "contact.planned": Rule(touches=("planned:{relation}:{contact}",), marks=(ATTENTION,)),
    "contact.rescheduled": Rule(touches=("planned:{relation}:{contact}",), marks=(ATTENTION,), needs=(_PLANNED,)),
    "contact.cancelled": Rule(touches=("planned:{relation}:{contact}",), marks=(ATTENTION,), needs=(_PLANNED,)),
    "contact.no_show": Rule(touches=("planned:{relation}:{contact}",), marks=(ATTENTION,), needs=(_PLANNED,)),
    "contact.held": Rule(
        touches=("held:{relation}:{contact}",),
        marks=(ATTENTION,),
        once="held:{relation}:{contact}",
        check=_held_in_past,
    ),
    # Accepted of a retracted contact too: whoever mends it may not have heard of the retraction yet, which is final in
    # every order, and which may itself be withdrawn; then the correction stands.
    "contact.corrected": Rule(
        touches=("held:{relation}:{contact}",), marks=(ATTENTION,), needs=(_HELD,), check=_corrected_to_past
    ),
    "contact.retracted": Rule(touches=("held:{relation}:{contact}",), marks=(ATTENTION,), needs=(_HELD,)),
    "contact.declared_same": Rule(
        touches=("same:{relation}:{canonical}",), marks=(ATTENTION,), reads=_same_contacts, check=_contacts_held
    ),
    "note.recorded": Rule(touches=("note:{relation}:{note}",), once="note:{relation}:{note}"),
    "schedule.line_set": Rule(touches=("line:{relation}:{line}",), marks=(ATTENTION,)),
    "schedule.line_paused": Rule(touches=("line:{relation}:{line}",), marks=(ATTENTION,), needs=(_LINE,)),
    "schedule.line_resumed": Rule(touches=("line:{relation}:{line}",), marks=(ATTENTION,), needs=(_LINE,)),
    "schedule.line_ended": Rule(touches=("line:{relation}:{line}",), marks=(ATTENTION,), needs=(_LINE,)),
    "schedule.line_reassigned": Rule(touches=("line:{relation}:{line}",), marks=(ATTENTION,), needs=(_LINE,)),
    "knowledge.item_recorded": Rule(touches=("knowledge:{relation}:{item}",)),
    "schedule.policy_set": Rule(touches=("policy:{tier}:{policy_version}",), once="policy:{tier}:{policy_version}"),
    "schedule.working_calendar_set": Rule(touches=("working_calendar",)),
    "knowledge.position_measured": Rule(touches=("position:{relation}:{year}",)),
    "matrix.link_assessed": Rule(touches=("link:{relation}:{#ours}:{#theirs}",)),
    "person.erased": Rule(touches=("person:{#person}",)),
    "retention.applied": Rule(touches=("retention:{family}",)),
    "employee.left": Rule(touches=("employee:{#employee}",)),
    **PLANNING,
    **SURVEYING,
    **AFFAIRS,
    **CHAINING,
    **ALERTING,
}
RULES["correction.withdrawn"] = withdrawing(RULES)
