"""SoftHSM, the PKCS#11 token in software: each test its own token, in a directory of this test process."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr

from services.pkcs11 import TokenWrapper

_PLACES: Final = ("/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/lib64/pkcs11", "/usr/local/lib/softhsm",
                  "/opt/homebrew/lib/softhsm")  # fmt: skip
LIBRARY: Final = next((p for p in (Path(d, "libsofthsm2.so") for d in _PLACES) if p.is_file()), None)
needs_softhsm: Final = pytest.mark.skipif(
    LIBRARY is None or shutil.which("softhsm2-util") is None,
    reason="SoftHSM is not on this machine (apt-get install softhsm2): no token to try PKCS#11 with",
)


@dataclass(frozen=True, slots=True)
class Token:
    label: str
    pin: str = field(repr=False)

    @property
    def settings(self) -> dict[str, Any]:
        return {"pkcs11_module": LIBRARY, "pkcs11_token": self.label, "pkcs11_pin": SecretStr(self.pin)}

    def keeper(self, *, within_s: float = 60.0) -> TokenWrapper:
        return TokenWrapper(str(LIBRARY), self.label, lambda: self.pin, within_s=within_s)


@cache
def directory() -> Path:
    """Where the tokens are; the library and its commands find it by the environment."""
    kept.append(tempfile.TemporaryDirectory(prefix="relatieboek-softhsm-"))
    where = Path(kept[0].name)
    (where / "tokens").mkdir()
    (where / "conf").write_text(f"directories.tokendir = {where / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(where / "conf")
    return where / "tokens"


kept: Final = list[tempfile.TemporaryDirectory[str]]()  # removed when the process ends


def new_token() -> Token:
    """A token without keys."""
    directory()
    token = Token(f"test-{secrets.token_hex(4)}", f"pin-{secrets.token_hex(8)}")
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", token.label, "--so-pin", "so-pin-12345",
         "--pin", token.pin],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return token
