"""Names of relations, made comparable."""

from __future__ import annotations

import unicodedata


def name_key(name: str) -> str:
    """A name without case and accents, for order and search."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in plain if not unicodedata.combining(c))
