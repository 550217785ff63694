"""Signing in by OpenID Connect, against a real provider on loopback: as it should go, and as it should not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import SetupError
from services.identity.claims import Claims
from services.identity.oidc import ALGORITHMS
from services.settings import Settings, load
from tests.oidc_provider import CLIENT, SECRET, Json, Provider, providing
from tests.running_book import Book, running

AUDIENCE = "urn:relatieboek:api"


def told(settings: Settings, provider: Provider, **more: Any) -> Settings:
    told: dict[str, Any] = {
        "oidc_issuer": provider.issuer, "oidc_client_id": CLIENT, "oidc_client_secret": SecretStr(SECRET),
        "oidc_redirect_url": f"http://127.0.0.1:{settings.port}/sign-in/return", "oidc_audience": AUDIENCE, **more,
    }  # fmt: skip
    return settings.model_copy(update=told)


async def go(browser: httpx.AsyncClient) -> httpx.Response:
    """To the provider and back, as a browser goes; what comes back at last."""
    sent = await browser.get("/sign-in/elsewhere")
    assert sent.status_code == 303
    back = await browser.get(sent.headers["location"])
    return await browser.get(back.headers["location"])


def browser_of(book: Book) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=book.client.base_url, timeout=30)


async def test_signing_in_elsewhere(settings: Settings, engine: AsyncEngine, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[roles]\n"GG-Bestuur" = ["board"]\n"GG-Wmo" = ["team_lead"]\n[teams]\n"GG-Wmo" = ["wmo"]\n')
    claims = {"preferred_username": "anna", "groups": ["GG-Wmo", "GG-Anders"], "afdeling": {"naam": "zorg"}}
    async with providing(**claims) as provider:
        names = {"oidc_roles_claim": "groups", "oidc_teams_claim": "groups", "oidc_department_claim": "afdeling.naam"}
        async with running(told(settings, provider, oidc_mapping=mapping, **names), ["api"]) as book:
            await signs_in(book, engine)
            await refuses_tokens(book, provider)
            await refuses_other_ways_back(book, provider)
            await takes_access_tokens(book, provider)


async def signs_in(book: Book, engine: AsyncEngine) -> None:
    async with browser_of(book) as browser:
        assert "/sign-in/elsewhere" in (await browser.get("/")).text
        answer = await go(browser)
        assert answer.status_code == 200
        assert 'http-equiv="refresh"' in answer.text
        me = (await browser.get("/v1/session")).json()
        assert (me["name"], me["roles"], me["teams"], me["department"]) == ("anna", ["team_lead"], ["wmo"], "zorg")
        assert (await browser.get("/v1/alerts")).status_code == 200
        assert (await browser.get("/metrics")).status_code == 403
        assert (await browser.post("/sign-out", data={"csrf": me["csrf"]})).status_code == 303
        assert (await browser.get("/v1/session")).status_code == 401
    async with engine.connect() as conn:
        assert await conn.scalar(text("SELECT count(*) FROM identity.flow")) == 0


def changing(**claims: Any) -> Callable[[Json, Json], None]:
    def tamper(header: Json, said: Json) -> None:
        said.update({k: v for k, v in claims.items() if v is not None})
        for gone in [k for k, v in claims.items() if v is None]:
            said.pop(gone, None)

    return tamper


def signing_with(algorithm: str) -> Callable[[Json, Json], None]:
    def tamper(header: Json, said: Json) -> None:
        header["alg"] = algorithm

    return tamper


_DAY_S = 86_400  # this module is read when the tests begin, and they may take long
FALSE = {
    "wrong issuer": changing(iss="https://elsewhere.example"),
    "no issuer": changing(iss=None),
    "wrong audience": changing(aud="another"),
    "two audiences, none said to be the party": changing(aud=[CLIENT, "another"]),
    "for another party": changing(aud=[CLIENT, "another"], azp="another"),
    "expired": changing(exp=int(time.time()) - _DAY_S),
    "without an end": changing(exp=None),
    "made in the future": changing(iat=int(time.time()) + _DAY_S),
    "not valid yet": changing(nbf=int(time.time()) + _DAY_S),
    "wrong nonce": changing(nonce="another"),
    "no nonce": changing(nonce=None),
    "nobody": changing(sub=None),
    "alg none": signing_with("none"),
    "HS256 with the public key": signing_with("HS256"),
}


async def refuses_tokens(book: Book, provider: Provider) -> None:
    untouched, exchanged = provider.tamper, provider.exchanged
    for name, tamper in FALSE.items():
        provider.tamper = tamper
        async with browser_of(book) as browser:
            answer = await go(browser)
            assert answer.status_code == 401, name
            assert (await browser.get("/v1/session")).status_code == 401, name
    assert provider.exchanged == exchanged + len(FALSE)
    provider.tamper = untouched
    forged, own = RSAKey.generate_key(2048, {"kid": "k-1"}), provider.key
    await _keys_of(book, provider)
    provider.key = forged
    async with browser_of(book) as browser:  # signed by a key that the provider did not publish
        token = provider.sign(aud=AUDIENCE)
        provider.key = own
        assert (await browser.get("/v1/session", headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def _keys_of(book: Book, provider: Provider) -> None:
    answer = await book.get("/v1/session", token=provider.sign(aud=AUDIENCE))
    assert answer.status_code == 200


async def refuses_other_ways_back(book: Book, provider: Provider) -> None:
    async with browser_of(book) as browser, browser_of(book) as other:
        sent = await browser.get("/sign-in/elsewhere")
        assert "HttpOnly" in sent.headers["set-cookie"]
        back = (await browser.get(sent.headers["location"])).headers["location"]
        query = {k: v[0] for k, v in parse_qs(urlsplit(back).query).items()}
        # Another browser, without the cookie, and with the cookie of a sign-in of its own.
        assert (await other.get(back)).status_code == 401
        await other.get("/sign-in/elsewhere")
        assert (await other.get(back)).status_code == 401
        for wrong in ({**query, "state": "another"}, {k: v for k, v in query.items() if k != "state"}):
            kept = dict(browser.cookies)
            assert (await browser.get("/sign-in/return", params=wrong)).status_code == 401
            browser.cookies.update(kept)
        cookies = dict(browser.cookies)
        assert (await browser.get(back)).status_code == 200
        # The same code and state once more, also with the cookie that was taken away.
        browser.cookies.clear()
        browser.cookies.update(cookies)
        exchanged = provider.exchanged
        assert (await browser.get(back)).status_code == 401
        assert provider.exchanged == exchanged
    for change in ({"iss": "https://elsewhere.example"}, {"code": "made-up"}, {"code": None, "error": "access_denied"}):
        async with browser_of(book) as browser:
            sent = await browser.get("/sign-in/elsewhere")
            back = (await browser.get(sent.headers["location"])).headers["location"]
            query = {k: v[0] for k, v in parse_qs(urlsplit(back).query).items()} | change
            answer = await browser.get("/sign-in/return", params={k: v for k, v in query.items() if v is not None})
            assert answer.status_code == 401
            assert (await browser.get("/v1/session")).status_code == 401


async def takes_access_tokens(book: Book, provider: Provider) -> None:
    async def status_with(token: str) -> int:
        return (await book.get("/v1/alerts", token=token)).status_code

    assert await status_with(provider.sign(aud=AUDIENCE)) == 200
    assert await status_with(provider.sign(aud=[AUDIENCE, "another"])) == 200
    # An ID token is for the client, and is no access token.
    assert await status_with(provider.sign(aud=CLIENT, nonce="n")) == 401
    for name in ("wrong issuer", "no issuer", "expired", "without an end", "nobody", "alg none"):
        provider.tamper = FALSE[name]
        assert await status_with(provider.sign(aud=AUDIENCE)) == 401, name
    provider.tamper = FALSE["HS256 with the public key"]
    assert await status_with(provider.sign(aud=AUDIENCE)) == 401
    provider.tamper = changing(groups=["GG-Bestuur"])
    assert (await book.get("/v1/session", token=provider.sign(aud=AUDIENCE))).json()["roles"] == ["board"]
    provider.tamper = changing(groups=["GG-Niets"])
    assert await status_with(provider.sign(aud=AUDIENCE)) == 403
    provider.tamper = changing()


@pytest.mark.parametrize("kind", ["EC", "OKP"])
async def test_other_keys(settings: Settings, kind: str) -> None:
    name: Any = {"kid": "k-1"}
    async with providing(roles=["auditor"]) as provider:
        provider.key = ECKey.generate_key("P-256", name) if kind == "EC" else OKPKey.generate_key("Ed25519", name)
        async with running(told(settings, provider), ["api"]) as book, browser_of(book) as browser:
            assert (await go(browser)).status_code == 200
            assert (await browser.get("/v1/session")).json()["roles"] == ["auditor"]


async def test_a_provider_that_is_out_or_another(settings: Settings) -> None:
    async with providing() as provider:
        async with running(told(settings, provider, oidc_issuer=f"{provider.issuer}/"), ["api"]) as book:
            assert (await book.client.get("/sign-in/elsewhere")).status_code == 503
    async with running(told(settings, provider), ["api"]) as book:
        answer = await book.client.get("/sign-in/elsewhere")
        assert answer.status_code == 503
        assert "antwoordt niet" in answer.text


async def test_nobody_signs_in_elsewhere_where_nothing_is_set(settings: Settings) -> None:
    async with running(settings, ["api"]) as book:
        assert "/sign-in/elsewhere" not in (await book.client.get("/")).text
        for path in ("/sign-in/elsewhere", "/sign-in/return?code=x&state=y"):
            assert (await book.client.get(path)).status_code == 404


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    assert not [a for a in ALGORITHMS if a.startswith("HS") or a == "none"]
    for wrong in (
        {"oidc_issuer": "http://elsewhere.example"}, {"oidc_issuer": "ftp://x"},
        {"oidc_issuer": "https://i.example", "oidc_client_id": "c"},
        {"oidc_issuer": "https://i.example", "oidc_redirect_url": "https://b.example/x"},
        {
            "oidc_issuer": "https://i.example", "oidc_client_id": "c", "oidc_redirect_url": "https://b.example/x",
            "oidc_audience": "c",
        },
    ):  # fmt: skip
        with pytest.raises(SetupError):
            load(**wrong)
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[roles]\n"x" = ["baas"]\n')
    with pytest.raises(SetupError, match="baas"):
        Claims.of(Settings(oidc_mapping=mapping))
