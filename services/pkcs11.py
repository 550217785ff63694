"""`KeyWrapper` with a keeper that never gives its key away: a token (of an HSM, or of a cloud KMS) behind PKCS#11.

The key-encryption keys are AES-256 keys in the token, labelled `relatieboek`, that cannot be taken out of it; a key's
CKA_ID is its id, and the id that sorts last is the primary. The token encrypts each key by CKM_AES_GCM, its name as
additional data, so that what it wraps looks like what a ring wraps. Needs the extra `relatieboek[pkcs11]`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidTag

from events.clock import system_now
from events.errors import KeyMissing, SetupError
from events.keys import HEAD_BYTES, NONCE_BYTES, Named, head_of, key_id_of
from services.token_session import CANNOT, TokenSession

if TYPE_CHECKING:
    from pkcs11 import SecretKey, Session

LABEL: Final = "relatieboek"
_AT_ONCE: Final = 100  # keys a turn: other callers of this process come in between
_TAG_BYTES: Final = 16
_ID: Final = re.compile(rb"[0-9a-z]{8}")
_OURS: Final = re.compile(r"p[0-9a-f]{7}")  # no id of a ring: those are hexadecimal
_NO_KEY: Final = "In het token staat nog geen sleutel van Relatieboek. Maak die met `relatieboek keys rotate`."
_NOT_LAST: Final = "In het token staat een sleutel met een id van uzelf. Maak ook de nieuwe zelf, met een later id."


class TokenWrapper:
    """Every call may raise what `TokenSession.do` raises, and SetupError where the token has no key."""

    def __init__(self, module: str, token: str, pin: Callable[[], str], *, within_s: float) -> None:
        self._token = TokenSession(module, token, pin, within_s=within_s)
        self._keys: dict[str, SecretKey] = {}
        self._found_in: Session | None = None
        self._proved: set[str] = set()

    async def ids(self) -> list[str]:
        """The ids of the keys in the token, the primary last."""
        return await self._token.do(lambda session: sorted(self._find(session)))

    async def primary(self) -> str:
        return await self._token.do(lambda session: self._newest(session)[0])

    async def wrap(self, keys: Sequence[Named]) -> list[bytes]:
        return [done for part in _turns(keys) for done in await self._token.do(partial(self._wrap, part))]

    async def unwrap(self, keys: Sequence[Named]) -> list[bytes]:
        return [done for part in _turns(keys) for done in await self._token.do(partial(self._unwrap, part))]

    async def add_key(self) -> str:
        """Makes a new primary and returns its id. Raises SetupError where ids are not ours to give."""
        return await self._token.do(self._add)

    async def drop_key(self, key_id: str) -> None:
        """Destroys a key for ever. Raises KeyMissing when it is not there."""
        await self._token.do(partial(self._drop, key_id))

    # From here on in the library's own thread.

    def _find(self, session: Session) -> dict[str, SecretKey]:
        from pkcs11 import Attribute, KeyType, ObjectClass

        wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.LABEL: LABEL}
        found: list[tuple[bytes, Any]] = [(key[Attribute.ID], key) for key in list(session.get_objects(wanted))]
        self._keys = {id_.decode(): key for id_, key in found if _ID.fullmatch(id_)}
        self._found_in = session
        return self._keys

    def _newest(self, session: Session) -> tuple[str, SecretKey]:
        """Looked for at every wrap: so a rotation reaches all services."""
        keys = self._find(session)
        if not keys:
            raise SetupError(_NO_KEY)
        return max(keys.items())

    def _wrap(self, named: Sequence[Named], session: Session) -> list[bytes]:
        key_id, key = self._newest(session)
        self._prove(key_id, key)
        return [head_of(key_id) + _seal(key, name, plain) for name, plain in named]

    def _unwrap(self, named: Sequence[Named], session: Session) -> list[bytes]:
        keys = self._keys if session is self._found_in else {}
        opened: list[bytes] = []
        for name, wrapped in named:
            key_id = key_id_of(wrapped)
            if key_id is None:
                raise KeyMissing(f"the wrapping of {name.decode()}: intake wraps such keys when it starts")
            if key_id not in keys:
                keys = self._find(session)
            if key_id not in keys:
                raise KeyMissing(f"key-encryption key {key_id}")
            opened.append(self._open(key_id, keys[key_id], name, wrapped[HEAD_BYTES:]))
        return opened

    def _open(self, key_id: str, key: SecretKey, name: bytes, sealed: bytes) -> bytes:
        from pkcs11 import PKCS11Error

        if len(sealed) < NONCE_BYTES + _TAG_BYTES:
            raise InvalidTag
        try:
            return _unseal(key, name, sealed)
        except PKCS11Error as error:
            # Libraries have many codes for a wrong tag (SoftHSM: general error). If another opens, this one is wrong.
            self._proved.discard(key_id)
            self._prove(key_id, key)
            raise InvalidTag from error

    def _prove(self, key_id: str, key: SecretKey) -> None:
        """What it wraps must open again, else everything that it wraps would be lost."""
        if key_id in self._proved:
            return
        plain = bytes(range(64))
        if _unseal(key, b"proof", _seal(key, b"proof", plain)) != plain:
            raise SetupError(CANNOT)
        self._proved.add(key_id)

    def _add(self, session: Session) -> str:
        from pkcs11 import Attribute, KeyType, MechanismFlag

        last = max(self._find(session), default="p0000000")
        if not _OURS.fullmatch(last):
            raise SetupError(_NOT_LAST)
        number = max(int(system_now().timestamp() // 60), int(last[1:], 16) + 1)  # minutes: it sorts by age
        key_id = f"p{number:07x}"
        writing = session.token.open(rw=True)
        try:
            writing.generate_key(
                KeyType.AES, 256, id=key_id.encode(), label=LABEL, store=True,
                capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
                template={Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            )  # fmt: skip
        finally:
            writing.close()
        self._prove(key_id, self._find(session)[key_id])
        return key_id

    def _drop(self, key_id: str, session: Session) -> None:
        writing = session.token.open(rw=True)
        try:
            key = self._find(writing).get(key_id)
            if key is None:
                raise KeyMissing(f"key-encryption key {key_id}")
            key.destroy()
        finally:
            self._keys = {}
            writing.close()


def _turns(keys: Sequence[Named]) -> list[Sequence[Named]]:
    return [keys[n : n + _AT_ONCE] for n in range(0, len(keys), _AT_ONCE)]


def _seal(key: Any, name: bytes, plain: bytes) -> bytes:
    from pkcs11 import GCMParams, Mechanism

    nonce = os.urandom(NONCE_BYTES)  # `random_bytes` is for one thread
    sealed: bytes = key.encrypt(plain, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(nonce, name))
    return nonce + sealed


def _unseal(key: Any, name: bytes, sealed: bytes) -> bytes:
    from pkcs11 import GCMParams, Mechanism

    params = GCMParams(sealed[:NONCE_BYTES], name)
    plain: bytes = key.decrypt(sealed[NONCE_BYTES:], mechanism=Mechanism.AES_GCM, mechanism_param=params)
    return plain
