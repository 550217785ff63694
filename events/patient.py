"""Keeps patients out of the book: a relation is never a client, and no text carries a burgerservicenummer (SPEC intro).

A BSN is nine digits that pass the eleven-test (weights 9 to 2 and -1; Wet algemene bepalingen burgerservicenummer).
It is looked for as nine digits in a row, and in groups joined by one kind of space, dot or dash (123.456.782,
1234 56 782). Longer and shorter numbers (KvK, AGB, OIN, telephone) are none. One number in eleven passes by chance;
rejecting that one is the price of never storing a patient.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

# Kinds that say that a "relation" is a person in care. Lower case, without accents.
PATIENT_KINDS: Final = frozenset(
    {"client", "clients", "patient", "patients", "clienten", "patienten", "bewoner", "resident", "burger", "citizen",
     "person", "persoon", "natural_person", "verzekerde", "insured"}
)  # fmt: skip

PATIENT_DETAIL: Final = "A relation is an organisation, never a client or patient; do not register people in care."

# For the first look every digit becomes 0 and separators go: nine digits in a row then show as nine zeros.
_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")
_SEPARATORS: Final = b" .-"
_NINE: Final = b"000000000"

# Digits and separators as far as they go; two classes only, so that `re` scans fast.
_RUN: Final = re.compile(r"[0-9][0-9 .\-]{8,}")
_IN_A_ROW: Final = re.compile(r"(?<![0-9])[0-9]{9}(?![0-9])")
# Three or four groups of two to five digits, joined by one and the same separator.
_GROUPED: Final = re.compile(r"(?<![0-9])[0-9]{2,5}([ .\-])[0-9]{2,5}(?:\1[0-9]{2,5}){1,2}(?!\1?[0-9])")
# A year and month in front is a date or a numbered document (2026-01-017), not a BSN.
_DATED: Final = re.compile(r"(?:19|20)[0-9]{2}[ .\-](?:0[1-9]|1[0-2])[ .\-]")

# Long digit strings that are known to be something else.
_OTHER: Final = re.compile(
    r"(?i:\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b)"  # UUID
    r"|\b(?=[0-9]*[a-f])[0-9a-f]{16,}\b"  # hash or trace id
    r"|(?:\+|\b00)[1-9][0-9][ .\-]?(?:\(0\))?[ .\-]?[0-9](?:[ .\-]?[0-9]){7,8}(?![0-9])"  # +31 6 1234 5678
)
_CONTEXT: Final = 40  # characters on each side of a number: a whole UUID or the prefix of a telephone number

# Spaces, dashes and digits of other alphabets that word processors put into Dutch text.
_PLAIN: Final = {
    **{ord(c): " " for c in "\u00a0\u2002\u2003\u2007\u2008\u2009\u200a\u202f"},
    **{ord(c): "-" for c in "\u00ad\u2010\u2011\u2012\u2013\u2014\u2212"},
    **{0xFF10 + n: str(n) for n in range(10)},
}
_NOT_PLAIN: Final = re.compile("[" + "".join(map(chr, _PLAIN)) + "]")


def is_bsn(digits: str) -> bool:
    """Whether nine digits pass the eleven-test. Two leading zeros are never issued, and mostly number a list."""
    if len(digits) != 9 or not digits.isdecimal() or digits.startswith("00"):
        return False
    total = sum(weight * int(d) for weight, d in zip((9, 8, 7, 6, 5, 4, 3, 2, -1), digits, strict=True))
    return total % 11 == 0


def mentions_bsn(text: str) -> bool:
    """Whether a BSN stands in the text."""
    return mentions_bsn_in(text.encode("utf-8", "replace"))


def without_bsn(text: str | None) -> str | None:
    """The text, with every digit as `#` where a BSN stands in it."""
    return text if text is None or not mentions_bsn(text) else re.sub(r"[0-9]", "#", text)


def mentions_bsn_in(text: bytes) -> bool:
    """Whether a BSN stands in UTF-8 text, a JSON document for instance. About 1 µs where there is no long number."""
    if not text.isascii():
        decoded = text.decode()
        if _NOT_PLAIN.search(decoded):
            text = decoded.translate(_PLAIN).encode()
    if _NINE not in text.translate(_DIGITS, _SEPARATORS):
        return False
    plain = text.decode()
    return any(_in_run(plain, run) for run in _RUN.finditer(plain))


def _in_run(text: str, run: re.Match[str]) -> bool:
    """Whether a BSN stands in this number and nothing around says that it is something else."""
    return any(is_bsn(digits) and not _excused(text, at) for digits, at in _candidates(run[0], run.start()))


def _candidates(number: str, start: int) -> Iterator[tuple[str, int]]:
    """Nine digits each, with where they begin in the text."""
    for m in _IN_A_ROW.finditer(number):
        yield m[0], start + m.start()
    for m in _GROUPED.finditer(number):
        joined_before = m.start() > 1 and number[m.start() - 1] == m[1] and number[m.start() - 2].isdigit()
        if not joined_before and not _DATED.match(m[0]):
            yield m[0].replace(m[1], ""), start + m.start()


def _excused(text: str, at: int) -> bool:
    left = max(0, at - _CONTEXT)
    return any(m.start() <= at - left < m.end() for m in _OTHER.finditer(text[left : at + _CONTEXT]))


def is_patient_kind(kind: object) -> bool:
    """Whether this `kind` of relation says that it is a client or patient."""
    if not isinstance(kind, str) or len(kind) > 40:
        return False
    plain = unicodedata.normalize("NFKD", kind).encode("ascii", "ignore").decode()
    return plain.strip().lower() in PATIENT_KINDS
