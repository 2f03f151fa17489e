# Everything happens in one virtual environment, made on first use.
#   make run                  the whole system on this machine, with a demonstration
#   make run ARGS="--no-demo --port 4700"
#   make test PYTEST="tests/domain -x"
#   make test TEST_PROCESSES=0                       all in one process, for a debugger

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ARGS ?=
PYTEST ?=
TEST_PROCESSES ?= 2

.DEFAULT_GOAL := help
.PHONY: help venv run test lint format bench chaos lock clean

help: ## what there is
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1\t\2/p' Makefile | expand -t 14

venv: $(INSTALLED) ## the virtual environment with everything in it

run: $(INSTALLED) ## the whole system on this machine; ARGS for `order-manager up`
	@$(BIN)/order-manager up $(ARGS)

test: lint ## lint, then all tests; PYTEST for arguments of pytest
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) $(PYTEST)

lint: $(INSTALLED) ## ruff, mypy, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED) ## measure; ARGS for the benchmark
	$(BIN)/python -m benchmarks $(ARGS)

chaos: $(INSTALLED) ## a storm of faults and kills, judged; ARGS for the chaos run
	$(BIN)/python -m tests.chaos $(ARGS)

lock: $(INSTALLED) ## pin what is installed now in constraints.txt
	$(BIN)/python -m pip freeze --all --exclude-editable | grep -E "^[A-Za-z0-9._-]+==" | grep -v "^pip==" | LC_ALL=C sort -f > constraints.txt.new
	mv constraints.txt.new constraints.txt

clean: ## remove what was made, but not .data
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# The first Python that is new enough; PYTHON=/path/to/python3 to choose another.
$(BIN)/python:
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "making $(VENV) with $$python"; \
	    exec "$$python" -m venv $(VENV); \
	  fi; \
	done; \
	echo "no Python 3.11 or newer found$(if $(PYTHON), at $(PYTHON)); set PYTHON=/path/to/python3" >&2; exit 1

$(INSTALLED): setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing packages into $(VENV), the first time about a minute"
	@$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]' \
	  | sed -u -n 's/^Collecting \([^ <>=!~;(]*\).*/  \1/p; s/^Installing.*/  installing .../p'
	@touch $(INSTALLED)
