"""Every setting of Relatieboek: the only module that reads the environment.

A setting `x_y` is read from `RELATIEBOEK_X_Y`; the two addresses have their customary names `NATS_URL` and
`DATABASE_URL`. An empty variable counts as not set. Secrets never show in `repr`, logs or errors.

In a process started by `relatieboek up`, and in the containers, `database_url` is the services' role. For `relatieboek
up` itself and for `relatieboek migrate` against an external server `DATABASE_URL` is the owner, which may create
roles and schemas.
"""

from __future__ import annotations

import os
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.errors import SetupError

SERVICES: Final = (
    "intake",
    "relation-view",
    "contact-alerts",
    "workflows",
    "team-timeline",
    "insight",
    "notary",
    "api",
)

# Steps of an escalation in working days: one to three, with commas.
_STEPS: Final = r"^[0-9]{1,3}(,[0-9]{1,3}){0,2}$"

_TIERS: Final = r"^[A-Z][A-Z0-9]{0,3}(,[A-Z][A-Z0-9]{0,3})*$"

# asyncpg takes no libpq parameters but these; what a URL says about TLS travels as `ssl`.
_ASYNCPG: Final = "postgresql+asyncpg://"
_PLAIN: Final = ("postgresql://", "postgres://", "postgresql+psycopg://", "postgresql+psycopg2://")


_CUSTOMARY: Final = {"database_url": "DATABASE_URL", "nats_url": "NATS_URL"}


def asyncpg_url(url: str) -> str:
    """`postgres(ql)://…` as SQLAlchemy with asyncpg wants it; `sslmode=` becomes `ssl=`. Idempotent."""
    for prefix in _PLAIN:
        if url.startswith(prefix):
            url = _ASYNCPG + url[len(prefix) :]
    return url.replace("?sslmode=", "?ssl=").replace("&sslmode=", "&ssl=")


