"""`relatieboek up`: everything on this machine, in order, watched, and stopped in the reverse order."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import nats.errors
import structlog
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from events.clock import set_clock
from events.errors import SetupError, Unavailable
from projections.registry import PROJECTIONS
from projections.store import install
from services.embedded import credentials as store
from services.embedded.credentials import Credentials, Internal, complete
from services.embedded.datadir import DataDir, explained, held
from services.embedded.doors import open_doors, signed_in
from services.embedded.engine import need_port
from services.embedded.nats import Nats
from services.embedded.postgres import Postgres
from services.embedded.registration import Wanted, book_keys, department_keys, ensure_departments, ensure_viewers
from services.migrate import SERVICE_ROLE, migrate
from services.settings import SERVICES, Settings, as_environment
from services.supervise import Report, Service, Supervisor

log = structlog.get_logger(__name__)

_WAIT_TELLS_S: Final = 10.0
_POLL_S: Final = 0.1
_STATES: Final = {
    "starting": "start", "paused": "wacht op NATS of PostgreSQL", "diverged": "stream en grootboek verschillen",
}  # fmt: skip
_COUNTED: Final = re.compile(r"(\d+) of (\d+)")
_NEW_TEAMS_EVERY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """What was asked for, and where it goes. `settings` are as given: empty addresses mean own servers."""

    settings: Settings
    where: DataDir
    report: Report

    @property
    def own_nats(self) -> bool:
        return not self.settings.nats_url

    @property
    def own_postgres(self) -> bool:
        return not self.settings.database_url

    @property
    def address(self) -> str:
        return address(self.settings)


def address(settings: Settings) -> str:
    """Where the page and the API are."""
    return f"{settings.http_scheme}://{settings.host}:{settings.port}"


async def up(
    settings: Settings, *, demo: bool, report: Report, demo_report: Callable[[Any], None] | None = None
) -> None:
    """Starts everything, says `ready <address>` by `report`, and returns after a clean stop on SIGINT or SIGTERM.

    A second signal ends everything at once. `demo_report` hears the progress of the demo's load
    (`services.demo.load.Progress`). Raises SetupError, with everything stopped, for what a person must mend.
    """
    settings = settings.model_copy(update={"data_dir": settings.data_dir.expanduser().resolve()})
    with held(settings.data_dir, address(settings)) as where, explained(where.path):
        plan = _Plan(settings, where, report)
        async with Supervisor(where, report) as supervisor:
            stop = _on_signals(supervisor, report)
            work = asyncio.create_task(_run(plan, supervisor, demo, demo_report), name="up")
            stopping = asyncio.create_task(stop.wait(), name="stop")
            try:
                await asyncio.wait({work, stopping, supervisor.failed}, return_when=asyncio.FIRST_COMPLETED)
                if supervisor.failed.done():
                    supervisor.failed.result()
                if work.done():
                    work.result()
            finally:
                for task in (work, stopping):
                    task.cancel()
                await asyncio.gather(work, stopping, return_exceptions=True)
                await supervisor.stop()
                _off_signals()
        report("Gestopt.")


def _on_signals(supervisor: Supervisor, report: Report) -> asyncio.Event:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            supervisor.kill()
            os._exit(130)
        report("Stoppen… (nog een keer Ctrl-C stopt meteen)")
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop


def _off_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().remove_signal_handler(number)


async def _run(plan: _Plan, supervisor: Supervisor, demo: bool, demo_report: Callable[[Any], None] | None) -> None:
    settings, report = plan.settings, plan.report
    need_port(settings.port, "--port", settings.host)
    if plan.own_nats:
        # A server of a killed `up` has been ended with the data directory's other processes, or is ended here.
        Nats(plan.where.nats, plan.where.log("nats"), settings.nats_port).end_left_over()
        need_port(settings.nats_port, "--nats-port")
    internal = _secrets(plan)
    owner_url, service_url = await _database(plan, supervisor, internal)
    engine = create_async_engine(service_url, hide_parameters=True)
    try:
        await _prepare(plan, owner_url, engine)
        nats_url = await _nats(plan, supervisor, engine)
        found = {"database_url": service_url, "owner_database_url": owner_url, "nats_url": nats_url}
        own = complete(settings.model_copy(update=found))
        await ensure_viewers(own, engine, again=True)
        async with engine.connect() as conn:
            departments = await department_keys(conn)
        try:
            await open_doors(own, departments)
        except Unavailable as error:
            raise SetupError(
                f"NATS op {nats_url} antwoordt niet of weigert. Kijk naar NATS_URL en RELATIEBOEK_NATS_SEED."
            ) from error
        report("Diensten starten…")
        for name in SERVICES:
            environment = as_environment(_child(plan, own, name, internal))
            await supervisor.start(Service(name, plan.where.log(name), environment))
        await _wait_ready(own, report)
        supervisor.ready = True
        report(f"ready {plan.address}")
        report(f"De sleutel om te kijken staat in {plan.where.credentials}, onder http.viewers.all.")
        if demo:
            await _load_demo(own, demo_report)
            await ensure_viewers(own, engine)
            await _let_demo_in(own, engine)
            report(f"De demo is geladen: {plan.address}")
            report(
                "Inloggen kan als teamleider, bestuur, auditor …: de wachtwoorden staan in hetzelfde bestand, onder "
                "http.accounts."
            )
        await _follow_teams(own, engine)
    finally:
        await engine.dispose()


def _secrets(plan: _Plan) -> Internal:
    """The book's own secrets, made at the first start."""
    held_ = store.read(plan.where.credentials)
    if (held_ is None or held_.internal is None) and plan.own_postgres and plan.where.postgres.exists():
        raise SetupError(
            f"{plan.where.credentials} ontbreekt, terwijl er gegevens zijn. Zet het bestand terug uit een kopie; "
            "zonder dat bestand kan niemand bij de gegevens."
        )
    # The port is written down once the database is there. An empty one in its place would never agree with the stream.
    if (
        plan.own_postgres
        and not plan.where.postgres.exists()
        and held_
        and held_.internal
        and held_.internal.postgres_port
    ):
        raise SetupError(
            f"{plan.where.postgres} ontbreekt, terwijl dit boek al begonnen was. Zet een reservekopie terug met "
            "`relatieboek restore`, of kies een andere map met --data-dir."
        )

    def with_internal(credentials: Credentials) -> Credentials:
        internal = credentials.internal or Internal.fresh(plan.settings)
        if plan.settings.lookup_key and internal.lookup_key != plan.settings.lookup_key.get_secret_value():
            raise SetupError("RELATIEBOEK_LOOKUP_KEY is een andere dan waarmee dit boek begon. Gebruik die van toen.")
        fresh = Internal.fresh(plan.settings)
        # Of a directory from before keys were wrapped, and before NATS encrypted its files.
        missing = {n: getattr(fresh, n) for n in ("key_ring", "nats_store_key") if not getattr(internal, n)}
        internal = internal.model_copy(update=missing)
        return credentials.model_copy(update={"internal": internal})

    return store.internal_of(store.update(plan.where.credentials, with_internal))


