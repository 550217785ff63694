"""What the read models of rare facts know of one relation: agreements, chains, the partnership, opportunities; and what
is counted over the whole institution: contributors, and how content our own units are."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from events.clock import book_now
from events.errors import NotFound
from projections import agreement_view, chain_view, partnership_view, satisfaction_view
from projections.agreement_queries import agreements
from projections.chain_queries import chains
from projections.history import Bounds, relation_states
from projections.partnership_present import state_then
from projections.partnership_queries import contributors, opportunities, partnership
from projections.satisfaction_queries import satisfaction, staff_satisfaction
from projections.sight import NO_RELATION
from projections.viewer import Viewer
from projections.views_then import opportunities_then
from services.api.answering import json_response, list_response
from services.api.asking import AsOf, HasParts, NoKeys, Reader, UpTo, relation_named
from services.api.parts import Parts
from services.api.then import as_of, known_then, look_of

router = APIRouter(prefix="/v1", tags=["relations"])
_satisfaction = Depends(UpTo(satisfaction_view.PROJECTION))
_agreements = Depends(UpTo(agreement_view.PROJECTION))
_chains = Depends(UpTo(chain_view.PROJECTION))
_partnership = Depends(UpTo(partnership_view.PROJECTION))


@router.get("/relations/{id}/satisfaction", operation_id="showRelationSatisfaction", dependencies=[_satisfaction])
async def show_satisfaction(
    id: str, request: Request, parts: HasParts, viewer: Reader, asked: Annotated[AsOf, Query()]
) -> Response:
    """Figures per instrument and wording with their trend, none where fewer than `min_n` answered; loops, rounds."""
    return await satisfaction_response(request, parts, viewer, id, {}, asked)


@router.get("/relations/{id}/agreements", operation_id="showRelationAgreements", dependencies=[_agreements])
async def show_agreements(id: str, parts: HasParts, viewer: Reader, asked: Annotated[AsOf, Query()]) -> Response:
    """Contracts, covenants and coalitions: frame, renewals, when they end; programmes, and what was decided."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        seen = await as_of(parts, conn, "agreements", relation, asked, viewer)
        if seen is None:
            seen = _there(await agreements(conn, relation, await book_now(conn), viewer))
        return json_response(await parts.privacy.reveal(conn, seen))


@router.get("/relations/{id}/chain", operation_id="showRelationChain", dependencies=[_chains])
async def show_chain(id: str, parts: HasParts, viewer: Reader, asked: Annotated[AsOf, Query()]) -> Response:
    """Chains of care: phases, partners and guarantors; who invests and who gains; savings and how they are shared."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        seen = await as_of(parts, conn, "chain", relation, asked, viewer)
        if seen is None:
            seen = _there(await chains(conn, relation, await book_now(conn), viewer))
        return json_response(await parts.privacy.reveal(conn, seen))


@router.get("/relations/{id}/partnership", operation_id="showRelationPartnership", dependencies=[_partnership])
async def show_partnership(id: str, parts: HasParts, viewer: Reader, asked: Annotated[AsOf, Query()]) -> Response:
    """Interests and performances both ways, known and acknowledged; what was promised, and what of it is late."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        seen = await as_of(parts, conn, "partnership", relation, asked, viewer)
        if seen is None:
            seen = _there(await partnership(conn, relation, await book_now(conn), viewer))
        return json_response(await parts.privacy.reveal(conn, seen))


class OpportunitiesAsked(AsOf):
    cursor: str | None = Field(None, max_length=2_000, description="`next` of the page before")
    # Each may want a look into the ledger of its own.
    limit: int = Field(10, ge=1, le=20, description="entries on a page")


@router.get("/relations/{id}/opportunities", operation_id="listRelationOpportunities", dependencies=[_partnership])
async def list_opportunities(
    id: str, request: Request, parts: HasParts, viewer: Reader, asked: Annotated[OpportunitiesAsked, Query()]
) -> Response:
    """Tenders and offers, won and lost, with the relation's state at the moment of the decision, as it was known."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        look = look_of(asked)
        if look is None:
            found = await opportunities(conn, relation, viewer=viewer, cursor=asked.cursor, limit=asked.limit)
        else:
            then = await opportunities_then(conn, relation, look, viewer=viewer, cursor=asked.cursor, limit=asked.limit)
            found = known_then(then)
        if found is None:
            raise NotFound(NO_RELATION)
        page, root, position = found
        items: list[dict[str, Any]] = [
            {k: v for k, v in item.items() if k not in {"own", "decided"}} | {"relation_then": None}
            for item in page.items
        ]
        for own in {item["own"] for item in page.items}:
            # One reading of the ledger for all moments of a relation.
            asked_of = [n for n, i in enumerate(page.items) if i["own"] == own and i["decided"] is not None]
            looks = [Bounds(*page.items[n]["decided"]) for n in asked_of]
            then = await relation_states(conn, own, looks, viewer=viewer, rules=parts.rules) if looks else []
            for n, state in zip(asked_of, then, strict=True):
                items[n]["relation_then"] = state_then(state)
        revealed = await parts.privacy.reveal(conn, items)
    return list_response(request, revealed, page.next, {"relation": root, "position": position})


@router.get("/contributors", operation_id="countContributors", tags=["operations"], dependencies=[_partnership])
async def count_contributors(parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """Who contributes by commercial profile and stage, against the attention that relations ask for. Counts only."""
    async with parts.reading() as conn:
        return json_response(await contributors(conn, await book_now(conn), viewer))


@router.get("/staff-satisfaction", operation_id="listStaffSatisfaction", dependencies=[_satisfaction])
async def list_staff(request: Request, parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """How content our own people are, by unit and period. Totals; no score where fewer than five answered."""
    async with parts.reading() as conn:
        items = await staff_satisfaction(conn)
    return list_response(request, items, None)


async def satisfaction_response(
    request: Request, parts: Parts, viewer: Viewer, id_: str, more: dict[str, Any], asked: AsOf | None = None
) -> Response:
    """Also the answer to question 7, with `more` beside it."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id_)
        seen = None if asked is None else await as_of(parts, conn, "satisfaction", relation, asked, viewer)
        if seen is None:
            seen = _there(await satisfaction(conn, relation, await book_now(conn), viewer))
        document: dict[str, Any] = dict(await parts.privacy.reveal(conn, seen))
    return list_response(request, document.pop("figures"), None, {**more, **document})


def _there(seen: dict[str, Any] | None) -> dict[str, Any]:
    if seen is None:
        raise NotFound(NO_RELATION)
    return seen
