"""Subject access (AVG, article 15): all that is held about a person, as one document, and readable in Dutch.

Everything comes from the sources themselves: every event that names the person, every row of every live read model that
holds their reference, what is kept beside the book, and who looked. Other people in the same events are not this
person's to see: their references read "andere persoon".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson
from sqlalchemy import or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from events.clock import book_now
from events.ledger import head
from events.privacy import REF, Privacy
from events.recorded import ORGANISATION, Recorded, iso
from events.seen import note_persons
from projections.registry import PROJECTIONS
from projections.store import live
from projections.title_words import word
from services.access_log.reading import accesses
from services.identity.tables import account, session
from services.privacy.kept import naming
from services.privacy.persons import Person, events_naming, holds

OTHER: Final = "andere persoon"
Json = dict[str, Any]


async def export(conn: AsyncConnection, privacy: Privacy, person: Person) -> Json:
    """Fields: `person`, `known_at`, `position`, `events` (in the order of the book, texts readable), `read_models`
    (name → table → rows), `kept` (parked and rejected events that name them), `holds`, `mails`,
    `seen` (the access log: who was shown them, the newest first), `accounts` and `sessions` of theirs, `looked` (the
    access log: what was done with those accounts, the newest first).

    Raises KeyMissing where a key is gone although nobody erased it.
    """
    events: list[Json] = []
    async for event in events_naming(conn, person.ref, actor=person.id):
        shown = await privacy.reveal(conn, {"data": _own(event.data, person.ref)})
        events.append(_event(event, shown["data"], person))
    await _name_relations(conn, events)
    models = await _read_models(conn, person.ref)
    accounts = await _accounts(conn, person)
    note_persons([person.ref])
    return {
        "person": {"ref": person.ref, "kind": person.kind, "id": person.id, "erased": person.erased_by is not None},
        "known_at": iso(await book_now(conn)),
        "position": (await head(conn)).position,
        "events": events,
        "read_models": await privacy.reveal(conn, _own(models, person.ref)),
        "kept": await _kept(conn, privacy, person),
        "seen": await _accesses(conn, about=[person.ref]),
        "accounts": accounts,
        "sessions": await _sessions(conn, person, accounts),
        "looked": [record for one in accounts for record in await _accesses(conn, actor=one["name"])],
        "holds": [msgspec.to_builtins(h) for h in await holds(conn, privacy, person.ref, all_=True)],
        "mails": [
            msgspec.to_builtins(dict(r))
            for r in (
                await conn.execute(
                    text("SELECT for_on, state, sent_at FROM effect.mail WHERE recipient = :r ORDER BY mail_id"),
                    {"r": person.ref},
                )
            ).mappings()
        ],
    }


async def _accounts(conn: AsyncConnection, person: Person) -> list[Json]:
    columns = [account.c[n] for n in ("name", "roles", "teams", "department", "created_at", "disabled_at")]
    theirs = select(*columns).where(account.c.employee == person.lookup).order_by(account.c.name)
    return [msgspec.to_builtins(dict(row)) for row in (await conn.execute(theirs)).mappings()]


async def _sessions(conn: AsyncConnection, person: Person, accounts: list[Json]) -> list[Json]:
    """Signed in here or elsewhere; what the provider said of them (`profile`) is theirs too."""
    columns = [session.c[n] for n in ("began_at", "seen_at", "account", "profile")]
    here = [one["name"] for one in accounts]
    theirs = select(*columns).where(or_(session.c.employee == person.lookup, session.c.account.in_(here)))
    rows = (await conn.execute(theirs.order_by(session.c.began_at))).mappings()
    return [msgspec.to_builtins(dict(row)) for row in rows]


async def _accesses(conn: AsyncConnection, *, about: list[str] | None = None, actor: str | None = None) -> list[Json]:
    found: list[Json] = []
    cursor: str | None = None
    while True:
        page = await accesses(conn, about=about, actor=actor, cursor=cursor, limit=500)
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


def _event(event: Recorded, data: Json, person: Person) -> Json:
    named = [pointer for pointer, token in _strings(event.data) if token == person.ref]
    if event.actor is not None and event.actor == person.id:
        named.append("/actor")
    return {
        "position": event.position, "type": event.kind, "relation": event.relation, "relation_name": None,
        "occurred_at": iso(event.occurred_at), "recorded_at": iso(event.recorded_at), "department": event.department,
        "visibility": event.visibility, "as": named, "data": data,
    }  # fmt: skip


def _own(doc: Any, ref: str) -> Any:
    """The document without other people's references."""
    if isinstance(doc, str):
        return OTHER if doc.startswith(REF) and doc != ref else doc
    if isinstance(doc, Mapping):
        return {k: _own(v, ref) for k, v in doc.items()}  # pyright: ignore[reportUnknownVariableType]  JSON
    if isinstance(doc, list):
        return [_own(v, ref) for v in doc]  # pyright: ignore[reportUnknownVariableType]
    return doc


def _strings(doc: Any, pointer: str = "/data") -> list[tuple[str, str]]:
    if isinstance(doc, str):
        return [(pointer, doc)]
    if isinstance(doc, Mapping):
        return [s for k, v in doc.items() for s in _strings(v, f"{pointer}/{k}")]  # pyright: ignore[reportUnknownVariableType]  JSON
    if isinstance(doc, list):
        return [s for n, v in enumerate(doc) for s in _strings(v, f"{pointer}/{n}")]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return []


