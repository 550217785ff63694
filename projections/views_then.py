"""Read models of one relation as they were at D, as known at K: from the ledger, by their own folds and functions.

What a view tells is the relation's state then, to a reader of now: who may see it, and by which name and UUID other
organisations go, is as it is today.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from events.event_types import TYPES
from projections import agreement_view, chain_view, partnership_view, relation_view, satisfaction_view
from projections.agreement_present import present_agreements
from projections.agreement_queries import with_parties as agreement_parties
from projections.chain_present import present_chains
from projections.chain_queries import with_parties as chain_parties
from projections.kin import united
from projections.line_state import DEFAULT_RULES, Rules
from projections.page import Page
from projections.partnership_present import opportunity_json, present_partnership
from projections.partnership_queries import opportunities_of, ranked_opportunities
from projections.past import Bounds
from projections.past_rows import Then, rows_then
from projections.relation_attention import attention_of
from projections.relation_matrix import matrix_of
from projections.relation_plan import plan_document, with_history
from projections.relation_present import present
from projections.rows import Projection
from projections.satisfaction_queries import with_rounds
from projections.viewer import Viewer, hidden_bits

ViewName = Literal[
    "relation",
    "matrix",
    "schedule",
    "plan",
    "satisfaction",
    "agreements",
    "chain",
    "partnership",
    "opportunities",
    "attention",
]
Document = dict[str, Any]


class Asked(NamedTuple):
    """Of which relation, by which rules, and without which restrictions (see viewer.py). `plan`, `question`: of the
    plan only."""

    relation: str
    hidden: int
    rules: Rules = DEFAULT_RULES
    plan: str | None = None
    question: str | None = None


class _View(NamedTuple):
    projection: Projection
    present: Callable[[Then, Asked], Document | None]
    name: Callable[[AsyncConnection, Document, Viewer], Awaitable[Document]] | None = None


def _relation(then: Then, asked: Asked) -> Document | None:
    return present(
        then.rows, asked.relation, then.now, position=then.position, rules=asked.rules, hidden=asked.hidden
    )  # fmt: skip


def _matrix(then: Then, asked: Asked) -> Document | None:
    return matrix_of(then.rows, asked.relation, then.now, asked.rules, position=then.position, hidden=asked.hidden)


def _attention(then: Then, asked: Asked) -> Document | None:
    return attention_of(then.rows, asked.relation, then.now, position=then.position)


def _schedule(then: Then, asked: Asked) -> Document | None:
    seen = _relation(then, asked)
    if seen is None:
        return None
    return {"relation": seen["id"], "schedule": seen["schedule"], "position": then.position}


def _plan(then: Then, asked: Asked) -> Document | None:
    seen = plan_document(then.rows, asked.relation, then.now, plan=asked.plan, hidden=asked.hidden)
    if seen is None:
        return None
    _, members = united(then.rows, asked.relation)
    versions = [v for member in members for v in then.rows.group("answer_version", member)]
    return with_history(seen, versions, asked.question, then.position, hidden=asked.hidden)


def _satisfaction(then: Then, asked: Asked) -> Document | None:
    rows, (root, *absorbed) = united(then.rows, asked.relation)
    rounds = then.rows.tables["survey_round"].values()
    seen = with_rounds(rows, root, rounds, then.now, hidden=asked.hidden)
    return None if seen is None else {**seen, "absorbed": absorbed, "position": then.position}


def _opportunities(then: Then, asked: Asked) -> Document | None:
    rows, (root, *_) = united(then.rows, asked.relation)
    head = rows.get("relation", root)
    if head is None or head["name"] is None:
        return None
    told = [opportunity_json(row) for row in ranked_opportunities(rows, root, asked.hidden).values()]
    return {"relation": root, "opportunities": told, "position": then.position}


def _of_rows(presented: Callable[..., Document | None]) -> Callable[[Then, Asked], Document | None]:
    def shown(then: Then, asked: Asked) -> Document | None:
        rows, (root, *absorbed) = united(then.rows, asked.relation)
        seen = presented(rows, root, then.now, hidden=asked.hidden)
        return None if seen is None else {**seen, "absorbed": absorbed, "position": then.position}

    return shown


# A plan follows from few of the facts of the relation view; the others need no fold.
_PLAN_KINDS: Final = frozenset(t.kind for t in TYPES.values() if t.kind.startswith(("relation.", "plan.")))
_VIEWS: Final[Mapping[ViewName, _View]] = {
    "relation": _View(relation_view.PROJECTION, _relation),
    "matrix": _View(relation_view.PROJECTION, _matrix),
    "attention": _View(relation_view.PROJECTION, _attention),
    "schedule": _View(relation_view.PROJECTION, _schedule),
    "plan": _View(replace(relation_view.PROJECTION, kinds=_PLAN_KINDS), _plan),
    "satisfaction": _View(satisfaction_view.PROJECTION, _satisfaction),
    "agreements": _View(agreement_view.PROJECTION, _of_rows(present_agreements), agreement_parties),
    "chain": _View(chain_view.PROJECTION, _of_rows(present_chains), chain_parties),
    "partnership": _View(partnership_view.PROJECTION, _of_rows(present_partnership)),
    "opportunities": _View(partnership_view.PROJECTION, _opportunities),
}


async def view_states(
    conn: AsyncConnection, view: ViewName, relation: str, looks: Sequence[Bounds], *,
    viewer: Viewer, rules: Rules = DEFAULT_RULES, plan: str | None = None, question: str | None = None,
) -> list[Document | None]:  # fmt: skip
    """The document of `GET /v1/relations/{id}/<view>` at each of these pairs of D and K; None where there was no such
    relation. The ledger is read once for all of them. `position` is that of the last fact in sight. `plan`, `question`:
    as of `relation_plan.plan_history`. Of what is a list over HTTP, the lines of `schedule` and all `opportunities`;
    these without `relation_then`, which each decision fixes once for ever.

    Raises NotFound when the viewer's team does not have the relation now, or when the plan that is named was not there.
    """
    known = _VIEWS[view]
    asked = Asked(relation, hidden_bits(viewer), rules, plan, question)
    found: list[Document | None] = []
    for then in await rows_then(conn, relation, looks, known.projection, viewer=viewer):
        seen = None if then is None else known.present(then, asked)
        if seen is not None and known.name is not None:
            seen = await known.name(conn, seen, viewer)
        found.append(seen)
    return found


async def opportunities_then(
    conn: AsyncConnection, relation: str, bounds: Bounds, *, cursor: str | None = None, limit: int = 10,
    viewer: Viewer,
) -> tuple[Page, str, int] | None:  # fmt: skip
    """What `partnership_queries.opportunities` gives, as of D as known at K; None: there was no such relation."""
    (then,) = await rows_then(conn, relation, [bounds], partnership_view.PROJECTION, viewer=viewer)
    if then is None:
        return None
    rows, (root, *_) = united(then.rows, relation)
    head = rows.get("relation", root)
    if head is None or head["name"] is None:
        return None
    page = opportunities_of(rows, root, cursor=cursor, limit=limit, hidden=hidden_bits(viewer))
    return page, root, then.position
