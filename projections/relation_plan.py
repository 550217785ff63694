"""A relation's plan with its past: every answer that was ever given, and what changed between two of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from difflib import unified_diff
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import NotFound
from events.recorded import iso, local_date
from projections.heads import shown
from projections.kin import united
from projections.relation_present import plan_of
from projections.relation_queries import load
from projections.relation_view import PROJECTION
from projections.rows import Row, Rows
from projections.store import live
from projections.viewer import Viewer, hidden_bits


async def plan_history(
    conn: AsyncConnection, relation: str, now: datetime, *, plan: str | None = None, question: str | None = None,
    viewer: Viewer,
) -> dict[str, Any] | None:  # fmt: skip
    """The fields of `relation_present.plan_of` (the plan named, else the one that stands), `plans` (every plan of the
    relation with its state) and `history`: the answers given to its questions, or to one, the latest first.

    None: no such relation for this viewer. Raises NotFound when it has no plan of that name. Personal fields are
    tokens: after they are revealed, `with_changes` says what each answer changed.
    """
    build = await live(conn, PROJECTION)
    loaded = await load(conn, build, relation, viewer)
    if loaded is None:
        return None
    seen = plan_document(loaded, relation, now, plan=plan, hidden=hidden_bits(viewer))
    if seen is None:
        return None
    _, members = united(loaded, relation)
    version = build.tables["answer_version"]
    wanted = select(version).where(version.c.relation.in_(members), version.c.plan == (seen["plan"] or ""))
    given = [dict(r) for r in (await conn.execute(wanted)).mappings()]
    return with_history(seen, given, question, build.position, hidden=hidden_bits(viewer))


def plan_document(
    loaded: Rows, relation: str, now: datetime, *, plan: str | None = None, hidden: int
) -> dict[str, Any] | None:
    """What `plan_history` gives but `history` and `position`."""
    rows, (root, *_) = united(loaded, relation)
    head = rows.get("relation", root)
    if head is None or head["name"] is None:
        return None
    found = plan_of(rows, root, local_date(now), plan=plan, hidden=hidden)
    if plan is not None and found["plan"] is None:
        raise NotFound("This relation has no such plan.")
    return {
        "relation": root,
        **found,
        "plans": [
            {
                "plan": p["plan"], "started_on": p["started_on"].isoformat(), "state": state_of(p),
                "superseded_by": p["superseded_by"],
            }
            for p in sorted(rows.group("plan", root), key=lambda p: (p["started_on"], p["plan"]))
            if shown(p, hidden)
        ],
    }  # fmt: skip


def with_history(
    seen: dict[str, Any], versions: Iterable[Row], question: str | None, position: int, *, hidden: int
) -> dict[str, Any]:
    """`plan_document` with the answers to its plan's questions (or to one) that are among `versions`."""
    kept = [
        v for v in versions
        if v["plan"] == seen["plan"] and question in {None, v["question"]} and shown(v, hidden)
    ]  # fmt: skip
    return {**seen, "history": history_of(kept), "position": position}


def state_of(plan: Row) -> str:
    return "superseded" if plan["superseded_on"] else "approved" if plan["approved_on"] else "drafted"


def history_of(versions: Sequence[Row]) -> list[dict[str, Any]]:
    """[{question, answer, answered_on, recorded_at, department, actor, stands, position}], the one that stands first:
    in the order in which answers take each other's place, not that of arrival."""
    newest: set[tuple[str, str]] = set()
    found: list[dict[str, Any]] = []
    for v in sorted(versions, key=lambda v: v["stamp"], reverse=True):
        own = (v["relation"], v["question"])
        found.append(
            {
                "question": v["question"], "answer": v["answer"], "answered_on": v["answered_on"].isoformat(),
                "recorded_at": iso(v["recorded_at"]), "department": v["department"], "actor": v["actor"],
                "stands": own not in newest, "position": v["position"],
            }
        )  # fmt: skip
        newest.add(own)
    return found


def with_changes(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The history with `changes` in each entry: a unified diff, line by line, against the answer before it."""
    found: list[dict[str, Any]] = []
    for n, entry in enumerate(history):
        before = next((e for e in history[n + 1 :] if e["question"] == entry["question"]), None)
        found.append({**entry, "changes": changes("" if before is None else before["answer"], entry["answer"])})
    return found


def changes(before: str, after: str) -> list[str]:
    """What was taken out (`-`) and put in (`+`) between two texts, with up to three lines around it."""
    return list(unified_diff(before.splitlines(), after.splitlines(), lineterm=""))[2:]
