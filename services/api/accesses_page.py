"""The page `/relations/{id}/accesses`: who saw this relation, for auditors and privacy officers."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from events.errors import Invalid, NotFound
from events.seen import note_items
from projections import relation_view
from projections.store import live
from services.access_log.reading import accesses, kin_of
from services.api.asking import HasParts, relation_named
from services.api.html import language_of, render
from services.api.page import OUT, WITHIN_S, out_page, sign_in_form, signed_in
from services.api.parts import Parts
from services.api.permits import permitted

RECORDS_SHOWN: Final = 100

router = APIRouter(include_in_schema=False)


@router.get("/relations/{id}/accesses")
async def show_accesses(id: str, request: Request, parts: HasParts) -> Response:
    """The newest records about one relation; the form to sign in for who is not. 404 for whom it is not for."""
    language, viewer = language_of(request), None
    try:
        async with asyncio.timeout(WITHIN_S):
            viewer = await signed_in(request, parts)
            if viewer is None:
                return sign_in_form(request, parts, language)
            if permitted(viewer, "listRelationAccesses") is None:
                raise NotFound("No role of this viewer reads the access log.")
            shown = await _gather(parts, id, request.query_params.get("cursor"))
    except (NotFound, Invalid):
        return render(request, language, "gone.html", status_code=404, viewer=viewer)
    except OUT:
        return out_page(request, language)
    return render(request, language, "accesses.html", viewer=viewer, **shown)


async def _gather(parts: Parts, ident: str, cursor: str | None) -> dict[str, Any]:
    async with parts.reading() as conn:
        relation = await relation_named(conn, ident)
        page = await accesses(conn, about=await kin_of(conn, relation), cursor=cursor, limit=RECORDS_SHOWN)
        head = (await live(conn, relation_view.PROJECTION)).tables["relation"]
        name = await conn.scalar(head.select().with_only_columns(head.c.name).where(head.c.relation == relation))
    note_items(len(page.items))
    return {"relation": relation, "relation_name": name or relation, "records": page.items, "older": page.next}
