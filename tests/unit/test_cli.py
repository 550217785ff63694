"""The command line without a book: its errors, exit codes and documents. Every error is one line, never a traceback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner, Result

from events.catalog import TYPES
from services.cli.main import app
from services.embedded import credentials as store
from services.embedded.accounts import new_seed
from services.embedded.credentials import Credentials, Internal, NatsPart
from services.settings import SERVICES, Settings
from tests.ports import free_port

WABO = "services/demo/data/receipt-wabo.csv.gz"
MAPPING = "services/demo/mappings/wabo.toml"
# Of an export with one column, `what`: every row but the one that says `yes` is left out, for a reason of its own.
MINIMAL = """
format = 1
source = "urn:nld:oin:00000000000000000000:systeem:crm"
department = "crm"
subject = "gemeentecode:0518"

[[rows]]
id = "crm-{what}"
type = "team.formed.v1"
where = { what = "yes" }
data = { team = "{what}", name = "{what}", occurred_on = 2026-01-05 }
"""
CALENDAR = ("import", "ics", "tests/data/team.ics", "--department", "d", "--dry-run")
COMMANDS = [
    "up",
    "serve",
    "send",
    "import",
    "status",
    "relation",
    "timeline",
    "alerts",
    "history",
    "rebuild",
    "rejected",
    "parked",
    "reconcile",
    "schema",
    "clock",
    "department",
    "migrate",
    "question",
]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("NATS_URL", "DATABASE_URL", "RELATIEBOEK_URL", "RELATIEBOEK_VIEWER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RELATIEBOEK_DATA_DIR", str(tmp_path / "var"))


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin, catch_exceptions=False)


def document(*arguments: str) -> Any:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def every_command(group: Any, words: list[str]) -> Iterator[list[str]]:
    """The words of every command, groups too."""
    for name, command in group.commands.items():
        yield [*words, name]
        if isinstance(command, TyperGroup):
            yield from every_command(command, [*words, name])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert command in result.stdout


@pytest.mark.parametrize("command", [[], *every_command(typer.main.get_command(app), [])], ids=" ".join)
def test_help_is_dutch_to_the_last_word(command: list[str]) -> None:
    said = run(*command, "--help").stdout
    assert said.startswith("Gebruik: ")
    assert "Toon deze uitleg." in said
    english = r"Usage|Options|Arguments|Commands|Show this|default:|required|\b(int|str|range)\b|<=x|<path|<list|<%"
    assert re.findall(english, said, re.IGNORECASE) == []


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["nope"], "Onbekende opdracht 'nope'"),
        (["status", "--nope"], "Onbekende optie --nope"),
        (["send"], "Er ontbreekt: FILE|-"),
        (["import", "csv", "x.csv"], "Er ontbreekt een optie: --mapping"),
        (["alerts", "--limit", "0"], "Ongeldige waarde voor --limit: moet minstens 1 zijn"),
        (["alerts", "--limit", "veel"], "moet een heel getal zijn"),
        (["timeline"], "kies één van --team en --relation"),
        (["relation", "show", "gemeentecode:0518", "--as-of", "morgen"], "--as-of: schrijf een tijdstip"),
        (["history", "gemeentecode:0518", "--known-at", "2026-01-01T10:00"], "--known-at: schrijf een tijdstip"),
        (["status"], "Geen Relatieboek gevonden"),
        (["relation", "list"], "Geen Relatieboek gevonden"),
        (["rejected", "list"], "Geen Relatieboek gevonden"),
        (["parked", "list"], "Geen Relatieboek gevonden"),
        (["reconcile"], "Geen Relatieboek gevonden"),
        (["department", "list"], "Geen Relatieboek gevonden"),
        (["rebuild", "nope"], "Onbekend leesmodel nope"),
        (["rebuild", "relation_view"], "Geen Relatieboek gevonden"),
        (["clock", "advance", "--to", "morgen"], "--to: schrijf een tijdstip"),
        (["send", "-"], "Geef --department"),
        (["send", "-", "--department", "x", "--url", "nats://127.0.0.1:1"], "heeft hier geen sleutel"),
        (["schema", "nope"], "Niet gevonden"),
        (["serve", "nope"], "Welke dienst?"),
        (["serve"], "Welke dienst?"),
        (["migrate"], "DATABASE_URL"),
        (["up", "--port", "99999"], "Ongeldige waarde voor --port"),
        (["import", "csv", "none.csv", "--mapping", MAPPING, "--dry-run"], "none.csv is niet te lezen: bestaat niet"),
        (["import", "csv", WABO, "--mapping", "none.toml", "--dry-run"], "Mapping none.toml is niet te lezen"),
        (["import", "csv", WABO, "--mapping", WABO, "--dry-run"], "is geen geldige TOML"),
        (
            ["import", "ics", WABO, "--department", "d", "--relation", "gemeentecode:0518", "--dry-run"],
            "is geen geldig agendabestand",
        ),
        ([*CALENDAR, "--relation", "gemeentecode:0518", "--channel", "duif"], "Zo kan geen afspraak mee: --channel"),
        ([*CALENDAR, "--relation", "gemeentecode:0518", "--our-layer", "x"], "Zo kan geen afspraak mee: --our-layer"),
        ([*CALENDAR, "--relation", "onzin"], "Zo kan geen afspraak mee: --relation"),
        (["question", "3"], "Ongeldige waarde voor --relation: vraag 3 wil deze optie"),
        (["question", "7"], "Ongeldige waarde voor --relation: vraag 7 wil deze optie"),
        (["question", "10"], "Ongeldige waarde voor --alert: vraag 10 wil deze optie"),
        (["parked", "retry", "99"], "Dit hoort er niet bij: 99"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(arguments: list[str], wanted: str) -> None:
    result = run(*arguments)
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert result.exit_code == 2, result.output
    assert wanted in lines[-1]
    assert len(lines) == 1
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_without_a_server_on_the_port_it_says_where_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELATIEBOEK_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("RELATIEBOEK_VIEWER_TOKEN", "secret-token")
    result = run("status")
    assert result.exit_code == 2
    assert "Relatieboek antwoordt niet op http://127.0.0.1:1" in result.stderr
    assert "secret-token" not in result.output


def test_a_bar_that_never_moved_is_not_left_beside_the_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RELATIEBOEK_DEPARTMENT_NATS_SEED", new_seed())
    (tmp_path / "events.jsonl").write_text("{}\n")
    result = run("send", str(tmp_path / "events.jsonl"), "--department", "crm", "--url", "nats://127.0.0.1:1")
    assert result.exit_code == 2
    [line] = [line for line in result.stderr.splitlines() if line.strip()]
    assert line.startswith("NATS antwoordt niet op nats://127.0.0.1:1.")


@pytest.mark.parametrize(
    "arguments", [["rejected", "list"], ["reconcile"], ["audit", "verify"], ["department", "list"]]
)
def test_a_book_that_does_not_run_is_told_at_once(arguments: list[str], tmp_path: Path) -> None:
    """What reads the engines themselves; what reads over HTTP says where it looked."""
    settings = Settings(data_dir=tmp_path / "var")
    settings.data_dir.mkdir()
    internal = Internal.fresh(settings).model_copy(update={"postgres_port": free_port(), "nats_port": free_port()})
    made = Credentials(nats=NatsPart(url=f"nats://127.0.0.1:{internal.nats_port}"), internal=internal)
    store.update(settings.credentials_path, lambda _: made)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    [line] = [line for line in result.stderr.splitlines() if line.strip()]
    assert line.startswith(f"Relatieboek draait niet in {settings.data_dir}. Start het met `relatieboek up`")


def test_a_damaged_credentials_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "credentials.json").write_text("{", encoding="utf-8")
    result = run("status")
    assert result.exit_code == 2
    assert "credentials.json is beschadigd" in result.stderr


def test_schemas_need_no_server(tmp_path: Path) -> None:
    assert {t["type"] for t in document("schema", "--json")} == set(TYPES)
    assert document("schema", "contact.held")["title"] == "nl.relatieboek.contact.held.v1"
    assert document("schema", "nl.relatieboek.contact.held.v1") == document("schema", "contact.held.v1")
    assert run("schema", "--all", str(tmp_path / "schemas")).exit_code == 0
    assert {p.name for p in (tmp_path / "schemas").iterdir()} == {f"{name}.json" for name in TYPES}


def test_the_documents_are_printed_without_a_server() -> None:
    assert document("schema", "asyncapi")["asyncapi"].startswith("3.")
    openapi = document("schema", "openapi")
    assert openapi["openapi"].startswith("3.1")
    assert any(path.endswith("/events") for path in openapi["paths"])


def test_serve_names_the_services() -> None:
    assert run("serve", "--list").stdout.split() == list(SERVICES)


def test_a_dry_run_counts_and_lists_what_is_left_out(tmp_path: Path) -> None:
    report = tmp_path / "left-out.csv"
    result = run("import", "csv", WABO, "--mapping", MAPPING, "--dry-run", "--report", str(report))
    assert result.exit_code == 0
    assert "1435 gebeurtenissen zouden worden verstuurd, 7143 rijen niet meegegaan." in result.stderr
    assert "T06 Determine necessity of stop advice" in result.stdout
    rows = [line for line in result.stderr.splitlines() if line.startswith("niet meegegaan: ")]
    assert rows[0] == "niet meegegaan: regel 3: niet gevraagd: concept:name is 'T02 Check confirmation of receipt'"
    assert len(rows) == 60
    assert f"... en nog 7083 rijen die niet meegingen. Ze staan in {report}." in result.stderr.replace("\n", "")
    assert len(report.read_text(encoding="utf-8").splitlines()) == 7144


def test_no_reason_is_left_out_unsaid(tmp_path: Path) -> None:
    """An export with 45 reasons, each for one row: what is not shown is counted, and where it is to be had is said."""
    export, mapping = tmp_path / "export.csv", tmp_path / "mapping.toml"
    export.write_text("what\n" + "".join(f"no-{n}\n" for n in range(45)), encoding="utf-8")
    mapping.write_text(MINIMAL, encoding="utf-8")
    words = ("import", "csv", str(export), "--mapping", str(mapping), "--dry-run")
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("niet meegegaan: ") == 45
    assert "rijen die niet meegingen" not in result.stderr
    assert "... en nog 5 redenen, voor minder rijen elk. Met --report BESTAND komen ze alle" in result.stderr


@pytest.mark.parametrize("where", ["/proc/x", "/dev/null/x"])
def test_a_data_directory_that_cannot_be_made_says_which_and_what_to_do(where: str) -> None:
    result = run("up", "--data-dir", where)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    assert where in result.stderr
    assert "--data-dir" in result.stderr
