"""The pages `/accesses`, `/relations/{id}/accesses` and `/persons/{ref}/accesses`: who saw it, for auditors and privacy
officers, as a table or as a CSV file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from fastapi import APIRouter, Request
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse, Response

from events.errors import NotFound
from events.seen import note_items, note_persons
from projections import relation_view
from projections.page import MAX_LIMIT
from projections.store import live
from projections.timeline_queries import sees_relation
from projections.viewer import Viewer
from services.access_log.reading import accesses, kin_of
from services.api.accesses import names_somebody, person_named
from services.api.answering import csv_response
from services.api.asking import HasParts, relation_named
from services.api.page import page_of
from services.api.parts import Parts
from services.api.permits import permitted
from services.api.words import Language

RECORDS_SHOWN: Final = 100
RECORDS_EXPORTED: Final = 10_000

router = APIRouter(include_in_schema=False)


@router.get("/accesses")
async def show_all_accesses(request: Request, parts: HasParts) -> Response:
    """The newest records of all, and a form: with `about`, a relation or person as the book names them, it leads to the
    page of that one."""
    about, english = request.query_params.get("about", "").strip(), "?taal=en" if _english(request) else ""

    async def gather(conn: AsyncConnection, viewer: Viewer) -> dict[str, Any] | Response:
        if not about:
            return await _records(conn, request, None, {"about": "all", "relation": None, "subject": None})
        if names_somebody(about):
            note_persons([person := await person_named(parts, conn, about)])
            return RedirectResponse(f"/persons/{person}/accesses{english}", 303)
        return RedirectResponse(f"/relations/{await relation_named(conn, about)}/accesses{english}", 303)

    return await _page(request, parts, "listAccesses", gather)


@router.get("/relations/{id}/accesses")
async def show_accesses(id: str, request: Request, parts: HasParts) -> Response:
    """The newest records about one relation; the form to sign in for who is not. 404 for whom it is not for."""

    async def gather(conn: AsyncConnection, viewer: Viewer) -> dict[str, Any] | Response:
        relation = await relation_named(conn, id)
        head = (await live(conn, relation_view.PROJECTION)).tables["relation"]
        name = await conn.scalar(head.select().with_only_columns(head.c.name).where(head.c.relation == relation))
        # The way back is there for whom it leads somewhere: who may see this log need not see relations.
        reads = permitted(viewer, "showRelationTimeline")
        back = relation if reads is not None and await sees_relation(conn, relation, reads) else None
        shown = {"about": "relation", "relation": back, "subject": name or relation}
        return await _records(conn, request, await kin_of(conn, relation), shown)

    return await _page(request, parts, "listRelationAccesses", gather)


@router.get("/persons/{ref}/accesses")
async def show_person_accesses(ref: str, request: Request, parts: HasParts) -> Response:
    """The newest records of answers that named one person, as `/v1/persons/{ref}/accesses` has them. Says the person's
    reference, and never a name."""

    async def gather(conn: AsyncConnection, viewer: Viewer) -> dict[str, Any] | Response:
        person = await person_named(parts, conn, ref)
        note_persons([person])
        return await _records(conn, request, [person], {"about": "person", "relation": None, "subject": person})

    return await _page(request, parts, "listPersonAccesses", gather)


Gather = Callable[[AsyncConnection, Viewer], Awaitable[dict[str, Any] | Response]]


async def _page(request: Request, parts: Parts, operation: str, gather: Gather) -> Response:
    """For whom may call the operation; 404 for others."""

    async def allowed(viewer: Viewer, _: Language) -> dict[str, Any] | Response:
        if permitted(viewer, operation) is None:
            raise NotFound("No role of this viewer reads the access log.")
        async with parts.reading() as conn:
            return await gather(conn, viewer)

    return await page_of(request, parts, "accesses.html", allowed, missing="unseen")


async def _records(
    conn: AsyncConnection, request: Request, about: Collection[str] | None, shown: dict[str, Any]
) -> dict[str, Any] | Response:
    """`shown` with a page of records, or with `export=csv` the newest RECORDS_EXPORTED as a file."""
    if request.query_params.get("export") == "csv":
        items = await _newest(conn, about)
        note_items(len(items))
        return csv_response(request, items)
    page = await accesses(conn, about=about, cursor=request.query_params.get("cursor"), limit=RECORDS_SHOWN)
    note_items(len(page.items))
    return {**shown, "records": page.items, "older": page.next}


async def _newest(conn: AsyncConnection, about: Collection[str] | None) -> list[dict[str, Any]]:
    page = await accesses(conn, about=about, limit=MAX_LIMIT)
    items = page.items
    while page.next is not None and len(items) < RECORDS_EXPORTED:
        page = await accesses(conn, about=about, cursor=page.next, limit=MAX_LIMIT)
        items += page.items
    return items


def _english(request: Request) -> bool:
    return request.query_params.get("taal") == "en"
