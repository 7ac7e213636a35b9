# Two commands matter: `make export` and `make test`. Each sets itself up.

VENV ?= .venv
BIN := $(VENV)/bin
# The first interpreter that is new enough; `make PYTHON=python3.13 test` picks another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
READY := $(VENV)/.ready
# The real runtime, which the emulator is compared with.
NODE_SIDE := fixtures/workerd
NODE_READY := $(NODE_SIDE)/node_modules/.ready

.PHONY: export test setup lint types pytest bench differential coverage planted recall sqlite347 clean

export: $(READY)
	$(BIN)/amber export fixtures/garden --out export.zip

test: lint types pytest

setup: $(READY) $(NODE_READY)

$(READY): pyproject.toml setup.py
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found"; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)

$(NODE_READY): $(NODE_SIDE)/package-lock.json
	@if command -v npm >/dev/null; then \
		cd $(NODE_SIDE) && npm ci --silent && touch node_modules/.ready; \
	elif [ -n "$$CI" ]; then \
		echo "Node 20 or newer is needed in CI, and there is no npm"; exit 1; \
	else \
		echo "There is no Node: tests on the real runtime are skipped"; \
	fi

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

pytest: $(READY) $(NODE_READY)
	$(BIN)/pytest -q -n auto --dist loadfile $(PYTEST_ARGS)

bench: $(READY)
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

# Random programs on the emulator and on workerd: make differential N=2000 SEEDS="1 2 3"
N ?= 2000
SEEDS ?= 1
differential: $(READY) $(NODE_READY)
	$(BIN)/python -m emulator differential --count $(N) --seeds $(SEEDS)

# How much of the Durable Object runtime random programs reach, by branches: three minutes.
coverage: $(READY)
	PYTHONHASHSEED=0 $(BIN)/python -W ignore -m coverage run --source=emulator/durable_objects \
		-m emulator torture --count 1000 --seeds 1
	$(BIN)/python -m coverage report --show-missing --skip-covered --fail-under=95

# Whether the comparison with workerd notices mistakes: seven minutes.
planted: $(READY) $(NODE_READY)
	$(BIN)/python tests/conformance/planted/run.py $(PLANTED_ARGS)

# The named programs with the SQLite that workerd has; all else runs with the one installed.
SQLITE347 := $(VENV)/sqlite-3.47
sqlite347: $(SQLITE347)
	PYTHONPATH=$(SQLITE347) $(BIN)/python -c 'import apsw; print("SQLite", apsw.sqlite_lib_version())'
	PYTHONPATH=$(SQLITE347) $(BIN)/python -m emulator conform fixtures/programs/*.json \
		--against recordings

$(SQLITE347): $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --target $@ 'apsw==3.47.*'

# Whether exploration finds planted bugs, and leaves their repaired twins alone: some minutes.
recall: $(READY)
	$(BIN)/python tests/mutants/recall.py $(RECALL_ARGS)

clean:
	rm -rf $(VENV) $(NODE_SIDE)/node_modules build dist *.egg-info export.zip
