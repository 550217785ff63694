"""Who a command is about, what names them, and who may not be erased now (legal holds)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from events.clock import system_now
from events.errors import KeyMissing, NotFound, SetupError
from events.keys import of_person
from events.privacy import REF, Kind, Privacy, seal, unseal
from events.recorded import Recorded, decode
from events.tables import hold, person_key

_AT_ONCE: Final = 20_000
_MOST_REASON: Final = 500
_NAMING: Final = text(
    "SELECT payload, version FROM ledger.entry WHERE position > :after AND position <= :last "
    "AND (position(CAST(:ref AS bytea) IN payload) > 0 OR position(CAST(:actor AS bytea) IN payload) > 0) "
    "ORDER BY position"
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the key table. `id` as departments send it; None once erased. `key` opens what is theirs."""

    ref: str
    kind: Kind
    id: str | None = field(repr=False)
    key: bytes | None = field(repr=False)
    erased_by: int | None
    lookup: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold: while it is not released, the person cannot be erased, nor texts about them by a retention."""

    hold_id: int
    ref: str
    reason: str
    placed_at: datetime
    released_at: datetime | None


async def find(conn: AsyncConnection, privacy: Privacy, named: str) -> Person:
    """By `ref~…`, `person:<id>` or `employee:<id>`. Raises NotFound, and SetupError for anything else."""
    kind, _, id_ = named.partition(":")
    if named.startswith(REF):
        where = person_key.c.ref == named
    elif kind in ("person", "employee") and id_:
        where = person_key.c.lookup == privacy.lookup(kind, id_)
    else:
        raise SetupError("Noem iemand als person:<id>, employee:<id> of ref~<32 tekens>.")
    row = (await conn.execute(select(person_key).where(where))).one_or_none()
    if row is None:
        raise NotFound("Er is in het boek niemand met deze aanduiding.")
    if row.erased_by is not None:
        return Person(row.ref, row.kind, None, None, row.erased_by, row.lookup)
    if row.key is None:
        raise KeyMissing(row.ref)
    (key,) = await privacy.keys.unwrap([(of_person(row.ref), row.key)])
    return Person(row.ref, row.kind, unseal(key, row.sealed_id, row.ref.encode()).decode(), key, None, row.lookup)


async def events_naming(conn: AsyncConnection, ref: str, *, actor: str | None = None) -> AsyncGenerator[Recorded]:
    """Every event that names this person, or has `actor` as its actor, in the order of the book. Looks through the
    whole book."""
    said = ref if actor is None else f'"actor":"{actor}"'
    last = await conn.scalar(text("SELECT position FROM ledger.head"))
    for after in range(0, last or 0, _AT_ONCE):
        rows = await conn.execute(
            _NAMING, {"after": after, "last": after + _AT_ONCE, "ref": ref.encode(), "actor": said.encode()}
        )
        for row in rows:
            yield decode(row.payload, row.version)


async def place_hold(conn: AsyncConnection, person: Person, reason: str) -> int:
    """Its number. The reason lies under the person's key. Waits for the append that is under way, so that no erasure
    slips past. Raises SetupError for somebody who was erased, or a reason that is empty or too long."""
    if person.key is None:
        raise SetupError("Deze persoon is al gewist.")
    if not 0 < len(reason.strip()) <= _MOST_REASON:
        raise SetupError(f"Geef een reden van hoogstens {_MOST_REASON} tekens.")
    await conn.execute(text("SELECT 1 FROM ledger.head FOR UPDATE"))
    if await conn.scalar(select(person_key.c.erased_by).where(person_key.c.ref == person.ref)) is not None:
        raise SetupError("Deze persoon is al gewist.")
    sealed = seal(person.key, reason.strip().encode(), _aad(person.ref))
    row = hold.insert().values(ref=person.ref, sealed_reason=sealed, placed_at=system_now())
    return int((await conn.execute(row.returning(hold.c.hold_id))).scalar_one())


async def release_hold(conn: AsyncConnection, hold_id: int) -> str:
    """The reference of whom it was about. Raises NotFound where there is no such hold in force."""
    open_ = hold.update().where(hold.c.hold_id == hold_id, hold.c.released_at.is_(None))
    ref = await conn.scalar(open_.values(released_at=system_now()).returning(hold.c.ref))
    if ref is None:
        raise NotFound(f"Er is geen bewaarplicht {hold_id} die nog geldt.")
    return str(ref)


async def holds(conn: AsyncConnection, privacy: Privacy, ref: str | None = None, *, all_: bool = False) -> list[Hold]:
    """Those in force, or with `all_` those of before too, the oldest first; of one person or of all."""
    query = select(hold, person_key.c.key).join(person_key, person_key.c.ref == hold.c.ref)
    if ref is not None:
        query = query.where(hold.c.ref == ref)
    if not all_:
        query = query.where(hold.c.released_at.is_(None))
    rows: list[Any] = list(await conn.execute(query.order_by(hold.c.hold_id)))
    known = [r for r in rows if r.key is not None]
    keys = await privacy.keys.unwrap([(of_person(r.ref), r.key) for r in known])
    reasons = {
        r.hold_id: unseal(key, r.sealed_reason, _aad(r.ref)).decode() for r, key in zip(known, keys, strict=True)
    }
    return [Hold(r.hold_id, r.ref, reasons.get(r.hold_id, ""), r.placed_at, r.released_at) for r in rows]


def _aad(ref: str) -> bytes:
    return f"hold:{ref}".encode()
