"""Rotating the key-encryption key, while everything runs.

A new key comes first in the ring, or last in the token that keeps its keys to itself, under the lock that every append
takes, so that whatever is written later is wrapped by it; then the old keys are wrapped anew, in small steps; then the
old one can be dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from events.errors import SetupError
from events.keys import Ring
from events.postgres import Connection
from events.rewrapping import wrapped_by
from services.embedded import credentials as store
from services.embedded.credentials import Credentials
from services.embedded.datadir import write_atomically
from services.keys import has_ring, token_of
from services.pkcs11 import TokenWrapper
from services.settings import Settings

_IN_ENVIRONMENT = (
    "De ring staat in RELATIEBOEK_KEY_RING, of komt van RELATIEBOEK_KEY_RING_COMMAND: zet daar een nieuwe sleutel "
    "vooraan (8 en 64 hexadecimale tekens, id:sleutel), herstart alle diensten, en draai dan `relatieboek keys rewrap`."
)


_LAST: Final = (
    "Dit is de huidige sleutel van de ring, en het token sluit alles af. Haal de ring zelf weg: het bestand en "
    "RELATIEBOEK_KEY_RING_FILE, en herstart de diensten."
)


async def add_key(conn: Connection, settings: Settings) -> str:
    """Makes a fresh key the primary and returns its id. Raises SetupError where the ring is not ours."""
    token = token_of(settings)
    async with conn.transaction():
        await conn.execute("SELECT 1 FROM ledger.head FOR UPDATE")
        if token is not None and not settings.pkcs11_opens_only:
            return await token.add_key()
        return _change(settings, Ring.with_new)


async def drop_key(conn: Connection, settings: Settings, key_id: str) -> None:
    """Takes a key out of the ring, or destroys it in the token. Raises SetupError while it wraps anything."""
    token = token_of(settings)
    wraps = token is not None and not settings.pkcs11_opens_only

    def without(ring: Ring) -> Ring | None:
        if key_id not in ring.keys or (key_id == ring.primary and not wraps):
            raise SetupError(f"Sleutel {key_id} is de huidige, of bestaat niet.")
        return None if key_id == ring.primary else ring.without(key_id)

    async with conn.transaction():
        await conn.execute("SELECT 1 FROM ledger.head FOR UPDATE")
        left = (await wrapped_by(conn))[key_id]
        if left:
            raise SetupError(f"Sleutel {key_id} sluit nog {left} sleutels af. Draai eerst `relatieboek keys rewrap`.")
        if token is not None and await _dropped(token, key_id, wraps=wraps):
            return
        if not has_ring(settings):
            raise SetupError(f"Sleutel {key_id} bestaat niet.")
        _change(settings, without)


async def _dropped(token: TokenWrapper, key_id: str, *, wraps: bool) -> bool:
    """Whether it was one of the token's. Raises SetupError for its primary, when that wraps."""
    ids = await token.ids()
    if key_id not in ids:
        return False
    if wraps and key_id == ids[-1]:
        raise SetupError(f"Sleutel {key_id} is de huidige.")
    await token.drop_key(key_id)
    return True


def _change(settings: Settings, change: Callable[[Ring], Ring | None]) -> str:
    """The primary of the ring as it is then. `change` gives None where no key is left, which a token allows."""
    path = settings.key_ring_file
    if path is not None:
        ring = change(Ring.read(path.read_text()))
        if ring is None:
            raise SetupError(_LAST)
        write_atomically(path, ring.text() + "\n", mode=0o600)
        return ring.primary
    if settings.key_ring_command or settings.key_ring is not None:
        raise SetupError(_IN_ENVIRONMENT)
    primary = ""

    def in_credentials(held: Credentials) -> Credentials:
        nonlocal primary
        internal = store.internal_of(held)
        # A fresh one in the place of the last: it opens nothing, and running services find a ring as before.
        ring = change(Ring.read(internal.key_ring)) or Ring.fresh()
        primary = ring.primary
        return held.model_copy(update={"internal": internal.model_copy(update={"key_ring": ring.text()})})

    store.update(settings.credentials_path, in_credentials)
    return primary
