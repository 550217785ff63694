"""The questions about contact, history and alerts (SPEC section 4); `insight_questions` and `loops` have the rest."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from events.clock import book_now
from events.errors import NotFound
from events.fields import Activity
from events.identity import is_uuid
from projections import contact_alerts, relation_view
from projections.alert_explain import explain
from projections.layer_contacts import LayerState, layer_contacts
from projections.overdue_queries import overdue_lines
from projections.page import MAX_LIMIT
from projections.relation_queries import attention
from services.api.answering import json_response, list_response
from services.api.asking import Asked, HasParts, Reader, Scoped, UpTo, relation_asked
from services.api.relations import HistoryAsked, history_response

ANSWERED: Final = range(1, 11)

router = APIRouter(prefix="/v1/questions", tags=["questions"])
_alerts = Depends(UpTo(contact_alerts.PROJECTION))
_view = Depends(UpTo(relation_view.PROJECTION))


class OverdueAsked(Scoped):
    owner: str | None = Field(None, max_length=100, description="id of the employee who owns the line")
    unowned: bool | None = Field(None, description="only lines that nobody owns; `false`: only owned ones")


@router.get("/1", operation_id="answerQuestion1", dependencies=[_alerts])
async def overdue(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[OverdueAsked, Query()]
) -> Response:
    """Which lines are overdue, by how many working days, owned by whom? The longest overdue first."""
    async with parts.reading() as conn:
        owner = None
        if asked.owner is not None:
            owner = await parts.privacy.ref_of(conn, "employee", asked.owner)
            if owner is None:
                return list_response(request, [], None, {"question": 1})
        page = await overdue_lines(
            conn, await book_now(conn), owner_ref=owner, unowned=asked.unowned,
            relation=await relation_asked(conn, asked.relation), team=asked.team, tier=asked.tier,
            cursor=asked.cursor, limit=asked.limit, viewer=viewer, calendar=parts.calendar,
            lead_working_days=parts.settings.default_lead_days,
        )  # fmt: skip
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next, {"question": 1})


class LayersAsked(Scoped):
    state: LayerState = Field(
        "all",
        description="`covered`: asked for, and contact in twelve months; `gap`: asked for, and none; `vacant`: the "
        "person that the line names is gone; `open`: both of those; `extra`: contact that no line asks for",
    )


@router.get("/2", operation_id="answerQuestion2", dependencies=[_alerts])
async def who_meets_whom(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[LayersAsked, Query()]
) -> Response:
    """Who has contact with whom on which layer, and where are the gaps? An item for each line that asks for contact
    today, and for each pair of layers that met in twelve months without one."""
    async with parts.reading() as conn:
        page = await layer_contacts(
            conn, await book_now(conn), state=asked.state, relation=await relation_asked(conn, asked.relation),
            tier=asked.tier, team=asked.team, cursor=asked.cursor, limit=asked.limit, viewer=viewer,
        )  # fmt: skip
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next, {"question": 2})


class PastAsked(HistoryAsked):
    relation: str = Field(max_length=150, description="the relation: its UUID or `<scheme>:<value>`")
    limit: int | None = Field(50, ge=1, le=MAX_LIMIT, description="entries on a page")


@router.get("/3", operation_id="answerQuestion3")
async def history_of(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[PastAsked, Query()]
) -> Response:
    """What is the history of this relation at `asOf`, as known at `knownAt`?"""
    return await history_response(request, parts, viewer, asked.relation, asked, {"question": 3})


class AttentionAsked(Asked):
    team: str | None = Field(None, max_length=100, description="relations that this team has now")
    tier: str | None = Field(None, max_length=20, description="relations of this tier")
    kind: Activity | None = Field(None, description="contacts of this kind")


@router.get("/6", operation_id="answerQuestion6", dependencies=[_view])
async def attention_per_tier(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[AttentionAsked, Query()]
) -> Response:
    """Where did attention go (kind, minutes, layer) per tier, in the last twelve months? Never per employee. An item a
    tier, so there are no pages; the sums hold every event up to `position`."""
    async with parts.reading() as conn:
        items = await attention(
            conn, await book_now(conn), tier=asked.tier, team=asked.team, kind=asked.kind, viewer=viewer
        )
    return list_response(request, items, None, {"question": 6})


class WhyAsked(Asked):
    alert: str = Field(max_length=36, description="id of the alert")


@router.get("/10", operation_id="answerQuestion10", dependencies=[_alerts])
async def why(parts: HasParts, viewer: Reader, asked: Annotated[WhyAsked, Query()]) -> Response:
    """Why does this alert exist, and how fresh are its sources? In numbers and in words, with the events behind it."""
    async with parts.reading() as conn:
        now, silent_after = await book_now(conn), parts.settings.silent_working_days
        found = None
        if is_uuid(asked.alert):
            found = await explain(conn, asked.alert, now, viewer, parts.calendar, silent_after)
        if found is None:
            raise NotFound("No such alert, or not one of yours.")
        document = await parts.privacy.reveal(conn, found)
    return json_response(document)


@router.get("/{number}", include_in_schema=False)
async def unanswered(number: str, viewer: Reader) -> Response:
    raise NotFound(f"There is no such question: they are numbered {ANSWERED[0]} to {ANSWERED[-1]}.")
