"""What routes ask of a request: who is asking, which page, how far the read model must be."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Final, Literal, TypeVar

from fastapi import Depends, Header, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import NotFound
from events.identity import is_uuid
from events.ledger import resolve
from events.seen import note_relations
from projections.page import MAX_LIMIT
from projections.rows import Projection
from projections.sight import NO_RELATION
from projections.viewer import Viewer
from services.access import Identity, Publisher
from services.api.parts import Parts, parts_of
from services.api.permits import operation_of, permitted
from services.api.signing import guard, session_id
from services.identity import sessions
from services.problems import refuse

Layer = Literal["board", "senior_management", "tactical_management", "professional"]

WAIT_S: Final = 5.0
_YEARS: Final = (1900, 2200)  # what is outside was mistyped, and date arithmetic overflows near year 9999
_Moment = TypeVar("_Moment", date, datetime)
_MAX_POSITION: Final = 2**63 - 1
_IDENT: Final = re.compile(r"[a-z]{2,20}:[^\x00-\x20\x7f]{1,100}")

bearer = HTTPBearer(
    auto_error=False, scheme_name="token", description="A viewer's token reads; a department's token publishes."
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


class Asked(BaseModel):
    """Query keys: unknown ones are refused, all errors are told at once."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=False)


class Nothing(Asked):
    """No query keys at all."""


class Paging(Asked):
    cursor: str | None = Field(None, max_length=2_000, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="entries on a page")


class Scoped(Paging):
    relation: str | None = Field(None, max_length=150, description="of this relation: its UUID or `<scheme>:<value>`")
    team: str | None = Field(None, max_length=100, description="of relations that this team has now")
    tier: str | None = Field(None, max_length=20, description="of relations of this tier")


NoKeys = Annotated[Nothing, Query()]


def moment(value: object) -> object:
    """A date, or a date-time with offset. pydantic alone would take digits for seconds since 1970."""
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        return _within(date.fromisoformat(value))
    return _instant(value)


def _instant_or_position(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value):
        return min(int(value), _MAX_POSITION)
    return _instant(value) if isinstance(value, str) else value


def _instant(value: str) -> datetime:
    # A plus in a query that nobody encoded arrives as a space.
    at = datetime.fromisoformat(value.replace(" ", "+"))
    if at.tzinfo is None:
        raise ValueError("a date-time needs an offset, as in 2026-06-30T12:00:00+02:00 (in a URL the + is %2B)")
    return _within(at)


def _within(at: _Moment) -> _Moment:
    if not _YEARS[0] <= at.year <= _YEARS[1]:
        raise ValueError(f"the year must be from {_YEARS[0]} to {_YEARS[1]}")
    return at


DayOrInstant = Annotated[datetime | date, BeforeValidator(moment)]
InstantOrPosition = Annotated[datetime | int, BeforeValidator(_instant_or_position)]


class AsOf(Asked):
    as_of: DayOrInstant | None = Field(
        None, description="as it was at this moment of business time (a date: at that day's end)"
    )
    known_at: InstantOrPosition | None = Field(
        None, description="as the book knew it at this recorded time, or with this position as the last"
    )


async def known_now(
    request: Request, parts: Parts, credentials: HTTPAuthorizationCredentials | None, *, touch: bool = False
) -> Identity | None:
    """Who has this token, or else this session, at this moment; None: nobody (any longer). `touch`: the session is
    used."""
    if credentials is not None:
        token = credentials.credentials
        if parts.oidc is not None and parts.oidc.may_know(token):
            return await parts.oidc.viewer_of(parts.engine, token)
        return await parts.access.identify(token)
    return await sessions.viewer_of(parts.engine, session_id(request), touch=touch)


async def identity_of(
    request: Request, parts: Annotated[Parts, Depends(parts_of)], credentials: Credentials
) -> Identity:
    """Who asks, also as `request.state.identity`. Raises Refused: 401 without a token or session or with one that
    nobody has, 403 for a change with a session's cookie alone."""
    known = await known_now(request, parts, credentials, touch=True)
    if known is None:
        detail = "send `Authorization: Bearer TOKEN` with a token that is in use, or sign in"
        raise refuse("unauthenticated", "/header/Authorization", detail)
    request.state.identity = known
    if credentials is None:
        guard(request, session_id(request))
    return known


async def viewer_of(request: Request, known: Annotated[Identity, Depends(identity_of)]) -> Viewer:
    """The viewer that asks, as far as this operation lets them see. Raises Refused (403) where no role of theirs
    allows it. A department's token reads nothing but its own verdicts."""
    if isinstance(known, Viewer):
        seen = permitted(known, operation_of(request))
        if seen is None:
            raise refuse("forbidden", "/header/Authorization", "none of your roles allows this")
        return seen
    raise refuse("forbidden", "/header/Authorization", "this is a department's token; reading wants a viewer's")


async def publisher_of(known: Annotated[Identity, Depends(identity_of)]) -> Publisher:
    if isinstance(known, Publisher):
        return known
    raise refuse("forbidden", "/header/Authorization", "this is a viewer's token; this wants a department's")


Reader = Annotated[Viewer, Depends(viewer_of)]
PublisherToken = Annotated[Publisher, Depends(publisher_of)]
HasParts = Annotated[Parts, Depends(parts_of)]


def position_in(value: str | None, header: str = "If-Position") -> int | None:
    """The position in a header. Raises Refused for anything but digits."""
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,20}", value) or int(value) > _MAX_POSITION:
        raise refuse("request", f"/header/{header}", "must be a sequence: digits only, as in a verdict")
    return int(value)


class UpTo:
    """Dependency of a route that reads one projection: waits until that is as far as `If-Position` wants.

    Waits only for who may read at all: an unknown asker is turned away before.
    """

    def __init__(self, projection: Projection) -> None:
        self._projection = projection

    async def __call__(
        self,
        parts: HasParts,
        viewer: Reader,
        if_position: Annotated[
            str | None,
            Header(
                alias="If-Position",
                description="a sequence from a verdict: the answer waits until the read model is that far",
            ),
        ] = None,
    ) -> None:
        position = position_in(if_position)
        if position is not None:
            await parts.waits.until(self._projection, position, timeout_s=WAIT_S)


async def relation_named(conn: AsyncConnection, ident: str) -> str:
    """The relation's UUID for a UUID or `<scheme>:<value>`. Raises NotFound."""
    if not is_uuid(ident) and not _IDENT.fullmatch(ident):
        raise NotFound("A relation is named by its UUID or by `<scheme>:<value>`, as in `gemeentecode:0518`.")
    relation = await resolve(conn, ident)
    if relation is None:
        raise NotFound(NO_RELATION)
    note_relations([relation])
    return relation


async def relation_asked(conn: AsyncConnection, ident: str | None) -> str | None:
    """The relation's UUID for the value of a filter; None: not narrowed to one. Of a relation that is not there a list
    is as empty as of one that is not the asker's, so what nobody has stays as it is."""
    if ident is None:
        return None
    found = await resolve(conn, ident)
    if found is not None:
        note_relations([found])
    return found or ident


def only_own(viewer: Viewer, team: str) -> None:
    """A team's viewer sees its own team. Raises NotFound: it may not know which others there are."""
    if not viewer.is_of(team):
        raise NotFound("No such team, or not yours.")
