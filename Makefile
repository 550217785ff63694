# Everything for a bare machine with Python 3.11 or newer, pip and make. `make up` and `make test` install what they need.
.DEFAULT_GOAL := help
.PHONY: help install install-dev up test test-all check audit format bench lock clean
.DELETE_ON_ERROR:
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## the program, into .venv (.venv/bin/relatieboek)

install-dev: $(VENV)/.installed-dev ## the program and what tests, checks and benchmarks need

# The virtual environment is made without pip of its own: Debian's Python has no ensurepip. The machine's pip fills it.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { \
		echo "pip is needed for $(PYTHON): install python3-pip, or run: $(PYTHON) -m ensurepip --user" >&2; exit 2; }
	@$(PYTHON) -m venv --without-pip $(VENV) || { echo "$(PYTHON) -m venv failed: install python3-venv" >&2; exit 2; }

# $(1): lock file. Every package is checked against the hash in the lock, our own build tool too.
define fill
	@echo "installing into $(VENV) from $(1) ..."
	@$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --require-hashes -r $(1)
	@$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --no-index --editable .
	@touch $@
endef

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	$(call fill,requirements.lock)

$(VENV)/.installed-dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	$(call fill,requirements-dev.lock)
	@touch $(VENV)/.installed

up: install ## everything on this machine with demo data; Ctrl-C stops it
	@$(BIN)/relatieboek up --demo

# Three processes, each with a PostgreSQL of its own, since a test often waits. The tests of one file stay together, and
# files go out in their order: the long ones are not the last.
SHARED := -n 3 --dist loadfile --no-loadscope-reorder

test: install-dev ## every test against a real NATS server and a real PostgreSQL, at most 10 minutes
	@$(BIN)/python -m pytest -m "not full" $(SHARED)

test-all: install-dev ## also browser, linters from npm and long fault runs
	@$(BIN)/python -m pytest --timeout=1800 $(SHARED)

check: install-dev ## lint, form, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports

audit: install-dev ## known vulnerabilities in what the lock files name
	@$(BIN)/python -m tests.lint.audit

format: install-dev ## puts the code in form
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: install-dev ## how fast, with the peers beside it; writes var/bench.json
	@$(BIN)/python -m benchmarks

# No index address in the lock: it holds for PyPI and for any mirror of it (uv's own default is PyPI).
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-config

lock: install-dev ## newest versions that pyproject.toml allows, with hashes
	@$(COMPILE) --upgrade --extra build --extra otlp -o requirements.lock pyproject.toml
	@$(COMPILE) --upgrade --extra build --extra otlp --extra pkcs11 --extra dev -c requirements.lock \
		-o requirements-dev.lock pyproject.toml
	@echo python-pkcs11 | $(COMPILE) --upgrade -c requirements-dev.lock -o requirements-pkcs11.lock -

clean: ## removes the virtual environment and caches, never ./var
	@rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis
