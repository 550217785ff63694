"""The Merkle tree over all entries of the book (RFC 6962): root, proofs, and what checks them.

Leaf i is the leaf hash of the entry at position i + 1, which `events.proof` makes. Pure; sizes are numbers of leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

EMPTY: Final = hashlib.sha256(b"").digest()


def node(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that only grows, as the roots of its perfect subtrees: 32 bytes for each bit of its size.

    `append` costs two hashes on average, `root` one for each subtree.
    """

    def __init__(self, size: int = 0, subtrees: Sequence[bytes] = ()) -> None:
        self.size = size
        self.subtrees = list(subtrees)  # largest first

    def append(self, leaf: bytes) -> None:
        size = self.size
        while size & 1:  # a perfect subtree of this height is complete
            leaf = node(self.subtrees.pop(), leaf)
            size >>= 1
        self.subtrees.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        if not self.subtrees:
            return EMPTY
        root = self.subtrees[-1]
        for left in reversed(self.subtrees[:-1]):
            root = node(left, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root of a whole tree."""
    tree = Frontier()
    tree.extend(leaves)
    return tree.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """What leads from leaf `index` to the root of all `leaves`, lowest first."""
    if not 0 <= index < len(leaves):
        raise ValueError("no such leaf")
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(leaves[:split], index), root_of(leaves[split:])]
    return [*inclusion_proof(leaves[split:], index - split), root_of(leaves[:split])]


def consistency_proof(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """What shows that the tree of the `first` leaves became that of all by adding only."""
    if not 0 < first <= len(leaves):
        raise ValueError("no such size")
    return _consistency(leaves, first, whole=True)


def _consistency(leaves: Sequence[bytes], first: int, *, whole: bool) -> list[bytes]:
    if first == len(leaves):
        return [] if whole else [root_of(leaves)]
    split = _split(len(leaves))
    if first <= split:
        return [*_consistency(leaves[:split], first, whole=whole), root_of(leaves[split:])]
    return [*_consistency(leaves[split:], first - split, whole=False), root_of(leaves[:split])]


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def includes(root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof leads from the leaf to the root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size or len(leaf) != len(EMPTY):
        return False
    at, last, found = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node(other, found)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            found = node(found, other)
        at >>= 1
        last >>= 1
    return last == 0 and found == root


def consistent(first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the second tree is the first with leaves added (RFC 9162 section 2.1.4.2).

    Nothing is consistent with the empty tree by proof: it says nothing.
    """
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at >>= 1
        last >>= 1
    one = two = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            one, two = node(other, one), node(other, two)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            two = node(two, other)
        at >>= 1
        last >>= 1
    return last == 0 and one == first_root and two == second_root


def includes_in_subtree(root: bytes, start: int, end: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof leads from leaf `index` to the root of the subtree over the leaves from `start` up to `end`.

    A run of leaves is a subtree when it starts at a multiple of the smallest power of two that is not below its length.
    """
    if not 0 <= start < end or start % (1 << (end - start - 1).bit_length()):
        return False
    return start <= index < end and includes(root, end - start, index - start, leaf, proof)