def _remember(plan: _Plan, **changes: Any) -> None:
    def change(credentials: Credentials) -> Credentials:
        return credentials.model_copy(update={"internal": store.internal_of(credentials).model_copy(update=changes)})

    store.update(plan.where.credentials, change)


async def _database(plan: _Plan, supervisor: Supervisor, internal: Internal) -> tuple[str, str]:
    """The owner's and the services' address of a database of this version."""
    if plan.own_postgres:
        plan.report("PostgreSQL starten…")
        postgres = Postgres(
            plan.where.postgres, plan.where.log("postgres"), internal.superuser_password, internal.postgres_port
        )
        await supervisor.start(postgres)
        owner_url, port = postgres.url(), postgres.port
    else:
        owner_url, port = plan.settings.database_url, None
        await _reachable(owner_url)
    _remember(plan, postgres_port=port)
    await migrate(owner_url, internal.service_password, plan.settings.access_log_months)
    service = make_url(owner_url).set(username=SERVICE_ROLE, password=internal.service_password)
    return owner_url, service.render_as_string(hide_password=False)


async def _reachable(url: str) -> None:
    engine = create_async_engine(url, hide_parameters=True)
    try:
        async with engine.connect() as conn:
            await conn.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        shown = make_url(url).render_as_string(hide_password=True)
        raise SetupError(f"PostgreSQL op {shown} antwoordt niet of weigert. Kijk naar DATABASE_URL.") from error
    finally:
        await engine.dispose()


