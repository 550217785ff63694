"""Settings: what the environment may say, what it may not, and that secrets do not show."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from events.errors import SetupError
from services.settings import Settings, as_environment, asyncpg_url, load

KEY = "ab" * 32


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"RELATIEBOEK_{name.upper()}", raising=False)
    for name in ("DATABASE_URL", "NATS_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("postgresql://a:b@h/d", "postgresql+asyncpg://a:b@h/d"),
        ("postgres://a:b@h/d?sslmode=require", "postgresql+asyncpg://a:b@h/d?ssl=require"),
        ("postgresql+asyncpg://a:b@h/d", "postgresql+asyncpg://a:b@h/d"),
    ],
)
def test_a_database_address_is_taken_in_every_customary_form(given: str, taken: str) -> None:
    assert asyncpg_url(given) == taken
    assert asyncpg_url(taken) == taken


def test_the_environment_gives_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://a:b@h/d")
    monkeypatch.setenv("NATS_URL", "nats://h:4222")
    monkeypatch.setenv("RELATIEBOEK_CLOCK", "2026-06-30T12:00:00+02:00")
    monkeypatch.setenv("RELATIEBOEK_DATA_DIR", "/data")
    monkeypatch.setenv("RELATIEBOEK_PORT", "")
    settings = load()
    assert settings.database_url == "postgresql+asyncpg://a:b@h/d"
    assert settings.nats_url == "nats://h:4222"
    assert settings.clock == datetime(2026, 6, 30, 10, tzinfo=UTC)
    assert settings.data_dir == Path("/data")
    assert settings.port == 8080


def test_the_tiers_of_the_institution(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().tier_set == {"A", "B"}
    monkeypatch.setenv("RELATIEBOEK_TIERS", "A,B,C")
    assert load().tier_set == {"A", "B", "C"}


def test_what_the_command_line_gives_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELATIEBOEK_PORT", "9000")
    assert load(port=9001).port == 9001


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RELATIEBOEK_CLOCK", "2027-01-31T12:00:00"),
        ("RELATIEBOEK_PORT", "0"),
        ("RELATIEBOEK_LOOKUP_KEY", "secret-but-short"),
        ("RELATIEBOEK_NATS_SEED", "UABC-not-a-seed"),
        ("RELATIEBOEK_INSTITUTION", "12"),
        ("RELATIEBOEK_TIERS", "goud,zilver"),
        ("NATS_URL", "http://h:4222"),
        ("DATABASE_URL", "mysql://u:geheim@h/d"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SetupError) as raised:
        load()
    assert variable in str(raised.value)
    assert value not in str(raised.value) or value == "0"
    assert "\n" not in str(raised.value)


def test_secrets_do_not_show() -> None:
    settings = load(database_url="postgresql://u:geheim@h/d", lookup_key=KEY, service_password="geheim")
    assert "geheim" not in repr(settings)
    assert KEY not in repr(settings)
    assert settings.lookup_key_bytes == bytes.fromhex(KEY)


def test_no_lookup_key_is_told_when_it_is_needed() -> None:
    with pytest.raises(SetupError, match="RELATIEBOEK_LOOKUP_KEY"):
        _ = load().lookup_key_bytes


def test_settings_travel_to_a_child_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELATIEBOEK_OPERATIONS_NATS_SEED", "SUAX")
    settings = load(
        database_url="postgresql://u:p@h/d", nats_url="nats://h", lookup_key=KEY, clock="2026-06-30T12:00:00+02:00",
        good_friday_free=True, operations_nats_seed=None, log_json=True,
    )  # fmt: skip
    environment = as_environment(settings)
    assert "RELATIEBOEK_OPERATIONS_NATS_SEED" not in environment
    for name in [n for n in environment if n.startswith("RELATIEBOEK_")] + ["DATABASE_URL", "NATS_URL"]:
        monkeypatch.setenv(name, environment[name])
    monkeypatch.delenv("RELATIEBOEK_OPERATIONS_NATS_SEED")
    assert load() == settings.model_copy(update={"data_dir": settings.data_dir})
