"""The map of heads: one root for one set of heads, and proofs of each and of nothing else."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.heads import NOBODY, Head, Heads, head_leaf, is_head


def heads(count: int) -> list[Head]:
    return [Head(f"relation-{n}", n + 1, hashlib.sha256(bytes([n % 251])).digest()) for n in range(count)]


def test_nobody_and_one() -> None:
    assert Heads([]).root() == NOBODY
    (one,) = heads(1)
    assert Heads([one]).root() == head_leaf(one)
    assert Heads([one]).proof(one.relation) == []
    assert is_head(head_leaf(one), one, [])


@pytest.mark.parametrize("count", [2, 3, 10, 500])
def test_every_head_is_proven_and_no_other(count: int) -> None:
    all_heads = heads(count)
    tree = Heads(all_heads)
    root = tree.root()
    for head in all_heads:
        proof = tree.proof(head.relation)
        assert is_head(root, head, proof)
        assert not is_head(root, head._replace(version=head.version - 1), proof)
        assert not is_head(root, head._replace(leaf=bytes(32)), proof)
        assert not is_head(root, head._replace(relation="another"), proof)
        assert not is_head(root, head, proof[1:])
        assert len(proof) < 40


def test_who_has_no_head_has_no_proof() -> None:
    with pytest.raises(KeyError):
        Heads(heads(10)).proof("another")


@given(st.sets(st.text(max_size=20), min_size=1, max_size=60), st.data())
def test_the_root_depends_on_every_head_and_not_on_their_order(names: set[str], data: st.DataObject) -> None:
    all_heads = [Head(name, len(name) + 1, hashlib.sha256(name.encode()).digest()) for name in sorted(names)]
    root = Heads(all_heads).root()
    assert Heads(data.draw(st.permutations(all_heads))).root() == root
    left_out = data.draw(st.sampled_from(all_heads))
    assert Heads([h for h in all_heads if h != left_out]).root() != root
    longer = [h._replace(version=h.version + 1) if h == left_out else h for h in all_heads]
    assert Heads(longer).root() != root
