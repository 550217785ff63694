"""Connections of a service to its two engines: made once, reconnecting for ever, never logging what they carry."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final

import orjson
import structlog
from faststream.nats import NatsBroker
from faststream.nats.security import NatsNKey, NatsSecurity
from nats.aio.client import Client
from nats.errors import AuthorizationError, ConnectionClosedError, ConnectionReconnectingError
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry
from sqlalchemy import event, text
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from events.errors import SetupError
from services.answering import AnswerFailures
from services.settings import Settings
from services.telemetry import brief, make_registry, make_tracer_provider, metrics_middleware, tracing_middleware
from services.tls import give_up, nats_options

log = structlog.get_logger(__name__)

_RECONNECT_EVERY_S: Final = 1
_WATCH_EVERY_S: Final = 2.0
_LOST_FOR_S: Final = 60.0
_DATABASE_RETRY_S: Final = 1.0
_REFUSED: Final = {"28000", "28P01", "3D000"}  # role, password, database: waiting does not help


class Broker(NatsBroker):
    """FastStream's broker, whose connection outlives every error that a reconnection can mend."""

    _first = True

    def _log_connection_broken(self, error_cb: Any = None) -> Any:
        # FastStream raises in this callback for errors that it holds to be final ("stale connection" is one). During a
        # reconnection that kills the client's reconnecting task: connected never again, closed never either.
        async def report(error: Exception) -> None:
            # During a first connection the client tells a refusal as a plain error with the server's words.
            if self._first and ("authorization violation" in str(error).lower()):
                raise AuthorizationError from error
            if self._first and isinstance(error, ssl.SSLCertVerificationError):
                raise SetupError("Het certificaat van NATS klopt niet. Kijk naar RELATIEBOEK_CA.") from error
            log.warning("NATS connection", reason=brief(error))

        return report

    async def _connect(self) -> Client:
        client = Client()
        try:
            await client.connect(**self._connection_kwargs)
        except BaseException:  # refused, or told to stop while waiting: nobody else knows of this client
            await give_up(client)
            raise
        self._first = False
        self.config.connect(client)
        return client


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def make_engine(settings: Settings, *, name: str = "relatieboek", pool_size: int = 10) -> AsyncEngine:
    """The engine on `settings.database_url` (asyncpg). Errors and logs never carry parameters."""
    if not settings.database_url:
        raise SetupError("DATABASE_URL is niet gezet")
    engine = create_async_engine(
        settings.database_url,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=0,  # a connection that is made anew for every peak costs PostgreSQL a process each time
        pool_timeout=10,
        json_serializer=_json,
        json_deserializer=orjson.loads,
        connect_args={"timeout": 10, "server_settings": {"application_name": name, "jit": "off"}},
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, *_: Any) -> None:
    """A pooled connection whose server ended it is replaced when somebody takes it.

    `pool_pre_ping` asks the server, in three round trips: a third of the time of a small read. A loopback or a proxy
    tells of the end by itself, and asyncpg has heard it by then.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def make_broker(
    settings: Settings,
    *,
    name: str,
    registry: CollectorRegistry | None = None,
    tracer_provider: TracerProvider | None = None,
    inbox_prefix: str = "_INBOX_service",
    pending_bytes: int = 2 << 20,
) -> NatsBroker:
    """A broker for the user of `settings.nats_seed` on `settings.nats_url`; not connected yet. Reconnects for ever."""
    registry = make_registry(name) if registry is None else registry
    tracer_provider = make_tracer_provider(settings, name) if tracer_provider is None else tracer_provider
    seed = settings.nats_seed.get_secret_value() if settings.nats_seed else None
    return Broker(
        settings.nats_url.split(",") if settings.nats_url else "nats://127.0.0.1:4222",
        name=f"relatieboek-{name}",
        security=_security(settings, seed),
        max_reconnect_attempts=-1,
        reconnect_time_wait=_RECONNECT_EVERY_S,
        inbox_prefix=inbox_prefix,
        pending_size=pending_bytes,
        ping_interval=10,
        max_outstanding_pings=2,
        drain_timeout=10,
        graceful_timeout=10.0,
        logger=None,  # FastStream logs two lines a message and the text of every error; `AnswerFailures` logs instead
        apply_types=False,  # our handlers take the message and nothing else: injection would cost 0.1 ms a message
        middlewares=(
            AnswerFailures,
            metrics_middleware(registry, name),
            # Spans that go nowhere cost 0.15 ms a message all the same.
            *([tracing_middleware(tracer_provider)] if settings.otlp_endpoint else []),
        ),
        specification_url="nats://nats:4222",
        description="Relatieboek's NATS server",
    )


def _security(settings: Settings, seed: str | None) -> NatsSecurity | None:
    tls = nats_options(settings.nats_url, settings.ca)
    how: dict[str, Any] = {"ssl_context": tls["tls"], "tls_handshake_first": True} if tls else {}
    if seed:
        return NatsNKey.from_seed(seed, **how)
    return NatsSecurity(**how) if how else None


def nats_connected(broker: NatsBroker) -> bool:
    """Whether the broker's connection is up now."""
    # The broker knows no connection before its start, and forgets it at its stop.
    connection = broker.config.connection_state
    return bool(connection) and connection.connection.is_connected


async def connect_broker(broker: NatsBroker, setting: str) -> None:
    """Returns once NATS answers, however long that takes. `SetupError` when it refuses the key of this setting."""
    try:
        await broker.connect()
    except AuthorizationError as error:
        raise SetupError(f"NATS weigert de sleutel van deze dienst ({setting})") from error


async def connect(broker: NatsBroker, engine: AsyncEngine) -> None:
    """Returns once both engines answer, however long that takes. `SetupError` when one refuses our credentials."""
    await connect_broker(broker, "RELATIEBOEK_NATS_SEED")
    while True:
        try:
            async with engine.connect() as conn:
                await conn.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            if getattr(getattr(error, "orig", None), "sqlstate", None) in _REFUSED:
                raise SetupError("PostgreSQL weigert DATABASE_URL: rol, wachtwoord of database klopt niet") from None
            log.warning("waiting for PostgreSQL", reason=brief(error))
            await asyncio.sleep(_DATABASE_RETRY_S)
        else:
            return


async def watch(client: Client) -> None:
    """Ends a service whose NATS client will not come back by itself, so that it is started again.

    nats-py gives up for good on some server errors, and an unexpected error inside its reconnecting task leaves it
    waiting for ever. A server that is simply away is not a reason: then nobody answers on its port either.
    """
    clock = asyncio.get_running_loop().time
    lost_at: float | None = None
    while True:
        await asyncio.sleep(_WATCH_EVERY_S)
        if client.is_closed:
            raise ConnectionClosedError
        if client.is_connected:
            lost_at = None
        elif lost_at is None:
            lost_at = clock()
        elif clock() - lost_at > _LOST_FOR_S and await _server_listens(client):
            raise ConnectionReconnectingError


async def _server_listens(client: Client) -> bool:
    for url in client.servers:
        try:
            async with asyncio.timeout(2):
                _, writer = await asyncio.open_connection(url.hostname, url.port or 4222)
        except (OSError, TimeoutError):
            continue
        writer.close()
        return True
    return False
