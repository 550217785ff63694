"""The tiers of this institution (SPEC section 1: the set is configurable)."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationInfo

from events.values import refuse

DEFAULT_TIERS: Final = frozenset({"A", "B"})


def known_tier(tier: str, info: ValidationInfo) -> str:
    """The tier, when it is one of the tiers that the validation was given as its context; without those, any."""
    tiers: frozenset[str] | None = info.context
    if tiers is not None and tier not in tiers:
        raise refuse(f"This is no tier of this institution; use one of {', '.join(sorted(tiers))}.")
    return tier
