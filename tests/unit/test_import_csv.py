"""Rows of an export as events: mapping files, reasons for what is not taken, and the real WABO export."""

from __future__ import annotations

import gzip
import re
import tracemalloc
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from events.errors import SetupError
from services.demo.load import wabo_mapping
from services.demo.registers import DATA
from services.imports.csv import read_csv
from services.imports.mapping import load_mapping
from services.imports.outcome import Outcome, Skipped, Taken

MAPPING = """
format = 1
source = "urn:nld:oin:00000000000000000000:systeem:crm"
department = "communicatie"
subject = "gemeentecode:{code}"

[[rows]]
id = "crm-{nr}"
type = "contact.held.v1"
where = { soort = ["gesprek", "telefoon"] }

[rows.data]
contact = "crm-{nr}"
occurred_at = { column = "datum", as = "datetime", zone = "Europe/Amsterdam" }
duration_min = { column = "minuten", as = "integer" }
channel = { column = "soort", map = { gesprek = "meeting", telefoon = "phone" } }
activity = "conversation"
topics = ["{onderwerp}"]
ours = [{ employee = { template = "crm-{wie}", as = "slug" }, layer = "professional" }]
theirs = [{ person = { column = "persoon", optional = true }, layer = "professional" }]
"""
HEAD = "nr,code,soort,datum,minuten,onderwerp,wie,persoon\n"
GOOD = "1,0518,gesprek,2026-02-03T10:00:00,60,wmo,A. de Vries,p-1\n"


def outcomes(tmp_path: Path, rows: str, mapping: str = MAPPING, head: str = HEAD) -> list[Outcome]:
    export, how = tmp_path / "export.csv", tmp_path / "how.toml"
    export.write_text(head + rows, encoding="utf-8")
    how.write_text(mapping, encoding="utf-8")
    return list(read_csv(export, load_mapping(how)))


def reason(tmp_path: Path, row: str) -> str:
    (outcome,) = outcomes(tmp_path, row)
    assert isinstance(outcome, Skipped)
    return outcome.reason


def test_a_row_becomes_the_event_that_the_mapping_says(tmp_path: Path) -> None:
    (taken,) = outcomes(tmp_path, GOOD)
    assert isinstance(taken, Taken)
    assert taken.event["id"] == "crm-1"
    assert taken.event["type"] == "nl.relatieboek.contact.held.v1"
    assert taken.event["subject"] == "gemeentecode:0518"
    assert taken.event["data"] == {
        "contact": "crm-1", "occurred_at": "2026-02-03T10:00:00+01:00", "duration_min": 60, "channel": "meeting",
        "activity": "conversation", "topics": ["wmo"], "ours": [{"employee": "crm-a-de-vries",
        "layer": "professional"}],
        "theirs": [{"person": "p-1", "layer": "professional"}],
    }  # fmt: skip


def test_the_same_file_gives_the_same_events(tmp_path: Path) -> None:
    assert outcomes(tmp_path, GOOD) == outcomes(tmp_path, GOOD)


def test_an_offset_is_kept_and_an_optional_empty_column_is_left_out(tmp_path: Path) -> None:
    (taken,) = outcomes(tmp_path, "2,0518,telefoon,2026-07-03T10:00:00+00:00,5,wmo,B,\n")
    assert isinstance(taken, Taken)
    assert taken.event["data"]["occurred_at"] == "2026-07-03T10:00:00+00:00"
    assert taken.event["data"]["theirs"] == [{"layer": "professional"}]


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ("1,0518,notitie,2026-02-03T10:00:00,60,wmo,A,\n", "niet gevraagd: soort is 'notitie'"),
        ("1,0518,gesprek,2026-02-03T10:00:00,60,,A,\n", "onderwerp is leeg"),
        ("1,0518,gesprek,3 februari,60,wmo,A,\n", "datum is niet te lezen als datetime"),
        ("1,0518,gesprek,2026-03-29T02:30:00,60,wmo,A,\n", "datum bestaat niet in Europe/Amsterdam"),
        ("1,0518,gesprek,2026-02-03T10:00:00,een uur,wmo,A,\n", "minuten is niet te lezen als integer"),
        ("1,0518,gesprek,2026-02-03T10:00:00,0,wmo,A,\n", "/data/duration_min"),
        ("1,518,gesprek,2026-02-03T10:00:00,60,wmo,A,\n", "/subject"),
        ("1,0518,gesprek\n", "ander aantal kolommen dan de kop"),
        ("1,0518,gesprek,2026-02-03T10:00:00,60,wmo,A,,extra\n", "ander aantal kolommen dan de kop"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_taken_says_why(tmp_path: Path, row: str, wanted: str) -> None:
    assert wanted in reason(tmp_path, row)


def test_a_second_row_with_the_same_id_is_named_unless_it_is_equal(tmp_path: Path) -> None:
    first, same, other = outcomes(tmp_path, GOOD + GOOD + GOOD.replace(",60,", ",30,"))
    assert isinstance(first, Taken)
    assert isinstance(same, Taken)
    assert isinstance(other, Skipped)
    assert other.where == "regel 4"


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (("contact.held.v1", "contact.held.v9"), "onbekend soort gebeurtenis"),
        (("format = 1", "format = 2"), "format"),
        (("subject = ", "onderwerp = "), "onderwerp"),
        (("{nr}", "{nummer}"), "mist kolom nummer"),
        (('zone = "Europe/Amsterdam"', 'zone = "Mars/Phobos"'), "onbekende tijdzone"),
        (("[[rows]]", "[[rows"), "geen geldige TOML"),
    ],
)
def test_a_mistake_in_the_mapping_is_named(tmp_path: Path, change: tuple[str, str], wanted: str) -> None:
    with pytest.raises(SetupError, match=re.escape(wanted)):
        outcomes(tmp_path, GOOD, MAPPING.replace(*change))


