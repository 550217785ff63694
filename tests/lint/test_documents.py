"""Linters from npm over the documents that Relatieboek publishes, as an integrator's tools would read them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI

from services.api import openapi, site
from services.asyncapi import document as asyncapi

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
# The rule set of the NL API Design Rules; see tests/data/adr/README.md.
API_DESIGN_RULES = HERE.parent / "data" / "adr" / "linter.yaml"

Lint = Callable[[str, object, str], str]


@pytest.fixture(scope="module")
def lint(tmp_path_factory: pytest.TempPathFactory) -> Lint:
    """Gives what the linter says of a document under a rule set; nothing when it is content."""
    where = tmp_path_factory.mktemp("lint")
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, where)
    run(where, "npm", "ci")

    def check(name: str, document: object, rules: str) -> str:
        (where / name).write_text(json.dumps(document))
        (where / "rules.yaml").write_text(rules)
        done = run(
            where, "npx", "--no-install", "spectral", "lint", "-r", "rules.yaml", "-F", "warn", name, fine=(0, 1)
        )
        return "" if done.returncode == 0 else done.stdout + done.stderr

    return check


def run(where: Path, *command: str, fine: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in fine, done.stdout + done.stderr
    return done


def test_the_http_interface_keeps_the_api_design_rules(lint: Lint) -> None:
    app = FastAPI()
    for router in site.ROUTERS:
        app.include_router(router)
    assert lint("openapi.json", openapi.build(app), API_DESIGN_RULES.read_text()) == ""


def test_the_message_interface_is_sound_asyncapi(lint: Lint) -> None:
    # 3.0.0 is the version that FastStream writes and that our schema test holds.
    rules = "extends: ['spectral:asyncapi']\nrules:\n  asyncapi-latest-version: off\n"
    assert lint("asyncapi.json", asyncapi(), rules) == ""


def test_a_fault_is_found(lint: Lint) -> None:
    """The linters do look: a path with a trailing slash, a document without an information object."""
    assert "slash" in lint("openapi.json", {"openapi": "3.1.0", "paths": {"/a/": {}}}, API_DESIGN_RULES.read_text())
    assert "info" in lint("asyncapi.json", {"asyncapi": "3.0.0", "channels": {}}, "extends: ['spectral:asyncapi']\n")
