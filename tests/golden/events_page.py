"""docs/events.md, made from the contracts: `python -m tests.golden.events_page` writes it, a test compares it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from events.catalog import TYPES, EventType, json_schema
from events.fields import EVENT_ID_FORM, PERIOD_FORM, QUESTION_FORM, SLUG_FORM, SOURCE_FORM, TIER_FORM, WORDS_FORM
from events.identifiers import UUID_FORM
from events.rules import RULES

PAGE: Final = Path(__file__).parents[2] / "docs" / "events.md"
GOLDEN: Final = Path(__file__).parent

_HEAD: Final = """\
# Every event type

Made from the contracts by `python -m tests.golden.events_page`; do not edit by hand. `relatieboek schema TYPE` prints
the JSON Schema of a type, `relatieboek schema --all DIR` writes them all. How to send them:
[publishing.md](publishing.md).

- A payload is closed: a field that is not in its table is an error that names it. Optional fields are left out, never
  `null`.
- ° is a reference to a person or employee, or text about a person; † is free text. Both are encrypted before they are
  hashed or stored ([audit.md](audit.md)).
- A `date` is `YYYY-MM-DD`; a `date-time` is RFC 3339 with an offset. An id is 1 to 64 letters, digits and `._:/@-`.
- "Waits for" names the problem codes under which the event is parked until the book knows what it names. An event about
  a relation that the book does not know waits as `unknown_relation`, except `relation.registered`.
- "`expectedversion`" names what it is held against.
"""
_FORMS: Final = {
    UUID_FORM: "UUID",
    TIER_FORM: "tier, such as `A`",
    QUESTION_FORM: "`1` to `10`, or a key",
    SLUG_FORM: "name in lower case",
    WORDS_FORM: "text",
    PERIOD_FORM: "`2026`, `2026-H1`, `2026-Q3` or `2026-07`",
    SOURCE_FORM: "source of an event",
    EVENT_ID_FORM: "id of an event",
}
_SUBJECTS: Final = {
    "organisation": "The subject is `organisation`",
    "relation": "The subject is a relation",
    "either": "The subject is that of the event that it is about",
}
# Parked too until later facts make it true.
_NOT_YET: Final = frozenset({"plan.approved", "chain.savings_distributed"})
_MARKS: Final = {"person": "°", "employee": "°", "person_text": "°", "free_text": "†"}


def page() -> str:
    """The whole page, in the order of the catalogue."""
    parts = [_HEAD]
    family = ""
    for event_type in TYPES.values():
        if event_type.family != family:
            family = event_type.family
            parts.append(f"\n## {family}\n")
        parts.append(_section(event_type))
    return "".join(parts)


def _section(event_type: EventType) -> str:
    schema = json_schema(event_type.name)
    about = _SUBJECTS[event_type.about]
    rows = "\n".join(_rows(schema, schema.get("$defs", {}), ""))
    example = json.loads((GOLDEN / f"{event_type.name}.json").read_text())["data"]
    return (
        f"\n### {event_type.name}\n\n{schema['description']}\n\n"
        f"{about}.{_rule(event_type)}\n\n"
        f"| field of `data` | form | must | what it is |\n|---|---|---|---|\n{rows}\n\n"
        f"```json\n{json.dumps(example, ensure_ascii=False)}\n```\n"
    )


def _rule(event_type: EventType) -> str:
    rule = RULES[event_type.kind]
    waits = list(dict.fromkeys(need.code for need in rule.needs))
    if event_type.kind == "contact.declared_same":
        waits.append("unknown_contact")
    if event_type.kind in _NOT_YET:
        waits.append("not_yet")
    held = list(dict.fromkeys(key.partition(":")[0] for key in (*rule.touches, *rule.guards)))
    said = f" Waits for {', '.join(f'`{code}`' for code in waits)}." if waits else ""
    if rule.once is not None:
        where = "a relation" if event_type.about == "relation" else "the institution"
        said += f" Its id is used once in {where} (`id_taken`)."
    if held:
        said += f" `expectedversion`: {', '.join(held)}."
    if event_type.family in ("alert", "loop", "person"):
        said += " Written by the book's own services only."
    return said


def _rows(schema: Mapping[str, Any], defs: Mapping[str, Any], prefix: str) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        merged = {**_resolved(field, defs), **field}
        mark = _MARKS.get(merged.get("x-privacy", ""), "")
        must = "yes" if name in required else ""
        text = str(field.get("description") or merged.get("description", "")).replace("|", "\\|").replace("<", "&lt;")
        yield f"| `{prefix}{name}`{mark} | {_form(merged, defs)} | {must} | {text} |"
        yield from _inner(merged, defs, f"{prefix}{name}")


def _inner(field: Mapping[str, Any], defs: Mapping[str, Any], name: str) -> Iterator[str]:
    if field.get("type") == "array":
        yield from _rows(_resolved(field["items"], defs), defs, f"{name}[].")
    elif "oneOf" in field:
        for option in field["oneOf"]:
            yield from _rows(_resolved(option, defs), defs, f"{name}.")
    elif "properties" in field:
        yield from _rows(field, defs, f"{name}.")


def _resolved(field: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = field.get("$ref")
    return defs[reference.rpartition("/")[2]] if reference else field


def _form(field: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "oneOf" in field:
        return "one of the forms below"
    kind = field.get("format") or field.get("type", "object")
    if kind == "array":
        bounds = f"{field.get('minItems', 0)}–{field['maxItems']}"
        return f"list of {bounds}: {_form(_resolved(field['items'], defs), defs)}"
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None or high is not None:
        return f"{kind} {low}–{high}"
    if "maxLength" in field:
        return f"text ≤ {field['maxLength']}"
    return _FORMS.get(field["pattern"], "id") if "pattern" in field else kind


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
