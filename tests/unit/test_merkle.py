"""The tree of entries against the public test vectors, and against its own proofs."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from events.merkle import (
    EMPTY,
    Frontier,
    consistency_proof,
    consistent,
    includes,
    includes_in_subtree,
    inclusion_proof,
    root_of,
)

DATA = Path(__file__).parent.parent / "data" / "rfc6962"
LEAVES = [hashlib.sha256(b"\x00" + bytes([n])).digest() for n in range(70)]


def vectors(name: str) -> list[Any]:
    lines = [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]
    return [pytest.param(line, id=line["file"]) for line in lines]


def plain(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def proof_of(vector: dict[str, Any]) -> list[bytes]:
    return [plain(step) for step in vector["proof"] or ()]


@pytest.mark.parametrize("vector", vectors("inclusion"))
def test_inclusion_as_the_vectors_say(vector: dict[str, Any]) -> None:
    found = includes(
        plain(vector["root"]), vector["treeSize"], vector["leafIdx"], plain(vector["leafHash"]), proof_of(vector)
    )
    assert found is not vector["wantErr"]


@pytest.mark.parametrize("vector", vectors("subtreeinclusion"))
def test_inclusion_in_a_subtree_as_the_vectors_say(vector: dict[str, Any]) -> None:
    found = includes_in_subtree(
        plain(vector["root"]), vector["start"], vector["end"], vector["leafIdx"], plain(vector["leafHash"]),
        proof_of(vector),
    )  # fmt: skip
    assert found is not vector["wantErr"]


@pytest.mark.parametrize("vector", vectors("consistency"))
def test_consistency_as_the_vectors_say(vector: dict[str, Any]) -> None:
    found = consistent(
        vector["size1"], plain(vector["root1"]), vector["size2"], plain(vector["root2"]), proof_of(vector)
    )
    assert found is not vector["wantErr"]


def test_every_vector_is_there() -> None:
    assert [len(vectors(name)) for name in ("consistency", "inclusion", "subtreeinclusion")] == [98, 98, 204]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 31, 64, 70])
def test_every_leaf_is_proven_and_no_other(size: int) -> None:
    leaves = LEAVES[:size]
    root = root_of(leaves)
    for index, leaf in enumerate(leaves):
        proof = inclusion_proof(leaves, index)
        assert includes(root, size, index, leaf, proof)
        assert not includes(root, size, index, LEAVES[-1] if leaf != LEAVES[-1] else LEAVES[0], proof)
        assert not includes(root, size, (index + 1) % size, leaf, proof) or size == 1


@pytest.mark.parametrize("second", [1, 2, 5, 8, 33, 70])
def test_every_earlier_tree_is_proven_and_no_fork(second: int) -> None:
    leaves = LEAVES[:second]
    root = root_of(leaves)
    for first in range(1, second + 1):
        proof = consistency_proof(leaves, first)
        assert consistent(first, root_of(leaves[:first]), second, root, proof)
        fork = root_of([EMPTY, *leaves[1:first]])
        assert not consistent(first, fork, second, root, proof)


def test_a_tree_that_grows_has_the_root_of_the_whole() -> None:
    tree = Frontier()
    assert tree.root() == EMPTY == root_of([])
    for size, leaf in enumerate(LEAVES, 1):
        tree.append(leaf)
        again = Frontier(tree.size, tree.subtrees)
        assert (again.size, again.root()) == (size, root_of(LEAVES[:size]))
