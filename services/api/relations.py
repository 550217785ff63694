"""Relations over HTTP: the list, one at a glance or as of a day, and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from events.clock import book_now
from events.errors import NotFound
from projections import relation_view, team_timeline
from projections.difference import difference
from projections.history import history_page
from projections.page import MAX_LIMIT
from projections.relation_plan import changes, plan_history, with_changes
from projections.relation_queries import list_relations, matrix, show, spent_on
from projections.sight import NO_RELATION
from projections.timeline_queries import relation_page
from projections.viewer import Viewer
from projections.views_then import ViewName
from services.api.answering import json_response, list_response
from services.api.asking import (
    AsOf,
    DayOrInstant,
    HasParts,
    InstantOrPosition,
    Paging,
    Reader,
    UpTo,
    relation_named,
)
from services.api.parts import Parts
from services.api.then import as_of, states_of
from services.api.timelines import TimelineAsked, filters

Kind = Literal[
    "municipality", "province", "care_office", "health_insurer", "primary_care_provider", "care_partner",
    "non_care_partner", "other_funder",
]  # fmt: skip

router = APIRouter(prefix="/v1", tags=["relations"])
_view = Depends(UpTo(relation_view.PROJECTION))
_timeline = Depends(UpTo(team_timeline.PROJECTION))


class RelationsAsked(Paging):
    kind: Kind | None = Field(None, description="relation kind")
    tier: str | None = Field(None, max_length=20, description="tier, as in `A`")
    team: str | None = Field(None, max_length=100, description="relations that this team has now")
    q: str | None = Field(None, max_length=100, description="a part of the name, whatever its case and accents")


class HistoryAsked(AsOf):
    cursor: str | None = Field(None, max_length=2_000, description="`next` of the page before")
    limit: int | None = Field(None, ge=1, le=MAX_LIMIT, description="entries on a page; without it all of them")


class TwoLooks(AsOf):
    view: ViewName = Field(
        "relation", description="what to compare: the path after `/v1/relations/{id}/`, or `relation`"
    )
    with_as_of: DayOrInstant | None = Field(None, description="compared with how it was at this moment of business")
    with_known_at: InstantOrPosition | None = Field(None, description="compared with how the book knew it then")


@router.get("/relations", operation_id="listRelations", dependencies=[_view])
async def list_all(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[RelationsAsked, Query()]
) -> Response:
    """Relations by name."""
    async with parts.reading() as conn:
        page = await list_relations(
            conn, kind=asked.kind, tier=asked.tier, team=asked.team, q=asked.q, cursor=asked.cursor,
            limit=asked.limit, now=await book_now(conn), viewer=viewer,
        )  # fmt: skip
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next)


@router.get("/relations/{id}", operation_id="showRelation", dependencies=[_view])
async def show_one(id: str, parts: HasParts, viewer: Reader, asked: Annotated[AsOf, Query()]) -> Response:
    """One relation at a glance; with `asOf` or `knownAt` as it was then, folded from the ledger."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        seen = await as_of(parts, conn, "relation", relation, asked, viewer) or await _seen(
            parts, conn, relation, viewer
        )
        document = await parts.privacy.reveal(conn, seen)
    return json_response(document)


@router.get("/relations/{id}/timeline", operation_id="showRelationTimeline", dependencies=[_timeline])
async def timeline(
    id: str, request: Request, parts: HasParts, viewer: Reader, asked: Annotated[TimelineAsked, Query()]
) -> Response:
    """Every fact of one relation, newest first. What is restricted shows as such, with its date only."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        page = await relation_page(conn, relation, viewer, **filters(asked))
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next)


@router.get("/relations/{id}/history", operation_id="showRelationHistory")
async def full_history(
    id: str, request: Request, parts: HasParts, viewer: Reader, asked: Annotated[HistoryAsked, Query()]
) -> Response:
    """What happened up to `asOf`, as known at `knownAt`, from the ledger, in the order of the book."""
    return await history_response(request, parts, viewer, id, asked)


@router.get("/relations/{id}/difference", operation_id="compareRelation")
async def compare(
    id: str, request: Request, parts: HasParts, viewer: Reader, asked: Annotated[TwoLooks, Query()]
) -> Response:
    """What differs, field by field, between the relation (or another `view` of it) as it was at `asOf`, `knownAt` and
    at `withAsOf`, `withKnownAt`; what is left out means now. Folded from the ledger."""
    looks = [(asked.as_of, asked.known_at), (asked.with_as_of, asked.with_known_at)]
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        states = await states_of(parts, conn, asked.view, relation, looks, viewer)
        if not any(states):
            raise NotFound("The book did not know this relation at either moment.")
        before, after = await parts.privacy.reveal(conn, states)
    more = {
        "relation": (after or before)["id" if asked.view == "relation" else "relation"],
        "view": asked.view,
        "before": {"as_of": asked.as_of, "known_at": asked.known_at, "position": before and before["position"]},
        "after": {"as_of": asked.with_as_of, "known_at": asked.with_known_at, "position": after and after["position"]},
    }  # fmt: skip
    return list_response(request, difference(before, after), None, more)


@router.get("/relations/{id}/matrix", operation_id="showRelationMatrix", dependencies=[_view])
async def show_matrix(id: str, parts: HasParts, viewer: Reader, asked: Annotated[AsOf, Query()]) -> Response:
    """Who has contact with whom: layer by layer, what is asked for, what happened, and where the gaps are."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        found = await as_of(parts, conn, "matrix", relation, asked, viewer)
        if found is None:
            found = await matrix(conn, relation, await book_now(conn), viewer, parts.rules)
        if found is None:
            raise NotFound(NO_RELATION)
        document = await parts.privacy.reveal(conn, found)
    return json_response(document)


