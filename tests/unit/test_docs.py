"""The documents say what the code does: every command, setting, event type and problem code, and examples that hold."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from events.catalog import TYPES, check
from events.errors import Invalid
from events.verdict import PROBLEMS, Verdict
from services.api.site import application
from services.cli.main import app
from services.problems import HTTP_PROBLEMS
from services.settings import Settings
from tests.families import INDEX, Example, Mistake, examples, mistakes, pages
from tests.golden.events_page import PAGE, page

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "deploy").rglob("*.md"))]
EXAMPLES, MISTAKES = examples(), mistakes()
# Read by docker-compose.yml alone.
OF_COMPOSE = {"RELATIEBOEK_BIND"}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> dict[str, TyperCommand]:
    """Every command by its words, as in `relation show`."""

    def walk(group: Any, words: str) -> Iterator[tuple[str, TyperCommand]]:
        for name, command in group.commands.items():
            if isinstance(command, TyperGroup):
                yield from walk(command, f"{words}{name} ")
            else:
                yield f"{words}{name}", command

    return dict(walk(typer.main.get_command(app), ""))


COMMANDS = commands()


def mentioned() -> Iterator[tuple[str, str]]:
    """Each `relatieboek …` that the documents write, as code in a line or a line of code."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"`(?:\.venv/bin/)?relatieboek ([a-z][^`\n]*)`", text)
        found += re.findall(r"^    (?:[A-Z_]+=\S+ )?relatieboek ([a-z][^\n]*?)(?:  .*)?$", text, re.MULTILINE)
        yield from ((path.name, line) for line in found)


def settings_names() -> dict[str, str]:
    custom = {"database_url": "DATABASE_URL", "nats_url": "NATS_URL"}
    return {name: custom.get(name, f"RELATIEBOEK_{name.upper()}") for name in Settings.model_fields}


class TestCommands:
    @pytest.mark.parametrize("words", COMMANDS)
    def test_every_command_is_in_operations(self, words: str) -> None:
        assert f"`{words}" in text_of("docs/operations.md")

    @pytest.mark.parametrize(("where", "line"), sorted(set(mentioned())))
    def test_what_the_documents_write_is_a_command_with_such_options(self, where: str, line: str) -> None:
        words = shlex.split(line.replace("[", " ").replace("]", " ").replace("\\", " "), comments=True)
        name = next((n for n in (" ".join(words[:2]), words[0]) if n in COMMANDS), None)
        assert name is not None or any(n.startswith(f"{words[0]} ") for n in COMMANDS), f"{where}: {line}"
        if name is None:
            return
        known = {
            option for p in COMMANDS[name].params if not isinstance(p, TyperArgument) for option in (*p.opts, "--help")
        }
        assert {w.partition("=")[0] for w in words if w.startswith("--")} <= known, f"{where}: {line}"

    def test_make_knows_what_the_documents_make(self) -> None:
        targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
        for path in PAGES:
            text = path.read_text(encoding="utf-8")
            assert set(re.findall(r"(?:^    |`)make ([a-z-]+)", text, re.MULTILINE)) <= targets, path.name


class TestSettings:
    @pytest.mark.parametrize("variable", settings_names().values())
    def test_every_setting_is_in_operations(self, variable: str) -> None:
        assert f"| `{variable}` |" in text_of("docs/operations.md")

    def test_the_documents_name_no_other(self) -> None:
        known = {*settings_names().values(), *OF_COMPOSE}
        for path in PAGES:
            named = set(re.findall(r"\bRELATIEBOEK_[A-Z0-9_]*[A-Z]\b", path.read_text(encoding="utf-8")))
            assert named <= known, path.name

    def test_the_defaults_are_those_of_the_code(self) -> None:
        rows = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| ([^|]*) \|", text_of("docs/operations.md"), re.MULTILINE))
        for name, variable in settings_names().items():
            default: Any = Settings.model_fields[name].default
            if isinstance(default, bool | int | float):
                assert float(rows[variable]) == default if not isinstance(default, bool) else rows[variable] == "false"


