"""Which Relatieboek a command is about: one that runs on this machine, or one that the environment names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from pydantic import SecretStr

from events.errors import NotFound, SetupError, Unavailable
from services.access_log.operations import ACTING_FOR
from services.cli.reads import os_user
from services.dutch_problems import errors_in_dutch, title_in_dutch
from services.embedded import credentials
from services.embedded.credentials import Credentials
from services.embedded.datadir import holder
from services.send import Login
from services.settings import Settings, load
from services.tls import client_context

VIEWER: Final = "all"
_READ_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Instance:
    """`settings` are those of the environment and the options; `held` is what the data directory holds."""

    settings: Settings
    held: Credentials

    @property
    def url(self) -> str:
        """Where the API is: as set, else as a running `up` says, else where one would be."""
        settings = self.settings
        return settings.url or holder(settings.data_dir) or f"{settings.http_scheme}://{settings.host}:{settings.port}"

    def get(self, path: str, **params: Any) -> Any:
        """One JSON document over HTTP, with the token of the viewer who sees everything.

        Raises NotFound, Unavailable and SetupError as the answer says, and httpx's errors when there is none.
        """
        token = _plain(self.settings.viewer_token) or self.held.http.viewers.get(VIEWER)
        if token is None:
            raise SetupError(
                f"Geen Relatieboek gevonden in {self.settings.data_dir}. Start het met `relatieboek up`, wijs de map "
                "aan met --data-dir, of zet RELATIEBOEK_URL en RELATIEBOEK_VIEWER_TOKEN."
            )
        asked = {k: v for k, v in params.items() if v is not None}
        verify = client_context(self.settings.ca) if self.url.startswith("https://") else True
        headers = {"Authorization": f"Bearer {token}", "User-Agent": "relatieboek-cli", ACTING_FOR: f"os:{os_user()}"}
        with httpx.Client(base_url=self.url, timeout=_READ_S, headers=headers, verify=verify) as client:
            answer = client.get(path, params=asked)
        if answer.is_success:
            return answer.json()
        raise _refusal(answer, asked.get("relation") or asked.get("alert") or path.rsplit("/v1/", 1)[-1])

    def login(self, department: str | None, url: str | None) -> Login:
        """How to send as a department; the only one that there is when none is named."""
        known = self.held.nats.departments
        if department is None and len(known) == 1:
            department = next(iter(known))
        if department is None:
            names = f" Bekend zijn hier: {', '.join(sorted(known))}." if known else ""
            raise SetupError(f"Welke afdeling verstuurt? Geef --department NAAM.{names}")
        address = url or self.settings.nats_url or self.held.nats.url
        if not address:
            raise SetupError("Waar is NATS? Start `relatieboek up`, of geef --url nats://… of NATS_URL.")
        seed = _plain(self.settings.department_nats_seed)
        if seed is not None:
            prefix = self.settings.department_inbox_prefix or None
            return Login(address, department, seed, prefix, ca=self.settings.ca)
        if department not in known:
            raise SetupError(
                f"Afdeling {department} heeft hier geen sleutel. Maak haar met `relatieboek department add`, of "
                "zet RELATIEBOEK_DEPARTMENT_NATS_SEED."
            )
        entry = known[department]
        return Login(
            address, department, entry.nkey_seed, entry.inbox_prefix, entry.user, entry.password, self.settings.ca
        )

    def complete(self) -> Settings:
        """Settings with the addresses and keys of both engines.

        Raises SetupError when they are not to be found, or when they are this directory's own and no `up` runs there.
        """
        settings = credentials.complete(self.settings)
        internal = self.held.internal
        own = internal is not None and bool(internal.postgres_port) and not self.settings.database_url
        if own and holder(self.settings.data_dir) is None:
            raise SetupError(
                f"Relatieboek draait niet in {self.settings.data_dir}. Start het met `relatieboek up`, of wijs een "
                "andere map aan met --data-dir."
            )
        return settings


def find(data_dir: Path | None) -> Instance:
    """The instance in `data_dir`, else as the environment says, else in `./var`. Does not look whether it runs."""
    settings = load(data_dir=data_dir) if data_dir is not None else load()
    return Instance(settings, credentials.read(settings.credentials_path) or Credentials())


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def _refusal(answer: httpx.Response, what: str) -> Exception:
    try:
        problem: dict[str, Any] = answer.json()
    except ValueError:
        problem = {}
    errors = errors_in_dutch(problem).replace("/query/", "")
    detail = errors or title_in_dutch(problem) or answer.reason_phrase
    match answer.status_code:
        case 404:
            return NotFound(what)
        case 401:
            return SetupError("Het token is niet (meer) geldig. Is dit de goede map of RELATIEBOEK_VIEWER_TOKEN?")
        case 429 | 503:
            return Unavailable(detail, float(answer.headers.get("Retry-After", "1")))
        case _:
            return SetupError(f"Relatieboek weigert de vraag ({answer.status_code}): {detail}")
