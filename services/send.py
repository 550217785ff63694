"""The client side of the NATS door: events in, verdicts out, in the order of the input.

Events go out as JSON arrays on `submit.<department>`, a bounded number at a time. What is `busy`, and what got no
answer, is sent again: the book answers `duplicate` with the first one's position to what it had already taken.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import nats
import nats.errors
import stamina
from nats.aio.client import Client

from events.errors import FieldError, SetupError, Unavailable
from events.verdict import Verdict, problem
from services.tls import give_up, nats_options

# Who sends sees how it goes on the progress bar; a line in the log for each wait would only break that up.
stamina.instrumentation.set_on_retry_hooks(())

MAX_EVENT_BYTES: Final = 64 * 1024
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024 - 1024
_ANSWER_S: Final = 12.0
# Give up on an unreachable book after this long; on a busy one after the longer bound.
_PATIENCE_S: Final = 120.0
_BUSY_PATIENCE_S: Final = 300.0

_REFUSED: Final = "NATS op {login.url} weigert afdeling {login.department}: {error}."
_AWAY: Final = (OSError, nats.errors.NoServersError, TimeoutError)

Request = Callable[[bytes], Awaitable[bytes]]
VerdictJson = dict[str, Any]


def cloudevent(
    type_: str, id_: str, source: str, subject: str, data: Mapping[str, Any], *, time: str | None = None,
    visibility: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A structured CloudEvent; `type_` with or without the prefix `nl.relatieboek.`."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": id_,
        "source": source,
        "type": type_ if type_.startswith("nl.") else f"nl.relatieboek.{type_}",
        "subject": subject,
        "datacontenttype": "application/json",
        "data": dict(data),
    }
    if time is not None:
        event["time"] = time
    if visibility is not None:
        event["visibility"] = visibility
    return event


def json_line(event: Mapping[str, Any]) -> bytes:
    """One event as `send` takes it."""
    return msgspec.json.encode(event)


@dataclass(slots=True)
class Tally:
    """How many events got which verdict so far."""

    counts: Counter[str] = field(default_factory=Counter[str])

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Login:
    """How one department reaches the book over NATS."""

    url: str
    department: str
    nkey_seed: str | None = field(default=None, repr=False)
    inbox_prefix: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None


@asynccontextmanager
async def connected(login: Login) -> AsyncGenerator[Request]:
    """A function that sends one array and returns the reply. Raises SetupError when the server refuses or is not there.

    The function raises Unavailable when no intake answers or the answer takes too long. It connects anew when nats-py
    has given its connection up, which it does after most refusals by the server, also in the middle of a reconnect.
    """
    try:
        client = await _connect(login)
    except _AWAY as error:
        raise SetupError(
            f"NATS antwoordt niet op {login.url}. Draait Relatieboek? Start het met `relatieboek up`."
        ) from error
    except nats.errors.Error as error:
        raise SetupError(_REFUSED.format(login=login, error=error)) from error
    subject = f"submit.{login.department}"
    one_at_a_time = asyncio.Lock()

    async def request(body: bytes) -> bytes:
        nonlocal client
        try:
            async with one_at_a_time:
                if client.is_closed:
                    client = await _connect(login)
            return (await client.request(subject, body, timeout=_ANSWER_S)).data
        except nats.errors.NoRespondersError as error:
            raise Unavailable("intake") from error
        except (*_AWAY, nats.errors.Error) as error:
            if "authorization violation" in str(error).casefold():  # the key is good no more; waiting mends nothing
                raise SetupError(_REFUSED.format(login=login, error=error)) from error
            raise Unavailable("nats") from error

    try:
        yield request
    finally:
        await client.close()


async def _connect(login: Login) -> Client:
    given: dict[str, Any] = {"connect_timeout": 5, "allow_reconnect": True, "max_reconnect_attempts": 30}
    if login.inbox_prefix:
        given["inbox_prefix"] = login.inbox_prefix
    if login.nkey_seed:
        given["nkeys_seed_str"] = login.nkey_seed
    elif login.user:
        given |= {"user": login.user, "password": login.password}
    given |= nats_options(login.url, login.ca)
    refused: list[Exception] = []

    async def on_error(error: Exception) -> None:
        refused.append(error)

    # nats-py tries a server again and again when it refuses the login; the first connection must tell at once.
    client = Client()
    attempt = asyncio.ensure_future(
        client.connect(servers=[login.url], name="relatieboek send", error_cb=on_error, **given)
    )
    try:
        async with asyncio.timeout(10):
            while not attempt.done():
                if refused:
                    raise refused[0]
                await asyncio.wait([attempt], timeout=0.1)
            await attempt
    finally:
        if not attempt.done():
            attempt.cancel()
            await asyncio.gather(attempt, return_exceptions=True)
            await give_up(client)
    return client


async def send(
    lines: Iterable[bytes], request: Request, on_verdicts: Callable[[Sequence[VerdictJson]], None], *,
    batch: int = 500, in_flight: int = 4,
) -> Tally:  # fmt: skip
    """Sends every event and hands its verdicts to `on_verdicts`, in the order of the input.

    `lines` are single CloudEvents as JSON; a line that is no JSON object or is too large is `rejected` here, since one
    such would make its whole array unreadable. At most `in_flight` arrays of at most `batch` events are under way.
    Raises Unavailable when the book stays unreachable or busy.
    """
    tally = Tally()
    pending: deque[asyncio.Task[list[VerdictJson]]] = deque()

    async def settle() -> None:
        verdicts = await pending.popleft()
        tally.counts.update(v["verdict"] for v in verdicts)
        on_verdicts(verdicts)

    try:
        for chunk in _chunks(lines, batch):
            while len(pending) >= in_flight:
                await settle()
            pending.append(asyncio.create_task(_deliver(chunk, request)))
        while pending:
            await settle()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
    return tally


def _chunks(lines: Iterable[bytes], batch: int) -> Iterable[list[bytes | VerdictJson]]:
    chunk: list[bytes | VerdictJson] = []
    size = 0
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if not line:
            continue
        item = _readable(line, number)
        length = len(line) if isinstance(item, bytes) else 0
        if chunk and (len(chunk) >= batch or size + length > MAX_BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += length + 1
    if chunk:
        yield chunk


def _readable(line: bytes, number: int) -> bytes | VerdictJson:
    if len(line) > MAX_EVENT_BYTES:
        fault = problem("too_large", [FieldError("", f"line {number} is larger than 64 KiB")])
        return Verdict("rejected", None, None, problem=fault).as_json()
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        return line
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fault = problem("schema", [FieldError("", f"line {number} is not one JSON object: {error}")])
        return Verdict("rejected", None, None, problem=fault).as_json()


class _BusyError(Exception):
    def __init__(self, retry_after_s: float) -> None:
        super().__init__("busy")
        self.retry_after_s = retry_after_s


def _pause(error: Exception) -> bool | float:
    return error.retry_after_s if isinstance(error, _BusyError) else False


async def _deliver(chunk: Sequence[bytes | VerdictJson], request: Request) -> list[VerdictJson]:
    """The verdicts of one array; only what is busy goes again."""
    verdicts: list[VerdictJson | None] = [None if isinstance(item, bytes) else item for item in chunk]
    try:
        async for attempt in stamina.retry_context(on=_pause, attempts=None, timeout=_BUSY_PATIENCE_S):
            with attempt:
                open_ = [i for i, v in enumerate(verdicts) if v is None]
                if not open_:
                    break
                answers = await _ask(request, [item for i in open_ if isinstance(item := chunk[i], bytes)])
                for i, answer in zip(open_, answers, strict=True):
                    verdicts[i] = None if answer["verdict"] == "busy" else answer
                busy = [float(a.get("retry_after_s", 1.0)) for a in answers if a["verdict"] == "busy"]
                if busy:
                    raise _BusyError(min(max(busy), 5.0))
    except _BusyError as error:
        raise Unavailable("busy", error.retry_after_s) from error
    return [v for v in verdicts if v is not None]


async def _ask(request: Request, lines: Sequence[bytes]) -> list[VerdictJson]:
    body = b"[" + b",".join(lines) + b"]"
    async for attempt in stamina.retry_context(on=Unavailable, attempts=None, timeout=_PATIENCE_S, wait_max=2.0):
        with attempt:
            reply = msgspec.json.decode(await request(body))
            if isinstance(reply, dict):  # one answer for the whole array: it was not even read
                return [dict[str, Any](reply) for _ in lines]  # pyright: ignore[reportUnknownArgumentType]
            if not isinstance(reply, list) or len(reply) != len(lines):  # pyright: ignore[reportUnknownArgumentType]
                raise SetupError("Het antwoord van het boek past niet bij wat verstuurd is. Is de versie gelijk?")
            return msgspec.convert(reply, list[VerdictJson])
    raise Unavailable("intake")