class TestEvents:
    def test_the_page_of_events_is_made_from_the_contracts(self) -> None:
        assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.golden.events_page"

    @pytest.mark.parametrize("name", TYPES)
    def test_every_type_and_field_is_on_it(self, name: str) -> None:
        section = PAGE.read_text(encoding="utf-8").split(f"### {name}\n")[1].split("\n### ")[0]
        for field, info in TYPES[name].model.model_fields.items():
            assert f"| `{info.alias or field}`" in section

    def test_every_example_of_an_event_fits_its_contract(self) -> None:
        found = 0
        for path in PAGES:
            text = path.read_text(encoding="utf-8")
            examples = [json.loads(block) for block in blocks(text, "json")]
            examples += [json.loads(e) for e in re.findall(r"<<'END'\n(.*?)^END$", text, re.MULTILINE | re.DOTALL)]
            for example in examples:
                if "specversion" in example:
                    check(example)
                    found += 1
        assert found >= 2


class TestFamilies:
    def test_every_page_is_in_the_index_and_every_type_has_an_example(self) -> None:
        assert sorted(pages()) == sorted(p for p in INDEX.parent.glob("*.md") if p != INDEX)
        assert {e.event["type"] for e in EXAMPLES} == set(TYPES)
        assert len({e.event["id"] for e in EXAMPLES}) == len(EXAMPLES)

    @pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.event["id"])
    def test_every_example_fits_its_contract(self, example: Example) -> None:
        check(example.event)
        assert example.verdict in {"accepted", "parked", "rejected"}
        assert (example.code is None) == (example.verdict == "accepted")

    def test_every_block_of_json_is_an_example_with_its_answer(self) -> None:
        written = sum(len(blocks(path.read_text(encoding="utf-8"), "json")) for path in pages())
        assert written == len(EXAMPLES)

    def test_every_page_names_mistakes(self) -> None:
        assert {m.page for m in MISTAKES} == {path.stem for path in pages()}
        rows = sum(path.read_text(encoding="utf-8").count("` with `{") for path in pages())
        assert rows == len(MISTAKES)

    @pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.event["id"])
    def test_a_mistake_in_the_event_itself_is_named_as_the_page_says(self, mistake: Mistake) -> None:
        if mistake.code not in {"schema", "patient_data"}:
            check(mistake.event)
            return
        with pytest.raises(Invalid) as refused:
            check(mistake.event)
        assert refused.value.code == mistake.code
        assert mistake.pointer in {e.pointer for e in refused.value.errors}


class TestPublishing:
    @pytest.mark.parametrize("code", PROBLEMS)
    def test_every_problem_code_is_there_with_its_status(self, code: str) -> None:
        assert f"| `{code}` | {PROBLEMS[code][0]} |" in text_of("docs/publishing.md")

    @pytest.mark.parametrize("code", HTTP_PROBLEMS)
    def test_every_code_that_only_http_knows_is_there(self, code: str) -> None:
        assert f"`{code}`" in text_of("docs/publishing.md").split("HTTP alone also knows")[1]

    def test_every_field_of_a_verdict_is_there(self) -> None:
        whole = Verdict("accepted", "1", "s", 1, "r", 1, "h", None, {"status": 400}, 1.0)
        text = text_of("docs/publishing.md").split("\n## Verdicts\n")[1]
        assert [name for name in whole.as_json() if f"`{name}`" not in text] == []

    def test_every_path_of_http_is_in_the_documents(self) -> None:
        text = text_of("docs/reading.md") + text_of("docs/publishing.md")
        missing = [path for path in application().openapi()["paths"] if path.rpartition("/")[2] not in text]
        assert missing == []


class TestReadme:
    @pytest.mark.parametrize("title", ["curl:", "Python:", "Node 18 or newer (`node first.mjs`):"])
    def test_the_first_event_takes_five_lines(self, title: str) -> None:
        code = text_of("README.md").split(f"\n{title}\n")[1].split("```")[1]
        assert len([line for line in code.strip().splitlines()[1:] if line.strip()]) <= 5

    def test_it_counts_the_event_types(self) -> None:
        assert f"{len(TYPES)} event types" in text_of("README.md")


class TestPages:
    @pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
    def test_links_lead_somewhere(self, path: Path) -> None:
        prose = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        links = [link for link in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in link]
        assert [link for link in links if not (path.parent / link.partition("#")[0]).exists()] == []

    @pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
    def test_python_in_it_is_python(self, path: Path) -> None:
        for block in blocks(path.read_text(encoding="utf-8"), "python"):
            compile(block, str(path), "exec")

    def test_pictures_are_small(self) -> None:
        assert [p.name for p in (ROOT / "docs" / "images").iterdir() if p.stat().st_size > 300_000] == []
