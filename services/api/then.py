"""What routes answer when they are asked for another moment than now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import NotFound
from projections.past import AsOf as BusinessTime
from projections.past import Bounds, KnownAt
from projections.viewer import Viewer
from projections.views_then import ViewName, view_states
from services.api.asking import AsOf
from services.api.parts import Parts

_Found = TypeVar("_Found")


def look_of(asked: AsOf) -> Bounds | None:
    """The D and K asked for; None: now, which is what a read model has."""
    return None if asked.as_of is None and asked.known_at is None else Bounds(asked.as_of, asked.known_at)


def known_then(found: _Found | None) -> _Found:
    """Raises NotFound for a relation that there was nothing of."""
    if found is None:
        raise NotFound("The book did not know this relation then.")
    return found


async def as_of(
    parts: Parts, conn: AsyncConnection, view: ViewName, relation: str, asked: AsOf,
    viewer: Viewer, *, plan: str | None = None, question: str | None = None,
) -> dict[str, Any] | None:  # fmt: skip
    """The view as of the D and K asked for, folded from the ledger; None when neither is asked for: then the read model
    answers. Raises NotFound when the book did not know the relation then.
    """
    look = look_of(asked)
    if look is None:
        return None
    (state,) = await view_states(
        conn, view, relation, [look], viewer=viewer, rules=parts.rules, plan=plan, question=question
    )
    return known_then(state)


async def states_of(
    parts: Parts, conn: AsyncConnection, view: ViewName, relation: str,
    looks: Sequence[tuple[BusinessTime, KnownAt]], viewer: Viewer,
) -> list[dict[str, Any] | None]:  # fmt: skip
    """The view at each of these pairs of D and K; None where the book did not know the relation."""
    bounds = [Bounds(*look) for look in looks]
    return await view_states(conn, view, relation, bounds, viewer=viewer, rules=parts.rules)
