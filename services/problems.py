"""The one place where errors become HTTP answers (RFC 9457 problem+json).

    Refused                a request that HTTP turns down before any model sees it; names its code
    events.errors.*        mapped by `answer_to`

Problem documents are in English, name every field that is wrong, and never repeat a value that was sent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asyncpg.exceptions import InternalClientError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from events.errors import (
    Diverged,
    FieldError,
    Invalid,
    KeyMissing,
    NotFound,
    NotYetThere,
    RelatieboekError,
    Unavailable,
)
from events.verdict import PROBLEMS

PROBLEM_JSON: Final = "application/problem+json"
# SQLSTATE: connections, room and memory, a stop or a start of the server. Not 57014, a statement that took too long.
_OUT_STATES: Final = ("08", "53", "57P")

# What only HTTP knows of; the codes of verdicts are in events.verdict.PROBLEMS.
HTTP_PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {
    "request": (400, "The request is not understood"),
    "json": (400, "Not readable as JSON"),
    "forbidden": (403, "Not yours to see or do"),
    "method": (405, "Not that method here"),
    "slow": (408, "The body took too long"),
    "state": (409, "Not in this state"),
    "precondition": (412, "Not what the question looks like"),
    "head_too_large": (431, "Too much before the body"),
    "precondition_required": (428, "Say which version you change"),
    "internal": (500, "A fault of ours"),
    "too_many": (429, "Too many tries"),
    "not_yet_there": (503, "The read model is not that far yet"),
}


class Refused(RelatieboekError):
    """A request that is turned down at the door. `code` is one of HTTP_PROBLEMS or of a verdict's problems."""

    def __init__(self, code: str, errors: Sequence[FieldError], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{code}: " + "; ".join(e.pointer for e in errors))
        self.code = code
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status, a problem document and headers."""

    status: int
    problem: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict[str, str])


def refuse(code: str, pointer: str, detail: str) -> Refused:
    """A refusal with one problem."""
    return Refused(code, [FieldError(pointer, detail)])


def describe(code: str, errors: Sequence[FieldError]) -> dict[str, Any]:
    """The problem document of a code, with all its errors."""
    status, title = HTTP_PROBLEMS[code] if code in HTTP_PROBLEMS else PROBLEMS[code]
    return {
        "type": f"urn:relatieboek:problem:{code}",
        "title": title,
        "status": status,
        "detail": "; ".join(e.detail for e in errors[:3]) or title,
        "errors": [{"pointer": e.pointer, "detail": e.detail} for e in errors],
    }


def seconds(retry_after_s: float) -> str:
    """The value of a `Retry-After` header: whole seconds, at least 1."""
    return str(max(1, math.ceil(retry_after_s)))


def _unavailable(what: str, retry_after_s: float, code: str = "unavailable") -> Answer:
    problem = describe(code, [FieldError("", what)])
    return Answer(503, problem, {"Retry-After": seconds(retry_after_s)})


def _is_out(error: BaseException | None) -> bool:
    """Whether PostgreSQL says of itself that it cannot work now. While it stops or starts it answers a new connection,
    and SQLAlchemy hands on what it says as it is; on one that stands, the answer may come before the end of it does,
    and where nothing was asked asyncpg refuses what is asked next."""
    if isinstance(error, InternalClientError) or isinstance(getattr(error, "__cause__", None), InternalClientError):
        return True
    state = getattr(error, "sqlstate", None)
    return isinstance(state, str) and state.startswith(_OUT_STATES)


def answer_to(error: BaseException) -> Answer:
    """What a client hears about an error. Anything that is not of the tree is a 500 without particulars."""
    match error:
        case Refused():
            document = describe(error.code, error.errors)
            headers = dict(error.headers)
            if error.code == "unauthenticated":
                headers.setdefault("WWW-Authenticate", 'Bearer realm="relatieboek"')
            return Answer(document["status"], document, headers)
        case Invalid():
            document = describe(error.code, error.errors)
            return Answer(document["status"], document)
        case NotFound():
            detail = str(error) or "There is nothing here, or you may not know of it."
            return Answer(404, describe("not_found", [FieldError("", detail)]))
        case NotYetThere():
            return _unavailable(error.what, error.retry_after_s, "not_yet_there")
        case Unavailable():
            return _unavailable(error.what, error.retry_after_s)
        case Diverged():
            return _unavailable("Stream and ledger disagree; someone of operations has to look.", 60)
        case KeyMissing():
            detail = "A key is missing although nobody erased it; someone of operations has to look."
            return Answer(500, describe("internal", [FieldError("", detail)]))
        case RelatieboekError() | PoolTimeout() | InterfaceError() | OperationalError() | OSError() | TimeoutError():
            return _unavailable("An engine is out; try again.", 2)
        case DBAPIError() if error.connection_invalidated or _is_out(error.orig):
            return _unavailable("The database went away; try again.", 2)
        case _ if _is_out(error):
            return _unavailable("The database does not take us in; try again.", 2)
        case _:
            return Answer(500, describe("internal", [FieldError("", "Something broke here; it has been logged.")]))
