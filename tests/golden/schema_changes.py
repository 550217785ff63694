"""Which changes of a JSON Schema refuse an event that was taken before.

Run as a program it writes the schemas as they are now, and stops where one would refuse what it took.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from events.catalog import all_schemas

STORED = Path(__file__).parent / "schemas"

# A keyword that may only fall (or go away), and one that may only rise (or go away).
_LOWER_BOUNDS = ("minimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS = ("maximum", "maxLength", "maxItems")
_FIXED = ("type", "format", "pattern", "const", "x-privacy", "x-subject")


def breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What an event that fits `old` may no longer do in `new`; empty when every such event still fits."""
    return list(_node(old, new, old.get("$defs", {}), new.get("$defs", {}), ""))


def _node(old: Any, new: Any, old_defs: Any, new_defs: Any, at: str) -> Iterator[str]:
    old, new = _resolved(old, old_defs), _resolved(new, new_defs)
    for name in _FIXED:
        if old.get(name) != new.get(name):
            yield f"{at}: {name} was {old.get(name)} and is {new.get(name)}"
    for name in _LOWER_BOUNDS:
        if new.get(name, float("-inf")) > old.get(name, float("-inf")):
            yield f"{at}: {name} rose to {new[name]}"
    for name in _UPPER_BOUNDS:
        if new.get(name, float("inf")) < old.get(name, float("inf")):
            yield f"{at}: {name} fell to {new[name]}"
    if "enum" in new and (gone := set(old.get("enum", ["anything"])) - set(new["enum"])):
        yield f"{at}: no longer one of its values: {', '.join(sorted(gone))}"
    if needed := set(new.get("required", ())) - set(old.get("required", ())):
        yield f"{at}: newly required: {', '.join(sorted(needed))}"
    for name, below in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{at}/{name}: no longer a field"
        else:
            yield from _node(below, new["properties"][name], old_defs, new_defs, f"{at}/{name}")
    if "items" in old:
        yield from _node(old["items"], new.get("items", {}), old_defs, new_defs, f"{at}/*")
    old_options, new_options = _options(old), _options(new)
    for mode, option in old_options.items():
        if mode not in new_options:
            yield f"{at}: no longer {mode}"
        else:
            yield from _node(option, new_options[mode], old_defs, new_defs, f"{at}({mode})")


def _resolved(node: Any, defs: Any) -> Any:
    return {**node, **defs[node["$ref"].rsplit("/", 1)[-1]]} if "$ref" in node else node


def _options(node: Any) -> dict[str, Any]:
    """The members of a tagged union by their tag."""
    return {tag: {"$ref": ref} for tag, ref in node.get("discriminator", {}).get("mapping", {}).items()}


def main() -> int:
    for name, schema in all_schemas().items():
        file = STORED / f"{name}.json"
        found = breaks(json.loads(file.read_text()), schema) if file.exists() else []
        if found:
            sys.stderr.write(f"{name} would refuse what it took; make a new version:\n  " + "\n  ".join(found) + "\n")
            return 1
        file.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
