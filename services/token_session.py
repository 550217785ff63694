"""A session with a PKCS#11 token: opened when it is needed, in the one thread of its library, and again after an error.

python-pkcs11 opens a library without locks, so that by the standard no two threads may call it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from events.errors import SetupError, Unavailable

if TYPE_CHECKING:
    from pkcs11 import Session

log = structlog.get_logger(__name__)

CANNOT: Final = "Dit token kan niet versleutelen zoals nodig is (CKM_AES_GCM met een eigen nonce)."
_NO_PACKAGE: Final = (
    "RELATIEBOEK_PKCS11_MODULE is gezet; installeer daarvoor python-pkcs11 (relatieboek[pkcs11], "
    "requirements-pkcs11.lock)."
)
_NO_LIBRARY: Final = "De bibliotheek van RELATIEBOEK_PKCS11_MODULE is niet te laden. Klopt het pad?"
_WRONG_PIN: Final = (
    "Het token weigert de pincode (RELATIEBOEK_PKCS11_PIN of _PIN_FILE). Verbeter die eerst: na een paar keer fout "
    "gaat een token op slot."
)

T = TypeVar("T")


class _Library:
    """A PKCS#11 library in this process, with its thread. `opened`: how often; sessions of before are over."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="pkcs11")
        self.opened = 1

    def load(self) -> Any:
        try:
            import pkcs11
        except ImportError as error:
            raise SetupError(_NO_PACKAGE) from error
        try:
            return pkcs11.lib(self.path)
        except pkcs11.PKCS11Error as error:
            if type(error) is pkcs11.PKCS11Error:  # no code of the library: it was not even loaded
                raise SetupError(_NO_LIBRARY) from error
            raise

    def open_again(self) -> None:
        """Ends every session of this process; a token that came back shows only then."""
        self.opened += 1
        self.load().reinitialize()


_library: Final = cache(_Library)


class TokenSession:
    """`module` is the library's path, `token` the token's label; `pin` is asked for when it signs in."""

    def __init__(self, module: str, token: str, pin: Callable[[], str], *, within_s: float) -> None:
        self._library, self._token, self._pin, self._within_s = _library(module), token, pin, within_s
        self._session: Session | None = None
        self._opened = 0  # the library's `opened` when the session began
        self._refused: str | None = None  # a PIN; not tried again, since a token locks itself

    async def do(self, work: Callable[[Session], T]) -> T:
        """What `work` gives, in the library's thread. It may run twice: a session may be over for many a reason, so
        after an error of the library it gets a new one before anybody hears of it.

        Raises Unavailable when the token is away or takes too long, SetupError for what a person must mend: package,
        library, PIN, or a token that cannot do this.
        """
        turn = asyncio.get_running_loop().run_in_executor(self._library.thread, self._try, work)
        try:
            async with asyncio.timeout(self._within_s):
                return await turn
        except TimeoutError as error:
            raise Unavailable("the keeper of the keys does not answer in time; try again", 2) from error

    def _try(self, work: Callable[[Session], T]) -> T:
        self._library.load()
        import pkcs11

        try:
            try:
                return work(self._connected())
            except (pkcs11.MechanismInvalid, pkcs11.MechanismParamInvalid, pkcs11.FunctionNotSupported) as error:
                raise SetupError(CANNOT) from error
            except pkcs11.PKCS11Error as error:
                log.warning("the key token is asked again", error=type(error).__name__)
                self._library.open_again()
                return work(self._connected())
        except pkcs11.PKCS11Error as error:
            raise Unavailable(f"the keeper of the keys is out ({type(error).__name__}); try again", 2) from error

    def _connected(self) -> Session:
        if self._session is not None and self._opened == self._library.opened:
            return self._session
        import pkcs11

        token, pin = self._library.load().get_token(token_label=self._token), self._pin()
        if pin == self._refused:
            raise SetupError(_WRONG_PIN)
        try:
            session = token.open(user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # another session of this process is; that holds for all
            session = token.open()
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinLocked, pkcs11.PinExpired):
            self._refused = pin
            raise SetupError(_WRONG_PIN) from None
        self._session, self._opened = session, self._library.opened
        return session
