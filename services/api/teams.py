"""A team's shared timeline: pages, and live as server-sent events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response

from projections import team_timeline
from projections.store import live
from projections.timeline_queries import after_position, team_page
from services.api.answering import list_response
from services.api.asking import Credentials, HasParts, NoKeys, Reader, UpTo, known_now, only_own, position_in
from services.api.live import ROUND, LiveResponse, follow
from services.api.timelines import TimelineAsked, filters

router = APIRouter(prefix="/v1", tags=["timelines"])


@router.get(
    "/teams/{team}/timeline",
    operation_id="showTeamTimeline",
    dependencies=[Depends(UpTo(team_timeline.PROJECTION))],
)
async def timeline(
    team: str, request: Request, parts: HasParts, viewer: Reader, asked: Annotated[TimelineAsked, Query()]
) -> Response:
    """Every fact of the relations that the team has now, newest first: by when it occurred, then by position."""
    only_own(viewer, team)
    async with parts.reading() as conn:
        page = await team_page(conn, team, viewer, **filters(asked))
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next)


@router.get(
    "/teams/{team}/timeline/_live",
    operation_id="followTeamTimeline",
    response_class=LiveResponse,
)
async def follow_live(
    team: str,
    request: Request,
    parts: HasParts,
    viewer: Reader,
    credentials: Credentials,
    _: NoKeys,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="position of the last entry seen: goes on after it")
    ] = None,
) -> Response:
    """New entries as they are recorded, each as one server-sent event with its position as id; late facts too.

    Begins with what is recorded after the call, or after `Last-Event-ID`. A comment comes at least every 10 seconds.
    Who reads too slowly is closed, and may come back with the last id seen.
    """
    only_own(viewer, team)
    parts.hub.admit()
    after = position_in(last_event_id, "Last-Event-ID")
    if after is None:
        async with parts.reading() as conn:
            after = (await live(conn, team_timeline.PROJECTION)).position
    known = request.state.identity

    async def newer(position: int) -> Sequence[dict[str, Any]] | None:
        if await known_now(request, parts, credentials) != known:
            return None  # revoked, or given other teams or roles, since the call
        async with parts.reading() as conn:
            entries = await after_position(conn, team, viewer, position, limit=ROUND)
            return await parts.privacy.reveal(conn, entries)

    await newer(after)  # an unknown team is a 404, which can only be said before the stream begins
    return LiveResponse(follow(parts.hub, team, after, newer), headers={"X-Accel-Buffering": "no"})
