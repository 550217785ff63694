"""The four layers as bits, so that "who met whom" is one integer that PostgreSQL can test with `&`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

LAYERS: Final = ("board", "senior_management", "tactical_management", "professional")

_BIT: Final[Mapping[str, int]] = {layer: 1 << i for i, layer in enumerate(LAYERS)}


def layer_bit(layer: str) -> int:
    """One bit of four. KeyError for a layer that is none: the contracts keep those out."""
    return _BIT[layer]


def layer_bits(people: Iterable[Mapping[str, Any]]) -> int:
    """The layers present among `ours` or `theirs` of a contact."""
    bits = 0
    for person in people:
        bits |= _BIT[person["layer"]]
    return bits


def layers_in(bits: int) -> list[str]:
    return [layer for layer in LAYERS if bits & _BIT[layer]]


def pair_bits(ours: int, theirs: int) -> int:
    """Sixteen bits: every one of our layers present meets every one of theirs. Bit 4·our + their."""
    bits = 0
    for i in range(len(LAYERS)):
        if ours & (1 << i):
            bits |= theirs << (4 * i)
    return bits


def pair_bit(our_layer: str, their_layer: str) -> int:
    return pair_bits(_BIT[our_layer], _BIT[their_layer])


@lru_cache(maxsize=1 << 16)
def pairs_in(bits: int) -> tuple[tuple[str, str], ...]:
    """The (our layer, their layer) pairs, in the order of the layers."""
    return tuple((our, their) for our in LAYERS for their in LAYERS if bits & pair_bit(our, their))
