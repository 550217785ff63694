"""The layer around the application that holds every answer until it is in the access log.

No route knows of it. Who asks is in `request.state.identity`, set where the token or the session is checked; which
route answers is in the scope; what the answer shows is noted by `events.seen`. The start of an answer waits for the
record; when that cannot be written, 503 goes out instead and nothing of the answer does.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from events.clock import system_now
from events.errors import Unavailable
from events.identity import is_uuid
from events.seen import Seen, watching
from projections.viewer import Viewer
from services.access import Identity
from services.access_log.operations import ACTING_FOR, NO_FILTERS, NOT_PERSONAL, OF_SYSTEMS, OPEN
from services.access_log.record import Action, Event, Outcome, Record
from services.api.answering import problem_response
from services.api.html import page_for
from services.api.security_log import SecurityLog, address_of
from services.problems import answer_to

_log = structlog.get_logger(__name__)

STREAM_EVERY_S: Final = 60.0
CLI_AGENT: Final = "relatieboek-cli"
_CLAIM: Final = re.compile(r"[A-Za-z0-9._:@-]{1,80}")
_REF: Final = re.compile(r"ref~[0-9a-f]{32}")
_TEAM: Final = re.compile(r"[A-Za-z0-9._:/@-]{1,64}")
_METHODS: Final[Mapping[str, Action]] = {"GET": "R", "HEAD": "R", "DELETE": "D"}
_SESSION: Final = frozenset({"sign_in", "sign_out", "return_from_elsewhere"})


class NobodyKnown(Exception):
    """A route was about to answer somebody whom it did not ask who they are: a fault of ours, and no answer."""


class Writes(Protocol):
    async def write(self, record: Record) -> None: ...


class AccessLog:
    """ASGI middleware. `filters`: of each operation the query keys that it knows; others are not repeated.

    `clock`: seconds that only grow, for the minutes of live streams.
    """

    def __init__(
        self, app: ASGIApp, writer: Writes, security: SecurityLog, filters: Mapping[str, frozenset[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._app, self._writer, self._security, self._filters, self._clock = app, writer, security, filters, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with watching() as seen:
            answer = _Answer(self, scope, receive, send, seen)
            try:
                await self._app(scope, receive, answer.send)
            except Exception:
                # What the application makes of its answer being withheld is of no interest: 503 has gone out.
                if not answer.withheld:
                    raise
            finally:
                await answer.ended()

    def about(self, scope: Scope, status: int, seen: Seen, *, csv: bool, stream: bool) -> Record | None:
        """The record of this answer; None where none is wanted. Raises NobodyKnown."""
        operation, route = _operation(scope), _route(scope)
        turned_away = status in {401, 403}
        if operation is None and 400 <= status < 500:  # no route asked who it is
            self._security.refused("method" if status == 405 else "not_found", status, address_of(scope))
        if operation is None or (operation in NOT_PERSONAL and not turned_away):
            return None
        identity: Identity | None = scope.get("state", {}).get("identity")
        headers = Headers(scope=scope)
        address, client = address_of(scope), _client(headers)
        if identity is None:
            if status < 400 and operation not in OPEN:
                _log.error("access_log.answer_to_nobody", operation=operation)
                raise NobodyKnown(f"{operation} answered somebody unknown")
            if 400 <= status < 500:  # while an engine is out nobody can be known: that says nothing of who asks
                self._security.note(
                    method=scope["method"], route=route, status=status, address=address, client=client
                )  # fmt: skip
            return None
        if operation in OF_SYSTEMS and not isinstance(identity, Viewer):
            return None
        used = self._used(operation, scope)
        given: Mapping[str, str] = scope.get("path_params", {})
        team, alert = given.get("team"), given.get("id")
        # Also of who was denied, which shows nothing: whom they asked for.
        relation = {alert.lower()} if alert and "/relations/{id}" in route and is_uuid(alert) else set[str]()
        person = {ref} if (ref := given.get("ref", "")) and _REF.fullmatch(ref) else set[str]()
        return Record(
            at=system_now(),
            event=_event(scope["method"], operation, used, csv=csv, stream=stream),
            action=_action(scope["method"], operation, used, csv=csv),
            kind="person" if isinstance(identity, Viewer) else "system",
            actor=identity.name,
            roles=tuple(sorted(identity.roles)) if isinstance(identity, Viewer) else (),
            acting_for=_acting_for(identity, headers),
            operation=operation,
            route=route,
            team=team if team and _TEAM.fullmatch(team) else None,
            alert=alert if alert and "/alerts/{id}" in route and is_uuid(alert) else None,
            filters=tuple(sorted(used)),
            relations=frozenset(seen.relations | relation),
            persons=frozenset(seen.persons | person),
            outcome=_outcome(status),
            status=status,
            items=seen.items,
            address=address,
            client=client,
        )

    def _used(self, operation: str, scope: Scope) -> set[str]:
        """The names of the query keys that were used. Their values are not taken down: they may be anything."""
        try:
            keys = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=100)
        except ValueError:
            return set()
        return {key for key, _ in keys} & (self._filters.get(operation, frozenset()) | {"team", "taal", "about"})

    async def write(self, record: Record) -> None:
        await self._writer.write(record)

    def now(self) -> float:
        return self._clock()


class _Answer:
    """One request's answer on its way out."""

    def __init__(self, log: AccessLog, scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        self._log, self._scope, self._receive, self._send, self._seen = log, scope, receive, send, seen
        self._stream = self._logged_stream = False
        self._status = 0
        self._written_at = 0.0
        self.withheld = False

    async def send(self, message: Message) -> None:
        if self.withheld:
            if self._stream:  # without this it would go on for ever
                raise ConnectionResetError("not logged")
            return
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._logged_stream and self._log.now() - self._written_at >= STREAM_EVERY_S:
            await self._minute()
            await self._send(message)
        else:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        headers = Headers(raw=message["headers"])
        kind = headers.get("content-type", "")
        self._stream = kind.startswith("text/event-stream")
        self._status = message["status"]
        csv = kind.startswith("text/csv") or "content-disposition" in headers
        try:
            record = self._log.about(self._scope, self._status, self._seen, csv=csv, stream=self._stream)
            if record is not None:
                await self._log.write(record)
        except (Unavailable, NobodyKnown) as error:
            self.withheld = True
            answer = answer_to(error)
            shown = page_for(Request(self._scope), answer) or problem_response(answer)
            await shown(self._scope, self._receive, self._send)
            return
        if self._stream and record is not None:
            self._seen.take()
            self._written_at = self._log.now()
            self._logged_stream = True
        await self._send(message)

    async def _minute(self) -> None:
        """One record of what a live stream showed since the last one. Without it the stream ends."""
        record = self._log.about(self._scope, self._status, self._seen.take(), csv=False, stream=True)
        self._written_at = self._log.now()
        assert record is not None
        try:
            await self._log.write(record)
        except Unavailable:
            self.withheld = True
            raise ConnectionResetError("not logged") from None

    async def ended(self) -> None:
        """What a live stream showed since its last minute, when its reader goes."""
        if self._logged_stream and not self.withheld and self._seen:
            await self._minute()


def _operation(scope: Scope) -> str | None:
    """The operation that answers; None for what no route answers (unknown paths, static files)."""
    route: Any = scope.get("route")
    name: object = getattr(route, "operation_id", None) or getattr(route, "name", None)
    return name if isinstance(name, str) and hasattr(route, "dependant") else None


def _route(scope: Scope) -> str:
    route: Any = scope.get("route")
    return str(getattr(route, "path", ""))


def _event(method: str, operation: str, used: set[str], *, csv: bool, stream: bool) -> Event:
    if operation in _SESSION:
        return "session"
    if stream:
        return "stream"
    if method not in {"GET", "HEAD"}:
        return "act"
    if csv:
        return "export"
    return "search" if used - NO_FILTERS else "page"


def _action(method: str, operation: str, used: set[str], *, csv: bool) -> Action:
    if operation in _SESSION or (method == "GET" and not csv and used - NO_FILTERS):
        return "E"
    return _METHODS.get(method, "U")


def _outcome(status: int) -> Outcome:
    if status < 400:
        return "granted"
    # 404 is also what somebody hears about what is there and not theirs.
    return "denied" if status in {401, 403, 404} else "failed"


def _acting_for(identity: Identity, headers: Headers) -> dict[str, str]:
    """For whom: the department and teams of an account; `claimed` is what the caller said, and nobody checked."""
    known: dict[str, str] = {}
    if isinstance(identity, Viewer):
        if identity.department is not None:
            known["department"] = identity.department
        if identity.teams:
            known["teams"] = " ".join(sorted(identity.teams))
    claimed = headers.get(ACTING_FOR, "")
    if _CLAIM.fullmatch(claimed):
        known["claimed"] = claimed
    return known


def _client(headers: Headers) -> str:
    agent = headers.get("user-agent", "")
    if agent.startswith(CLI_AGENT):
        return "command_line"
    return "browser" if agent.startswith("Mozilla/") else "program"
