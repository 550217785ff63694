"""Pages for people: the templates, the language, and one whole document out of a template.

Only what a template escapes by itself gets in; the policy allows no script or style but our own files.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

import jinja2
from fastapi import Request
from starlette.responses import Response

from events.recorded import AMSTERDAM
from projections.viewer import Viewer
from services.api.signing import session_id
from services.api.words import Language, words
from services.identity import sessions
from services.problems import Answer
from services.security_headers import PAGE_POLICY


def _moment(value: object) -> str:
    """A date, or a date-time in Amsterdam, the Dutch way. What happened on a day has midnight for its time: no time."""
    if isinstance(value, str) and len(value) == 10:
        return date.fromisoformat(value).strftime("%d-%m-%Y")
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return ""
    local = value.astimezone(AMSTERDAM)
    return local.strftime("%d-%m-%Y" if local.time() == time.min else "%d-%m-%Y %H:%M")


def _number(value: float, language: Language) -> str:
    """Groups of three; at most one decimal."""
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
    return text if language == "en" else text.translate(str.maketrans(",.", ".,"))


_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_filters: Any = _templates.filters  # jinja2 types it as the union of its own filters
_filters.update(moment=_moment, number=_number)


def language_of(request: Request) -> Language:
    return "en" if request.query_params.get("taal") == "en" else "nl"


def home(language: Language) -> str:
    return "/?taal=en" if language == "en" else "/"


def _other(request: Request, language: Language) -> str:
    """This page in the other language."""
    query = {key: value for key, value in request.query_params.items() if key != "taal"}
    query |= {} if language == "en" else {"taal": "en"}
    # An address that begins with two slashes would lead to another host.
    path = quote("/" + request.url.path.lstrip("/"))
    return path + (f"?{urlencode(query)}" if query else "")


def render(request: Request, language: Language, name: str, *, status_code: int = 200, **values: Any) -> Response:
    """A whole HTML document. Only what a template escapes by itself gets in."""
    html = _templates.get_template(name).render(
        {
            "t": words(language),
            "language": language,
            "home": home(language),
            "other": _other(request, language),
            "error": None,
            "viewer": None,
            "csrf": sessions.csrf_of(session_id(request)),
            **values,
        }
    )
    headers = {"Content-Security-Policy": PAGE_POLICY, "Content-Language": language}
    return Response(html, status_code, headers, "text/html; charset=utf-8")


Notice = Literal["gone", "unseen", "nowhere", "refused", "broken"]


_NOTICES: Final[Mapping[int, Notice]] = {404: "nowhere", 500: "broken"}


def notice(request: Request, what: Notice, status_code: int, viewer: Viewer | None) -> Response:
    """A page that says in two sentences what is not there or went wrong, and leads back."""
    language = language_of(request)
    t = words(language)
    said = {"heading": t[what], "why": t[f"{what}_why"]}
    return render(request, language, "notice.html", status_code=status_code, viewer=viewer, **said)


def out_page(request: Request, headers: Mapping[str, str]) -> Response:
    """What a person sees while an engine is out (503): nothing of what they asked for, and to come back."""
    response = render(request, language_of(request), "out.html", status_code=503)
    response.headers.update(headers)
    return response


def page_for(request: Request, answer: Answer) -> Response | None:
    """The page that says what this answer says, for who asks with a browser where pages are. None: for all others, and
    where a browser asks what is no page, the problem document says it."""
    if not wants_a_page(request):
        return None
    if answer.status == 503:
        return out_page(request, answer.headers)
    if answer.status in _NOTICES:
        return notice(request, _NOTICES[answer.status], answer.status, None)
    return notice(request, "refused", answer.status, None) if request.method == "POST" else None


def wants_a_page(request: Request) -> bool:
    """Whether somebody asks this with a browser, of an address where pages are."""
    asks = "text/html" in request.headers.get("accept", "")
    return asks and not request.url.path.startswith(("/v1/", "/static/"))
