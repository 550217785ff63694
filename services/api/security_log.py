"""The security log: calls by nobody who is known, and what never became a call, as structured log lines, bounded
however many come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog
from starlette.types import Scope

_log = structlog.get_logger("security")

LINES_A_MINUTE: Final = 120
LINES_OF_ONE: Final = 10  # of one address, a minute
_MINUTE_S: Final = 60.0


class SecurityLog:
    """At most `lines` a minute, of one address or department at most `of_one`; what is left out is counted in one line
    after it.

    Memory: the addresses of one minute's lines. `clock`: seconds that only grow.
    """

    def __init__(
        self, *, lines: int = LINES_A_MINUTE, of_one: int = LINES_OF_ONE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lines, self._of_one, self._clock = lines, of_one, clock
        self._since = clock()
        self._written = self._left_out = 0
        self._by_one: dict[str, int] = {}

    def note(self, *, method: str, route: str, status: int, address: str | None, client: str) -> None:
        """One call that was turned away, or that came without an identity. Holds no token and nothing that was sent."""
        self._write(
            "security.unknown_caller", address, method=method, route=route, status=status, address=address,
            client=client,
        )  # fmt: skip

    def refused(self, code: str, status: int | None, address: str | None) -> None:
        """What was refused before it was read as a call: nobody knows what it was about. `code`: of its problem, or
        `tls` for a handshake that failed, which has no status and tells no address."""
        self._write("security.refused", address, code=code, status=status, address=address)

    def of_department(self, department: str, *, code: str, status: int, size: int | None) -> None:
        """What a department sent and intake never saw. `size`: bytes, as far as it said."""
        self._write("publish.refused", department, department=department, code=code, status=status, bytes=size)

    def _write(self, event: str, one: str | None, **told: str | int | None) -> None:
        self._turn()
        of_one = self._by_one.get(one or "", 0)
        if self._written >= self._lines or of_one >= self._of_one:
            self._left_out += 1
            return
        self._written += 1
        self._by_one[one or ""] = of_one + 1
        _log.warning(event, **told)

    def _turn(self) -> None:
        now = self._clock()
        if now - self._since < _MINUTE_S:
            return
        if self._left_out:
            _log.warning("security.left_out", calls=self._left_out, seconds=round(now - self._since))
        self._since, self._written, self._left_out = now, 0, 0
        self._by_one.clear()


def address_of(scope: Scope) -> str | None:
    """Where a request comes from, as far as it is known."""
    client = scope.get("client")
    return str(client[0]) if client else None
