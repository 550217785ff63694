"""The catch-up feed on a real NATS server: in order, without gaps, or an error."""

from __future__ import annotations

from typing import Any, Final

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from events.errors import Diverged, FeedBroken, Unavailable
from events.feed import Feed, StreamReader
from events.recorded import Recorded
from services.embedded.nats import Nats
from tests.small_book import SmallBook, held_contact, made, name_of

# Longer than a busy machine keeps a reader from what came; a feed that is told of nothing for three beats ends.
BEAT_S: Final = 10.0


def jetstream(client: Client) -> JetStreamContext:
    untyped: Any = client
    return untyped.jetstream()


async def read(feed: Feed, upto: int) -> list[Recorded]:
    got: list[Recorded] = []
    while len(got) == 0 or got[-1].position < upto:
        got += await feed.read(upto=upto)
    return got


async def test_all_events_in_order_in_bounded_batches(book: SmallBook, client: Client) -> None:
    last = await book.write(made(1_234))
    async with StreamReader(client).feed(0, name="t", created=book.created, most=100, beat_s=BEAT_S) as feed:
        sizes: list[int] = []
        got: list[Recorded] = []
        while len(got) < last:
            batch = await feed.read()
            sizes.append(len(batch))
            got += batch
        assert got == book.events
        assert max(sizes) <= 100
        assert feed.behind == 0
        assert await feed.read(idle_s=0.01) == []


async def test_from_a_position_up_to_another_and_then_on(book: SmallBook, client: Client) -> None:
    await book.write(made(300))
    async with StreamReader(client).feed(100, name="t", created=book.created, most=64, beat_s=BEAT_S) as feed:
        assert await read(feed, 150) == book.events[100:150]
        assert await read(feed, 300) == book.events[150:]


async def test_new_events_come_at_once(book: SmallBook, client: Client) -> None:
    async with StreamReader(client).feed(0, name="t", created=book.created, beat_s=BEAT_S) as feed:
        assert await feed.read(idle_s=0.01) == []
        for n in range(5):
            await book.write([held_contact(n, name_of(1))])
            assert [e.position for e in await feed.read(idle_s=60)] == [n + 1]


async def test_a_busy_reader_gets_a_full_batch(book: SmallBook, client: Client) -> None:
    await book.write(made(200))
    async with StreamReader(client).feed(0, name="t", created=book.created, most=50, beat_s=BEAT_S) as feed:
        assert [len(await feed.read(hold=lambda: True)) for _ in range(4)] == [50] * 4


async def test_batches_of_the_largest_events(book: SmallBook, client: Client) -> None:
    large = [held_contact(n, name_of(n), topics=["x" * 60_000]) for n in range(600)]
    await book.write(large[:100])
    for at in range(100, 600, 100):
        await book.write(large[at : at + 100])
    async with StreamReader(client).feed(0, name="t", created=book.created, most=500, beat_s=BEAT_S) as feed:
        assert [e.position for e in await read(feed, 600)] == list(range(1, 601))


async def test_a_stream_shorter_than_the_position_is_refused(book: SmallBook, client: Client) -> None:
    await book.write(made(10))
    with pytest.raises(Diverged) as caught:
        async with StreamReader(client).feed(11, name="t", created=book.created, beat_s=BEAT_S):
            pass
    assert caught.value.position == 11


async def test_another_stream_is_refused(book: SmallBook, client: Client) -> None:
    await book.write(made(10))
    await book.stream.delete()
    with pytest.raises(Unavailable):
        await StreamReader(client).state()
    await book.stream.create()
    with pytest.raises(Diverged):
        async with StreamReader(client).feed(0, name="t", created=book.created, beat_s=BEAT_S):
            pass


async def test_a_consumer_that_is_gone_breaks_the_feed(book: SmallBook, client: Client) -> None:
    await book.write(made(10))
    async with StreamReader(client).feed(0, name="gone", created=book.created, beat_s=BEAT_S) as feed:
        await read(feed, 10)
        await jetstream(client).delete_consumer("RELATIEBOEK", feed.consumer)
        with pytest.raises(FeedBroken):
            await feed.read(idle_s=60)


async def test_a_server_that_is_gone_breaks_the_feed(book: SmallBook, client: Client, nats_server: Nats) -> None:
    await book.write(made(10))
    async with StreamReader(client).feed(0, name="t", created=book.created) as feed:
        await read(feed, 10)
        await nats_server.stop()
        with pytest.raises(FeedBroken):
            await feed.read(idle_s=60)


async def test_a_message_in_another_place_breaks_the_feed(book: SmallBook, client: Client) -> None:
    await book.write(made(3))
    wrong = book.events[0]
    await jetstream(book.nc).publish(
        "relatieboek.contact.held.wmo", b'{"sequence": "7"}', headers={"Relatieboek-Version": str(wrong.version)}
    )
    async with StreamReader(client).feed(0, name="t", created=book.created, beat_s=BEAT_S) as feed:
        with pytest.raises(FeedBroken):
            await read(feed, 4)


async def test_messages_take_the_short_way(book: SmallBook, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The short way is nats-py's own business: this fails when a new version of it has none, and nothing else does."""
    monkeypatch.setattr(Feed, "take_message", None)
    last = await book.write(made(50))
    async with StreamReader(client).feed(0, name="t", created=book.created, beat_s=BEAT_S) as feed:
        assert await read(feed, last) == book.events
    assert (await client.request("$JS.API.INFO", b"", timeout=20)).data  # others on the connection notice nothing


def no_tap(*_: object) -> None:
    return None


async def test_messages_that_take_the_long_way_are_the_same(
    book: SmallBook, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.feed._tap", no_tap)
    last = await book.write(made(150))
    async with StreamReader(client).feed(0, name="t", created=book.created, most=40, beat_s=BEAT_S) as feed:
        assert await read(feed, last) == book.events
        await jetstream(client).delete_consumer("RELATIEBOEK", feed.consumer)
        with pytest.raises(FeedBroken):
            await feed.read(idle_s=60)
