"""Rows of a CSV export as events, by a mapping file. Reads the file once, from front to back, in bounded memory."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from events.errors import SetupError
from services.imports.mapping import Compiler, Make, MappingFile, Row, Rule, UnfitRowError
from services.imports.outcome import Outcome, Skipped, checked, each_once
from services.reasons import why
from services.send import cloudevent

MAX_ROWS = 2_000_000
# A .gz file may unfold into anything: a line of this many characters is none, nor are so many lines a table.
MAX_LINE = 1_000_000
MAX_LINES = 10 * MAX_ROWS


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: Rule
    where: dict[str, frozenset[str]]
    id: Make
    subject: Make
    time: Make
    data: Make

    def refuses(self, row: Row) -> str | None:
        """The first column whose value this rule does not want."""
        return next((c for c, wanted in self.where.items() if row[c].strip() not in wanted), None)


def read_csv(path: Path, mapping: MappingFile) -> Iterator[Outcome]:
    """Every row as an event or as a reason, in the order of the file, after the mapping's `once` events.

    The same file and mapping give the same events, with the same ids. A `.gz` file is read as it is. Raises SetupError
    when the file cannot be read, lacks a column that the mapping names, has more than 2,000,000 rows, or a line of more
    than 1,000,000 characters.
    """
    compiler = Compiler()
    rules = [_compile(rule, mapping, compiler) for rule in mapping.rows]
    with _open(path, mapping.file.encoding) as text:
        rows = csv.DictReader(
            _lines(path, text), delimiter=mapping.file.delimiter, quotechar=mapping.file.quote, strict=True
        )
        try:
            _check_header(path, list(rows.fieldnames or []), compiler.columns)
            yield from _once(mapping)
            yield from each_once(_outcomes(rows, rules, mapping))
        except csv.Error as error:
            raise SetupError(f"{path}, regel {rows.line_num}: geen geldige CSV ({error}).") from None
        except (UnicodeError, LookupError) as error:
            raise SetupError(f"{path} is niet te lezen als {mapping.file.encoding}: {error}.") from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SetupError(f"{path} is geen volledig gzip-bestand: {error}.") from None


def _open(path: Path, encoding: str) -> IO[str]:
    try:
        if path.suffix == ".gz":
            return cast("IO[str]", gzip.open(path, "rt", encoding=encoding, newline=""))
        return path.open(encoding=encoding, newline="")
    except OSError as error:
        raise SetupError(f"{path} is niet te lezen: {why(error)}.") from None
    except LookupError:
        raise SetupError(f"Onbekende codering {encoding} in de mapping; probeer utf-8 of cp1252.") from None


def _lines(path: Path, text: IO[str]) -> Iterator[str]:
    for _ in range(MAX_LINES):
        line = text.readline(MAX_LINE + 1)
        if not line:
            return
        if len(line) > MAX_LINE:
            raise SetupError(f"{path} heeft een regel van meer dan {MAX_LINE} tekens; dat is geen tabel.")
        yield line
    raise SetupError(f"{path} heeft meer dan {MAX_LINES} regels: verdeel het bestand.")


def _check_header(path: Path, header: list[str], wanted: set[str]) -> None:
    if not header:
        raise SetupError(f"{path} is leeg: er is geen regel met kolomnamen.")
    if twice := sorted({c for c in header if header.count(c) > 1}):
        raise SetupError(f"{path}: kolom {', '.join(twice)} komt twee keer voor.")
    if missing := sorted(wanted - set(header)):
        raise SetupError(f"{path} mist kolom {', '.join(missing)}; wel aanwezig: {', '.join(header)}.")


def _compile(rule: Rule, mapping: MappingFile, compiler: Compiler) -> _Compiled:
    subject = rule.subject or mapping.subject
    if subject is None:
        raise SetupError("Mapping: er is geen `subject`, niet in het bestand en niet in de regel.")
    compiler.columns.update(rule.where)
    return _Compiled(
        rule=rule,
        where={c: frozenset([v] if isinstance(v, str) else v) for c, v in rule.where.items()},
        id=compiler.template(rule.id),
        subject=compiler.template(subject),
        time=compiler.expression(rule.time) if rule.time else lambda row: None,
        data=compiler.node(rule.data),
    )


def _once(mapping: MappingFile) -> Iterable[Outcome]:
    constant = Compiler()
    for one in mapping.once:
        subject = one.subject or mapping.subject
        if subject is None:
            raise SetupError(f"Mapping: gebeurtenis {one.id} heeft geen `subject`.")
        at = one.time.isoformat() if one.time else None
        make = constant.node(one.data)
        if constant.columns:
            raise SetupError(f"Mapping: gebeurtenis {one.id} gaat voor de rijen en kan geen kolom gebruiken.")
        data = make({})
        outcome = checked(f"once {one.id}", cloudevent(one.type, one.id, mapping.source, subject, data, time=at))
        if isinstance(outcome, Skipped):
            raise SetupError(f"Mapping: gebeurtenis {one.id} klopt niet: {outcome.reason}.")
        yield outcome


def _outcomes(rows: csv.DictReader[str], rules: list[_Compiled], mapping: MappingFile) -> Iterator[Outcome]:
    for count, row in enumerate(rows):
        if count >= MAX_ROWS:
            raise SetupError(f"Meer dan {MAX_ROWS} rijen: verdeel het bestand.")
        where = f"regel {rows.line_num}"
        yield _outcome(cast("dict[Any, Any]", row), where, rules, mapping)


def _outcome(row: dict[Any, Any], where: str, rules: list[_Compiled], mapping: MappingFile) -> Outcome:
    # DictReader puts surplus cells under None and fills missing ones with None.
    if None in row or None in row.values():
        return Skipped(where, "ander aantal kolommen dan de kop")
    refused: str | None = None
    for made in rules:
        column = made.refuses(row)
        if column is not None:
            refused = refused or column
            continue
        try:
            event = cloudevent(
                made.rule.type, made.id(row), mapping.source, made.subject(row), made.data(row),
                time=made.time(row), visibility=made.rule.visibility,
            )  # fmt: skip
        except UnfitRowError as problem:
            return Skipped(where, str(problem))
        return checked(where, event)
    return Skipped(where, f"niet gevraagd: {refused} is '{row[refused].strip()[:60]}'")
