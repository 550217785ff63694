"""Every event of docs/families, sent in page order through a door, is answered as its page says; every mistake too."""

from __future__ import annotations

from services.settings import Settings
from tests.conftest import AddDepartment
from tests.families import examples, mistakes
from tests.integration.book import Department, connection, running_intake


async def test_the_pages_say_what_the_book_answers(settings: Settings, department: AddDepartment) -> None:
    sources = sorted({e.event["source"] for e in examples()})
    added = await department("voorbeeld", sources=sources)
    async with running_intake(settings), connection(settings, added.nats) as client:
        sender = Department("voorbeeld", client, sources[0])
        for example in examples():
            said = await sender.send(example.event)
            code = said.get("problem", {}).get("type", "").rpartition(":")[2] or None
            assert (example.event["id"], said["verdict"], code) == (example.event["id"], example.verdict, example.code)
        for mistake in mistakes():
            said = await sender.send(mistake.event)
            assert said["verdict"] == ("parked" if said["problem"]["status"] == 202 else "rejected")
            told = (
                said["problem"]["type"].rpartition(":")[2],
                mistake.pointer in {e["pointer"] for e in said["problem"]["errors"]},
            )
            assert (mistake.event["id"], *told) == (mistake.event["id"], mistake.code, True), said["problem"]
