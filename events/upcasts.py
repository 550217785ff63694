"""Old event versions read as new ones: pure functions from version N to N+1, applied in a row.

The ledger keeps what was sent. A reader that knows only the newest version of a type asks `Upcasts.newest`. Stored
personal fields are tokens, so an upcaster moves and renames them but never looks inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Data = dict[str, Any]
Upcaster = Callable[[Data], Data]


def next_version(type_: str) -> str:
    """`….v1` -> `….v2`."""
    name, _, version = type_.rpartition(".v")
    return f"{name}.v{int(version) + 1}"


class Upcasts:
    """The upcasters of a catalogue, by the full type that they read. Each gives the payload of the next version."""

    def __init__(self, upcasters: Mapping[str, Upcaster]) -> None:
        self._upcasters = dict(upcasters)

    def newest(self, type_: str, data: Data) -> tuple[str, Data]:
        """The newest type and its payload. `data` itself is left as it is; without upcasters it comes back as is."""
        while (upcaster := self._upcasters.get(type_)) is not None:
            type_, data = next_version(type_), upcaster(data)
        return type_, data

    def problems(self, types: Mapping[str, object]) -> list[str]:
        """Upcasters that read or give a type that the catalogue does not have."""
        return [t for t in self._upcasters if t not in types or next_version(t) not in types]


# None needed yet: every type is at version 1.
UPCASTS: Final = Upcasts({})
