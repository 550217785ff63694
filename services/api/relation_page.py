"""The page of one relation, `/relations/{id}`: how it stands, who is to meet whom, how satisfied it is, what happened.

Everything on it comes from the queries behind `GET /v1/relations/{id}` and its timeline, for the same viewer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from events.clock import book_now
from events.errors import NotFound
from projections.relation_queries import show
from projections.rule_names import alert_name
from projections.sight import NO_RELATION
from projections.timeline_queries import relation_page
from projections.title_words import word
from projections.viewer import Viewer
from services.api.asking import HasParts, relation_named
from services.api.page import page_of
from services.api.parts import Parts
from services.api.permits import permitted
from services.api.words import Language, words

ENTRIES_SHOWN: Final = 25
LAYERS: Final = ("board", "senior_management", "tactical_management", "professional")

# The chart of a trend, in its own units: a point every _STEP from _LEFT, figures between _TOP and _BOTTOM.
_STEP, _LEFT, _TOP, _BOTTOM = 90, 45, 28, 96
_SCALES: Final = {"nps": (-100.0, 100.0)}

router = APIRouter(include_in_schema=False)


@router.get("/relations/{id}")
async def show_page(id: str, request: Request, parts: HasParts) -> Response:
    """One relation for whoever is signed in; the form to sign in for others. 404 for what this viewer may not see."""

    async def gather(viewer: Viewer, language: Language) -> dict[str, Any]:
        return await _gather(parts, viewer, language, id, request.query_params.get("cursor"))

    return await page_of(request, parts, "relation.html", gather)


async def _gather(parts: Parts, viewer: Viewer, language: Language, ident: str, cursor: str | None) -> dict[str, Any]:
    reads, follows = permitted(viewer, "showRelation"), permitted(viewer, "showRelationTimeline")
    if reads is None or follows is None:
        raise NotFound("No role of this viewer reads relations.")
    async with parts.reading() as conn:
        now, relation = await book_now(conn), await relation_named(conn, ident)
        seen = await show(conn, relation, now, reads, parts.rules)
        if seen is None:
            raise NotFound(NO_RELATION)
        entries = await relation_page(
            conn, relation, follows, cursor=cursor, limit=ENTRIES_SHOWN, language=language
        )  # fmt: skip
        t, everything = words(language), {"one": seen, "entries": entries.items}
        shown = await parts.privacy.reveal(conn, everything, erased=t["erased"], lost=t["lost"])
    return {
        **shown, "older": entries.next, "now": now, "layers": LAYERS, "cells": _cells(seen["matrix"]),
        "logs": permitted(viewer, "listRelationAccesses") is not None,
        # As events call them: a reference says nothing in an address, and is there after an erasure too.
        "refs": {"owner": seen["owner"], "counterparts": [each["person"] for each in seen["counterparts"]]},
        "charts": [_chart(figure) for figure in seen["satisfaction"]], "signals": _signals(seen, language),
    }  # fmt: skip


def _cells(matrix: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The pairs of layers that are asked for or had contact, by `<ours>:<theirs>`."""
    return {f"{pair['our_layer']}:{pair['their_layer']}": pair for pair in matrix}


def _signals(seen: Mapping[str, Any], language: Language) -> list[dict[str, Any]]:
    """The open alerts with what each is about: of a line its layers."""
    lines = {line["line"]: line for line in seen["schedule"]}
    signals: list[dict[str, Any]] = []
    for alert in seen["open_alerts"]:
        name = alert_name(alert["rule"], alert["about"], language)
        if (line := lines.get(alert["line"])) is not None:
            name = f"{name} ({word(line['our_layer'], language)} - {word(line['their_layer'], language)})"
        signals.append({**alert, "name": name[:1].upper() + name[1:]})
    return signals


def _chart(figure: Mapping[str, Any]) -> dict[str, Any]:
    """A figure with what its pictures need: the points of its quarters, and the bands as shares of a bar.

    A quarter with fewer than `min_n` responses has no figure, so it has no point. NPS runs from -100 to 100, other
    means between the lowest and highest that are shown.
    """
    key = "nps" if figure["kind"] in _SCALES else "mean"
    quarters = [(at, quarter) for at, quarter in enumerate(figure["trend"]) if quarter[key] is not None]
    values: list[float] = [quarter[key] for _, quarter in quarters]
    low, high = _SCALES.get(key, (min(values, default=0.0), max(values, default=0.0)))
    span = (high - low) or 1.0
    points = [
        {
            "x": _LEFT + at * _STEP,
            "y": round(_BOTTOM - (quarter[key] - low) / span * (_BOTTOM - _TOP)),
            "quarter": quarter["quarter"], "value": quarter[key], "n": quarter["n"],
        }
        for at, quarter in quarters
    ]  # fmt: skip
    return {**figure, "key": key, "points": points, "width": 2 * _LEFT + _STEP * max(len(figure["trend"]) - 1, 1)}
