"""The map of heads: for every relation how many events it has and the leaf hash of the last, under one root.

A sparse Merkle tree over SHA-256(relation): a relation stands at the path of its key's bits, first bit first. A subtree
without relations is 32 zero bytes, one with a single relation is that relation's leaf, so a proof has some log2(n)
hashes. The leaf holds the whole key, so it can stand at one place only. Whoever has the root can be shown that a
history is complete: its last entry is the relation's head.

    leaf = SHA-256(0x00 ‖ SHA-256(relation) ‖ version, 8 bytes, big-endian ‖ leaf hash of the last entry)
    node = SHA-256(0x01 ‖ left ‖ right)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from events.merkle import node

NOBODY: Final = bytes(32)


class Head(NamedTuple):
    """The end of one relation's chain."""

    relation: str
    version: int
    leaf: bytes


def head_leaf(head: Head) -> bytes:
    key = hashlib.sha256(head.relation.encode()).digest()
    return hashlib.sha256(b"\x00" + key + head.version.to_bytes(8, "big") + head.leaf).digest()


class Heads:
    """All heads at one size of the book, in any order; one a relation."""

    def __init__(self, heads: Iterable[Head]) -> None:
        keyed = sorted((hashlib.sha256(h.relation.encode()).digest(), head_leaf(h)) for h in heads)
        self._keys = [int.from_bytes(key, "big") for key, _ in keyed]
        self._leaves = [leaf for _, leaf in keyed]

    def root(self) -> bytes:
        return self._root(0, len(self._keys), 255)

    def _root(self, low: int, high: int, bit: int) -> bytes:
        if high - low <= 1:
            return NOBODY if low == high else self._leaves[low]
        middle = self._middle(low, high, bit)
        return node(self._root(low, middle, bit - 1), self._root(middle, high, bit - 1))

    def _middle(self, low: int, high: int, bit: int) -> int:
        """The first key in the sorted run that has the bit."""
        while low < high:
            at = (low + high) // 2
            if self._keys[at] >> bit & 1:
                high = at
            else:
                low = at + 1
        return low

    def proof(self, relation: str) -> list[bytes]:
        """The siblings from the relation's leaf up to the root, lowest first. KeyError where it has no head."""
        key = int.from_bytes(hashlib.sha256(relation.encode()).digest(), "big")
        low, high, bit = 0, len(self._keys), 255
        siblings: list[bytes] = []
        while high - low > 1:
            middle = self._middle(low, high, bit)
            if key >> bit & 1:
                siblings.append(self._root(low, middle, bit - 1))
                low = middle
            else:
                siblings.append(self._root(middle, high, bit - 1))
                high = middle
            bit -= 1
        if low == high or self._keys[low] != key:
            raise KeyError(relation)
        return siblings[::-1]


def is_head(root: bytes, head: Head, proof: Sequence[bytes]) -> bool:
    """Whether the proof leads from the relation's head to the root."""
    if len(proof) > 256:
        return False
    key = int.from_bytes(hashlib.sha256(head.relation.encode()).digest(), "big")
    found = head_leaf(head)
    for depth, sibling in zip(range(len(proof) - 1, -1, -1), proof, strict=True):
        found = node(sibling, found) if key >> (255 - depth) & 1 else node(found, sibling)
    return found == root
