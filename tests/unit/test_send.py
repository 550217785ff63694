"""Sending: verdicts in the order of the input, busy ones again, and nothing unreadable in an array of others."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import stamina

from events.errors import SetupError, Unavailable
from services.send import MAX_BATCH_BYTES, cloudevent, json_line, send

Answer = Callable[[list[dict[str, Any]]], Any]


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=5):
        yield


def door(answer: Answer, seen: list[list[dict[str, Any]]] | None = None) -> Callable[[bytes], Awaitable[bytes]]:
    async def request(body: bytes) -> bytes:
        events = json.loads(body)
        if seen is not None:
            seen.append(events)
        return json.dumps(answer(events)).encode()

    return request


def accept(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": e["id"], "source": "s", "verdict": "accepted"} for e in events]


def lines(count: int) -> list[bytes]:
    return [json_line({"id": f"e-{n}"}) for n in range(count)]


async def verdicts_of(
    given: list[bytes], request: Callable[[bytes], Awaitable[bytes]], **how: int
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    tally = await send(given, request, found.extend, **how)
    assert tally.total == len(found)
    return found


async def test_verdicts_come_in_the_order_of_the_input() -> None:
    seen: list[list[dict[str, Any]]] = []
    found = await verdicts_of(lines(1_234), door(accept, seen), batch=100, in_flight=4)
    assert [v["id"] for v in found] == [f"e-{n}" for n in range(1_234)]
    assert [len(batch) for batch in seen] == [100] * 12 + [34]


async def test_only_what_was_busy_goes_again() -> None:
    seen: list[list[dict[str, Any]]] = []

    def answer(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        busy = len(seen) == 1
        return [
            {"id": e["id"], "verdict": "busy" if busy and n % 2 else "accepted", "retry_after_s": 0.01}
            for n, e in enumerate(events)
        ]

    found = await verdicts_of(lines(4), door(answer, seen))
    assert [[e["id"] for e in batch] for batch in seen] == [["e-0", "e-1", "e-2", "e-3"], ["e-1", "e-3"]]
    assert [v["verdict"] for v in found] == ["accepted"] * 4


async def test_a_lost_answer_is_asked_for_again() -> None:
    tries = 0

    async def request(body: bytes) -> bytes:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Unavailable("nats")
        return json.dumps(accept(json.loads(body))).encode()

    assert len(await verdicts_of(lines(2), request)) == 2
    assert tries == 2


async def test_a_book_that_stays_away_is_an_error() -> None:
    async def request(body: bytes) -> bytes:
        raise Unavailable("intake")

    with pytest.raises(Unavailable):
        await verdicts_of(lines(2), request)


async def test_unreadable_and_oversized_lines_are_refused_here_and_the_others_go() -> None:
    seen: list[list[dict[str, Any]]] = []
    given = [b'{"id":"a"}', b"", b"no json", b"[1]", b'{"id":"' + b"x" * 70_000 + b'"}', b' {"id":"b"} \n']
    found = await verdicts_of(given, door(accept, seen))
    assert [v["verdict"] for v in found] == ["accepted", "rejected", "rejected", "rejected", "accepted"]
    assert [v["problem"]["type"].rsplit(":", 1)[1] for v in found[1:4]] == ["schema", "schema", "too_large"]
    assert [[e["id"] for e in batch] for batch in seen] == [["a", "b"]]


async def test_arrays_stay_below_what_the_door_takes() -> None:
    sizes: list[int] = []

    async def request(body: bytes) -> bytes:
        sizes.append(len(body))
        return json.dumps(accept(json.loads(body))).encode()

    given = [json_line({"id": f"e-{n}", "text": "x" * 60_000}) for n in range(100)]
    assert len(await verdicts_of(given, request)) == 100
    assert max(sizes) <= MAX_BATCH_BYTES + 2


async def test_one_answer_for_a_whole_array_counts_for_each() -> None:
    found = await verdicts_of(lines(3), door(lambda events: {"verdict": "rejected", "problem": {}}))
    assert [v["verdict"] for v in found] == ["rejected"] * 3


async def test_an_answer_of_another_length_is_refused() -> None:
    with pytest.raises(SetupError, match="past niet"):
        await verdicts_of(lines(3), door(lambda events: []))


def test_a_cloudevent_has_what_the_book_requires() -> None:
    event = cloudevent("contact.held.v1", "c-1", "urn:nld:oin:0:systeem:x", "gemeentecode:0518", {"a": 1}, time="t")
    assert event["type"] == "nl.relatieboek.contact.held.v1"
    assert {"specversion", "id", "source", "type", "subject", "data", "time"} <= set(event)
    assert "visibility" not in event