@router.get("/relations/{id}/attention", operation_id="showRelationAttention", dependencies=[_view])
async def show_attention(id: str, parts: HasParts, viewer: Reader, asked: Annotated[AsOf, Query()]) -> Response:
    """Where attention for this relation went in twelve months: contacts and minutes by kind, channel and our layer, as
    question 6 counts them per tier. Never per employee."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        found = await as_of(parts, conn, "attention", relation, asked, viewer)
        if found is None:
            found = await spent_on(conn, relation, await book_now(conn), viewer)
    if found is None:
        raise NotFound(NO_RELATION)
    return json_response(found)


class PlanAsked(AsOf):
    plan: str | None = Field(None, max_length=120, description="id of the plan; none: the one that stands")
    question: str | None = Field(None, max_length=40, description="the history of this question only")
    older: int | None = Field(None, ge=1, description="position of an answer in `history`, to compare with `newer`")
    newer: int | None = Field(None, ge=1, description="position of an answer in `history`")


@router.get("/relations/{id}/plan", operation_id="showRelationPlan", dependencies=[_view])
async def show_plan(id: str, parts: HasParts, viewer: Reader, asked: Annotated[PlanAsked, Query()]) -> Response:
    """The relation plan: answers, actions, approval; and who changed which answer when, and what it changed."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        which = {"plan": asked.plan, "question": asked.question}
        found = await as_of(parts, conn, "plan", relation, asked, viewer, **which)
        if found is None:
            found = await plan_history(conn, relation, await book_now(conn), viewer=viewer, **which)
        if found is None:
            raise NotFound(NO_RELATION)
        seen: Mapping[str, Any] = await parts.privacy.reveal(conn, found)
    document = {**seen, "history": with_changes(seen["history"])}
    if asked.older is not None and asked.newer is not None:
        given = {entry["position"]: entry["answer"] for entry in seen["history"]}
        if not {asked.older, asked.newer} <= given.keys():
            raise NotFound("This plan has no answers at these positions.")
        document["changes"] = changes(given[asked.older], given[asked.newer])
    return json_response(document)


@router.get("/relations/{id}/schedule", operation_id="showRelationSchedule", dependencies=[_view])
async def show_schedule(
    id: str, request: Request, parts: HasParts, viewer: Reader, asked: Annotated[AsOf, Query()]
) -> Response:
    """The lines of the contact schedule with their states today, or at `asOf`."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        found = await as_of(parts, conn, "relation", relation, asked, viewer)
        seen = await parts.privacy.reveal(conn, found or await _seen(parts, conn, relation, viewer))
    return list_response(request, seen["schedule"], None, {"relation": seen["id"], "position": seen["position"]})


async def history_response(
    request: Request, parts: Parts, viewer: Viewer, id_: str, asked: HistoryAsked, more: Mapping[str, Any] | None = None
) -> Response:
    """Also the answer to question 3, with `more` beside it."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id_)
        survivor, page = await history_page(
            conn, relation, asked.as_of, asked.known_at, cursor=asked.cursor, limit=asked.limit, viewer=viewer
        )
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next, {**(more or {}), "relation": survivor})


async def _seen(parts: Parts, conn: AsyncConnection, relation: str, viewer: Viewer) -> dict[str, Any]:
    """The relation as this viewer sees it now. Raises NotFound for what is not there or not this viewer's."""
    found = await show(conn, relation, await book_now(conn), viewer, parts.rules)
    if found is None:
        raise NotFound(NO_RELATION)
    return found
