# Everything stays in .venv. Every target can be run again: what is up to date is not done twice.
# A fresh machine needs make and Python 3.11 or newer with its venv module; uv is used where installed.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-warehouses test-long check collected soak bench fmt clean

# Hundreds of processes are started: each reads the bytecode that the first one has written.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
SOURCES := proxy semantic connectors tests
# Tests wait more than they compute.
WORKERS ?= 6
# What one file's tests share is made once; the files stay in the order that tests/conftest.py gives.
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
WAREHOUSE_TESTS := tests/connectors tests/portable tests/oracle/test_clickhouse.py

help:  ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## install everything into .venv, pinned by hash

# Bytecode is left to the first import, as with uv: most modules of most packages are never imported.
# The lock is complete, so nothing is left for pip to resolve (--no-deps): older versions of pip, as Python
# 3.11 brings along, take `coverage[toml]>=7` for a requirement of its own beside the pinned `coverage`.
# The interpreter is looked up inside the recipe, so that a machine whose .venv is ready needs none.
$(STAMP): requirements.lock pyproject.toml
	@set -e; \
	if command -v uv >/dev/null 2>&1; then \
	  test -x $(BIN)/python || uv venv --quiet --python '>=3.11' $(VENV); \
	  uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements.lock; \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  if ! test -x $(BIN)/python; then \
	    for each in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	      if "$$each" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        found="$$each"; break; \
	      fi; \
	    done; \
	    test -n "$$found" || { echo 'setup: Python 3.11 or newer with venv is needed' >&2; exit 1; }; \
	    "$$found" -m venv $(VENV); \
	  fi; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps \
	    --require-hashes -r requirements.lock; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --no-deps --no-build-isolation -e .; \
	fi; \
	touch $(STAMP)

demo: setup  ## serve the demo: flights of 2013, login demo, password demo
	$(BIN)/cubewire serve --demo

check: setup  ## style, types and architecture; under a minute
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy & types=$$!; status=0; \
	$(BIN)/python -m pytest -q tests/architecture || status=$$?; \
	wait $$types || status=$$?; exit $$status

# Once and beside mypy: what pytest makes of each file is then read by the workers. They tell of
# what cannot be collected.
collected: setup
	@$(BIN)/python -m pytest -q --collect-only --ignore tests/architecture >/dev/null || :

test: setup  ## check, then all tests
	@$(MAKE) --no-print-directory -j 2 check collected
	$(BIN)/python -m pytest -q $(PARALLEL) --ignore tests/architecture

test-warehouses: setup  ## tests of the warehouses whose engines are big; some 600 MB more
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --require-hashes -r tests/warehouses.lock
	$(BIN)/python -m pytest -q $(PARALLEL) $(WAREHOUSE_TESTS)

test-long: test  ## test, then random statements by the thousand; hours
	$(BIN)/python -m tests.oracle.campaign
	$(BIN)/python -m tests.oracle.campaign --warehouses mariadb --examples 2000
	ORACLE_EXAMPLES=300 PORTABLE_ROWS=300 NONINTERFERENCE_EXAMPLES=1 $(BIN)/python -m pytest -q --timeout 0 \
	  tests/oracle/test_mariadb.py tests/portable/test_templates.py tests/security/test_attacks_on_mariadb.py
	$(BIN)/python -m tests.rollups.campaign
	NONINTERFERENCE_EXAMPLES=5000 $(BIN)/python -m pytest -q --timeout 0 \
	  tests/security/test_noninterference.py
	RELOADS=300 $(BIN)/python -m pytest -q --timeout 0 tests/reload/test_load.py
	SCALE_SECONDS=120 $(BIN)/python -m pytest -q --timeout 0 tests/scale
	WAREHOUSE_FAULTS_LONG=1 $(BIN)/python -m pytest -q --timeout 0 tests/warehouse

soak: setup  ## half an hour of mixed load: memory and files stay (SOAK_SECONDS)
	$(BIN)/python -m tests.soak

bench: setup  ## measure this server beside PostgreSQL; a table and JSON
	$(BIN)/python -m tests.bench

fmt: setup  ## rewrite the sources in the project's style
	$(BIN)/ruff check --fix --quiet $(SOURCES) || true
	$(BIN)/ruff format $(SOURCES)

clean:  ## remove what the targets made
	find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
	rm -rf $(VENV) .cubewire .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
