"""Sign-in elsewhere by OpenID Connect: the authorization code flow with PKCE, state and nonce; and access tokens (JWT).

Only the issuer of the settings is believed, and of its tokens only signatures by its published keys under ALGORITHMS:
never `none`, and never a shared secret, for which a public key could be taken. Sources: OpenID Connect Core 1.0
(sections 3.1.2 and 3.1.3), RFC 7636, RFC 8725, RFC 9068, RFC 9207.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx
import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from events.clock import system_now
from events.errors import Unavailable
from events.tables import person_key
from projections.viewer import Viewer
from services.identity.claims import Claims, NotSignedIn
from services.identity.profiles import viewer_with
from services.identity.sessions import Login
from services.identity.tables import flow
from services.settings import Settings

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
FLOW: Final = timedelta(minutes=10)
LEEWAY_S: Final = 60
_TIMEOUT_S: Final = 10.0
_MAX_BYTES: Final = 1024 * 1024
_MAX_TOKEN_CHARS: Final = 16 * 1024
_PROVIDER_AGE_S: Final = 3600.0
_KEYS_AGE_S: Final = 600.0
_KEYS_AGAIN_S: Final = 30.0  # an unknown key is looked for again, but not for every token that somebody makes up
_MAX_REASON: Final = 100


@dataclass(frozen=True, slots=True)
class Started:
    """Where the browser goes, and the state that only it may come back with."""

    url: str
    state: str


class Oidc:
    """One provider, as the settings name it. Safe to share between requests of one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._claims = Claims.of(settings)
        self._provider: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def start(self, engine: AsyncEngine) -> Started:
        """Begins a sign-in. Raises Unavailable when the provider does not answer."""
        provider, now = await self._known_provider(), system_now()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        row = {"state_hash": _hash(state), "nonce": nonce, "verifier": verifier, "began_at": now}
        async with engine.begin() as conn:
            await conn.execute(delete(flow).where(flow.c.began_at <= now - FLOW))
            await conn.execute(insert(flow).values(row))
        settings = self._settings
        asked = {
            "response_type": "code", "client_id": settings.oidc_client_id, "redirect_uri": settings.oidc_redirect_url,
            "scope": settings.oidc_scope, "state": state, "nonce": nonce, "code_challenge_method": "S256",
            "code_challenge": _challenge(verifier),
        }  # fmt: skip
        address: str = provider["authorization_endpoint"]
        return Started(f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", state)

    async def finish(self, engine: AsyncEngine, state: str, query: Mapping[str, str]) -> Login:
        """Who came back with this query, to the browser that holds `state`. Once only.

        Raises NotSignedIn, and Unavailable when the provider does not answer.
        """
        if not state or not hmac.compare_digest(state.encode(), query.get("state", "").encode()):
            raise NotSignedIn("state")
        gone = delete(flow).where(flow.c.state_hash == _hash(state), flow.c.began_at > system_now() - FLOW)
        async with engine.begin() as conn:
            began: Any = (await conn.execute(gone.returning(flow.c.nonce, flow.c.verifier))).one_or_none()
        if began is None:
            raise NotSignedIn("state used or expired")
        if query.get("iss", self._settings.oidc_issuer) != self._settings.oidc_issuer:
            raise NotSignedIn("iss of the answer")
        if "code" not in query:
            raise NotSignedIn("no code")
        token = await self._exchange(query["code"], began.verifier)
        claims = await self._verified(token, self._settings.oidc_client_id, nonce=began.nonce)
        said = self._claims.read(claims, self._settings.lookup_key_bytes)
        profile = {
            "name": said.name, "ref": said.ref, "roles": list(said.roles), "teams": list(said.teams),
            "department": said.department,
        }  # fmt: skip
        return Login(f"oidc:{said.ref}", profile=profile, employee=said.employee)

    def may_know(self, token: str) -> bool:
        """Whether this looks like an access token of the provider, and such tokens are taken."""
        return bool(self._settings.oidc_audience) and token.count(".") == 2 and token.startswith("ey")

    async def viewer_of(self, engine: AsyncEngine, token: str) -> Viewer | None:
        """Whose access token this is, or None. Raises Unavailable when the provider's keys cannot be had."""
        try:
            claims = await self._verified(token, self._settings.oidc_audience)
            said = self._claims.read(claims, self._settings.lookup_key_bytes)
        except NotSignedIn:
            return None
        employee: str | None = None
        if said.employee is not None:
            query = select(person_key.c.ref).where(
                person_key.c.lookup == said.employee, person_key.c.erased_by.is_(None)
            )
            async with engine.connect() as conn:
                employee = await conn.scalar(query)
        return viewer_with(said.name, said.ref, said.roles, said.teams, said.department, employee)

    async def _verified(self, token: str, audience: str, *, nonce: str | None = None) -> Mapping[str, Any]:
        """The claims of a token that the provider signed, for this audience, now. Raises NotSignedIn."""
        if len(token) > _MAX_TOKEN_CHARS:
            raise NotSignedIn("too long")
        try:
            decoded = await self._decoded(token)
        except (JoseError, ValueError) as error:
            raise NotSignedIn(type(error).__name__) from None
        wanted: dict[str, Any] = {
            "iss": {"essential": True, "value": self._settings.oidc_issuer},
            "aud": {"essential": True, "value": audience},
            "sub": {"essential": True}, "exp": {"essential": True}, "iat": {"essential": True},
        }  # fmt: skip
        if nonce is not None:
            wanted["nonce"] = {"essential": True, "value": nonce}
        claims: dict[str, Any] = decoded.claims
        try:
            jwt.JWTClaimsRegistry(leeway=LEEWAY_S, **wanted).validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            raise NotSignedIn(str(error)[:_MAX_REASON]) from None
        said_for: Any = claims["aud"]
        several = not isinstance(said_for, str) and len(said_for) > 1
        if nonce is not None and claims.get("azp", None if several else audience) != audience:
            raise NotSignedIn("azp")
        return claims

    async def _decoded(self, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, await self._known_keys(_KEYS_AGE_S), algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            held_at = self._keys[0] if self._keys is not None else 0.0
            if time.monotonic() - held_at < _KEYS_AGAIN_S:
                raise
            # The provider may have a new key.
            return jwt.decode(token, await self._known_keys(_KEYS_AGAIN_S), algorithms=list(ALGORITHMS))

    async def _known_keys(self, max_age_s: float) -> KeySet:
        if self._keys is None or time.monotonic() - self._keys[0] >= max_age_s:
            asked_at = time.monotonic()
            published = await self._get((await self._known_provider())["jwks_uri"])
            listed: list[Any] = [k for k in published.get("keys", []) if k.get("kty") in {"RSA", "EC", "OKP"}]
            try:
                self._keys = (asked_at, KeySet.import_key_set({"keys": listed}))
            except (JoseError, ValueError) as error:
                raise Unavailable("The sign-in service publishes keys that cannot be read.", 60) from error
        return self._keys[1]

    async def _known_provider(self) -> Mapping[str, Any]:
        """The provider's own description. Raises Unavailable when it is not there, or is another's."""
        if self._provider is None or time.monotonic() - self._provider[0] >= _PROVIDER_AGE_S:
            asked_at, issuer = time.monotonic(), self._settings.oidc_issuer
            found = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            plain = urlsplit(issuer).scheme == "http"  # settings allow that on loopback only
            if found.get("issuer") != issuer or not all(_is_address(found.get(n), plain=plain) for n in names):
                raise Unavailable("The sign-in service describes itself as another.", 60)
            self._provider = (asked_at, found)
        return self._provider[1]

    async def _exchange(self, code: str, verifier: str) -> str:
        settings = self._settings
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": settings.oidc_redirect_url,
            "code_verifier": verifier,
        }  # fmt: skip
        auth = None
        if settings.oidc_client_secret is None:
            form["client_id"] = settings.oidc_client_id
        else:
            # RFC 6749 section 2.3.1: both are form-encoded first.
            secret = settings.oidc_client_secret.get_secret_value()
            auth = httpx.BasicAuth(quote(settings.oidc_client_id, safe=""), quote(secret, safe=""))
        status, body = await _ask("POST", (await self._known_provider())["token_endpoint"], data=form, auth=auth)
        token = _object(body).get("id_token")
        if status != 200 or not isinstance(token, str):
            raise NotSignedIn(f"token endpoint: {status}")
        return token

    async def _get(self, url: str) -> dict[str, Any]:
        status, body = await _ask("GET", url)
        if status != 200:
            raise Unavailable(f"The sign-in service answers {status}.", 10)
        return _object(body)


async def _ask(method: str, url: str, **more: Any) -> tuple[int, bytes]:
    """Status and body, within bounds of time and size; goes nowhere else. Raises Unavailable."""
    body = bytearray()
    try:
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False) as client,
            client.stream(method, url, headers={"Accept": "application/json"}, **more) as answer,
        ):
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > _MAX_BYTES:
                    raise Unavailable("The sign-in service says too much.", 60)
            return answer.status_code, bytes(body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable("The sign-in service does not answer.", 10) from error


def _object(body: bytes) -> dict[str, Any]:
    try:
        found: Any = orjson.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]  a JSON document


def _is_address(value: object, *, plain: bool) -> bool:
    return isinstance(value, str) and urlsplit(value).scheme in ({"https", "http"} if plain else {"https"})


def _hash(state: str) -> bytes:
    return hashlib.sha256(state.encode()).digest()


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
