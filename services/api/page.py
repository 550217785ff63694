"""The page at `/`: what this is, how the book is doing, what is overdue, what happened last. Server-rendered.

A viewer's token comes by POST and lives in a cookie that scripts cannot read and other sites cannot send. Both posts
also refuse a request that a browser marks as coming from elsewhere.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse, Response

from events.clock import book_now
from events.errors import NotFound, Unavailable
from projections import team_timeline
from projections.alert_queries import overdue_lines
from projections.page import Page
from projections.store import live
from projections.timeline_queries import team_page
from projections.viewer import Viewer
from services.access import Publisher
from services.api.asking import HasParts
from services.api.glance import glance
from services.api.html import home, language_of, render
from services.api.parts import Parts
from services.api.permits import permitted
from services.api.reading import read_body
from services.api.words import Language
from services.problems import refuse
from services.status import status

COOKIE: Final = "relatieboek_viewer"
COOKIE_S: Final = 12 * 3600
OVERDUE_SHOWN: Final = 15
ENTRIES_SHOWN: Final = 15
_MAX_FORM_BYTES: Final = 4 * 1024
WITHIN_S: Final = 8.0

router = APIRouter(include_in_schema=False)


@router.get("/")
async def show(request: Request, parts: HasParts) -> Response:
    """The page of whoever is signed in, else the form to sign in."""
    language = language_of(request)
    try:
        async with asyncio.timeout(WITHIN_S):
            viewer = await signed_in(request, parts)
            if viewer is None:
                return render(request, language, "sign-in.html")
            shown = await _gather(parts, viewer, language, request.query_params.get("team"))
    except (SQLAlchemyError, OSError, TimeoutError, Unavailable):
        return render(request, language, "out.html", status_code=503)
    return render(request, language, "page.html", viewer=viewer, **shown)


async def signed_in(request: Request, parts: Parts) -> Viewer | None:
    """Who reads this page, by the cookie; None: nobody that the book knows. The access log hears who it is."""
    known = await parts.access.identify(request.cookies.get(COOKIE, ""))
    if not isinstance(known, Viewer):
        return None
    request.state.identity = known
    return known


@router.post("/")
async def sign_in(request: Request, parts: HasParts) -> Response:
    """Takes a viewer's token and keeps it in the cookie."""
    _from_here(request)
    language = language_of(request)
    form = parse_qs((await read_body(request, _MAX_FORM_BYTES)).decode("utf-8", "replace"), max_num_fields=10)
    token = form.get("token", [""])[0].strip()
    known = await parts.access.identify(token)
    if not isinstance(known, Viewer):
        error = "department_token" if isinstance(known, Publisher) else "wrong_token"
        return render(request, language, "sign-in.html", status_code=401, error=error)
    response = RedirectResponse(home(language), status_code=303)
    response.set_cookie(
        COOKIE,
        token,
        max_age=COOKIE_S,
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    _from_here(request)
    response = RedirectResponse(home(language_of(request)), status_code=303)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


def _from_here(request: Request) -> None:
    """Raises Refused for a form that another site sent."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    elsewhere = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if elsewhere or site not in {None, "same-origin", "none"}:
        raise refuse("forbidden", "/header/Origin", "this form was sent from another site")


async def _gather(parts: Parts, viewer: Viewer, language: Language, team: str | None) -> dict[str, Any]:
    lines, timelines = permitted(viewer, "answerQuestion1"), permitted(viewer, "showTeamTimeline")
    async with parts.reading() as conn:
        now = await book_now(conn)
        overdue = Page([]) if lines is None else await overdue_lines(
            conn, now, limit=OVERDUE_SHOWN, viewer=lines, calendar=parts.calendar,
            lead_working_days=parts.settings.default_lead_days,
        )  # fmt: skip
        teams = [] if timelines is None else await _teams(conn, timelines)
        chosen = team if team in [t["team"] for t in teams] else (teams[0]["team"] if teams else None)
        entries = [] if timelines is None else await _entries(conn, timelines, chosen, language)
        lists = await glance(conn, parts, viewer, now)
        shown = await parts.privacy.reveal(conn, {"overdue": overdue.items, "entries": entries, "glance": lists})
    return {
        **shown,
        "reads": timelines is not None,
        "more_overdue": overdue.next is not None,
        "teams": teams,
        "team": chosen,
        "status": await status(parts.engine, parts.bus),
        "now": now,
    }


async def _teams(conn: AsyncConnection, viewer: Viewer) -> list[dict[str, str]]:
    """The teams whose timeline this viewer may see, by name."""
    table = (await live(conn, team_timeline.PROJECTION)).tables["team"]
    query = select(table.c.team, table.c.name).order_by(table.c.name, table.c.team)
    if not viewer.everything:
        query = query.where(table.c.team.in_(viewer.teams))
    return [{"team": r.team, "name": r.name} for r in await conn.execute(query)]


async def _entries(conn: AsyncConnection, viewer: Viewer, team: str | None, language: Language) -> list[dict[str, Any]]:
    if team is None:
        return []
    try:
        page: Page = await team_page(conn, team, viewer, limit=ENTRIES_SHOWN, language=language)
    except NotFound:
        return []
    return page.items
