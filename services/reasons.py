"""What the operating system says, in Dutch, for people at the command line."""

from __future__ import annotations

import errno
import os
from typing import Final

_REASONS: Final = {
    errno.ENOENT: "bestaat niet",
    errno.EACCES: "geen toegang",
    errno.EPERM: "geen toegang",
    errno.EEXIST: "er staat al iets anders",
    errno.EISDIR: "is een map",
    errno.ENOTDIR: "een deel van het pad is geen map",
    errno.ENOSPC: "de schijf is vol",
    errno.EDQUOT: "de schijf is vol",
    errno.EROFS: "de schijf is alleen te lezen",
}


def why(error: OSError) -> str:
    """The reason in a few words."""
    if error.errno is None:
        return type(error).__name__
    return _REASONS.get(error.errno) or os.strerror(error.errno)
