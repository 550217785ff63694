"""Who saw this: the access log over HTTP, for auditors and privacy officers. Each look is in the log itself."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from events.errors import NotFound
from events.privacy import Kind
from events.seen import note_persons
from events.tables import person_key
from services.access_log.reading import accesses, kin_of
from services.api.answering import list_response
from services.api.asking import HasParts, Paging, Reader, relation_named
from services.api.parts import Parts
from services.api.timelines import Day

_REF: Final = re.compile(r"ref~[0-9a-f]{32}")
_NAMED: Final = re.compile(r"(person|employee):([A-Za-z0-9._:/@-]{1,64})")

router = APIRouter(prefix="/v1", tags=["audit"])


class AccessesAsked(Paging):
    actor: str | None = Field(None, max_length=100, description="only what this viewer or account read")
    from_: Day | None = Field(None, alias="from", description="on or after this date")
    to: Day | None = Field(None, description="on or before this date")


def _filters(asked: AccessesAsked) -> dict[str, Any]:
    return {
        "actor": asked.actor, "from_": asked.from_, "to": asked.to, "cursor": asked.cursor, "limit": asked.limit
    }  # fmt: skip


@router.get("/accesses", operation_id="listAccesses")
async def list_all(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[AccessesAsked, Query()]
) -> Response:
    """The whole access log (NEN 7513), the newest record first."""
    async with parts.reading() as conn:
        page = await accesses(conn, **_filters(asked))
    return list_response(request, page.items, page.next)


@router.get("/relations/{id}/accesses", operation_id="listRelationAccesses")
async def list_of_relation(
    id: str, request: Request, parts: HasParts, viewer: Reader, asked: Annotated[AccessesAsked, Query()]
) -> Response:
    """Who saw this relation, or one that it absorbed, or tried to: the newest first."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        page = await accesses(conn, about=await kin_of(conn, relation), **_filters(asked))
    return list_response(request, page.items, page.next, {"relation": relation})


@router.get("/persons/{ref}/accesses", operation_id="listPersonAccesses")
async def list_of_person(
    ref: str, request: Request, parts: HasParts, viewer: Reader, asked: Annotated[AccessesAsked, Query()]
) -> Response:
    """Who was shown data that names this person: the newest first. `ref` is the reference that stands for the person
    in events (`ref~…`), or `person:<id>` or `employee:<id>`. An erased person is found by reference only."""
    async with parts.reading() as conn:
        person = await person_named(parts, conn, ref)
        note_persons([person])
        page = await accesses(conn, about=[person], **_filters(asked))
    return list_response(request, page.items, page.next, {"person": person})


NOBODY: Final = "A person is named by `ref~…`, `person:<id>` or `employee:<id>`, as in the book."


def names_somebody(ref: str) -> bool:
    """Whether it has one of the forms by which people are named."""
    return _REF.fullmatch(ref) is not None or _NAMED.fullmatch(ref) is not None


async def person_named(parts: Parts, conn: AsyncConnection, ref: str) -> str:
    """The reference of a person. Raises NotFound for who is not in the book."""
    found = None
    if _REF.fullmatch(ref):
        found = await conn.scalar(select(person_key.c.ref).where(person_key.c.ref == ref))
    elif named := _NAMED.fullmatch(ref):
        kind: Kind = "person" if named[1] == "person" else "employee"
        found = await parts.privacy.ref_of(conn, kind, named[2])
    if found is None:
        raise NotFound(NOBODY)
    return found
