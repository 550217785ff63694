"""`rejected` and `parked`: nothing that a department sent is ever lost silently."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import typer
from cryptography.exceptions import InvalidTag
from sqlalchemy import Column, Select, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from events.errors import NotFound, SetupError
from events.keys import KEPT
from events.privacy import unseal
from events.tables import rejected as rejected_events
from projections.page import Page, decode_cursor, encode_cursor
from services.cli.console import note, print_json, print_list
from services.cli.instance import Instance, find
from services.cli.options import Cursor, DataDir, Json, Limit
from services.cli.reads import log_reading, logged_reading, refusals_logged
from services.cli.sending import counts_text
from services.dutch_problems import errors_in_dutch, title_in_dutch
from services.keys import key_wrapper
from services.send import VerdictJson, connected, send

rejected = typer.Typer(help="Wat het boek weigerde.", no_args_is_help=True, rich_markup_mode=None)

RejectedId = Annotated[int, typer.Argument(metavar="NUMMER", help="Nummer uit `relatieboek rejected list`.")]
ForDepartment = Annotated[str | None, typer.Option("--department", help="Alleen van deze afdeling.")]

_REJECTED: Final = (
    ("rejected_id", "Nummer"), ("department", "Afdeling"), ("type", "Soort"), ("id", "Id"), ("code", "Reden"),
    ("detail", "Uitleg"), ("rejected_at", "Wanneer"),
)  # fmt: skip
# Sealed under what it was when it was kept: an expired one was parked.
_SEALED_AS: Final = (b"rejected", b"parked")


def engine_of(instance: Instance) -> AsyncEngine:
    return create_async_engine(instance.complete().database_url, hide_parameters=True)


async def page_of(
    conn: AsyncConnection,
    query: Select[*tuple[Any, ...]],
    key: Column[int],
    *,
    cursor: str | None,
    limit: int,
    newest_first: bool,
) -> Page:
    """One page of the query's rows in the order of `key`, a number that is no other row's, as JSON has them.

    Raises Invalid for a cursor of another list.
    """
    scope = f"{key.table}.{key.name}"
    if cursor is not None:
        (last,) = decode_cursor(scope, cursor, [int])
        query = query.where(key < last if newest_first else key > last)
    rows = (await conn.execute(query.order_by(key.desc() if newest_first else key).limit(limit + 1))).mappings().all()
    more = encode_cursor(scope, [rows[limit - 1][key.name]]) if len(rows) > limit else None
    return Page([plain(dict(row)) for row in rows[:limit]], more)


@rejected.command("list")
def list_rejected(
    department: ForDepartment = None, limit: Limit = 50, cursor: Cursor = None, json: Json = False,
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon de geweigerde gebeurtenissen, de nieuwste eerst."""

    async def read() -> Page:
        engine = engine_of(find(data_dir))
        try:
            async with engine.connect() as conn:
                t = rejected_events.c
                query = select(t.rejected_id, t.department, t.source, t.id, t.type, t.code, t.problem, t.rejected_at)
                if department is not None:
                    query = query.where(t.department == department)
                return await page_of(conn, query, t.rejected_id, cursor=cursor, limit=limit, newest_first=True)
        finally:
            await engine.dispose()

    page = asyncio.run(read())
    objects = {o for item in page.items for o in _objects(item)}
    log_reading(find(data_dir).complete(), "rejected list", objects=objects, items=len(page.items))
    print_list("Geweigerd", _REJECTED, page.as_json() if json else in_dutch(page.as_json()), json)


@rejected.command("show")
def show_rejected(number: RejectedId, json: Json = False, data_dir: DataDir = None) -> None:
    """Toon één geweigerde gebeurtenis: waarom, en wat er verstuurd was."""

    async def read() -> dict[str, Any]:
        instance = find(data_dir)
        engine = engine_of(instance)
        try:
            async with engine.connect() as conn:
                row = await _one(conn, number)
                shown = plain(
                    {
                        k: row[k]
                        for k in ("rejected_id", "department", "source", "id", "type", "code", "problem", "rejected_at")
                    }
                )
                shown["event"] = _as_sent(row, await key_of(instance, row))
                return shown
        finally:
            await engine.dispose()

    settings = find(data_dir).complete()
    with refusals_logged(settings, "rejected show", objects=[f"rejected:{number}"]):
        found = asyncio.run(read())
    # The book did not take it, so nobody knows whom it is about.
    log_reading(settings, "rejected show", objects=_objects(found), items=1, everybody=True)
    print_json(found)


