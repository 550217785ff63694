"""Signed notes: what was signed comes out, and nothing else does."""

from __future__ import annotations

import base64
import hashlib

import pytest

from events.checkpoint import BadCheckpoint, Checkpoint, Signer, Verifier, opened

ROOT, HEADS = hashlib.sha256(b"root").digest(), hashlib.sha256(b"heads").digest()
NOTARY = Signer("relatieboek.example/notary", b"\x01" * 32)
OTHER = Signer("relatieboek.example/notary", b"\x02" * 32)
WITNESS = Signer("witness.example", b"\x03" * 32)
CHECKPOINT = Checkpoint("relatieboek.example/book", 42, ROOT, HEADS)
NOTE = NOTARY.sign(CHECKPOINT)


def test_a_note_has_the_form_of_the_standard() -> None:
    lines = NOTE.split("\n")
    assert lines[:5] == [
        "relatieboek.example/book",
        "42",
        base64.b64encode(ROOT).decode(),
        "heads " + base64.b64encode(HEADS).decode(),
        "",
    ]
    assert lines[5].startswith("— relatieboek.example/notary ")
    signature = base64.b64decode(lines[5].rsplit(" ", 1)[1])
    key_hash = hashlib.sha256(b"relatieboek.example/notary\n\x01" + NOTARY.verifier.key).digest()[:4]
    assert (len(signature), signature[:4]) == (68, key_hash)
    assert lines[6:] == [""]


def test_what_was_signed_comes_out() -> None:
    assert opened(NOTE, [NOTARY.verifier]) == CHECKPOINT
    assert opened(NOTE, [WITNESS.verifier, Verifier.read(str(NOTARY.verifier))]) == CHECKPOINT


def test_signatures_of_others_are_passed_over() -> None:
    both = NOTE + WITNESS.sign(CHECKPOINT).split("\n\n")[1]
    assert opened(both, [NOTARY.verifier]) == CHECKPOINT
    assert opened(both, [WITNESS.verifier]) == CHECKPOINT


@pytest.mark.parametrize(
    "note",
    [
        NOTE.replace("42", "43"),
        NOTE.replace("\n42\n", "\n042\n"),
        OTHER.sign(CHECKPOINT),
        CHECKPOINT.text(),
        NOTE.rstrip("\n"),
        NOTE.replace("— ", "- "),
        NOTE[:-10] + "\n",
        "",
        NOTARY.sign(Checkpoint("x", 1, b"short", HEADS)),
        NOTARY.sign(Checkpoint("", 1, ROOT, HEADS)),
    ],
)
def test_anything_else_is_no_checkpoint(note: str) -> None:
    with pytest.raises(BadCheckpoint):
        opened(note, [NOTARY.verifier])


@pytest.mark.parametrize("text", ["", "a+b", "a+00000000+AAAA", str(NOTARY.verifier).replace("+", "+f", 1)])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadCheckpoint):
        Verifier.read(text)


@pytest.mark.parametrize("name", ["", "two words", "a+b"])
def test_a_name_that_a_note_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Signer(name, bytes(32))
