"""`schema`: the contracts as JSON Schema, AsyncAPI and OpenAPI documents. Needs no server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from events.catalog import TYPES, all_schemas, json_schema
from events.errors import NotFound, SetupError
from events.recorded import TYPE_PREFIX
from services.cli.console import note, print_json, print_table
from services.cli.options import Json
from services.reasons import why


def schema(
    type_: Annotated[
        str | None, typer.Argument(metavar="[TYPE|asyncapi|openapi]", help="Soort gebeurtenis, zoals contact.held.v1.")
    ] = None,
    all_: Annotated[Path | None, typer.Option("--all", help="Schrijf alle schema's in deze map.")] = None,
    as_json: Json = False,
    _: Annotated[
        Path | None, typer.Option("--data-dir", hidden=True)
    ] = None,  # every command takes it; this needs none
) -> None:
    """Toon wat een gebeurtenis mag bevatten, of het AsyncAPI- of OpenAPI-document."""
    if all_ is not None:
        _write_all(all_)
    elif type_ is None:
        names = [{"type": t.name, "about": t.about} for t in TYPES.values()]
        if as_json:
            print_json(names)
        else:
            print_table("Soorten gebeurtenissen", (("type", "Soort"), ("about", "Gaat over")), names)
    else:
        print_json(_document(type_))


def _document(name: str) -> dict[str, Any]:
    if name == "asyncapi":
        from services.asyncapi import document

        return document()
    if name == "openapi":
        from services.api.site import application

        return application().openapi()
    full = next((n for n in (name, TYPE_PREFIX + name, f"{TYPE_PREFIX}{name}.v1") if n in TYPES), None)
    if full is None:
        raise NotFound(f"soort {name}; `relatieboek schema` noemt ze alle")
    return json_schema(full)


def _write_all(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, document in all_schemas().items():
            text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
            (directory / f"{name}.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise SetupError(f"In {directory} kan niet worden geschreven: {why(error)}.") from None
    note(f"{len(TYPES)} schema's geschreven in {directory}.")