@rejected.command("retry")
def retry_rejected(
    number: Annotated[int | None, typer.Argument(metavar="[NUMMER]", help="Zonder nummer: alle.")] = None,
    department: ForDepartment = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Bied geweigerde gebeurtenissen opnieuw aan. Wat nu wordt aangenomen, verdwijnt uit de lijst."""
    instance = find(data_dir)
    settings = instance.complete()

    async def run() -> Counter[str]:
        engine = engine_of(instance)
        try:
            async with engine.connect() as conn:
                t = rejected_events.c
                query = select(rejected_events).where(t.sealed.is_not(None)).order_by(t.rejected_id)
                if number is not None:
                    query = query.where(t.rejected_id == number)
                if department is not None:
                    query = query.where(t.department == department)
                rows = [dict(r) for r in (await conn.execute(query)).mappings()]
            if number is not None and not rows:
                raise NotFound(f"geweigerde gebeurtenis {number} die bewaard is zoals verstuurd")
            objects = {o for row in rows for o in _objects(row)}
            await logged_reading(
                settings, "rejected retry", action="U", objects=objects, items=len(rows), everybody=bool(rows)
            )
            counts: Counter[str] = Counter()
            for name in sorted({r["department"] for r in rows}):
                counts += await _send_again(engine, instance, name, [r for r in rows if r["department"] == name])
            return counts
        finally:
            await engine.dispose()

    asked = () if number is None else (f"rejected:{number}",)
    with refusals_logged(settings, "rejected retry", action="U", objects=asked):
        counts = asyncio.run(run())
    if json:
        print_json(dict(counts))
    else:
        note(f"Opnieuw aangeboden: {counts_text(counts)}.")
    if counts["rejected"]:
        raise typer.Exit(1)


async def _send_again(
    engine: AsyncEngine, instance: Instance, department: str, rows: list[dict[str, Any]]
) -> Counter[str]:
    answers: list[VerdictJson] = []

    def keep(verdicts: Sequence[VerdictJson]) -> None:
        answers.extend(verdicts)

    async with connected(instance.login(department, None)) as request:
        lines = [_sent_line(r, await key_of(instance, r)) for r in rows]
        tally = await send(lines, request, keep)
    # A second refusal is a row of its own, so the first may go in either case.
    async with engine.begin() as conn:
        done = [r["rejected_id"] for r in rows]
        await conn.execute(delete(rejected_events).where(rejected_events.c.rejected_id.in_(done)))
    return tally.counts


async def key_of(instance: Instance, row: Mapping[str, Any]) -> bytes | None:
    """The key of an event that was kept, parked or rejected; None where none was kept."""
    if row["key"] is None:
        return None
    return (await key_wrapper(instance.complete()).unwrap([(KEPT, bytes(row["key"]))]))[0]


def _open(row: dict[str, Any], key: bytes | None) -> bytes:
    for kind in _SEALED_AS:
        if key is None:
            break
        try:
            return unseal(key, bytes(row["sealed"]), kind)
        except InvalidTag:
            continue
    raise SetupError(f"Gebeurtenis {row['rejected_id']} is niet te openen: de sleutel past niet.")


def _sent_line(row: dict[str, Any], key: bytes | None) -> bytes:
    """As it was sent, in one line; what was no JSON stays what it was."""
    raw = _open(row, key)
    try:
        return msgspec.json.encode(msgspec.json.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw.replace(b"\n", b" ") or b"-"


def _as_sent(row: dict[str, Any], key: bytes | None) -> Any:
    if row["sealed"] is None:
        return None
    raw = _open(row, key)
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw.decode(errors="replace")


async def _one(conn: AsyncConnection, number: int) -> dict[str, Any]:
    row = (
        (await conn.execute(select(rejected_events).where(rejected_events.c.rejected_id == number))).mappings().first()
    )
    if row is None:
        raise NotFound(f"geweigerde gebeurtenis {number}")
    return dict(row)


def _objects(row: Mapping[str, Any]) -> tuple[str, str]:
    """A rejected event as the access log names it: its number, and the department that sent it."""
    return f"rejected:{row['rejected_id']}", f"department:{row['department']}"


def plain(row: dict[str, Any]) -> dict[str, Any]:
    out = {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()}
    problem: dict[str, Any] = out.get("problem") or {}
    errors: list[dict[str, str]] = problem.get("errors", [])
    out["detail"] = "; ".join(f"{e['pointer']} {e['detail']}".strip() for e in errors[:3])
    return out


def in_dutch(document: Mapping[str, Any]) -> dict[str, Any]:
    """A page of what was kept, with each problem in Dutch."""
    items = [
        {
            **item,
            "code": title_in_dutch(item["problem"] or {}),
            "detail": errors_in_dutch(item["problem"] or {}, most=3),
        }
        for item in document["items"]
    ]
    return {**document, "items": items}
