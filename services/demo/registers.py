"""The demo's relations: real municipalities, care offices, the insurers behind them and hospitals (data/README.md)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

DATA: Final = Path(__file__).resolve().parent / "data"
LOCAL_OWNER: Final = "zorgverkoop"

_AS_WRITTEN: Final = frozenset({"e.o.", "en", "de", "'t"})


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation of the demo. `key` is unique and short; `subject` is what other events call it."""

    key: str
    kind: str
    name: str
    scheme: str
    value: str
    region: str | None = None
    parent: str | None = None

    @property
    def identifier(self) -> str:
        return f"{self.scheme}:{self.value}"

    @property
    def subject(self) -> str:
        """Local identifiers belong to one department; the others name such a relation by its UUID."""
        if self.scheme != "local":
            return self.identifier
        return str(uuid5(NAMESPACE_URL, f"urn:relatieboek:local:{LOCAL_OWNER}:{self.value}"))

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "identifiers": [{"scheme": self.scheme, "value": self.value}],
        }
        if self.region is not None:
            data["region"] = self.region
        if self.parent is not None:
            data["parent"] = self.parent
        return data


@dataclass(frozen=True, slots=True)
class Merger:
    """A former municipality, the key of the one in which it went on, and since when (data/README.md)."""

    absorbed: Relation
    survivor: str
    on: date


@cache
def mergers() -> tuple[Merger, ...]:
    """The municipalities of the region table of 2020 that are gone from the list of 2023, in order of their end."""
    region_of = {r["Zorgkantoorcode"]: _titled(r["Zorgkantoor"]) for r in _read("zorgkantoorregios.csv")}
    found = [
        Merger(
            Relation(
                row["gemcode"].replace("GM", "gm"), "municipality", f"Gemeente {row['naam']}", "gemeentecode",
                row["gemcode"].removeprefix("GM"), region_of[row["zorgkantoorcode"]],
            ),
            row["opgegaan_in"].replace("GM", "gm"),
            date.fromisoformat(row["per"]),
        )
        for row in _read("herindelingen.csv")
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda m: m.on))


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _read(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def _titled(name: str) -> str:
    """`APELDOORN/ZUTPHEN E.O.` as people write it: Apeldoorn/Zutphen e.o."""

    def word(found: re.Match[str]) -> str:
        text = found[0].lower()
        if text in _AS_WRITTEN:
            return text
        return "IJ" + text[2:] if text.startswith("ij") else text.capitalize()

    return re.sub(r"[^\s/-]+", word, name)


def relations() -> list[Relation]:
    """Insurers, care offices, municipalities, hospitals: each after what it names as its parent."""
    regions = _read("zorgkantoorregios.csv")
    insurers = {name: _insurer(name) for name in sorted({r["Rechtspersoon"] for r in regions})}
    offices = {r["Zorgkantoorcode"]: r for r in regions}
    region_of = {code: _titled(row["Zorgkantoor"]) for code, row in offices.items()}
    of_municipality = {r["Gemeentecode"]: r["Zorgkantoorcode"] for r in regions}
    of_postcode = {r["Postcode"]: r["Zorgkantoorcode"] for r in regions}
    return [
        *insurers.values(),
        *(
            Relation(
                f"zk{code}", "care_office", f"Zorgkantoor {region_of[code]}", "zorgkantoor", code, region_of[code],
                insurers[row["Rechtspersoon"]].subject,
            )
            for code, row in sorted(offices.items())
        ),
        *(_municipality(row, of_municipality, region_of) for row in _read("gemeenten.csv")),
        *_hospitals(_read("ziekenhuizen.csv"), of_postcode, region_of),
    ]  # fmt: skip


def _insurer(name: str) -> Relation:
    return Relation(f"zv-{slug(name)}", "health_insurer", name, "local", f"verzekeraar-{slug(name)}")


def _municipality(row: dict[str, str], office_of: dict[str, str], region_of: dict[str, str]) -> Relation:
    code = row["gemcode"].removeprefix("GM")
    region = region_of.get(office_of.get(str(int(code)), ""))
    return Relation(f"gm{code}", "municipality", f"Gemeente {row['naam']}", "gemeentecode", code, region)


def _hospitals(
    rows: Iterable[dict[str, str]], office_of: dict[str, str], region_of: dict[str, str]
) -> Iterable[Relation]:
    first: dict[str, dict[str, str]] = {}
    for row in rows:
        first.setdefault(row["organisatie"], row)
    for name, row in first.items():
        region = region_of.get(office_of.get(row["postcode"][:4], ""))
        yield Relation(f"zh-{slug(name)}", "care_partner", name, "local", f"ziekenhuis-{slug(name)}", region)
