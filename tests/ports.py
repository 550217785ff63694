"""Ports for the servers of the tests, each process of the tests from a block that no other one has.

Of those that `up` chooses from, another process of the tests may choose the same before the server is there.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from typing import Final

from services.embedded.engine import HOST

# Below what `up` chooses by itself, and what a system gives to callers.
_BLOCKS: Final = range(10_000, 20_000, 200)
_held: Final = socket.socket()


def free_port() -> int:
    """A port that nobody listens on now, and that no other process of the tests will be given."""
    for port in _own_block():
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port
    raise AssertionError("a cycle does not end")


@cache
def _own_block() -> Iterator[int]:
    """Its first port stays bound for as long as this process lives: that is what keeps the others out."""
    for first in _BLOCKS:
        try:
            _held.bind((HOST, first))
        except OSError:
            continue
        return cycle(range(first + 1, first + _BLOCKS.step))
    raise RuntimeError("no block of ports is free")
