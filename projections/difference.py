"""What differs between two states of a relation (or any two documents), field by field. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

# Lists of objects that need more than their first field to be told apart.
_IDENTITY: Final[Mapping[str, tuple[str, ...]]] = {
    "identifiers": ("scheme", "value", "department"),
    "contacts_by_layer_pair": ("our_layer", "their_layer"),
    "tier_arguments": ("criterion", "evidence"),
    "satisfaction": ("instrument", "wording_version"),
    "figures": ("instrument", "wording_version"),
    "outcomes": ("indicator", "period"),
    "baseline": ("indicator", "period"),
    "cells": ("our_layer", "their_layer"),
    "gaps": ("our_layer", "their_layer"),
    "pairs": ("our_layer", "their_layer"),
    "layer_pairs": ("our_layer", "their_layer"),
    "links": ("ours", "theirs"),
    # Layer by layer of a relation, pocket by pocket of a chain.
    "matrix": ("our_layer", "their_layer", "organisation", "financing_system"),
    # Facts without an id of their own, of which there may be several on one day.
    "decisions": ("position",),
    "reports": ("position",),
    "renewals": ("position",),
    "history": ("position",),
}


def difference(before: Any, after: Any) -> list[dict[str, Any]]:
    """[{pointer, before, after}], a field each, in the order of the documents; nothing for what is the same.

    `pointer` is a JSON pointer (RFC 6901), but an object in a list stands under what identifies it and not under its
    place, which shifts: `/schedule/l-1/state`. What is only in one of the two is None in the other.
    """
    found: list[dict[str, Any]] = []
    _compare("", "", before, after, found)
    return found


def _compare(pointer: str, name: str, before: Any, after: Any, found: list[dict[str, Any]]) -> None:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        _members(pointer, cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after), found)
        return
    if isinstance(before, list) and isinstance(after, list):
        left, right = _by_identity(name, cast("list[Any]", before)), _by_identity(name, cast("list[Any]", after))
        if left is not None and right is not None:
            _members(pointer, left, right, found)
            return
    found.append({"pointer": pointer, "before": before, "after": after})


def _members(pointer: str, before: Mapping[str, Any], after: Mapping[str, Any], found: list[dict[str, Any]]) -> None:
    for name in dict.fromkeys((*before, *after)):
        _compare(f"{pointer}/{_escaped(name)}", name, before.get(name), after.get(name), found)


def _by_identity(name: str, items: Sequence[Any]) -> Mapping[str, Any] | None:
    """The objects of a list by what identifies each (their first field, or as `_IDENTITY` says); None: not such a list,
    so it counts as one value."""
    found: dict[str, Any] = {}
    for item in items:
        if not isinstance(item, Mapping) or not item:
            return None
        fields = cast("Mapping[str, Any]", item)
        names = _IDENTITY.get(name) or (next(iter(fields)),)
        identity = ",".join(str(fields[n]) for n in names if fields.get(n) is not None)
        if not identity or identity in found:
            return None
        found[identity] = fields
    return found


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
