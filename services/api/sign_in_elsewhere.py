"""Signing in at the institution's own provider (OpenID Connect): the way there, and the way back."""

from __future__ import annotations

from typing import Final

import structlog
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from events.errors import NotFound, Unavailable
from services.api.asking import HasParts
from services.api.html import language_of, render
from services.api.signing import address_of, begin_session, drop_flow, flow_state, set_flow
from services.identity import attempts
from services.identity.claims import NotSignedIn
from services.problems import answer_to

_log = structlog.get_logger(__name__)
_MAX_QUERY_CHARS: Final = 8_000

router = APIRouter(include_in_schema=False)


@router.get("/sign-in/elsewhere")
async def sign_in_elsewhere(request: Request, parts: HasParts) -> Response:
    """Sends the browser to the provider, with a cookie that says which sign-in this is."""
    if parts.oidc is None:
        raise NotFound("Nobody signs in elsewhere here.")
    await attempts.take(parts.engine, address_of(request))
    try:
        started = await parts.oidc.start(parts.engine)
    except Unavailable as error:
        return _form(request, "elsewhere_out", answer_to(error).status)
    response = RedirectResponse(started.url, status_code=303)
    set_flow(request, response, started.state)
    return response


@router.get("/sign-in/return")
async def return_from_elsewhere(request: Request, parts: HasParts) -> Response:
    """Begins a session for whom the provider says it is.

    The answer is a page that goes on to `/` by itself: a cookie that other sites cannot send is not sent with a
    redirect that another site began.
    """
    if parts.oidc is None:
        raise NotFound("Nobody signs in elsewhere here.")
    if len(request.url.query) > _MAX_QUERY_CHARS:
        return _form(request, "elsewhere_refused", 400)
    try:
        login = await parts.oidc.finish(parts.engine, flow_state(request), request.query_params)
    except NotSignedIn as error:
        _log.warning("oidc.refused", reason=str(error))
        return _form(request, "elsewhere_refused", 401)
    except Unavailable as error:
        return _form(request, "elsewhere_out", answer_to(error).status)
    response = render(request, language_of(request), "welcome.html")
    await begin_session(request, response, parts.engine, login)
    drop_flow(request, response)
    return response


def _form(request: Request, error: str, status_code: int) -> Response:
    response = render(
        request, language_of(request), "sign-in.html", status_code=status_code, error=error, elsewhere=True
    )  # fmt: skip
    drop_flow(request, response)
    return response
