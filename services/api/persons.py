"""Subject access over HTTP, for the privacy officer. Each look is in the access log."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from events.errors import NotFound
from services.api.accesses import NOBODY, names_somebody
from services.api.answering import json_response
from services.api.asking import HasParts, Reader
from services.privacy.export import export
from services.privacy.kept import find_anywhere

router = APIRouter(prefix="/v1", tags=["audit"])


@router.get("/persons/{ref}/export", operation_id="exportPerson")
async def export_person(ref: str, request: Request, parts: HasParts, viewer: Reader) -> Response:
    """Everything that is held about a person: every event that names them, every row of a read model, what is kept
    beside the book, legal holds, and who saw them. `ref` as in `/v1/persons/{ref}/accesses`. Other people in the same
    events read "andere persoon"."""
    if not names_somebody(ref):
        raise NotFound(NOBODY)
    async with parts.reading() as conn:
        try:
            person = await find_anywhere(conn, parts.privacy, ref)
        except NotFound:
            raise NotFound(NOBODY) from None
        document = await export(conn, parts.privacy, person)
    return json_response(document)
