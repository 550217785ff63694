"""The first page in a real Chromium, against the whole running book."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect

from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import held, registered
from tests.running_book import Book, running

pytestmark = pytest.mark.full
expect.set_options(timeout=30_000)  # ms

LINE: dict[str, Any] = {
    "line": "l-1", "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P1M"},
    "starts_on": "2026-01-01", "grace_working_days": 5, "owner": "e-12", "occurred_on": "2026-01-06",
}  # fmt: skip


@pytest.fixture
async def book(settings: Settings, department: AddDepartment) -> AsyncGenerator[Book]:
    added = await department("crm")
    source = f"urn:nld:oin:{settings.institution}:systeem:crm"
    async with running(settings) as book:
        events = [
            {
                "specversion": "1.0",
                "id": kind,
                "source": source,
                "type": f"nl.relatieboek.{kind}.v1",
                "subject": "gemeentecode:0518",
                "data": data,
            }
            for kind, data in (
                ("relation.registered", registered("Gemeente Den Haag")),
                ("schedule.line_set", LINE),
                ("contact.held", held()),
            )
        ]
        last = (await book.publish(events, added.http_token))[-1]["sequence"]
        for path in ("/v1/relations", "/v1/questions/1"):
            assert (await book.get(path, **{"If-Position": last})).status_code == 200
        yield book


@pytest.fixture
async def page() -> AsyncGenerator[Page]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium is not None, "make test-all needs Chromium: install the package chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
            ],
        )
        yield await browser.new_page(locale="nl-NL")
        await browser.close()


async def test_a_viewer_signs_in_and_sees_what_is_overdue(book: Book, page: Page) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    home = f"http://127.0.0.1:{book.settings.port}/"
    await page.goto(home)
    await page.locator("input[name=token]").fill("rb_all_wrong")
    await page.locator("form", has=page.locator("input[name=token]")).locator("button").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.locator("input[name=token]").fill((await book.viewers())["all"])
    await page.locator("form", has=page.locator("input[name=token]")).locator("button").click()
    overdue = page.locator("section", has=page.locator("#kop-telaat"))
    await expect(overdue).to_contain_text("Gemeente Den Haag")
    await expect(overdue).to_contain_text("e-12")
    await expect(page.locator("main")).to_contain_text("relation_view")
    await overdue.get_by_role("link", name="Gemeente Den Haag").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Gemeente Den Haag")
    await expect(page.locator("section", has=page.locator("#kop-schema"))).to_contain_text("te laat")
    await page.go_back()
    assert await page.evaluate("document.cookie") == "", "the cookie is out of reach of scripts"
    assert await page.evaluate("document.documentElement.lang") == "nl"
    await page.goto(home + "?taal=en")
    assert await page.evaluate("document.documentElement.lang") == "en"
    await page.locator("nav button").first.click()
    await expect(page.locator("input[name=token]")).to_be_visible()
    assert problems == []
