"""How restricted alerts and loops are: as the facts that they rest on, since they say what those are about.

Their own events carry no visibility: the book's services write them, for everybody who may see the facts. A contact in
the evidence restricts nothing, since everybody may see its date. A fold that keeps these two tables knows of each event
of an alert or loop which restrictions it has. The evidence comes before it in the book, after a merge perhaps under
another relation; that is why `restricted` is no relation's. An event names 20 of its causes at most: whoever makes it
leaves out contacts and what restricts no more than the rest (`viewer.telling`, for `workflows.rule.positions` and
`alert_rule.evidence_of`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import BigInteger, Column, MetaData, Table, Text

from events.recorded import Recorded
from projections.kin import ALL
from projections.rows import Need, One, Rows
from projections.viewer import restriction

RESTRICTED: Final = "restricted"  # stays when a relation's rows are folded again: `Projection.kept`
_FAMILIES: Final = frozenset({"alert", "loop"})


def sight_tables(metadata: MetaData, info: dict[Any, Any] | None = None) -> None:
    """Adds the tables `restricted` and `guarded`; both hold rows of what is restricted only, which is little."""
    Table(
        RESTRICTED,
        metadata,
        Column("whole", Text, primary_key=True, comment="the constant 'all'"),
        Column("position", BigInteger, primary_key=True, autoincrement=False, comment="of a fact that is no contact"),
        Column("hidden", BigInteger, nullable=False, comment="restriction bits, see viewer.py"),
        info=info,
    )
    Table(
        "guarded",
        metadata,
        Column("relation", Text, primary_key=True),
        Column("id", Text, primary_key=True, comment="of an alert or a loop"),
        Column("hidden", BigInteger, nullable=False, comment="restriction bits of all its evidence so far"),
        info=info,
    )


def sight_needs(event: Recorded) -> Iterable[Need]:
    """What `fold_sight` and `bits_of` read of this event."""
    if event.family in _FAMILIES:
        yield One("guarded", (event.relation, _id(event)))
        yield from (One(RESTRICTED, (ALL, position)) for position in event.data.get("evidence") or ())


def fold_sight(rows: Rows, event: Recorded) -> None:
    """Notes a restricted fact, and the restrictions that an alert or loop takes over from its evidence. To be called of
    a withdrawn event too: what an alert said about it stays in the book."""
    if event.family in _FAMILIES:
        bits = before = bits_of(rows, event)
        for position in event.data.get("evidence") or ():
            fact = rows.get(RESTRICTED, ALL, position)
            bits |= 0 if fact is None else fact["hidden"]
        if bits != before:
            rows.put("guarded", {"relation": event.relation, "id": _id(event), "hidden": bits})
    elif event.family != "contact":
        bits = restriction(event)
        if bits:
            rows.put(RESTRICTED, {"whole": ALL, "position": event.position, "hidden": bits})


def bits_of(rows: Rows, event: Recorded) -> int:
    """The restriction bits of an event: its own and, of an alert or loop that was folded, those of its evidence."""
    bits = restriction(event)
    if event.family in _FAMILIES:
        known = rows.get("guarded", event.relation, _id(event))
        bits |= 0 if known is None else known["hidden"]
    return bits


def _id(event: Recorded) -> str:
    return event.data.get("alert") or event.data["loop"]
