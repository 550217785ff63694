"""The service notary: a signed checkpoint every minute in which the book grew, and one whenever it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
import structlog

from events.checkpoint import BadCheckpoint, Signer
from events.errors import Diverged, SetupError
from events.postgres import OUTAGES, connect
from services.bus import NatsBus
from services.notary.access_log import AccessNotary, SignedHead
from services.notary.signing import Notary, Shorter, Signed
from services.settings import Settings
from services.wiring import Context, cancel_until_done, run_service

log = structlog.get_logger(__name__)

NAME: Final = "notary"
ASKED_ON: Final = "notary.checkpoint"
TOLD_ON: Final = "live.checkpoints"
_RETRY_S: Final = 2.0


def main(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. One process for a book: its key and its file are nobody else's."""
    run_service(settings, NAME, setup=setup)


@asynccontextmanager
async def setup(context: Context) -> AsyncGenerator[None]:
    settings, bus = context.settings, NatsBus(context.nats)
    if settings.notary_key is None:
        raise SetupError("RELATIEBOEK_NOTARY_KEY is niet gezet: 32 bytes in hex, alleen voor de dienst notary.")
    signer = Signer(settings.notary_name, bytes.fromhex(settings.notary_key.get_secret_value()))

    async def tell(note: str) -> None:
        await bus.tell(TOLD_ON, note.encode())

    notary = Notary(signer, settings.origin, settings.checkpoints_path, tell)
    log_notary = AccessNotary(signer, settings.access_log_origin, settings.access_checkpoints_path)
    turn, log_turn = asyncio.Lock(), asyncio.Lock()

    async def sign() -> Signed:
        async with turn:
            conn = await connect(settings.database_url)
            try:
                return await notary.sign(conn)
            finally:
                await conn.close()

    async def sign_access_log() -> SignedHead:
        async with log_turn:
            conn = await connect(settings.database_url)
            try:
                signed = await log_notary.sign(conn)
                await log_notary.prune(conn)
                return signed
            finally:
                await conn.close()

    async def on_request(message: Any) -> None:
        said = {"key": str(signer.verifier), **await _said(sign), **await _said(sign_access_log, "access_")}
        await message.respond(orjson.dumps(said))

    async def run() -> None:
        while True:
            try:
                # Each for itself: a log that was changed is no reason to sign the book no more.
                wrong = [error for error in (await _wrong_with(sign), await _wrong_with(sign_access_log)) if error]
                context.state.set("diverged" if wrong else "ready", "; ".join(map(str, wrong)) or None)
                if any(isinstance(error, Shorter) for error in wrong):
                    await asyncio.sleep(_RETRY_S)
                    continue
                await asyncio.sleep(settings.notary_every_s)
            except OUTAGES as error:
                context.state.set("paused", "PostgreSQL is out")
                log.warning("not signed", reason=type(error).__name__)
                await asyncio.sleep(_RETRY_S)

    nats: Any = context.nats  # its own types are incomplete
    await nats.subscribe(ASKED_ON, cb=on_request)
    context.state.set("ready")
    signing = context.run(run(), name="signing")
    try:
        yield
    finally:
        await cancel_until_done(signing)


async def _said(sign: Callable[[], Awaitable[Signed | SignedHead]], prefix: str = "") -> dict[str, str]:
    """The note that is signed now, or the error for which none is."""
    try:
        return {f"{prefix}note": (await sign()).note}
    except (Diverged, BadCheckpoint) as error:
        return {f"{prefix}error": str(error)}
    except OUTAGES:
        return {f"{prefix}error": "PostgreSQL is out; try again"}


async def _wrong_with(sign: Callable[[], Awaitable[object]]) -> Exception | None:
    """Why this is not signed: for now (Shorter), or until a person looked; a restart looks again, from the first on."""
    try:
        await sign()
    except Shorter as error:
        log.warning("not signed", reason=str(error))
        return error
    except (Diverged, BadCheckpoint) as error:
        log.error("nothing is signed any more", reason=str(error))
        return error
    return None