@pytest.mark.parametrize(
    ("head", "rows", "wanted"),
    [("", "", "is leeg"), ("nr,nr\n", "", "twee keer"), (HEAD, '1,"open\n', "geen geldige CSV")],
)
def test_a_file_that_is_no_export_is_refused(tmp_path: Path, head: str, rows: str, wanted: str) -> None:
    with pytest.raises(SetupError, match=wanted):
        outcomes(tmp_path, rows, head=head)


def test_another_encoding_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    how = tmp_path / "how.toml"
    how.write_text(MAPPING, encoding="utf-8")
    with pytest.raises(SetupError, match="niet te lezen"):
        list(read_csv(tmp_path / "none.csv", load_mapping(how)))
    (tmp_path / "latin.csv").write_bytes(
        HEAD.encode() + "1,0518,gesprek,2026-02-03T10:00:00,60,privé,A,\n".encode("cp1252")
    )
    with pytest.raises(SetupError, match="niet te lezen als utf-8-sig"):
        list(read_csv(tmp_path / "latin.csv", load_mapping(how)))


def _wabo() -> list[Outcome]:
    return list(read_csv(DATA / "receipt-wabo.csv.gz", wabo_mapping()))


def test_the_wabo_export_gives_its_1434_contacts_and_a_reason_for_every_other_row() -> None:
    made = _wabo()
    events = [o.event for o in made if isinstance(o, Taken)]
    skipped = [o for o in made if isinstance(o, Skipped)]
    contacts: list[dict[str, Any]] = [e["data"] for e in events if e["type"] == "nl.relatieboek.contact.held.v1"]
    assert events[0]["type"] == "nl.relatieboek.relation.registered.v1"
    assert len(contacts) == 1434
    assert Counter(c["channel"] for c in contacts) == {"email": 1250 + 21 + 1, "meeting": 109, "letter": 53}
    assert len({c["topics"][0] for c in contacts}) == 1434
    assert len({e["id"] for e in events}) == len(events)
    assert len(skipped) == 8577 - 1434
    assert all(s.reason.startswith("niet gevraagd: concept:name is ") for s in skipped)
    assert {datetime.fromisoformat(c["occurred_at"]).utcoffset() is not None for c in contacts} == {True}


def test_the_wabo_export_is_the_same_every_time() -> None:
    assert _wabo() == _wabo()


class TestUnfolding:
    """A .gz file says nothing of how much is in it."""

    def refused(self, tmp_path: Path, content: bytes) -> str:
        export, how = tmp_path / "export.csv.gz", tmp_path / "how.toml"
        export.write_bytes(content)
        how.write_text(MAPPING, encoding="utf-8")
        with pytest.raises(SetupError) as refused:
            list(read_csv(export, load_mapping(how)))
        return str(refused.value)

    def test_a_line_without_end_is_read_no_further(self, tmp_path: Path) -> None:
        starts = (b"", HEAD.encode(), HEAD.encode() + b'"')
        bombs = [gzip.compress(start + b" " * 100_000_000, 1) for start in starts]
        tracemalloc.start()
        for bomb in bombs:
            assert "dat is geen tabel" in self.refused(tmp_path, bomb)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 30_000_000

    def test_lines_without_end_neither(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("services.imports.csv.MAX_LINES", 1_000)
        assert "meer dan 1000 regels" in self.refused(tmp_path, gzip.compress(HEAD.encode() + b"\n" * 5_000))

    @pytest.mark.parametrize("at", [0, 3, 12, 40])
    def test_what_is_damaged_is_said(self, tmp_path: Path, at: int) -> None:
        whole = bytearray(gzip.compress((HEAD + GOOD * 50).encode()))
        whole[at] ^= 0xFF
        told = self.refused(tmp_path, bytes(whole))
        assert "export.csv.gz" in told