async def _prepare(plan: _Plan, owner_url: str, engine: AsyncEngine) -> None:
    owner = create_async_engine(owner_url, hide_parameters=True)
    try:
        async with owner.begin() as conn:
            await set_clock(conn, plan.settings.clock)
    finally:
        await owner.dispose()
    for projection in PROJECTIONS.values():
        async with engine.begin() as conn:
            await install(conn, projection)


async def _nats(plan: _Plan, supervisor: Supervisor, engine: AsyncEngine) -> str:
    """The address of a server with the book's users and the departments'."""
    url, port = plan.settings.nats_url, None
    if plan.own_nats:
        plan.report("NATS starten…")
        server = Nats(plan.where.nats, plan.where.log("nats"), plan.settings.nats_port)
        async with engine.connect() as conn:
            server.configure(
                book_keys(store.read(plan.where.credentials) or Credentials()), await department_keys(conn)
            )
        await supervisor.start(server)
        url, port = server.url, server.port
    _remember(plan, nats_port=port)
    store.update(
        plan.where.credentials, lambda c: c.model_copy(update={"nats": c.nats.model_copy(update={"url": url})})
    )
    return url


def _child(plan: _Plan, own: Settings, name: str, internal: Internal) -> Settings:
    """What one service gets to know: only intake has the relay's key, only the notary its own, none the owner's."""
    relay = SecretStr(internal.relay_seed) if plan.own_nats else plan.settings.relay_nats_seed
    return own.model_copy(
        update={
            "owner_database_url": "", "operations_nats_seed": None, "service_password": None, "http_port": None,
            "relay_nats_seed": relay if name == "intake" else None, "up_pid": os.getpid(),
            "notary_key": SecretStr(internal.notary_key) if name == "notary" else None,
        }
    )  # fmt: skip


async def _wait_ready(own: Settings, report: Report) -> None:
    """Returns once every service says that it takes work; tells now and then for what it waits."""
    clock = asyncio.get_running_loop().time
    told_at = clock()
    waiting = dict.fromkeys(SERVICES, "start")
    seed = own.nats_seed.get_secret_value() if own.nats_seed else None
    while waiting:
        try:
            async with signed_in(own.nats_url, seed, ca=own.ca) as client:
                while waiting:
                    for name in list(waiting):
                        try:
                            answer = await client.request(f"health.{name}", b"", timeout=2)
                        except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
                            continue
                        said = msgspec.json.decode(answer.data, type=dict[str, Any])
                        waiting[name] = _in_words(said)
                        if said.get("state") == "ready":
                            del waiting[name]
                    if waiting and clock() - told_at > _WAIT_TELLS_S:
                        told_at = clock()
                        report("Wachten op " + ", ".join(f"{name} ({state})" for name, state in waiting.items()))
                    await asyncio.sleep(_POLL_S if waiting else 0)
        except (Unavailable, nats.errors.Error, OSError):
            await asyncio.sleep(_POLL_S)


def _in_words(said: dict[str, Any]) -> str:
    """What a service says of itself, and how far it is with long work."""
    state = str(_STATES.get(said["state"], said["state"]))
    counted = _COUNTED.search(said.get("detail") or "")
    return f"{state}, {counted[1]} van {counted[2]}" if counted else state


async def _load_demo(own: Settings, demo_report: Callable[[Any], None] | None) -> None:
    from services.demo.institution import DEPARTMENTS
    from services.demo.load import load, sources

    wanted = [Wanted(d.name, sources(d, own.institution), d.types) for d in DEPARTMENTS]
    await ensure_departments(own, wanted)
    await load(own, demo_report or (lambda _: None))


async def _let_demo_in(own: Settings, engine: AsyncEngine) -> None:
    from services.demo.people import ensure_people

    await ensure_people(own, engine)


async def _follow_teams(own: Settings, engine: AsyncEngine) -> None:
    """Every team that is formed gets a viewer of its own, for as long as we run."""
    while True:
        await asyncio.sleep(_NEW_TEAMS_EVERY_S)
        try:
            await ensure_viewers(own, engine)
        except (SQLAlchemyError, OSError) as error:
            log.info("viewers not looked at", error=type(error).__name__)  # PostgreSQL is out; next time
