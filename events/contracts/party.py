"""Who takes part in an agreement, a programme or a chain: the institution itself (`us`) and relations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from events.fields import Party
from events.identity import is_uuid
from events.values import refuse


def same_party(party: str) -> str:
    """What makes two names of a party one: a UUID is the same in capitals."""
    return party.lower() if is_uuid(party) else party


def twice(parties: Iterable[str]) -> bool:
    """Whether a party stands among them twice. Two names of one relation (UUID and code) are not seen here."""
    named = [same_party(p) for p in parties]
    return len(set(named)) < len(named)


def _each_once(parties: tuple[str, ...]) -> tuple[str, ...]:
    if twice(parties):
        raise refuse("A party stands in the list twice; name each once.")
    return parties


Parties = Annotated[tuple[Party, ...], Field(min_length=2, max_length=40), AfterValidator(_each_once)]
