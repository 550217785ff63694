"""The dependency audit: what it asks about, and what it says to an answer, to none, and to nonsense."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.lint.audit import LOCKS, ROOT, Package, locked, report


@pytest.fixture
def osv() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A service that knows one bad version of one package; and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            bad = {"name": "requests", "ecosystem": "PyPI"}
            results = [{"vulns": [{"id": "GHSA-x"}]} if q["package"] == bad else {} for q in body["queries"]]
            wrong = {
                "/broken": b"nonsense", "/other": b"[]", "/empty": b"{}", "/null": b'{"results":null}',
                "/fewer": b'{"results":[]}', "/texts": b'{"results":["none","none"]}',
                "/unnamed": b'{"results":[{"vulns":[{}]},{}]}',
            }  # fmt: skip
            said = wrong.get(self.path, json.dumps({"results": results}).encode())
            self.send_response({"/down": 500, "/refused": 400, "/gone": 404}.get(self.path, 200))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_every_pin_of_our_locks_is_read() -> None:
    for name in LOCKS:
        path = ROOT / name
        packages = list(locked(path))
        wanted = path.read_text().count('"integrity"') if path.suffix == ".json" else path.read_text().count("==")
        assert packages
        assert len(packages) >= 0.9 * wanted, name
    pins = set(locked(ROOT / "requirements.lock"))
    assert {p.name for p in pins} >= {"fastapi", "nats-py", "sqlalchemy", "cryptography"}


def test_what_is_known_is_named_and_can_be_accepted(tmp_path: Path, osv: tuple[str, list[dict[str, Any]]]) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "idna==3.1 \\\n    --hash=sha256:00\nrequests[socks]==2.0 ; python_version > '3' \\\n    --hash=x\n"
    )
    url, asked = osv
    code, said = report(url, [lock], {})
    assert (code, "requests 2.0 (PyPI): GHSA-x" in said) == (1, True)
    assert [q["version"] for q in asked[0]["queries"]] == ["3.1", "2.0"]
    assert report(url, [lock], {"GHSA-x": "not the part that we use; looked at 2026-11"})[0] == 0
    assert sorted(locked(lock)) == [Package("PyPI", "idna", "3.1"), Package("PyPI", "requests", "2.0")]


def two_packages(where: Path) -> Path:
    lock = where / "requirements.lock"
    lock.write_text("idna==3.1\nrequests==2.0\n")
    return lock


def test_no_answer_is_said_plainly_and_fails_nothing(tmp_path: Path, osv: tuple[str, list[dict[str, Any]]]) -> None:
    for url in (f"{osv[0]}/down", "http://127.0.0.1:9"):
        code, said = report(url, [two_packages(tmp_path)], {})
        assert code == 0
        assert "NOT DONE" in said
        assert "2 packages unaudited" in said


@pytest.mark.parametrize(
    "where", ["/broken", "/other", "/empty", "/null", "/fewer", "/texts", "/unnamed", "/refused", "/gone"]
)
def test_an_answer_that_is_none_fails(tmp_path: Path, osv: tuple[str, list[dict[str, Any]]], where: str) -> None:
    """A service that answers otherwise than it did would find nothing for ever."""
    code, said = report(osv[0] + where, [two_packages(tmp_path)], {})
    assert code == 1
    assert "mend tests/lint/audit.py" in said


def test_ci_stops_at_what_is_known() -> None:
    said = (ROOT / ".ci" / "run").read_text()
    assert re.search(r"^set -\w*e", said, re.MULTILINE)
    assert re.search(r"^make audit( #.*)?$", said, re.MULTILINE), "without `||`, which would go on"
