"""The questions that the read models of rare facts answer: 5 promises, 7 satisfaction, 8 programmes, 9 money."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BeforeValidator, Field
from starlette.responses import Response

from events.clock import book_now
from projections import agreement_view, chain_view, partnership_view, satisfaction_view
from projections.agreement_queries import ProgrammeState, Rag, programmes
from projections.chain_queries import pockets
from projections.parties import US
from projections.partnership_queries import By, CommitmentState, commitments
from services.api.answering import list_response
from services.api.asking import Asked, HasParts, Reader, Scoped, UpTo, moment, relation_asked
from services.api.insight import satisfaction_response

FinancingSystem = Literal["zvw", "wlz", "wmo", "jeugdwet", "pgb", "other"]

router = APIRouter(prefix="/v1/questions", tags=["questions"])


class PromisesAsked(Scoped):
    by: By | None = Field(None, description="who promised: `us` or `them`")
    late: bool | None = Field(None, description="only what is open after its due date; `false`: only what is not")
    state: CommitmentState = Field("open", description="`all`: whatever became of it")


@router.get("/5", operation_id="answerQuestion5", dependencies=[Depends(UpTo(partnership_view.PROJECTION))])
async def promises(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[PromisesAsked, Query()]
) -> Response:
    """What did we and they promise, and what is late? The first due first; `evidence` holds positions."""
    async with parts.reading() as conn:
        page = await commitments(
            conn, await book_now(conn), by=asked.by, late=asked.late, state=asked.state,
            relation=await relation_asked(conn, asked.relation), tier=asked.tier, team=asked.team, cursor=asked.cursor,
            limit=asked.limit, viewer=viewer,
        )  # fmt: skip
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next, {"question": 5})


class SatisfactionAsked(Asked):
    relation: str = Field(max_length=150, description="the relation: its UUID or `<scheme>:<value>`")


@router.get("/7", operation_id="answerQuestion7", dependencies=[Depends(UpTo(satisfaction_view.PROJECTION))])
async def how_satisfied(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[SatisfactionAsked, Query()]
) -> Response:
    """How satisfied is this relation, with n, trend and open loops? A figure for each instrument and wording."""
    return await satisfaction_response(request, parts, viewer, asked.relation, {"question": 7})


class ProgrammesAsked(Scoped):
    rag: Rag | None = Field(None, description="programmes of which the worst indicator is so")
    state: ProgrammeState | None = Field(None, description="programmes that are so today")
    ends_before: Annotated[date, BeforeValidator(moment)] | None = Field(None, description="what ends before this day")


@router.get("/8", operation_id="answerQuestion8", dependencies=[Depends(UpTo(agreement_view.PROJECTION))])
async def how_programmes_do(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[ProgrammesAsked, Query()]
) -> Response:
    """How is each coalition's programme doing, what was steered, and what ends when? The first to end first."""
    async with parts.reading() as conn:
        page = await programmes(
            conn, await book_now(conn), relation=await relation_asked(conn, asked.relation), tier=asked.tier,
            team=asked.team, rag=asked.rag, state=asked.state, ends_before=asked.ends_before, cursor=asked.cursor,
            limit=asked.limit, viewer=viewer,
        )  # fmt: skip
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next, {"question": 8})


class PocketsAsked(Scoped):
    chain: str | None = Field(None, max_length=120, description="only this chain")
    organisation: str | None = Field(None, max_length=150, description="`us`, a UUID or `<scheme>:<value>`")
    financing_system: FinancingSystem | None = Field(None, description="only this financing system")
    period: str | None = Field(
        None, pattern=r"^[0-9]{4}(-(H[12]|Q[1-4]|0[1-9]|1[0-2]))?$", description="`2026` takes all within that year"
    )


@router.get("/9", operation_id="answerQuestion9", dependencies=[Depends(UpTo(chain_view.PROJECTION))])
async def who_gains(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[PocketsAsked, Query()]
) -> Response:
    """Who invests and who gains, per organisation and financing system, and how is it shared? Chain by chain inside."""
    async with parts.reading() as conn:
        organisation = asked.organisation
        if organisation != US:
            organisation = await relation_asked(conn, organisation)
        page = await pockets(
            conn, relation=await relation_asked(conn, asked.relation), chain=asked.chain, organisation=organisation,
            financing_system=asked.financing_system, period=asked.period, tier=asked.tier, team=asked.team,
            cursor=asked.cursor, limit=asked.limit, viewer=viewer,
        )  # fmt: skip
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next, {"question": 9})
