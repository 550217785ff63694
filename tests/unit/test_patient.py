"""No patient in the book: the BSN check finds what it must, and leaves other numbers alone."""

from __future__ import annotations

import uuid

import pytest

from events.catalog import check
from events.errors import Invalid
from events.patient import is_bsn, is_patient_kind, mentions_bsn
from tests.samples import with_attributes, with_data


@pytest.mark.parametrize("digits", ["123456782", "111222333", "999990019", "010000008"])
def test_the_eleven_test_passes(digits: str) -> None:
    assert is_bsn(digits)


@pytest.mark.parametrize("digits", ["123456789", "123456783", "000000000", "000000012", "12345678", "1234567820"])
def test_the_eleven_test_fails(digits: str) -> None:
    assert not is_bsn(digits)


@pytest.mark.parametrize(
    "text",
    [
        "123456782",
        "BSN: 123456782.",
        "bsn123456782",
        "(123456782)",
        "zaak 2026 123456782 gesloten",
        "123.456.782",
        "1234.56.782",
        "1234 56 782",
        "123-456-782",
        "12 34 56 782",
        "om 3 1234.56.782",
        "123\u00a0456\u00a0782",
        "123\u2011456\u2011782",
        "\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff12",
        "é 123456782",
        "twee: 123456789 en 123456782",
    ],
)
def test_a_bsn_is_found(text: str) -> None:
    assert mentions_bsn(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "KvK 27184233",
        "AGB 06010713, UZOVI 0403",
        "OIN 00000001003214345000",
        "0612345678",
        "06-12345678",
        "06 12 34 56 78",
        "+31 6 12345678",
        "+31612345678",
        "+31(0)612345678",
        "+31-70 361 45 67",
        "070-3614567",
        "1234567820",
        "0123456782",
        "2026-02-03 10:00",
        "2026-02-03 9 deelnemers",
        "nota 2026-01-017",
        "NL91ABNA0417164300",
        "123456789",
        "123.456.789",
        "c-000000012",
        "1.2.3.4.5.6.7.8.2",
        "123.456-782",
        "3f2a1b6c-1234-4c3d-8e9f-001122334455",
        "3f2a1b6c-1234-4c3d-8e9f-a123456782bc",
        "sha a1b2c3d4123456782e5f",
        "00-4bf92f123456782aa3ce929d0e0e4736-00f067aa0ba902b7-01",
        "\u00e9\u00e9n 12 mei 2026 en 14 juni 2027",
    ],
)
def test_another_number_is_left_alone(text: str) -> None:
    assert not mentions_bsn(text)


def test_random_uuids_are_left_alone() -> None:
    names = [str(uuid.uuid5(uuid.NAMESPACE_URL, str(n))) for n in range(20_000)]
    assert not [name for name in names if mentions_bsn(name)]


@pytest.mark.parametrize("kind", ["client", "Client", "cliënt", "patient", "Patiënt", "bewoner", " person "])
def test_a_person_in_care_is_no_relation(kind: str) -> None:
    assert is_patient_kind(kind)


@pytest.mark.parametrize("kind", ["municipality", "care_partner", "", None, 7, ["client"], "x" * 1000])
def test_an_organisation_is_no_patient(kind: object) -> None:
    assert not is_patient_kind(kind)


def test_numbers_that_are_no_text_are_left_alone() -> None:
    assert check(with_data("alert.resolved", evidence=[123456782])).data["evidence"] == [123456782]
    fraction = "2026-02-03T10:00:00.123456782+01:00"
    assert check(with_attributes("contact.held", time=fraction)).time == fraction
    trace = "00-4bf92f123456782aa3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert check(with_attributes("contact.held", traceparent=trace)).traceparent == trace
    assert check(with_attributes("contact.held", source="urn:nld:oin:00000001234567820000:systeem:crm"))


def test_every_place_is_named_together_with_what_else_is_wrong() -> None:
    event = with_data("contact.held", summary="123456782", topics=["goed", "111222333"], channel="fax")
    event["id"] = "123456782"
    with pytest.raises(Invalid) as refused:
        check(event)
    assert refused.value.code == "patient_data"
    assert sorted(e.pointer for e in refused.value.errors) == [
        "/data/channel",
        "/data/summary",
        "/data/topics/1",
        "/id",
    ]
