"""How answers look: JSON documents, lists as JSON or CSV with a `Link` to the next page, problems."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from events.seen import note_items
from services.problems import PROBLEM_JSON, Answer

CSV: Final = "text/csv"
# What a spreadsheet would take for a formula at the start of a cell, some of them after space or in full width as well.
_FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_BREAKS: Final = ("\t", "\r", "\n")


def _plain(value: Any) -> Any:
    """What orjson has no form for: a Decimal or another number becomes a float."""
    return float(value)


def render(document: Any) -> bytes:
    """JSON in UTF-8; instants in UTC with `Z`."""
    return orjson.dumps(document, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def json_response(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(render(document), status, headers, "application/json")


def problem_response(answer: Answer, more: Mapping[str, Any] | None = None) -> Response:
    """A problem document, with the members of `more` beside its own."""
    return Response(render({**(more or {}), **answer.problem}), answer.status, answer.headers, PROBLEM_JSON)


def list_response(
    request: Request, items: Sequence[Mapping[str, Any]], cursor: str | None, more: Mapping[str, Any] | None = None
) -> Response:
    """A page of a list: `{"items", "next"}`, or CSV when the asker prefers that. `more` goes into the JSON only."""
    note_items(len(items))
    headers = {"Vary": "Accept"}
    if cursor is not None:
        headers["Link"] = f'<{_with_cursor(request, cursor)}>; rel="next"'
    if prefers_csv(request.headers.get("accept", "")):
        return csv_response(request, items, headers)
    return json_response({**(more or {}), "items": items, "next": cursor}, headers=headers)


def csv_response(
    request: Request, items: Sequence[Mapping[str, Any]], headers: Mapping[str, str] | None = None
) -> Response:
    """A file named after the last part of the path."""
    name = request.url.path.strip("/").rpartition("/")[2].lstrip("_") or "list"
    safe = "".join(c for c in name if c.isascii() and (c.isalnum() or c == "-")) or "list"
    header = "present" if items else "absent"  # no rows, no columns: RFC 4180 has the parameter say so
    named = {**(headers or {}), "Content-Disposition": f'attachment; filename="{safe}.csv"'}
    return Response(to_csv(items), 200, named, f"{CSV}; charset=utf-8; header={header}")


def to_csv(items: Iterable[Mapping[str, Any]]) -> bytes:
    """RFC 4180, one row an item, columns in order of first appearance; what is nested stands as JSON in its cell.

    A text that a spreadsheet would run as a formula gets a quote (') before it.
    """
    rows = list(items)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.writer(out)
    if columns:
        writer.writerow(map(_cell, columns))
    writer.writerows([[_cell(row.get(column)) for column in columns] for row in rows])
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        runs = value.startswith(_BREAKS) or value.lstrip().startswith(_FORMULA)
        return f"'{value}" if runs else value
    return render(value).decode().strip('"')


def prefers_csv(accept: str) -> bool:
    """Whether an Accept header names text/csv and wants it no less than JSON."""
    weights: dict[str, float] = {}
    for part in accept.split(","):
        media, *parameters = (p.strip() for p in part.split(";"))
        weight = 1.0
        for name, _, value in (p.partition("=") for p in parameters):
            if name.strip().lower() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        weights[media.lower()] = weight
    wanted = weights.get(CSV, 0.0)
    return wanted > 0 and wanted >= weights.get("application/json", 0.0)


def _with_cursor(request: Request, cursor: str) -> str:
    """This request's own address with another cursor, relative to the server."""
    kept = [(k, v) for k, v in request.query_params.multi_items() if k != "cursor"]
    return f"{quote(request.url.path)}?{urlencode([*kept, ('cursor', cursor)])}"
