"""docs/security.md: each test that it names is there, and what it says about going out is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[a-z_/]+\.py)(?:::(test_[a-z_0-9]+))?`", TEXT)))
# What can open a connection of its own to an address that it is given, and why it is there. What is new here also goes
# into "Where the book itself goes": from which setting its address comes, never from an event or a request.
GOING_OUT: Final = {
    "services/alerts/mailing.py": "the mail server of the settings",
    "services/cli/instance.py": "the command line's own book",
    "services/cli/failing.py": "only the names of httpx's errors",
    "services/connections.py": "looks whether NATS of the settings listens",
    "services/embedded/nats.py": "looks whether the embedded server greets",
    "services/identity/oidc.py": "the provider of the settings, and the addresses that it gives of itself",
}
_LIBRARIES: Final = {"httpx", "requests", "aiohttp", "urllib.request", "http.client", "aiosmtplib", "smtplib", "ftplib",
                     "authlib", "telnetlib", "xmlrpc"}  # fmt: skip
_CALLS: Final = {"open_connection", "create_connection", "urlopen"}


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_what_it_names_is_there(path: str, name: str) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    assert not name or f"def {name}(" in source


def test_it_names_something() -> None:
    assert len(NAMED) > 25


def test_only_these_modules_go_out() -> None:
    found: set[str] = set()
    for package in ("events", "projections", "services"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names = {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    names = {node.module or ""}
                elif isinstance(node, ast.Attribute):
                    names = {node.attr} & _CALLS
                else:
                    continue
                if any(n in _CALLS or n in _LIBRARIES or n.split(".")[0] in _LIBRARIES for n in names):
                    found.add(path.relative_to(ROOT).as_posix())
    assert found == set(GOING_OUT)
