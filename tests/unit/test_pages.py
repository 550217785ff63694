"""What a browser shows where there is nothing, or something broke: a page, in words of people. Systems get JSON."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from services.api import html, site

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def app() -> FastAPI:
    application = site.application()

    @application.get("/half-made")
    async def half_made(request: Request) -> Response:
        return html.render(request, "nl", "notice.html")  # without its heading

    return application


async def asked(app: FastAPI, path: str, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://book") as client:
        return await client.get(path, headers=headers)


async def test_an_address_that_is_not_there(app: FastAPI) -> None:
    page = await asked(app, "/nergens", **BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "Deze pagina is er niet" in page.text
    assert "This page is not here" in (await asked(app, "/nergens?taal=en", **BROWSER)).text
    for path, headers in (("/nergens", {}), ("/v1/nergens", BROWSER), ("/static/nergens.css", BROWSER)):
        answer = await asked(app, path, **headers)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path


@pytest.mark.parametrize("path", ["//elsewhere.example/x", "/\\elsewhere.example", "/%2F/elsewhere.example", '/"><b>x'])
async def test_no_address_makes_a_link_to_another_host_or_a_tag(app: FastAPI, path: str) -> None:
    page = await asked(app, f"http://book{path}", **BROWSER)
    assert page.status_code == 404
    for link in ('href="//', 'href="/\\', "<b>"):
        assert link not in page.text


async def test_a_fault_of_ours_is_called_that(app: FastAPI) -> None:
    page = await asked(app, "/half-made", **BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert "Er ging iets mis" in page.text
    answer = await asked(app, "/half-made")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:relatieboek:problem:internal")


@pytest.mark.parametrize(
    ("path", "form", "status", "said"),
    [
        ("/sign-out", {}, 403, "Dit lukt niet"), ("/sign-out?taal=en", {}, 403, "This does not work"),
        ("/", {"token": "x" * 5_000}, 413, "Dit lukt niet"), ("/elsewhere", {}, 404, "Deze pagina is er niet"),
    ],
)  # fmt: skip
async def test_a_form_that_is_not_taken(app: FastAPI, path: str, form: dict[str, str], status: int, said: str) -> None:
    """From another site, too large, or to nowhere: a page for people, a problem document for programs."""
    app.state.parts = None
    elsewhere = {"Sec-Fetch-Site": "cross-site"} if status == 403 else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://book") as client:
        page = await client.post(path, data=form, headers={**BROWSER, **elsewhere})
        assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert said in page.text
        answer = await client.post(path, data=form, headers=elsewhere)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
