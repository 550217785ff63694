"""Room and turns: nobody takes all of either, nothing is lost or overtaken within one department."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.fair import Room, Turns
from services.intake.doors import Waiting


def fill(room: Room, *names: str) -> dict[str, int]:
    """Each takes single places in turn until none gets any."""
    held: dict[str, int] = defaultdict(int)
    more = True
    while more:
        more = False
        for name in names:
            if room.has(name, 1):
                room.take(name, 1)
                held[name] += 1
                more = True
    return held


def test_who_floods_alone_gets_half_and_another_finds_room() -> None:
    room = Room(1_000)
    assert fill(room, "flood") == {"flood": 500}
    assert room.has("other", 500)
    assert fill(room, "other")["other"] == 250


def test_several_floods_share_and_a_stranger_still_finds_room() -> None:
    room = Room(1_000)
    assert set(fill(room, "a", "b", "c").values()) == {250}
    assert room.has("stranger", 250)


def test_an_empty_room_takes_everything_at_once() -> None:
    room = Room(1_000)
    assert room.has("a", 1_000)
    assert not room.has("a", 1_001)


def test_a_single_event_waits_for_one_request_of_a_flood_at_most() -> None:
    turns: Turns[str] = Turns(20_000)
    for n in range(10):
        turns.add("flood", 1_000, f"flood-{n}")
    turns.add("other", 1, "other-0")
    assert [turns.take() for _ in range(3)] == ["flood-0", "other-0", "flood-1"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 7))))
def test_everything_comes_once_in_turn_and_in_its_departments_order(sent: list[tuple[str, int]]) -> None:
    turns: Turns[tuple[str, int, int]] = Turns(10_000)
    for n, (name, size) in enumerate(sent):
        turns.add(name, size, (name, size, n))
    assert (len(turns), turns.size) == (len(sent), sum(size for _, size in sent))
    out = [turns.take() for _ in sent]
    assert (len(turns), turns.size) == (0, 0)
    for name in "abc":
        assert [w for w in out if w[0] == name] == [(*s, n) for n, s in enumerate(sent) if s[0] == name]
    for n, (name, *_) in enumerate(out):  # nobody comes twice while another waits
        waiting = {w[0] for w in out[n:]}
        assert {w[0] for w in out[n : n + len(waiting)]} == waiting, name


def test_cleared_it_is_empty() -> None:
    turns: Turns[str] = Turns(10)
    turns.add("a", 5, "x")
    turns.add("b", 3, "y")
    assert turns.clear() == ["x", "y"]
    assert (len(turns), turns.size) == (0, 0)
    with pytest.raises(IndexError):
        turns.take()
    assert turns.has_room("a", 10)


def test_messages_wait_within_bounds_of_number_and_of_bytes() -> None:
    waiting = Waiting(messages=100, size=1_000)
    assert waiting.take("a", 400)
    assert not waiting.take("a", 400), "it would leave no room for another"
    assert waiting.take("b", 200)
    waiting.give_back("a", 400)
    assert waiting.take("a", 300)
    waiting = Waiting(messages=10, size=1_000)
    assert [waiting.take("a", 1) for _ in range(6)] == [True] * 5 + [False], "half of the places for one alone"
    assert waiting.take("b", 1)
