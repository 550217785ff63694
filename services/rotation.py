"""Rotating the key-encryption key, while everything runs.

A new key comes first in the ring under the lock that every append takes, so that whatever is written later is wrapped
by it; then the old keys are wrapped anew, in small steps; then the old one can be dropped.
"""

from __future__ import annotations

from collections.abc import Callable

from events.errors import SetupError
from events.keys import Ring
from events.postgres import Connection
from events.rewrapping import wrapped_by
from services.embedded import credentials as store
from services.embedded.credentials import Credentials
from services.embedded.datadir import write_atomically
from services.settings import Settings

_IN_ENVIRONMENT = (
    "De ring staat in RELATIEBOEK_KEY_RING, of komt van RELATIEBOEK_KEY_RING_COMMAND: zet daar een nieuwe sleutel "
    "vooraan (8 en 64 hexadecimale tekens, id:sleutel), herstart alle diensten, en draai dan `relatieboek keys rewrap`."
)


async def add_key(conn: Connection, settings: Settings) -> Ring:
    """Puts a fresh key in front of the ring and returns the ring. Raises SetupError where the ring is not ours."""
    async with conn.transaction():
        await conn.execute("SELECT 1 FROM ledger.head FOR UPDATE")
        return _change(settings, Ring.with_new)


async def drop_key(conn: Connection, settings: Settings, key_id: str) -> Ring:
    """Takes a key out of the ring, and returns what is left. Raises SetupError while it wraps anything."""

    def without(ring: Ring) -> Ring:
        if key_id == ring.primary or key_id not in ring.keys:
            raise SetupError(f"Sleutel {key_id} is de huidige, of staat niet in de ring.")
        return ring.without(key_id)

    async with conn.transaction():
        await conn.execute("SELECT 1 FROM ledger.head FOR UPDATE")
        left = (await wrapped_by(conn))[key_id]
        if left:
            raise SetupError(f"Sleutel {key_id} sluit nog {left} sleutels af. Draai eerst `relatieboek keys rewrap`.")
        return _change(settings, without)


def _change(settings: Settings, change: Callable[[Ring], Ring]) -> Ring:
    path = settings.key_ring_file
    if path is not None:
        ring = change(Ring.read(path.read_text()))
        write_atomically(path, ring.text() + "\n", mode=0o600)
        return ring
    if settings.key_ring_command or settings.key_ring is not None:
        raise SetupError(_IN_ENVIRONMENT)

    def in_credentials(held: Credentials) -> Credentials:
        internal = store.internal_of(held)
        text = change(Ring.read(internal.key_ring)).text()
        return held.model_copy(update={"internal": internal.model_copy(update={"key_ring": text})})

    return Ring.read(store.internal_of(store.update(settings.credentials_path, in_credentials)).key_ring)
