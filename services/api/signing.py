"""The cookie of a session: how it is set, read, and guarded against forms and calls that another site makes."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response

from services.identity import sessions
from services.identity.sessions import Login
from services.problems import refuse

CSRF_HEADER: Final = "X-CSRF-Token"
CSRF_FIELD: Final = "csrf"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_COOKIE: Final = "relatieboek_session"
_FLOW: Final = "relatieboek_flow"
_FLOW_S: Final = 600
_HOST: Final = "__Host-"  # a browser takes such a cookie over TLS only, for this host only, and no subdomain sets it


def session_id(request: Request) -> str:
    """The value of the session's cookie, or nothing."""
    return request.cookies.get(_named(request, _COOKIE), "")


async def begin_session(request: Request, response: Response, engine: AsyncEngine, login: Login) -> None:
    """Begins a session instead of the one that this browser had, and sends its cookie with the response. The access
    log hears who it is."""
    id_ = await sessions.begin(engine, login, instead_of=session_id(request))
    request.state.identity = await sessions.viewer_of(engine, id_)
    response.set_cookie(
        _named(request, _COOKIE), id_, max_age=int(sessions.LIFETIME.total_seconds()), path="/", httponly=True,
        samesite="strict", secure=_encrypted(request),
    )  # fmt: skip


def flow_state(request: Request) -> str:
    """The state of the sign-in elsewhere that this browser began, or nothing."""
    return request.cookies.get(_named(request, _FLOW), "")


def set_flow(request: Request, response: Response, state: str) -> None:
    """Lax, since the browser comes back from another site."""
    response.set_cookie(
        _named(request, _FLOW), state, max_age=_FLOW_S, path="/", httponly=True, samesite="lax",
        secure=_encrypted(request),
    )  # fmt: skip


def drop_flow(request: Request, response: Response) -> None:
    response.delete_cookie(
        _named(request, _FLOW), path="/", httponly=True, samesite="lax", secure=_encrypted(request)
    )  # fmt: skip


def address_of(request: Request) -> str:
    """From where this call comes; nothing where the server does not know."""
    return request.client.host if request.client else ""


def drop_session(request: Request, response: Response) -> None:
    response.delete_cookie(
        _named(request, _COOKIE), path="/", httponly=True, samesite="strict", secure=_encrypted(request)
    )


def from_here(request: Request) -> None:
    """Raises Refused (403) for what a browser marks as sent by another site."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    elsewhere = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if elsewhere or site not in {None, "same-origin", "none"}:
        raise refuse("forbidden", "/header/Origin", "this was sent from another site")


def guard(request: Request, id_: str) -> None:
    """Raises Refused (403) for a call that changes something and does not say this session's CSRF token."""
    if request.method in _SAFE:
        return
    from_here(request)
    if not sessions.is_csrf(id_, request.headers.get(CSRF_HEADER, "")):
        detail = f"with a cookie a call that changes something also says {CSRF_HEADER}, as in GET /v1/session"
        raise refuse("forbidden", f"/header/{CSRF_HEADER}", detail)


def _encrypted(request: Request) -> bool:
    return request.url.scheme == "https"


def _named(request: Request, cookie: str) -> str:
    return _HOST + cookie if _encrypted(request) else cookie
