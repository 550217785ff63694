"""Known vulnerabilities in what the lock files name, as https://osv.dev knows them: `make audit`.

Of the tools that do this, pip-audit asks the index for each package, calls what a mirror does not know "not found" and
ends well; and it does not read npm's lock. Here it is one question for everything, and no answer is called no answer.

Exit code 0: none known, or nobody could be asked (which is said plainly). 1: at least one that is not in ACCEPTED, or
an answer that is none: then nothing would be found any more, whatever is known.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

ROOT: Final = Path(__file__).parent.parent.parent
SERVICE: Final = "https://api.osv.dev/v1/querybatch"
LOCKS: Final = (
    "requirements.lock", "requirements-dev.lock", "requirements-pkcs11.lock",
    "tests/lint/package-lock.json", "tests/examples/package-lock.json",
)  # fmt: skip
_WITHIN_S: Final = 20.0
_AT_ONCE: Final = 500  # of 1,000 that one question may hold
_PIN: Final = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
# Id of a vulnerability → why it does not touch us, and until when that was looked at.
ACCEPTED: Final[dict[str, str]] = {}


@dataclass(frozen=True, slots=True, order=True)
class Package:
    ecosystem: str
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.ecosystem})"


def locked(path: Path) -> Iterator[Package]:
    """Every package that a lock file pins, of pip or of npm."""
    text = path.read_text()
    if path.suffix != ".json":
        yield from (Package("PyPI", name, version) for name, version in _PIN.findall(text))
        return
    document: dict[str, Any] = json.loads(text)
    for place, entry in document["packages"].items():
        if place and "version" in entry:
            yield Package("npm", place.rpartition("node_modules/")[2], entry["version"])


def known_to(service: str, packages: Sequence[Package]) -> dict[Package, list[str]]:
    """The ids of what is known of each package that something is known of. Raises httpx.HTTPError, ValueError."""
    found: dict[Package, list[str]] = {}
    with httpx.Client(timeout=_WITHIN_S) as client:
        for first in range(0, len(packages), _AT_ONCE):
            some = packages[first : first + _AT_ONCE]
            queries = [{"package": {"name": p.name, "ecosystem": p.ecosystem}, "version": p.version} for p in some]
            answer = client.post(service, json={"queries": queries}).raise_for_status().json()
            results: list[dict[str, Any]] = answer["results"]
            for package, result in zip(some, results, strict=True):
                if ids := [str(v["id"]) for v in result.get("vulns", [])]:
                    found[package] = ids
    return found


def report(service: str, files: Iterable[Path], accepted: dict[str, str]) -> tuple[int, str]:
    """The exit code, and what to say."""
    packages = sorted({package for path in files for package in locked(path)})
    try:
        found = known_to(service, packages)
    except httpx.HTTPStatusError as error:
        if error.response.is_client_error:
            return (
                1,
                f"audit: {service} takes no such question ({error.response.status_code}); mend tests/lint/audit.py",
            )
        return 0, f"audit: NOT DONE, {service} is out; {len(packages)} packages unaudited"
    except httpx.HTTPError as error:
        why = type(error).__name__
        return 0, f"audit: NOT DONE, {service} cannot be asked ({why}); {len(packages)} packages unaudited"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return 1, f"audit: the answer of {service} is not understood ({type(error).__name__}); mend tests/lint/audit.py"
    open_ = [f"{p}: {i}" for p, ids in sorted(found.items()) for i in ids if i not in accepted]
    if open_:
        return 1, "audit: known vulnerabilities\n" + "\n".join(f"  {line}" for line in open_)
    return 0, f"audit: nothing known of {len(packages)} packages"


def main() -> None:
    code, said = report(SERVICE, [ROOT / name for name in LOCKS], ACCEPTED)
    sys.stdout.write(said + "\n")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
