"""One question of a relation plan as it stands, with what tells whether someone else changed it: read from the ledger.

The ledger is what an editor's change is held against (`expectedversion`), and it lags behind nothing: who reads here
sees what was accepted a moment ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.in_force import WITHDRAWAL, in_force
from events.recorded import TYPE_PREFIX, Recorded, decode
from events.tables import entry

ANSWERED: Final = "plan.question_answered"
_TYPES: Final = tuple(f"{TYPE_PREFIX}{kind}.v1" for kind in (ANSWERED, WITHDRAWAL))


@dataclass(frozen=True, slots=True)
class Question:
    """The answer that stands, or None, and the last event that touched the question: an answer, or the withdrawal of
    one; None where nobody ever answered it.

    `version` is what a change is to name as `expectedversion`: of the relation's own last event about the question, 0
    where it has none. `tag` differs whenever the question was touched, also under a relation that this one absorbed.
    """

    answer: Recorded | None
    touched: Recorded | None
    version: int

    @property
    def tag(self) -> str:
        return f"{self.version}.{0 if self.touched is None else self.touched.position}"


def question_of(events: Sequence[Recorded], relation: str, plan: str, question: str) -> Question:
    """From the answers and withdrawals of a relation and of those that it absorbed, in any order. Pure."""
    answers = [
        e for e in events if e.kind == ANSWERED and e.data["plan"] == plan and e.data["question"] == question
    ]  # fmt: skip
    positions = {e.position for e in answers}
    withdrawals = [e for e in events if e.withdraws in positions]
    touching = sorted([*answers, *withdrawals], key=lambda e: e.position)
    standing = [e for e in in_force(touching) if e.kind == ANSWERED]
    return Question(
        answer=max(standing, key=lambda e: e.stamp, default=None),
        touched=touching[-1] if touching else None,
        version=max((e.version for e in touching if e.relation == relation), default=0),
    )


async def read_question(
    conn: AsyncConnection, relation: str, absorbed: Sequence[str], plan: str, question: str
) -> Question:
    """As the ledger has it now. `absorbed`: the relations that are one with this one."""
    query = select(entry.c.payload, entry.c.version).where(
        entry.c.relation.in_([relation, *absorbed]), entry.c.type.in_(_TYPES)
    )
    rows = await conn.execute(query)
    return question_of([decode(r.payload, r.version) for r in rows], relation, plan, question)
