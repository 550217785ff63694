"""What a department finds on NATS: its two streams, its reader, and an account that answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client

from events.errors import NoRoom, SetupError, Unavailable
from events.stream import DEPARTMENT_STREAM_BYTES, Stream
from services.answering import OPEN_DOORS_ON
from services.embedded.accounts import API_PREFIX, inbox_prefix
from services.embedded.nats import reload
from services.settings import Settings
from services.tls import give_up, nats_options

log = structlog.get_logger(__name__)

_CONNECT_S: Final = 5.0
_ROOM_MB: Final = 2 * DEPARTMENT_STREAM_BYTES >> 20
_RELOADS: Final = 10
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0
_REFUSALS: Final = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


async def _silent(_: Exception) -> None:
    """The first connection tells by raising; nats-py would log the whole stack of every try."""


@asynccontextmanager
async def signed_in(
    url: str, seed: str | None, *, prefix: str = "_INBOX", within_s: float = _CONNECT_S, ca: Path | None = None
) -> AsyncGenerator[Client]:
    """A NATS connection for a short errand; it does not reconnect. Raises Unavailable when there is none to be had."""
    client = Client()
    try:
        async with asyncio.timeout(within_s):
            await client.connect(
                servers=url.split(","), nkeys_seed_str=seed, inbox_prefix=prefix, error_cb=_silent,
                allow_reconnect=False, max_reconnect_attempts=0, connect_timeout=2, name="relatieboek",
                **nats_options(url, ca),
            )  # fmt: skip
    except _REFUSALS as error:
        await give_up(client)
        raise Unavailable("NATS") from error
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def _as_operations(settings: Settings) -> AsyncGenerator[Stream]:
    seed = settings.operations_nats_seed or settings.relay_nats_seed
    async with signed_in(settings.nats_url, seed.get_secret_value() if seed else None, ca=settings.ca) as client:
        yield Stream(client, replicas=settings.replicas)


async def forget_doors(settings: Settings, departments: Iterable[str]) -> None:
    """Takes away what NATS has for departments that had these names before; who gets one now reads none of it.

    What still waits in an inbox would be taken for the new one's: SetupError. Raises Unavailable.
    """
    async with _as_operations(settings) as stream:
        for name in departments:
            if waiting := await stream.forget_department(name):
                raise SetupError(
                    f"In het postvak van de vorige afdeling {name} wachten nog {waiting} berichten. Start Relatieboek: "
                    "dan krijgen ze hun antwoord. Voeg de afdeling daarna toe, of kies een andere naam."
                )


async def open_doors(settings: Settings, departments: Iterable[str]) -> None:
    """Makes inbox, verdict stream and its pull consumer `<department>` for each; idempotent.

    Raises Unavailable, and SetupError where NATS has no room left to set aside for them.
    """
    async with _as_operations(settings) as stream:
        for name in departments:
            try:
                await stream.ensure_department(name)
            except NoRoom as error:
                raise SetupError(
                    f"NATS heeft geen ruimte voor het postvak en de antwoorden van afdeling {name}: {_ROOM_MB} MB per "
                    "afdeling. Kies een grotere schijf (--data-dir), of geef NATS meer ruimte."
                ) from error


async def tell_intake(settings: Settings) -> None:
    """Lets a running intake open the request doors of new departments before this returns.

    Where none runs or answers, there is nothing to wait for: each looks for itself every second.
    """
    seed = settings.nats_seed
    try:
        async with signed_in(settings.nats_url, seed.get_secret_value() if seed else None, ca=settings.ca) as client:
            await client.request(OPEN_DOORS_ON, b"", timeout=_CONNECT_S)
    except (Unavailable, *_REFUSALS) as error:
        log.info("intake was not told of new departments", reason=type(error).__name__)


async def reload_until(directory: Path, url: str, seeds: dict[str, str], *, gone: str | None = None) -> None:
    """Lets the server on `directory` read its configuration until these departments (name → seed) are served, and the
    seed `gone` is refused.

    nats-server 2.15.1 takes a new account at the first reload, but ties its imports to the exporting account as it was
    before; the next reload mends that. Connections of others stay. Does nothing when no server runs.
    """
    pause_s = _FIRST_PAUSE_S
    for _ in range(_RELOADS):
        if not reload(directory):
            return
        served = [await _served(url, seed, name) for name, seed in seeds.items()]
        if all(served) and (gone is None or await _refused(url, gone)):
            return
        # A signal is taken when the server comes to it: on a busy machine those before may still wait.
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
    raise SetupError("NATS neemt de nieuwe instellingen niet over. Herstart Relatieboek; dan gelden ze.")


async def _refused(url: str, seed: str) -> bool:
    until = asyncio.get_running_loop().time() + _CONNECT_S
    while asyncio.get_running_loop().time() < until:
        try:
            async with signed_in(url, seed, within_s=1):
                await asyncio.sleep(0.02)  # the server has not come to the new configuration yet
        except Unavailable as error:
            if "authorization violation" in str(error.__cause__).lower():
                return True
    return False


async def _served(url: str, seed: str, name: str) -> bool:
    until = asyncio.get_running_loop().time() + _CONNECT_S
    while True:
        try:
            async with signed_in(url, seed, prefix=inbox_prefix(name), within_s=1) as client:
                await client.request(f"{API_PREFIX}.CONSUMER.INFO.VERDICTS_{name}.{name}", timeout=2)
                return True
        except Unavailable:
            # The server has not come to the new configuration yet.
            if asyncio.get_running_loop().time() > until:
                return False
            await asyncio.sleep(0.05)
        except _REFUSALS:
            return False
