"""A small real OpenID Connect provider on loopback, with keys of its own: signs everybody in at once, as it is told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from services.listen import listening
from tests.ports import free_port

CLIENT = "relatieboek"
SECRET = "geheim van de cliënt"
Json = dict[str, Any]


def _nothing(header: Json, claims: Json) -> None:
    """Signs what it should."""


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@dataclass(slots=True)
class Provider:
    """`claims` are added to those of every token; `tamper` changes header and claims before they are signed."""

    issuer: str
    claims: Json = field(default_factory=dict[str, Any])
    tamper: Callable[[Json, Json], None] = _nothing
    key: RSAKey | ECKey | OKPKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k-1"}))
    codes: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    exchanged: int = 0

    def sign(self, **claims: Any) -> str:
        """A token for these claims, on top of the usual ones."""
        now = int(time.time())
        header: Json = {"alg": self._algorithm(), "kid": "k-1"}
        said: Json = {"iss": self.issuer, "sub": "s-1", "iat": now, "exp": now + 300, **self.claims, **claims}
        self.tamper(header, said)
        unsigned = [_encoded(json.dumps(part).encode()) for part in (header, said)]
        match header["alg"]:
            case "none":
                return ".".join([*unsigned, ""])
            case "HS256":  # signed with what everybody knows: the public key. The library refuses to make such a thing.
                public: bytes = self.key.as_pem(private=False)
                return ".".join([*unsigned, _encoded(hmac.digest(public, ".".join(unsigned).encode(), "sha256"))])
            case algorithm:
                return jwt.encode(header, said, self.key, algorithms=[algorithm])

    def _algorithm(self) -> str:
        return "RS256" if isinstance(self.key, RSAKey) else "ES256" if isinstance(self.key, ECKey) else "Ed25519"

    async def describe(self, request: Request) -> Response:
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return JSONResponse({"issuer": self.issuer, **{n: f"{self.issuer}/{path}" for n, path in names.items()}})

    async def keys(self, request: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False, use="sig")]})

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", status_code=302)

    async def token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self.codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        login = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        if (
            asked is None
            or asked["code_challenge"].encode() != challenge
            or asked["redirect_uri"] != form["redirect_uri"]
            or login != f"{CLIENT}:geheim%20van%20de%20cli%C3%ABnt"
        ):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        self.exchanged += 1
        token = self.sign(aud=CLIENT, nonce=asked["nonce"])
        return JSONResponse({"access_token": "opaque", "token_type": "Bearer", "id_token": token})


@asynccontextmanager
async def providing(**claims: Any) -> AsyncGenerator[Provider]:
    """A provider that answers while the block runs."""
    port = free_port()
    provider = Provider(f"http://127.0.0.1:{port}", claims)
    routes = [
        Route("/.well-known/openid-configuration", provider.describe), Route("/keys", provider.keys),
        Route("/authorize", provider.authorize), Route("/token", provider.token, methods=["POST"]),
    ]  # fmt: skip
    async with listening(Starlette(routes=routes), "127.0.0.1", port):
        yield provider