async def _name_relations(conn: AsyncConnection, events: list[Json]) -> None:
    relations = sorted({e["relation"] for e in events} - {ORGANISATION})
    if not relations:
        return
    table = (await live(conn, PROJECTIONS["relation_view"])).tables["relation"]
    names = {
        r.relation: r.name
        for r in await conn.execute(text(f'SELECT relation, name FROM "{table.schema}"."{table.name}" '  # noqa: S608
                                         "WHERE relation = ANY(:r)"), {"r": relations})
    }  # fmt: skip
    for event in events:
        event["relation_name"] = names.get(event["relation"])


async def _read_models(conn: AsyncConnection, ref: str) -> dict[str, dict[str, list[Json]]]:
    """Every row of every live read model in which the reference stands anywhere, also within a text of theirs."""
    found: dict[str, dict[str, list[Json]]] = {}
    for name, projection in PROJECTIONS.items():
        build = await live(conn, projection)
        for part, table in build.tables.items():
            rows = await conn.scalars(
                text(f'SELECT to_jsonb(t)::text FROM "{table.schema}"."{table.name}" t '  # noqa: S608  our own names
                     "WHERE strpos(t::text, :ref) > 0"), {"ref": ref.removeprefix(REF)},
            )  # fmt: skip
            if held := [orjson.loads(row) for row in rows]:
                found.setdefault(name, {})[part] = held
    return found


async def _kept(conn: AsyncConnection, privacy: Privacy, person: Person) -> list[Json]:
    """Events beside the book, as they were sent, that name the person."""
    if person.lookup is None:
        return []
    return [
        {
            "state": k.state,
            "department": k.department,
            "type": k.type,
            "at": iso(k.at),
            "sent": k.sent.decode(errors="replace"),
        }
        async for k in naming(conn, privacy, bytes(person.lookup))
    ]


def in_dutch(document: Json) -> str:
    """The same for people: who, what happened and in which role, what stands in the lists, what is kept beside it."""
    person = document["person"]
    who = "Deze persoon is gewist." if person["erased"] else f"Aanduiding: {person['id']}"
    kind = {"person": "contactpersoon bij een relatie", "employee": "medewerker"}[person["kind"]]
    lines = [
        "Wat Relatieboek over deze persoon bewaart", "", who, f"Soort: {kind}", f"Kenmerk: {person['ref']}",
        f"Stand: {document['known_at'][:10]}, positie {document['position']}", "",
        f"Gebeurtenissen ({len(document['events'])})", "",
    ]  # fmt: skip
    for event in document["events"]:
        name = event["relation_name"] or ("de organisatie" if event["relation"] == ORGANISATION else event["relation"])
        lines.append(f"- {event['occurred_at'][:10]} {event['type']}, {name} (afdeling {event['department']})")
        lines.append(f"  vastgelegd op {event['recorded_at'][:10]}; genoemd als {', '.join(event['as'])}")
        lines += [f"  {line}" for line in _fields(event["data"])]
    lines += ["", "In de lijsten en overzichten", ""]
    for model, tables in document["read_models"].items():
        for table, rows in tables.items():
            lines.append(f"- {model}, {table}: {len(rows)}")
            for row in rows:
                lines.append("  - " + "; ".join(_fields(row)))
    lines += _rest(document)
    return "\n".join(lines) + "\n"


def _rest(document: Json) -> list[str]:
    lines = ["", f"Wacht of werd geweigerd ({len(document['kept'])})", ""]
    state = {"parked": "wacht", "rejected": "geweigerd"}
    lines += [
        f"- {k['at'][:10]} {k['type']}, afdeling {k['department']}: {state[k['state']]}" for k in document["kept"]
    ]
    lines += ["", f"Bewaarplicht ({len(document['holds'])})", ""]
    lines += [f"- sinds {h['placed_at'][:10]}: {h['reason']}" for h in document["holds"]]
    lines += ["", f"Mails met signalen ({len(document['mails'])})", ""]
    lines += [f"- {m['for_on']}: {m['state']}" for m in document["mails"]]
    lines += ["", f"Wie heeft gekeken ({len(document['seen'])})", ""]
    for seen in document["seen"]:
        sure = "" if seen["certain"] else " (misschien)"
        lines.append(f"- {seen['at'][:16].replace('T', ' ')} {seen['actor']}: {seen['operation']}{sure}")
    lines += ["", f"Accounts om in te loggen ({len(document['accounts'])})", ""]
    lines += ["- " + "; ".join(_fields(one)) for one in document["accounts"]]
    lines += ["", f"Ingelogd ({len(document['sessions'])})", ""]
    lines += ["- " + "; ".join(_fields(one)) for one in document["sessions"]]
    lines += ["", f"Waar deze persoon zelf naar keek ({len(document['looked'])})", ""]
    lines += [f"- {looked['at'][:16].replace('T', ' ')} {looked['operation']}" for looked in document["looked"]]
    return lines


def _fields(doc: Any, name: str = "") -> list[str]:
    """Lines `field: value`, nested fields by their path, in the order of the document."""
    if isinstance(doc, Mapping):
        return [line for k, v in doc.items() for line in _fields(v, f"{name}.{k}" if name else str(k))]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(doc, list):
        return [line for n, v in enumerate(doc, 1) for line in _fields(v, f"{name} {n}")]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if doc is None or doc == "":
        return []
    return [f"{name}: {word(doc, 'nl') if isinstance(doc, str) else doc}"]
