"""Which relation an event is about: subjects, identifiers and the UUIDs that the book makes (SPEC section 2)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from uuid import NAMESPACE_URL, uuid5

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_uuid(subject: str) -> bool:
    return _UUID.fullmatch(subject) is not None


def relation_key(relation: str) -> str:
    return f"relation:{relation}"


def identifier_key(scheme: str, value: str, department: str) -> str:
    """The key of an identifier. `local` ids live in the publishing department's own namespace."""
    return f"identifier:local:{department}:{value}" if scheme == "local" else f"identifier:{scheme}:{value}"


@lru_cache(16_384)
def subject_key(subject: str, department: str) -> str:
    """The key that a subject resolves by: a relation's own for a UUID, else its identifier's."""
    if is_uuid(subject):
        return relation_key(subject.lower())
    scheme, _, value = subject.partition(":")
    return identifier_key(scheme, value, department)


def made_uuid(subject: str, department: str) -> str:
    """The UUID of a relation that is registered under `<scheme>:<value>`; a UUID stays what it is, in lower case."""
    if is_uuid(subject):
        return subject.lower()
    scheme, _, value = subject.partition(":")
    name = f"{scheme}:{department}:{value}" if scheme == "local" else f"{scheme}:{value}"
    return str(uuid5(NAMESPACE_URL, f"urn:relatieboek:{name}"))
