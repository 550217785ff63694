"""The pages `/relations/{id}/accesses` and `/persons/{ref}/accesses`: who saw it, for auditors, privacy officers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from fastapi import APIRouter, Request
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from events.errors import NotFound
from events.seen import note_items, note_persons
from projections import relation_view
from projections.store import live
from projections.viewer import Viewer
from services.access_log.reading import accesses, kin_of
from services.api.accesses import person_named
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

    async def gather(conn: AsyncConnection, cursor: str | None) -> dict[str, Any]:
        relation = await relation_named(conn, id)
        head = (await live(conn, relation_view.PROJECTION)).tables["relation"]
        name = await conn.scalar(head.select().with_only_columns(head.c.name).where(head.c.relation == relation))
        shown = await _records(conn, await kin_of(conn, relation), cursor)
        return {"relation": relation, "subject": name or relation, **shown}

    return await _page(request, parts, "listRelationAccesses", gather)


@router.get("/persons/{ref}/accesses")
async def show_person_accesses(ref: str, request: Request, parts: HasParts) -> Response:
    """The newest records of answers that named one person, as `/v1/persons/{ref}/accesses` has them. Says the person's
    reference, and never a name."""

    async def gather(conn: AsyncConnection, cursor: str | None) -> dict[str, Any]:
        person = await person_named(parts, conn, ref)
        note_persons([person])
        return {"relation": None, "subject": person, **await _records(conn, [person], cursor)}

    return await _page(request, parts, "listPersonAccesses", gather)


Gather = Callable[[AsyncConnection, str | None], Awaitable[dict[str, Any]]]


async def _page(request: Request, parts: Parts, operation: str, gather: Gather) -> Response:
    """For whom may call the operation; 404 for others."""

    async def allowed(viewer: Viewer, _: Language) -> dict[str, Any]:
        if permitted(viewer, operation) is None:
            raise NotFound("No role of this viewer reads the access log.")
        async with parts.reading() as conn:
            return await gather(conn, request.query_params.get("cursor"))

    return await page_of(request, parts, "accesses.html", allowed)


async def _records(conn: AsyncConnection, about: Collection[str], cursor: str | None) -> dict[str, Any]:
    page = await accesses(conn, about=about, cursor=cursor, limit=RECORDS_SHOWN)
    note_items(len(page.items))
    return {"records": page.items, "older": page.next}
