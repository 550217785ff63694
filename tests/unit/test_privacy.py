"""A ciphertext belongs to one field of one event: moved to another, it does not open."""

from __future__ import annotations

import base64

import pytest
from cryptography.exceptions import InvalidTag

from events.privacy import aad_of, new_event_key, new_key, new_ref, seal, text_token, unseal

HERE = ("nl.relatieboek.contact.held.v1", "urn:nld:oin:00000000000000000000:systeem:crm", "e-1", "/summary")
ELSEWHERE = [
    ("nl.relatieboek.contact.corrected.v1", *HERE[1:]),
    (HERE[0], "urn:nld:oin:00000000000000000000:systeem:zorg", *HERE[2:]),
    (*HERE[:2], "e-2", HERE[3]),
    (*HERE[:3], "/theirs/0/name"),
    (HERE[0], HERE[1] + "e", "-1", HERE[3]),  # the same characters, otherwise divided
]


@pytest.mark.parametrize("there", ELSEWHERE, ids=["type", "source", "id", "pointer", "border"])
@pytest.mark.parametrize("ref", [None, new_ref()], ids=["of the event", "of a person"])
def test_a_text_opens_in_its_own_place_only(there: tuple[str, str, str, str], ref: str | None) -> None:
    key = new_key() if ref else new_event_key()
    token = text_token(key, 7, HERE[3], aad_of(*HERE), "Zeer geheime samenvatting", ref)
    sealed = base64.urlsafe_b64decode(token.rpartition("~")[2])
    assert unseal(key, sealed, aad_of(*HERE)) == b"Zeer geheime samenvatting"
    with pytest.raises(InvalidTag):
        unseal(key, sealed, aad_of(*there))


@pytest.mark.parametrize("at", [0, 12, -1], ids=["nonce", "text", "tag"])
def test_an_altered_text_does_not_open(at: int) -> None:
    key, aad = new_event_key(), aad_of(*HERE)
    sealed = bytearray(seal(key, b"geheim", aad))
    sealed[at] ^= 1
    with pytest.raises(InvalidTag):
        unseal(key, bytes(sealed), aad)
