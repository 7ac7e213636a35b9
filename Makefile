# Two commands matter: `make export` and `make test`. Each sets itself up.

VENV ?= .venv
BIN := $(VENV)/bin
# The first interpreter that is new enough; `make PYTHON=python3.13 test` picks another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
READY := $(VENV)/.ready

.PHONY: export test setup lint types pytest bench clean

export: $(READY)
	$(BIN)/amber export fixtures/garden --out export.zip

test: lint types pytest

setup: $(READY)

$(READY): pyproject.toml setup.py
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found"; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

pytest: $(READY)
	$(BIN)/pytest -q -n auto $(PYTEST_ARGS)

bench: $(READY)
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info export.zip
