"""What `docker-compose.yml` needs beside the services: fresh secrets, NATS configuration, migrations, viewers.

`python -m services.containers new | nats-config | migrate | viewers`. The NATS configuration holds public keys only.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import RelatieboekError, SetupError
from events.keys import Ring
from projections import store
from projections.registry import PROJECTIONS
from services.connections import make_engine
from services.embedded import credentials
from services.embedded.accounts import Keys, new_seed, new_store_key, public_key
from services.embedded.datadir import write_atomically
from services.embedded.nats import render_config
from services.embedded.registration import department_keys, ensure_viewers
from services.migrate import migrate as upgrade
from services.settings import Settings, load
from services.tls import server_blocks

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

# Below the size of the volume: then a full disk is a clean error, not time-outs that only a restart cures.
_MOST_BYTES: Final = 50 * 1024**3
_STORE_KEY: Final = "$NATS_STORE_KEY"
_SECRETS: Final = {
    "POSTGRES_PASSWORD": lambda: secrets.token_urlsafe(32),
    "RELATIEBOEK_SERVICE_PASSWORD": lambda: secrets.token_urlsafe(32),
    "RELATIEBOEK_LOOKUP_KEY": lambda: secrets.token_hex(32),
    "NATS_STORE_KEY": new_store_key,
    "RELATIEBOEK_KEY_RING": lambda: Ring.fresh().text(),
    "RELATIEBOEK_NOTARY_KEY": lambda: secrets.token_hex(32),
    "RELATIEBOEK_NATS_SEED": new_seed,
    "RELATIEBOEK_RELAY_NATS_SEED": new_seed,
    "RELATIEBOEK_OPERATIONS_NATS_SEED": new_seed,
}

Servers = Annotated[int, typer.Option(min=1, max=5, help="How many NATS servers there are.")]
Tls = Annotated[str, typer.Option(help="Where each server finds server.pem, server.key and ca.pem; empty: no TLS.")]
Routes = Annotated[str, typer.Option(help="Addresses of their routes, with commas; empty: nats-1, nats-2 …")]


def fill(example: str) -> str:
    """`.env.example` with every empty secret filled in freshly."""
    lines: list[str] = []
    for line in example.splitlines():
        name = line.partition("=")[0]
        lines.append(f"{name}={_SECRETS[name]()}" if name in _SECRETS else line)
    return "\n".join(lines) + "\n"


def configuration(
    keys: Keys, departments: dict[str, str], server: int, servers: int, routes: str = "", tls: str = ""
) -> str:
    """The configuration of one server of `servers`, as it runs in a container; with TLS when its files have a place."""
    clients, between = server_blocks(tls) if tls else (None, None)
    cluster: dict[str, Any] | None = None
    if servers > 1:
        known = routes.split(",") if routes else [f"nats://nats-{n}:6222" for n in range(1, servers + 1)]
        cluster = {"name": "relatieboek", "listen": "0.0.0.0:6222", "routes": known}
        if between:
            cluster["tls"] = between
    text = render_config(
        keys, departments, store_dir="/data/jetstream", max_file=_MOST_BYTES, host="0.0.0.0",  # noqa: S104  in a container
        cluster=cluster, server_name=f"nats-{server}", tls=clients,
    )  # fmt: skip
    # A variable is no string: the server takes it from its environment, so that this file holds no secret.
    return text.replace(f'"{_STORE_KEY}"', _STORE_KEY)


@app.command()
def new(directory: Path = Path(), servers: Servers = 1, routes: Routes = "", tls: Tls = "") -> None:
    """Writes .env with fresh secrets (never over an existing one) and the NATS configuration that belongs to it."""
    env, target = directory / ".env", directory / "var" / "containers"
    if env.exists():
        raise SetupError(f"{env} bestaat al; daar blijft alles af. Verwijder het alleen als er nog geen gegevens zijn.")
    text = fill((directory / ".env.example").read_text())
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    seeds = (values[f"RELATIEBOEK_{name}NATS_SEED"] for name in ("", "RELAY_", "OPERATIONS_"))
    keys = Keys(*(public_key(seed) for seed in seeds), store=_STORE_KEY)
    target.mkdir(parents=True, exist_ok=True)
    for server in range(1, servers + 1):
        name = "nats.conf" if servers == 1 else f"nats-{server}.conf"
        write_atomically(target / name, configuration(keys, {}, server, servers, routes, tls), mode=0o644)
    write_atomically(env, text, mode=0o600)
    typer.echo(f"Gemaakt: {env} (geheim) en {target}/nats*.conf. Nu: docker compose up --build --wait")


@app.command()
def nats_config(server: int = 1, servers: Servers = 1, routes: Routes = "", tls: Tls = "") -> None:
    """Prints the NATS configuration with every department that has access; reload with SIGHUP afterwards."""
    settings = load()

    async def departments() -> dict[str, str]:
        engine = make_engine(settings)
        try:
            async with engine.connect() as conn:
                return await department_keys(conn)
        finally:
            await engine.dispose()

    made = configuration(_keys(settings), asyncio.run(departments()), server, servers, routes, tls)
    typer.echo(made, nl=False)


def _keys(settings: Settings) -> Keys:
    seeds = (settings.nats_seed, settings.relay_nats_seed, settings.operations_nats_seed)
    if any(seed is None for seed in seeds):
        raise SetupError("RELATIEBOEK_NATS_SEED, _RELAY_NATS_SEED en _OPERATIONS_NATS_SEED zijn alle drie nodig")
    return Keys(*(public_key(seed.get_secret_value()) for seed in seeds if seed is not None), store=_STORE_KEY)


@app.command()
def migrate() -> None:
    """Brings the database to this version, as its owner (RELATIEBOEK_OWNER_DATABASE_URL)."""
    settings = load()
    owner = settings.owner_database_url or settings.database_url
    if not owner:
        raise SetupError("RELATIEBOEK_OWNER_DATABASE_URL is niet gezet")
    password = settings.service_password.get_secret_value() if settings.service_password else None
    engine = make_engine(settings.model_copy(update={"database_url": owner}), name="relatieboek-migrate")

    async def run() -> None:
        try:
            await upgrade(owner, password, settings.access_log_months)
            await _install(engine)
        finally:
            await engine.dispose()

    asyncio.run(run())
    typer.echo("De database is bij.")


async def _install(engine: AsyncEngine) -> None:
    for projection in PROJECTIONS.values():
        async with engine.begin() as conn:
            await store.install(conn, projection)


@app.command()
def viewers() -> None:
    """Makes a viewer `all` and one for each team, and prints all tokens as JSON."""
    settings = load()

    async def run() -> None:
        engine = make_engine(settings)
        try:
            await ensure_viewers(settings, engine)
        finally:
            await engine.dispose()

    asyncio.run(run())
    held = credentials.read(settings.credentials_path)
    typer.echo(json.dumps(held.http.viewers if held else {}, indent=1))


def main() -> None:
    """Exit code 2 and one line on stderr when a person must mend something."""
    try:
        app()
    except RelatieboekError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
