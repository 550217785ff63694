"""Names of relations: a UUID, or `<scheme>:<value>` of an identifier linked to it (SPEC section 2)."""

from __future__ import annotations

import re
from typing import Final, Literal

from events.identity import is_uuid

Scheme = Literal["gemeentecode", "zorgkantoor", "kvk", "agb", "uzovi", "oin", "local"]

UUID_FORM: Final = r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"
IDENT_FORM: Final = r"^[A-Za-z0-9._:/@-]{1,64}$"

# scheme -> (form, what it must look like). Four-digit codes are text: a leading zero counts.
SCHEMES: Final[dict[str, tuple[re.Pattern[str], str]]] = {
    "gemeentecode": (re.compile(r"[0-9]{4}\Z"), "four digits with leading zeros, for instance '0518'"),
    "zorgkantoor": (re.compile(r"[0-9]{4}\Z"), "four digits with leading zeros, for instance '5515'"),
    "kvk": (re.compile(r"[0-9]{8}\Z"), "eight digits, for instance '27184233'"),
    "agb": (re.compile(r"[0-9]{8}\Z"), "eight digits with leading zeros, for instance '06010713'"),
    "uzovi": (re.compile(r"[0-9]{4}\Z"), "four digits with leading zeros, for instance '0403'"),
    "oin": (re.compile(r"[0-9]{20}\Z"), "twenty digits, for instance '00000001003214345000'"),
    "local": (re.compile(r"[A-Za-z0-9._:/@-]{1,64}\Z"), "1 to 64 letters, digits and ._:/@- without spaces"),
}

_SUGGESTED: Final = re.compile(r"(?:GM)?([0-9]{1,4})\Z")


def value_problem(scheme: str, value: str) -> str | None:
    """What is wrong with the value of a known scheme, in one sentence, or None."""
    form, wanted = SCHEMES[scheme]
    if form.match(value):
        return None
    hint = ""
    if scheme == "gemeentecode" and (close := _SUGGESTED.match(value)):
        hint = f"; did you mean '{close[1]:0>4}'?"
    return f"A value of {scheme} must be {wanted}{hint or '.'}"


def reference_problem(value: str) -> str | None:
    """What is wrong with a name of a relation (UUID or `<scheme>:<value>`), in one sentence, or None."""
    if is_uuid(value):
        return None
    scheme, colon, rest = value.partition(":")
    if not colon or scheme not in SCHEMES:
        return f"Name the relation by its UUID or as <scheme>:<value> with a scheme of {', '.join(SCHEMES)}."
    return value_problem(scheme, rest)
