"""`<data-dir>/credentials.json`: every secret that this machine's book made itself, readable by its owner only.

The parts `http` and `nats` are an interface (INTERFACE section 1); `internal` is ours. The database holds only hashes
of tokens and public keys, so a lost file means new tokens, never a look into old ones. Every change is a whole new
file, made under a lock, since `up` and the command line both write it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from events.errors import SetupError
from events.keys import Ring
from services.embedded.accounts import new_seed, new_store_key
from services.embedded.datadir import write_atomically
from services.embedded.postgres import DATABASE, SUPERUSER
from services.migrate import SERVICE_ROLE
from services.settings import Settings


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)


class Http(_Part):
    departments: dict[str, str] = Field(default_factory=dict[str, str], repr=False)
    viewers: dict[str, str] = Field(default_factory=dict[str, str], repr=False)
    # Passwords of the demo's accounts; those that `account add` makes are shown once and kept nowhere.
    accounts: dict[str, str] = Field(default_factory=dict[str, str], repr=False)


class NatsEntry(_Part):
    """What a department needs to sign in to NATS."""

    nkey_seed: str | None = Field(default=None, repr=False)
    inbox_prefix: str | None = None
    user: str | None = None
    password: str | None = Field(default=None, repr=False)


class NatsPart(_Part):
    url: str = ""
    departments: dict[str, NatsEntry] = Field(default_factory=dict[str, NatsEntry], repr=False)


class Internal(_Part):
    """The ports are those of the embedded servers; None where NATS_URL or DATABASE_URL names another."""

    superuser_password: str = Field(repr=False)
    service_password: str = Field(repr=False)
    lookup_key: str = Field(repr=False)
    service_seed: str = Field(repr=False)
    relay_seed: str = Field(repr=False)
    operations_seed: str = Field(repr=False)
    notary_key: str = Field(repr=False)
    key_ring: str = Field(default="", repr=False)
    nats_store_key: str = Field(default="", repr=False)
    postgres_port: int | None = None
    nats_port: int | None = None

    @classmethod
    def fresh(cls, settings: Settings) -> Self:
        """New secrets; what the environment gives is taken from there."""

        def given(value: SecretStr | None, make: Callable[[], str]) -> str:
            return value.get_secret_value() if value is not None else make()

        def password() -> str:
            return secrets.token_urlsafe(32)

        return cls(
            superuser_password=password(),
            service_password=given(settings.service_password, password),
            lookup_key=given(settings.lookup_key, lambda: secrets.token_hex(32)),
            service_seed=given(settings.nats_seed, new_seed),
            relay_seed=given(settings.relay_nats_seed, new_seed),
            operations_seed=given(settings.operations_nats_seed, new_seed),
            notary_key=given(settings.notary_key, lambda: secrets.token_hex(32)),
            key_ring=given(settings.key_ring, lambda: Ring.fresh().text()),
            nats_store_key=new_store_key(),
        )


class Credentials(_Part):
    """The whole file."""

    http: Http = Http()
    nats: NatsPart = NatsPart()
    internal: Internal | None = None

    def with_department(self, name: str, token: str, nats: NatsEntry) -> Self:
        http = self.http.model_copy(update={"departments": {**self.http.departments, name: token}})
        entries = {**self.nats.departments, name: nats}
        return self.model_copy(update={"http": http, "nats": self.nats.model_copy(update={"departments": entries})})

    def with_token(self, name: str, token: str) -> Self:
        http = self.http.model_copy(update={"departments": {**self.http.departments, name: token}})
        return self.model_copy(update={"http": http})

    def without_department(self, name: str) -> Self:
        tokens = {k: v for k, v in self.http.departments.items() if k != name}
        entries = {k: v for k, v in self.nats.departments.items() if k != name}
        http = self.http.model_copy(update={"departments": tokens})
        return self.model_copy(update={"http": http, "nats": self.nats.model_copy(update={"departments": entries})})

    def with_viewer(self, name: str, token: str) -> Self:
        return self.model_copy(
            update={"http": self.http.model_copy(update={"viewers": {**self.http.viewers, name: token}})}
        )

    def with_account(self, name: str, password: str) -> Self:
        return self.model_copy(
            update={"http": self.http.model_copy(update={"accounts": {**self.http.accounts, name: password}})}
        )


def new_token(name: str) -> str:
    """An HTTP token: 256 random bits behind a prefix that tells a leak scanner whose it is."""
    return f"rb_{name}_{secrets.token_urlsafe(32)}"


def visible_prefix(name: str, token: str) -> str:
    """What of a token may be kept and shown, to know it by: six of its 43 random characters."""
    return token[: len(f"rb_{name}_") + 6]


def read(path: Path) -> Credentials | None:
    """The file, or None when there is none. Raises SetupError when it cannot be read."""
    try:
        return Credentials.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise SetupError(
            f"{path} is van een andere gebruiker. Draai de opdracht als wie Relatieboek startte."
        ) from error
    except ValidationError as error:
        raise SetupError(f"{path} is beschadigd. Zet het bestand terug uit een kopie.") from error


def internal_of(credentials: Credentials) -> Internal:
    """Our own part, which every file has that `up` made. Raises SetupError when it is gone."""
    if credentials.internal is None:
        raise SetupError("credentials.json mist de eigen sleutels. Zet het bestand terug uit een kopie.")
    return credentials.internal


def update(path: Path, change: Callable[[Credentials], Credentials]) -> Credentials:
    """Changes the file and returns what is in it now. Raises SetupError when it cannot be read."""
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = read(path) or Credentials()
        after = change(before)
        if after != before:
            write_atomically(path, after.model_dump_json(indent=1, exclude_none=True) + "\n", mode=0o600)
        return after
    finally:
        os.close(lock)


def complete(settings: Settings) -> Settings:
    """Settings for a command: what the environment does not give comes from the data directory's credentials.

    `database_url` is then the services' role of the embedded server. Raises SetupError when neither says where the
    book is. Does not look whether it runs.
    """
    credentials = read(settings.credentials_path)
    internal = credentials.internal if credentials else None
    found: dict[str, object] = {}
    if credentials and internal:
        if not settings.database_url and internal.postgres_port:
            found["database_url"] = _local_url(internal, SERVICE_ROLE, internal.service_password)
            found["owner_database_url"] = _local_url(internal, SUPERUSER, internal.superuser_password)
        if settings.nats_url in ("", credentials.nats.url):
            found["nats_url"] = credentials.nats.url
            if internal.nats_port:
                found["nats_seed"] = settings.nats_seed or SecretStr(internal.service_seed)
                found["operations_nats_seed"] = settings.operations_nats_seed or SecretStr(internal.operations_seed)
        if settings.lookup_key is None:
            found["lookup_key"] = SecretStr(internal.lookup_key)
    completed = settings.model_copy(update=found)
    if not completed.database_url or not completed.nats_url:
        raise SetupError(
            f"Geen Relatieboek gevonden in {settings.data_dir}. Start het met `relatieboek up`, wijs de map aan met "
            "--data-dir, of zet DATABASE_URL en NATS_URL."
        )
    return completed


def _local_url(internal: Internal, user: str, password: str) -> str:
    # Passwords are url-safe by making.
    return f"postgresql+asyncpg://{user}:{password}@127.0.0.1:{internal.postgres_port}/{DATABASE}"
