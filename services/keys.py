"""Where the key-encryption keys come from: the environment, a file, or the credentials that `up` keeps.

A file is read again when it changed, so that `relatieboek keys rotate` reaches running services without a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from events.errors import SetupError
from events.keys import KeyWrapper, Ring, RingWrapper
from events.privacy import Privacy
from services.settings import Settings

_NO_RING = (
    "De sleutelring ontbreekt: zet RELATIEBOEK_KEY_RING of RELATIEBOEK_KEY_RING_FILE, voor alle diensten dezelfde. "
    "Zonder die ring is niets van wat versleuteld is te lezen."
)


class RingFile:
    """The ring in a file, read anew when the file is another one. `parse` finds the ring's text in it."""

    def __init__(self, path: Path, parse: Callable[[bytes], str]) -> None:
        self._path, self._parse = path, parse
        self._seen: tuple[int, int, int] | None = None
        self._ring: Ring | None = None

    def __call__(self) -> Ring:
        """Raises SetupError when the file is gone or holds no ring."""
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if self._ring is None or seen != self._seen:
                self._ring, self._seen = Ring.read(self._parse(self._path.read_bytes())), seen
        except OSError as error:
            raise SetupError(_NO_RING) from error
        return self._ring


def key_wrapper(settings: Settings) -> KeyWrapper:
    """What wraps and opens keys under these settings. Raises SetupError when they say nothing of a ring."""
    if settings.key_ring_file is not None:
        source: Callable[[], Ring] = RingFile(settings.key_ring_file, bytes.decode)
        source()
        return RingWrapper(source)
    if settings.key_ring is not None:
        ring = Ring.read(settings.key_ring.get_secret_value())
        return RingWrapper(lambda: ring)
    source = RingFile(settings.credentials_path, _of_credentials)
    source()
    return RingWrapper(source)


def _of_credentials(content: bytes) -> str:
    """The ring in `credentials.json` of an embedded instance."""
    try:
        ring = msgspec.json.decode(content)["internal"]["key_ring"]
    except (msgspec.DecodeError, KeyError, TypeError):
        ring = None
    if not isinstance(ring, str):
        raise SetupError(_NO_RING)
    return ring


def privacy_of(settings: Settings) -> Privacy:
    """Raises SetupError when the lookup key or the key ring is not to be found."""
    return Privacy(settings.lookup_key_bytes, key_wrapper(settings))
