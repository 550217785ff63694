"""Rows of documents as tables show them: what is nested in a few words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from services.cli.dutch import cadence, moment, pair, said

_MOST_POSITIONS: Final = 8
_OF_POLICY: Final = "policy:"


def _organisation(one: Mapping[str, Any]) -> str:
    return "wij" if one["organisation"] == "us" else one["organisation_name"] or one["organisation"]


def _costs(member: str) -> Callable[[list[Mapping[str, Any]]], list[str]]:
    return lambda parts: [f"{said(member, p[member])}: {p['contacts']} ({p['minutes']} minuten)" for p in parts]


def _line(line: str | None) -> str | None:
    return "uit het beleid" if line is not None and line.startswith(_OF_POLICY) else line


# What is nested in a row, in a few words.
_IN_WORDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "coalition": lambda signed: signed and (signed["name"] or signed["agreement"]),
    "decisions": lambda taken: [f"{moment(d['taken_on'])} {d['decision']}" for d in taken or ()],
    "trend": lambda quarters: [f"{q['quarter']}: {said('mean', q['mean'])} (n {q['n']})" for q in quarters or ()],
    "evidence": lambda positions: len(positions) if len(positions) > _MOST_POSITIONS else positions,
    "required": lambda lines: [_line(line["line"]) for line in lines],
    "line": _line,
    "cadence": cadence,
    "people": lambda people: [f"{p['name']} ({p['function']})" for p in people],
    "changes": "\n".join,
    "frame": lambda years: [f"{y['year']}: {said('cents', y['cents'])}" for y in years or ()],
    "partners": lambda partners: [_organisation(p) for p in partners],
    "guarantors": lambda given: [_organisation(g) for g in given if g["holds"]],
    "amounts": lambda amounts: [f"{_organisation(a)}: {said('cents', a['cents'])}" for a in amounts],
    "acknowledged_by": lambda sides: [f"{said('by', side['by'])} {moment(side['on'])}" for side in sides],
    "lacks": lambda lacks: [_lack(one) for one in lacks],
    "by_kind": _costs("kind"),
    "by_layer": _costs("layer"),
    "relation_then": lambda then: then and (
        f"niveau {then['tier'] or '–'}, {then['contacts_12m']} contacten in een jaar, "
        f"{then['lines_overdue']} van {then['lines']} regels te laat, {then['open_alerts']} signalen"
    ),
}  # fmt: skip


def _lack(one: Mapping[str, Any]) -> str:
    items = [said("missing", item) for item in one["missing"]]
    return said("lack", one["what"]) + (f": {', '.join(items)}" if items else "")


def brief(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a document as a table shows it; `layers` are its two layers in one."""
    told = {k: _IN_WORDS[k](v) if k in _IN_WORDS else v for k, v in row.items()}
    if row.get("our_layer") is not None:
        told["layers"] = pair(row)
    if "organisation" in row:
        told["organisation_name"] = _organisation(row)
    return told
