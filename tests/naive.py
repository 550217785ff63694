"""What the read models must come to, computed plainly: sort the facts that count by stamp, and go through them.

Written apart from the projections: nothing here calls `evolve`, and nothing is kept between one event and the next. A
table is {primary key: {column: value}}; which of these stands beside which table of the product is in `naive_tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from events.recorded import ORGANISATION, Recorded
from projections.viewer import restriction
from tests.given import DELFT, HAAG

Row = dict[str, Any]
Table = dict[tuple[Any, ...], Row]
AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")
RELATIONS: Final = (HAAG, DELFT)
LAYERS: Final = ("board", "senior_management", "tactical_management", "professional")


def counting(events: Iterable[Recorded]) -> list[Recorded]:
    """The events that were not withdrawn, by stamp."""
    known = list(events)
    gone = {e.withdraws for e in known if e.withdraws is not None}
    return sorted((e for e in known if e.position not in gone), key=lambda e: e.stamp)


def day(event: Recorded) -> date:
    """When it happened; a plan has no such time: then when it was sent."""
    return local(event.data.get("occurred_on") or event.data.get("occurred_at") or event.time or "")


def local(value: str | datetime) -> date:
    if isinstance(value, datetime):
        return value.astimezone(AMSTERDAM).date()
    return date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value).astimezone(AMSTERDAM).date()


def moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).astimezone(UTC)


def on(value: str | None) -> date | None:
    return None if value is None else date.fromisoformat(value)


def grouped(events: Iterable[Recorded], fields: Sequence[str], *kinds: str) -> dict[tuple[Any, ...], list[Recorded]]:
    """The facts of these kinds that count, by relation and the values of these fields, by stamp."""
    found: dict[tuple[Any, ...], list[Recorded]] = {}
    for e in counting(events):
        if e.kind in kinds:
            found.setdefault((e.relation, *(e.data[f] for f in fields)), []).append(e)
    return found


def newest(
    events: Iterable[Recorded], fields: Sequence[str], kinds: str | Sequence[str], row: Callable[[Recorded], Row]
) -> Table:
    """A row for each key, of the last of these facts."""
    wanted = (kinds,) if isinstance(kinds, str) else kinds
    return {key: row(mine[-1]) for key, mine in grouped(events, fields, *wanted).items()}


def last(events: Iterable[Recorded], *kinds: str) -> Recorded | None:
    """The last of these facts among those given by stamp."""
    found = [e for e in events if e.kind in kinds]
    return found[-1] if found else None


def without_relation(table: Table) -> Table:
    """Rows of facts about no relation."""
    return {key[1:]: row for key, row in table.items()}


def positions(events: Iterable[Recorded]) -> list[int]:
    return sorted(e.position for e in events)


def bits(*events: Recorded) -> int:
    """How restricted what follows from these facts is: each restriction of any of them."""
    found = 0
    for e in events:
        found |= restriction(e)
    return found


def of_relations(events: Iterable[Recorded]) -> list[Recorded]:
    return [e for e in events if e.relation != ORGANISATION]


def party(name: str) -> str:
    """One spelling for each name of an organisation: a UUID in lower case."""
    return name.lower() if len(name) == 36 and name.count("-") == 4 else name


def name_key(name: str | None) -> str | None:
    """Without case and accents; the histories know one name with an accent."""
    return None if name is None else {"É": "e"}.get(name, name.lower())


def layer_mask(layers: Iterable[str]) -> int:
    return sum(1 << LAYERS.index(layer) for layer in set(layers))


def pair_mask(pairs: Iterable[tuple[str, str]]) -> int:
    return sum(1 << (4 * LAYERS.index(ours) + LAYERS.index(theirs)) for ours, theirs in set(pairs))


def pairs(data: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(ours["layer"], theirs["layer"]) for ours in data["ours"] for theirs in data["theirs"]}
