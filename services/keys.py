"""Where the key-encryption keys come from: a file, a command (of a KMS), the environment, or the credentials that `up`
keeps; the first of these that the settings name. Or a token behind PKCS#11 that keeps its keys to itself, which then
wraps, while the ring, if there is one, only opens.

A file is read again when it changed, so that `relatieboek keys rotate` reaches running services without a restart. A
command is run once, when a process starts.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from events.errors import SetupError
from events.keys import KeyWrapper, Moving, Ring, RingWrapper
from events.privacy import Privacy
from services.pkcs11 import TokenWrapper
from services.settings import Settings, others_environment

_NO_RING = (
    "De sleutelring ontbreekt: zet RELATIEBOEK_KEY_RING, RELATIEBOEK_KEY_RING_FILE of RELATIEBOEK_KEY_RING_COMMAND, "
    "voor alle diensten dezelfde. Zonder die ring is niets van wat versleuteld is te lezen."
)
_NO_PIN: Final = "Het bestand met de pincode (RELATIEBOEK_PKCS11_PIN_FILE) is niet te lezen."
_COMMAND_WITHIN_S: Final = 15.0
_MOST_BYTES: Final = 65_536  # some 800 keys


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
    """What wraps and opens keys under these settings. Raises SetupError when they name neither ring nor token."""
    token = token_of(settings)
    if token is None:
        return _ring_wrapper(settings)
    if not has_ring(settings):
        return token
    ring = _ring_wrapper(settings)
    return Moving(ring if settings.pkcs11_opens_only else token, ring, token)


def token_of(settings: Settings) -> TokenWrapper | None:
    """The token that the settings name. Does not look whether it is there."""
    if settings.pkcs11_module is None:
        return None

    def pin() -> str:
        if settings.pkcs11_pin_file is None:
            assert settings.pkcs11_pin is not None, "the settings have seen to it"
            return settings.pkcs11_pin.get_secret_value()
        try:
            return settings.pkcs11_pin_file.read_text().strip()
        except OSError as error:
            raise SetupError(_NO_PIN) from error

    return TokenWrapper(str(settings.pkcs11_module), settings.pkcs11_token, pin, within_s=settings.pkcs11_within_s)


def has_ring(settings: Settings) -> bool:
    """Whether there is a ring, beside a token or alone."""
    if settings.key_ring_file is not None or settings.key_ring_command or settings.key_ring is not None:
        return True
    try:
        return bool(_in_credentials(settings.credentials_path.read_bytes()))
    except FileNotFoundError:
        return False


async def first_key(settings: Settings) -> None:
    """Makes the first key in a token that is to wrap and has none yet."""
    token = token_of(settings)
    if token is not None and not settings.pkcs11_opens_only and not await token.ids():
        await token.add_key()


def _ring_wrapper(settings: Settings) -> RingWrapper:
    if settings.key_ring_file is not None:
        source: Callable[[], Ring] = RingFile(settings.key_ring_file, bytes.decode)
        source()
        return RingWrapper(source)
    ring = ring_of(settings)
    if ring is not None:
        return RingWrapper(lambda: ring)
    source = RingFile(settings.credentials_path, _of_credentials)
    source()
    return RingWrapper(source)


def ring_of(settings: Settings) -> Ring | None:
    """The ring as the settings give it now; None where they leave it to the credentials. Raises SetupError."""
    if settings.key_ring_file is not None:
        return RingFile(settings.key_ring_file, bytes.decode)()
    if settings.key_ring_command:
        return ring_of_command(settings.key_ring_command)
    if settings.key_ring is not None:
        return Ring.read(settings.key_ring.get_secret_value())
    return None


def ring_of_command(command: str, *, within_s: float = _COMMAND_WITHIN_S) -> Ring:
    """Runs a command that prints the ring, plain or in base64, without a shell and without the book's own settings.

    Raises SetupError, which tells nothing of what the command printed, when it cannot run, does not end well in time,
    or prints anything else. It and what it started are ended then.
    """
    try:
        words = shlex.split(command)
        with subprocess.Popen(  # noqa: S603  the operator's own setting
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=others_environment(), start_new_session=True,
        ) as process:  # fmt: skip
            printed, ended = _heard(process, within_s)
    except (ValueError, IndexError, OSError):  # no closing quote, no word at all, no such program
        raise SetupError(_told("kan niet worden uitgevoerd")) from None
    if ended == -signal.SIGKILL:
        raise SetupError(_told(f"was na {within_s:g} seconden niet klaar, of gaf veel te veel"))
    if ended != 0:
        raise SetupError(_told(f"eindigde met {ended}"))
    try:
        plain = printed if b":" in printed else base64.b64decode(printed)  # `aws kms decrypt` prints base64
        return Ring.read(plain.decode())
    except ValueError:
        raise SetupError(_told("gaf geen sleutelring")) from None


def _heard(process: subprocess.Popen[bytes], within_s: float) -> tuple[bytes, int]:
    """What it printed and how it ended; killed with all that it started where it takes too long or prints too much."""

    def kill() -> None:
        if process.returncode is None:  # not waited for, so that its number is nobody else's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    late = threading.Timer(within_s, kill)
    late.start()
    try:
        assert process.stdout is not None
        printed = process.stdout.read(_MOST_BYTES + 1)
        if len(printed) > _MOST_BYTES:
            kill()
        return printed, process.wait()
    finally:
        late.cancel()
        kill()


def _told(what: str) -> str:
    return f"RELATIEBOEK_KEY_RING_COMMAND {what}. Voer de opdracht zelf uit om te zien waarom; zij moet de ring tonen."


def _in_credentials(content: bytes) -> str | None:
    """The ring in `credentials.json` of an embedded instance."""
    try:
        ring = msgspec.json.decode(content)["internal"]["key_ring"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return None
    return ring if isinstance(ring, str) else None


def _of_credentials(content: bytes) -> str:
    ring = _in_credentials(content)
    if ring is None:
        raise SetupError(_NO_RING)
    return ring


def privacy_of(settings: Settings) -> Privacy:
    """Raises SetupError when the lookup key or the key ring is not to be found."""
    return Privacy(settings.lookup_key_bytes, key_wrapper(settings))
