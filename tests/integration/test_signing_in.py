"""People sign in with an account of the book: sessions, their ends, forms from elsewhere, and too many tries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median
from time import process_time

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.identity import accounts, attempts, passwords
from services.settings import Settings
from tests.running_book import Book, running

Make = Callable[..., Awaitable[str]]
COOKIE = "relatieboek_session"


@pytest.fixture
def account(engine: AsyncEngine) -> Make:
    """`await account("anna", "auditor")` makes an account and returns its password."""

    async def make(name: str, *roles: str) -> str:
        async with engine.begin() as conn:
            return await accounts.add(conn, name, roles=roles)

    return make


@asynccontextmanager
async def browser_of(book: Book) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=book.client.base_url, timeout=30) as browser:
        yield browser


async def sign_in(browser: httpx.AsyncClient, name: str, password: str) -> httpx.Response:
    return await browser.post("/", data={"name": name, "password": password})


async def status_of(browser: httpx.AsyncClient) -> int:
    return (await browser.get("/v1/session")).status_code


async def test_signing_in_and_out(settings: Settings, engine: AsyncEngine, account: Make) -> None:
    anna, bert = await account("anna", "auditor"), await account("bert", "operations")
    async with running(settings, ["api"]) as book:
        await keeps_no_secret(book, engine, anna)
        await rotates_and_ends(book, anna)
        await ends_by_itself(book, engine, anna)
        await ends_with_the_account(book, engine, bert)
        await ends_with_the_token(book, engine)
        await refuses_what_another_site_sends(book, anna)
        await shows_what_the_role_allows(book, engine)
        await stops_guessing(book, engine, anna)


async def keeps_no_secret(book: Book, engine: AsyncEngine, password: str) -> None:
    async with browser_of(book) as browser:
        form = await browser.get("/")
        assert 'name="password"' in form.text
        wrong = await sign_in(browser, "anna", "nonsense")
        unknown = await sign_in(browser, "nobody", "nonsense")
        assert (wrong.status_code, unknown.status_code) == (401, 401)
        assert wrong.text == unknown.text
        answer = await sign_in(browser, " Anna ", password)
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        for said in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
            assert said.lower() in cookie.lower()
        value = browser.cookies[COOKIE]
        me = (await browser.get("/v1/session")).json()
        assert (me["name"], me["roles"], me["everything"]) == ("anna", ["auditor"], False)
        assert value not in (await browser.get("/")).text
    async with engine.connect() as conn:
        for table in ("account", "session", "attempt"):
            rows = (await conn.execute(text(f"SELECT t::text FROM identity.{table} t"))).scalars().all()
            assert rows
            assert not any(secret in row for row in rows for secret in (value, password, "127.0.0.1"))
        assert "argon2id" in (await conn.scalar(text("SELECT password_hash FROM identity.account LIMIT 1")) or "")


async def rotates_and_ends(book: Book, password: str) -> None:
    async with browser_of(book) as browser, browser_of(book) as elsewhere:
        await sign_in(browser, "anna", password)
        first = browser.cookies[COOKIE]
        await sign_in(browser, "anna", password)
        assert browser.cookies[COOKIE] != first
        assert (await elsewhere.get("/v1/session", headers={"Cookie": f"{COOKIE}={first}"})).status_code == 401
        await sign_in(elsewhere, "anna", password)
        csrf = (await browser.get("/v1/session")).json()["csrf"]
        again = browser.cookies[COOKIE]
        assert (await browser.post("/sign-out", data={"csrf": csrf})).status_code == 303
        assert await status_of(browser) == 401
        assert (await elsewhere.get("/v1/session", headers={"Cookie": f"{COOKIE}={again}"})).status_code == 401
        assert await status_of(elsewhere) == 200
        await sign_in(browser, "anna", password)
        csrf = (await browser.get("/v1/session")).json()["csrf"]
        await browser.post("/sign-out", data={"csrf": csrf, "everywhere": "1"})
        assert await status_of(elsewhere) == 401


async def ends_by_itself(book: Book, engine: AsyncEngine, password: str) -> None:
    for column, age in (("seen_at", "61 minutes"), ("began_at", "12 hours 1 minute")):
        async with browser_of(book) as browser:
            await sign_in(browser, "anna", password)
            assert await status_of(browser) == 200
            async with engine.begin() as conn:
                await conn.execute(text(f"UPDATE identity.session SET {column} = now() - interval '{age}'"))
            assert await status_of(browser) == 401


async def ends_with_the_account(book: Book, engine: AsyncEngine, password: str) -> None:
    async with browser_of(book) as browser:
        await sign_in(browser, "bert", password)
        async with engine.begin() as conn:
            await accounts.change(conn, "bert", roles=["team_lead"], teams=["wmo"], department=None)
        me = (await browser.get("/v1/session")).json()
        assert (me["roles"], me["teams"]) == (["team_lead"], ["wmo"])
        async with engine.begin() as conn:
            new = await accounts.new_password(conn, "bert")
        assert await status_of(browser) == 401
        assert (await sign_in(browser, "bert", password)).status_code == 401
        assert (await sign_in(browser, "bert", new)).status_code == 303
        async with engine.begin() as conn:
            await accounts.disable(conn, "bert")
        assert await status_of(browser) == 401
        assert (await sign_in(browser, "bert", new)).status_code == 401


async def ends_with_the_token(book: Book, engine: AsyncEngine) -> None:
    async with browser_of(book) as browser:
        assert (await browser.post("/", data={"token": (await book.viewers())["all"]})).status_code == 303
        me = (await browser.get("/v1/session")).json()
        assert (me["name"], me["everything"]) == ("all", True)
        async with engine.begin() as conn:
            await conn.execute(text("UPDATE ledger.viewer SET token_hash = sha256('another') WHERE name = 'all'"))
        assert await status_of(browser) == 401
        await book.viewers()  # puts the token of credentials.json back


async def refuses_what_another_site_sends(book: Book, password: str) -> None:
    act = "/v1/alerts/6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001/_resolve"
    async with browser_of(book) as browser, browser_of(book) as other:
        await browser.post("/", data={"token": (await book.viewers())["all"]})
        csrf = (await browser.get("/v1/session")).json()["csrf"]
        await sign_in(other, "anna", password)
        theirs = (await other.get("/v1/session")).json()["csrf"]
        assert (await browser.post(act)).status_code == 403
        assert (await browser.post(act, headers={"X-CSRF-Token": theirs})).status_code == 403
        for name, value in (("Origin", "https://elsewhere.example"), ("Sec-Fetch-Site", "cross-site")):
            headers = {"X-CSRF-Token": csrf, name: value}
            assert (await browser.post(act, headers=headers)).status_code == 403
            assert (await browser.post("/sign-out", data={"csrf": csrf}, headers={name: value})).status_code == 403
            assert (await browser.post("/", data={"token": "x"}, headers={name: value})).status_code == 403
        assert (await browser.post("/sign-out", data={"csrf": theirs})).status_code == 403
        assert await status_of(browser) == 200
        # With the token of its own session it is judged: there is no such alert.
        assert (await browser.post(act, headers={"X-CSRF-Token": csrf})).status_code == 404


async def shows_what_the_role_allows(book: Book, engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await accounts.change(conn, "bert", roles=["operations"], teams=[], department=None)
        password = await accounts.new_password(conn, "bert")
    async with browser_of(book) as browser:
        await sign_in(browser, "bert", password)
        page = (await browser.get("/")).text
        assert "Met uw rol ziet u geen relaties" in page
        assert "Te late contacten" not in page
        assert (await browser.get("/v1/relations")).status_code == 403
        assert (await browser.get("/v1/status")).status_code == 200


async def stops_guessing(book: Book, engine: AsyncEngine, password: str) -> None:
    async with engine.begin() as conn:
        await conn.execute(text("DELETE FROM identity.attempt"))
    async with browser_of(book) as browser:
        for _ in range(attempts.PER_ACCOUNT):
            assert (await sign_in(browser, "anna", "wrong")).status_code == 401
        refused = await sign_in(browser, "anna", password)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["Retry-After"]) <= 900
        assert "te vaak" in refused.text
        async with engine.begin() as conn:
            await conn.execute(text("UPDATE identity.attempt SET since = since - interval '15 minutes'"))
        assert (await sign_in(browser, "anna", password)).status_code == 303
        async with engine.begin() as conn:
            await conn.execute(text(f"UPDATE identity.attempt SET tries = {attempts.PER_ADDRESS}"))
        assert (await sign_in(browser, "somebody-else", "wrong")).status_code == 429


async def test_an_unknown_account_takes_as_long_as_a_wrong_password() -> None:
    stored = passwords.hashed("right")
    assert await passwords.matches(stored, "right")
    spent: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(5):
        for known in (True, False):
            began = process_time()
            assert not await passwords.matches(stored if known else None, "wrong")
            spent[known].append(process_time() - began)
    assert 0.5 < median(spent[True]) / median(spent[False]) < 2
