"""The page at `/`: what this is, how the book is doing, what is overdue, what happened last. Server-rendered.

Name and password, or a viewer's token, come by POST and begin a session; its cookie is one that scripts cannot read and
other sites cannot send. Both posts also refuse a request that a browser marks as coming from elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse, Response

from events.clock import book_now
from events.errors import Invalid, NotFound, Unavailable
from events.postgres import OUTAGES
from projections import team_timeline
from projections.overdue_queries import overdue_lines
from projections.page import Page
from projections.store import live
from projections.timeline_queries import team_page
from projections.viewer import Viewer
from services.access import Publisher
from services.api.asking import HasParts
from services.api.glance import glance
from services.api.html import Notice, home, language_of, notice, out_page, render
from services.api.parts import Parts
from services.api.permits import permitted
from services.api.reading import read_body
from services.api.signing import (
    CSRF_FIELD,
    address_of,
    begin_session,
    drop_session,
    from_here,
    session_id,
)
from services.api.words import Language, words
from services.identity import accounts, attempts, sessions
from services.problems import Answer, Refused, answer_to, refuse, seconds
from services.status import status

OVERDUE_SHOWN: Final = 15
ENTRIES_SHOWN: Final = 15
_MAX_FORM_BYTES: Final = 4 * 1024
_WITHIN_S: Final = 8.0
_COME_BACK: Final = {"Retry-After": seconds(15.0)}  # as the page itself does for who has no script
# Errors for which a page says that it is out for a moment.
_OUT: Final = (SQLAlchemyError, Unavailable, *OUTAGES)

# What a template is given, or an answer that needs none.
Gather = Callable[[Viewer, Language], Awaitable[dict[str, Any] | Response]]

router = APIRouter(include_in_schema=False)


@router.get("/")
async def show(request: Request, parts: HasParts) -> Response:
    """The page of whoever is signed in, else the form to sign in."""

    async def gather(viewer: Viewer, language: Language) -> dict[str, Any]:
        return await _gather(parts, viewer, language, request.query_params.get("team"))

    return await page_of(request, parts, "page.html", gather)


async def page_of(request: Request, parts: Parts, template: str, gather: Gather, missing: Notice = "gone") -> Response:
    """A page with what `gather` finds for whoever is signed in; the form to sign in for others; `missing` (404) where
    it raises NotFound or Invalid; what to do meanwhile (503) while an engine is out."""
    language, viewer = language_of(request), None
    try:
        async with asyncio.timeout(_WITHIN_S):
            viewer = await signed_in(request, parts)
            if viewer is None:
                return sign_in_form(request, parts, language)
            shown = await gather(viewer, language)
    except (NotFound, Invalid):
        return notice(request, missing, 404, viewer)
    except _OUT:
        return out_page(request, _COME_BACK)
    if isinstance(shown, Response):
        return shown
    return render(request, language, template, viewer=viewer, **shown)


async def signed_in(request: Request, parts: Parts) -> Viewer | None:
    """Who reads this page, by the cookie; None: nobody that the book knows. The access log hears who it is."""
    known = await sessions.viewer_of(parts.engine, session_id(request))
    if known is not None:
        request.state.identity = known
    return known


@router.post("/")
async def sign_in(request: Request, parts: HasParts) -> Response:
    """Takes an account's name and password, or a viewer's token, and begins a session for its cookie."""
    from_here(request)
    language = language_of(request)
    form = await _form(request)
    try:
        if "name" in form:
            login = await accounts.sign_in(parts.engine, form["name"], form.get("password", ""), address_of(request))
            error = "wrong_password"
        else:
            await attempts.take(parts.engine, address_of(request))
            token = form.get("token", "").strip()
            known = await parts.access.identify(token)
            login = sessions.of_viewer(known, token) if isinstance(known, Viewer) else None
            error = "department_token" if isinstance(known, Publisher) else "wrong_token"
        if login is None:
            return sign_in_form(request, parts, language, error)
        response = RedirectResponse(home(language), status_code=303)
        await begin_session(request, response, parts.engine, login)
    except Refused as refused:
        return sign_in_form(request, parts, language, refused.code, answer_to(refused))
    except _OUT:
        return out_page(request, _COME_BACK)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, parts: HasParts) -> Response:
    """Ends the session, and with the field `everywhere` every other session of the same person."""
    from_here(request)
    id_, form = session_id(request), await _form(request)
    if await signed_in(request, parts) is not None:
        if not sessions.is_csrf(id_, form.get(CSRF_FIELD, "")):
            raise refuse("forbidden", f"/{CSRF_FIELD}", "this form is not of this session; open the page again")
        await sessions.end(parts.engine, id_, everywhere="everywhere" in form)
    response = RedirectResponse(home(language_of(request)), status_code=303)
    drop_session(request, response)
    return response


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; of one that is there twice the first."""
    said = (await read_body(request, _MAX_FORM_BYTES)).decode("utf-8", "replace")
    try:
        fields = parse_qs(said, keep_blank_values=True, max_num_fields=10)
    except ValueError:
        raise refuse("request", "", "too many fields in this form") from None
    return {name: values[0] for name, values in fields.items()}


def sign_in_form(
    request: Request, parts: Parts, language: Language, error: str | None = None, answer: Answer | None = None
) -> Response:
    """The form, with the word for what was wrong; `answer` when that is more than a wrong word."""
    status_code = answer.status if answer is not None else 401 if error is not None else 200
    elsewhere = parts.oidc is not None
    response = render(request, language, "sign-in.html", status_code=status_code, error=error, elsewhere=elsewhere)
    response.headers.update(answer.headers if answer is not None else {})
    return response


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
        t, everything = words(language), {"overdue": overdue.items, "entries": entries, "glance": lists}
        shown = await parts.privacy.reveal(conn, everything, erased=t["erased"], lost=t["lost"])
    return {
        **shown,
        "reads": timelines is not None,
        "more_overdue": overdue.next is not None,
        "teams": teams,
        "everything": timelines is not None and timelines.everything,
        "logs": permitted(viewer, "listAccesses") is not None,
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