class Settings(BaseSettings):
    """All settings, frozen. Build with `load()` in a command, with keyword arguments in a test."""

    model_config = SettingsConfigDict(
        env_prefix="RELATIEBOEK_", env_ignore_empty=True, populate_by_name=True, frozen=True, extra="ignore",
        hide_input_in_errors=True,
    )  # fmt: skip

    # Addresses. Empty: `up` starts its own servers under `data_dir`, other commands find those.
    database_url: str = Field(default="", repr=False, validation_alias=AliasChoices("database_url", "DATABASE_URL"))
    owner_database_url: str = Field(default="", repr=False)
    nats_url: str = Field(default="", repr=False, validation_alias=AliasChoices("nats_url", "NATS_URL"))
    nats_seed: SecretStr | None = None  # user `service`
    relay_nats_seed: SecretStr | None = None  # user `relay`, for intake only
    operations_nats_seed: SecretStr | None = None  # user `operations`, for repair by hand only; no service gets it

    # What the commands use with an instance elsewhere; of one on this machine they find it in credentials.json.
    url: str = ""  # of the API: https://…
    viewer_token: SecretStr | None = None
    department_nats_seed: SecretStr | None = None
    department_inbox_prefix: str = ""

    # This machine.
    data_dir: Path = Path("var")
    port: int = Field(default=8080, ge=1, le=65535)
    host: str = "127.0.0.1"
    replicas: Annotated[Literal[1, 3, 5], BeforeValidator(int)] = 1  # of every stream; 3 on a cluster
    trusted_proxies: str = ""  # addresses or networks, with commas: whose X-Forwarded-For and -Proto are believed
    tls_cert: Path | None = None  # PEM: certificate (with its chain) of page and API; without it they speak plain HTTP
    tls_key: Path | None = None  # PEM: its private key
    ca: Path | None = None  # PEM: who signs the certificates of NATS (tls://) and of the API; else the system's list
    nats_port: int = Field(default=4222, ge=1, le=65535)
    http_port: int | None = Field(
        default=None, ge=1, le=65535
    )  # /metrics, /healthz and /readyz of a service without pages
    up_pid: int | None = Field(default=None, ge=1)  # the `up` that stops this process; SIGINT is its business

    # Secrets of the book.
    lookup_key: SecretStr | None = None  # 32 bytes in hex: finds a person's reference without storing the id
    key_ring: SecretStr | None = None  # id:key,id:key, the newest first: key-encryption keys, 32 bytes in hex each
    key_ring_file: Path | None = None  # the same in a file, which is read again when it changes
    key_ring_command: str = Field(default="", repr=False)  # a command that prints it, as that of a KMS; no shell
    pkcs11_module: Path | None = None  # the library of a token that wraps keys itself; a ring then only opens
    pkcs11_token: str = ""  # the token's label
    pkcs11_pin: SecretStr | None = None  # of its user
    pkcs11_pin_file: Path | None = None  # the same in a file; goes before pkcs11_pin
    pkcs11_opens_only: bool = False  # the other way round: the ring wraps, the token only opens
    pkcs11_within_s: float = Field(default=10.0, gt=0, le=60)  # a hundred keys; then the token counts as out
    service_password: SecretStr | None = None  # of role relatieboek_service, when migrations create it

    # The notary, for that service only.
    notary_key: SecretStr | None = None  # 32 bytes in hex: the Ed25519 key that signs checkpoints
    notary_name: str = Field(default="relatieboek/notary", pattern=r"^[^\s+]{1,100}$")
    notary_every_s: float = Field(default=60.0, gt=0)
    checkpoints: Path | None = None  # the file of what was signed; without it <data_dir>/checkpoints

    # Sign-in elsewhere (OpenID Connect), for the api only; without an issuer people sign in with accounts of the book.
    oidc_issuer: str = ""  # as the provider writes itself
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr | None = None  # none: a public client, PKCE alone
    oidc_redirect_url: str = ""  # <public address>/sign-in/return
    oidc_audience: str = ""  # of access tokens (JWT) that /v1 takes; none: it takes none
    oidc_scope: str = "openid profile"
    oidc_name_claim: str = "preferred_username"  # a claim, or a path as realm_access.roles
    oidc_roles_claim: str = "roles"
    oidc_teams_claim: str = "teams"
    oidc_department_claim: str = "department"
    oidc_employee_claim: str = "employee"
    oidc_mapping: Path | None = None  # TOML: [roles] and [teams], value = […]; none: values mean themselves

    # The access log (NEN 7513).
    access_log_months: int = Field(default=60, ge=12, le=1_200)  # kept; older whole months are pruned
    access_log_within_s: float = Field(default=2.0, gt=0, le=30)  # an answer that cannot be logged by then is a 503
    access_log_queue: int = Field(default=2_000, ge=1)  # answers that wait for their record, in one process

    # Privacy.
    erasures: Path | None = None  # the list of who was erased; without it <data_dir>/erasures
    retention: str = ""  # family=period,family=period: how long texts can be read; without it for ever

    # The institution and its rules.
    institution: str = Field(default="00000000000000000000", pattern=r"^\d{20}$")  # OIN
    clock: datetime | None = None
    tiers: str = Field(default="A,B", pattern=_TIERS)  # those that a relation can have, with commas
    good_friday_free: bool = False
    default_lead_days: int = Field(default=10, ge=0, le=365)
    silent_working_days: int = Field(default=5, ge=1, le=260)  # a department that says nothing so long is flagged
    snooze_working_days: int = Field(default=20, ge=1, le=260)  # how far an alert can be put off
    snoozes: int = Field(default=3, ge=0, le=50)  # and how often; events.alert_rules.MOST_SNOOZES

    # Digests: one mail a working day for each owner. Without smtp_host they wait in the outbox for a relay of your own.
    digest_hour: int = Field(default=8, ge=0, le=23)  # in Amsterdam
    mail_addresses: Path | None = None  # TOML: [employees] "e-12" = "…@…", and board = ["…@…"]
    mail_from: str = "relatieboek@localhost"
    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_user: str = ""
    smtp_password: SecretStr | None = None
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"

    # Thresholds of the workflows (projections.workflows.thresholds says the same; escalation: working days, ascending).
    loop_due_working_days: int = Field(default=2, ge=0, le=260)
    loop_escalation_working_days: str = Field(default="2,5", pattern=_STEPS)
    loop_max_age_days: int = Field(default=90, ge=0, le=3_650)
    alert_escalation_working_days: str = Field(default="5,10", pattern=_STEPS)
    incomplete_grace_working_days: int = Field(default=20, ge=0, le=260)
    satisfaction_months: int = Field(default=12, ge=1, le=120)
    satisfaction_fall_pct: float = Field(default=5.0, ge=0, le=100)
    neglected_after_months: int = Field(default=3, ge=0, le=120)
    neglected_min_others: int = Field(default=5, ge=1, le=10_000)
    plan_review_months: int = Field(default=12, ge=1, le=120)
    agreement_notice_months: int = Field(default=6, ge=1, le=120)
    programme_stale_months: int = Field(default=3, ge=1, le=120)
    programme_decision_working_days: int = Field(default=10, ge=0, le=260)
    guarantor_working_days: int = Field(default=10, ge=0, le=260)
    schedule_working_days: int = Field(default=10, ge=0, le=260)

    # Bounds.
    max_unrelayed: int = Field(default=10_000, ge=1)
    max_queued: int = Field(default=20_000, ge=1)  # events in intake's memory, waiting for their batch
    parked_days: int = Field(default=30, ge=1)
    rejected_days: int = Field(default=30, ge=1)
    tick_s: float = Field(default=1.0, gt=0)  # between two due-date ticks of contact-alerts
    batch: int = Field(default=1_000, ge=1, le=1_000)  # JetStream takes at most 1,000 messages in an atomic batch
    feed_batch: int = Field(default=2_000, ge=1, le=20_000)  # events a projection folds in one transaction

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_json: bool = False
    otlp_endpoint: str | None = None  # where traces go (OTLP over HTTP); nothing is traced without it
    trace_ratio: float = Field(default=0.05, ge=0, le=1)

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, text: str) -> str:
        for part in filter(None, text.split(",")):
            ip_network(part)  # raises ValueError
        return text

    @field_validator("database_url", "owner_database_url")
    @classmethod
    def _asyncpg(cls, url: str) -> str:
        url = asyncpg_url(url)
        if url and not url.startswith(_ASYNCPG):
            raise ValueError("must start with postgresql://")
        return url

    @field_validator("nats_url")
    @classmethod
    def _nats(cls, url: str) -> str:
        schemes = {one.partition("://")[0] for one in url.split(",")}
        if url and schemes not in ({"nats"}, {"tls"}):
            raise ValueError("must start with nats:// or tls://, all servers with the same")
        return url

    @field_validator("clock")
    @classmethod
    def _aware(cls, at: datetime | None) -> datetime | None:
        if at is not None and at.tzinfo is None:
            raise ValueError("needs an offset, as in 2026-06-30T12:00:00+02:00")
        return at

    @field_validator("lookup_key", "notary_key")
    @classmethod
    def _hex32(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            try:
                raw = bytes.fromhex(key.get_secret_value())
            except ValueError:
                raw = b""
            if len(raw) != 32:
                raise ValueError("must be 32 bytes in hex (64 characters)")
        return key

    @field_validator("nats_seed", "relay_nats_seed", "operations_nats_seed")
    @classmethod
    def _user_seed(cls, seed: SecretStr | None) -> SecretStr | None:
        if seed is not None and not seed.get_secret_value().startswith("SU"):
            raise ValueError("must be the nkey seed of a user (SU…)")
        return seed

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("RELATIEBOEK_TLS_CERT and RELATIEBOEK_TLS_KEY go together")
        return self

    @model_validator(mode="after")
    def _token(self) -> Self:
        if self.pkcs11_module and not (self.pkcs11_token and (self.pkcs11_pin or self.pkcs11_pin_file)):
            raise ValueError("RELATIEBOEK_PKCS11_MODULE needs RELATIEBOEK_PKCS11_TOKEN, and _PIN or _PIN_FILE")
        return self

    @model_validator(mode="after")
    def _provider(self) -> Self:
        if not self.oidc_issuer:
            return self
        for name in ("oidc_issuer", "oidc_redirect_url"):
            url = urlsplit(str(getattr(self, name)))
            loopback = url.scheme == "http" and url.hostname in {"127.0.0.1", "localhost", "::1"}
            if not url.hostname or (url.scheme != "https" and not loopback):
                raise ValueError(f"RELATIEBOEK_{name.upper()} must be an https address")
        if not self.oidc_client_id or self.oidc_audience == self.oidc_client_id:
            raise ValueError("RELATIEBOEK_OIDC_CLIENT_ID is needed, and RELATIEBOEK_OIDC_AUDIENCE is another name")
        return self

    @property
    def tier_set(self) -> frozenset[str]:
        return frozenset(self.tiers.split(","))

    @property
    def http_scheme(self) -> str:
        return "https" if self.tls_cert else "http"

    @property
    def lookup_key_bytes(self) -> bytes:
        """The 32 bytes of `lookup_key`; `SetupError` when it is not set."""
        if self.lookup_key is None:
            raise SetupError("RELATIEBOEK_LOOKUP_KEY is niet gezet: 32 bytes in hex, voor alle diensten dezelfde")
        return bytes.fromhex(self.lookup_key.get_secret_value())

    @property
    def credentials_path(self) -> Path:
        return self.data_dir / "credentials.json"

    @property
    def checkpoints_path(self) -> Path:
        return self.checkpoints or self.data_dir / "checkpoints"

    @property
    def erasures_path(self) -> Path:
        return self.erasures or self.data_dir / "erasures"

    @property
    def origin(self) -> str:
        """What the notary's checkpoints are about."""
        return f"relatieboek/{self.institution}"

    @property
    def access_checkpoints_path(self) -> Path:
        """The notary's file of what it signed of the access log, beside that of the book."""
        path = self.checkpoints_path
        return path.with_name(f"{path.name}.access-log")

    @property
    def access_log_origin(self) -> str:
        """What the notary's heads of the access log are about."""
        return f"{self.origin}/access-log"

    def source_of(self, service: str) -> str:
        """The CloudEvents source under which one of the book's own services publishes."""
        return f"urn:nld:oin:{self.institution}:systeem:relatieboek-{service}"


def environment() -> dict[str, str]:
    """This process's environment, for a child that is to have the same."""
    return dict(os.environ)


def others_environment() -> dict[str, str]:
    """This process's environment without any setting of the book, for a program that is not the book's."""
    return {k: v for k, v in os.environ.items() if not k.startswith("RELATIEBOEK_") and k not in _CUSTOMARY.values()}


def as_environment(settings: Settings) -> dict[str, str]:
    """The environment of a process that is to have exactly these settings: this one's, with ours replaced."""
    kept = others_environment()
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        elif isinstance(value, datetime):
            value = value.isoformat()
        if value is not None and value != "":
            kept[_CUSTOMARY.get(name, f"RELATIEBOEK_{name.upper()}")] = str(value)
    return kept


def load(**given: Any) -> Settings:
    """Settings from the environment, with what the command line gave on top. `SetupError` names what is wrong."""
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = "; ".join(f"{_variable(e['loc'])} {e['msg'].removeprefix('Value error, ')}" for e in error.errors())
        raise SetupError(f"Instelling onjuist: {wrong}") from None


def _variable(loc: tuple[int | str, ...]) -> str:
    name = str(loc[0]) if loc else "settings"
    return name if name.isupper() else f"RELATIEBOEK_{name.upper()}"
