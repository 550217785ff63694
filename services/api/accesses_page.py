"""The page `/relations/{id}/accesses`: who saw this relation, for auditors and privacy officers."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from events.errors import NotFound
from events.seen import note_items
from projections import relation_view
from projections.store import live
from projections.viewer import Viewer
from services.access_log.reading import accesses, kin_of
from services.api.asking import HasParts, relation_named
from services.api.page import page_of
from services.api.parts import Parts
from services.api.permits import permitted
from services.api.words import Language

RECORDS_SHOWN: Final = 100

router = APIRouter(include_in_schema=False)


@router.get("/relations/{id}/accesses")
async def show_accesses(id: str, request: Request, parts: HasParts) -> Response:
    """The newest records about one relation; the form to sign in for who is not. 404 for whom it is not for."""

    async def gather(viewer: Viewer, _: Language) -> dict[str, Any]:
        if permitted(viewer, "listRelationAccesses") is None:
            raise NotFound("No role of this viewer reads the access log.")
        return await _gather(parts, id, request.query_params.get("cursor"))

    return await page_of(request, parts, "accesses.html", gather)


async def _gather(parts: Parts, ident: str, cursor: str | None) -> dict[str, Any]:
    async with parts.reading() as conn:
        relation = await relation_named(conn, ident)
        page = await accesses(conn, about=await kin_of(conn, relation), cursor=cursor, limit=RECORDS_SHOWN)
        head = (await live(conn, relation_view.PROJECTION)).tables["relation"]
        name = await conn.scalar(head.select().with_only_columns(head.c.name).where(head.c.relation == relation))
    note_items(len(page.items))
    return {"relation": relation, "relation_name": name or relation, "records": page.items, "older": page.next}
