# Everything from a fresh clone, with Python 3.11+ and make alone. `make help` lists what there is.

VENV := .venv
BIN := $(VENV)/bin
WEB := trace_api/web

# Tried by running them: a name on the PATH may be a stand-in for a version that is not installed.
PYTHON ?= $(shell for name in python3.14 python3.13 python3.12 python3.11 python3 python; do \
    $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)

# The lock file is a constraint: it fixes the version of whatever is needed, and installs nothing of itself, so that one
# file serves the demo and the tests. The project is installed editable: there is one copy of the code, and a change
# needs no new install, unless to what the install makes (its requirements, and the pages' bundles). That the project
# also stands as an ordinary package is a test's to show (tests/integration/test_packaging.py). Compiling every module
# of every package would take a third of the install's time; Python compiles what it imports when it does.
PIP := $(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check -c requirements.lock
# Several processes, each with servers of its own (tests/conftest.py says how many). A file stays in one process, which its
# worlds are made in, and the long ones, which the order of the folders puts first, are begun first.
WORKERS := -n auto --dist loadfile --no-loadscope-reorder
WEB_SOURCES := $(shell find $(WEB) -type f -not -path '*/dist/*' -not -path '*/node_modules/*' 2>/dev/null)
INSTALLED_FROM := pyproject.toml requirements.lock $(wildcard hatch_build.py) $(WEB_SOURCES)

# A recursive make's "Entering directory" would come after the demo's last line, which is for scripts to read.
MAKEFLAGS += --no-print-directory
# Where the caller's environment forbids it to keep what it compiled, every process of ours would compile all of it anew.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help demo test check bench chaos lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/installed ## the whole line on this machine; DEMO_ARGS="--help" shows its options, Ctrl-C stops it
	@exec $(BIN)/suyuan demo $(DEMO_ARGS)

test: $(VENV)/installed-test ## every test, against real servers; PYTEST_ARGS="-k words" runs some
	@exec $(BIN)/python -m pytest $(WORKERS) $(PYTEST_ARGS)

check: $(VENV)/installed-test ## lint, format and types
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted: run $(BIN)/ruff format"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/python hatch_build.py types

bench: $(VENV)/installed-test ## measures, each beside a reference measured in the same run
	@exec $(BIN)/python -m tests.benchmarks $(BENCH_ARGS)

chaos: $(VENV)/installed-test ## breaks everything around ingest, and counts every message; CHAOS_ARGS="--help" shows its options
	@exec $(BIN)/python -m tests.chaos $(CHAOS_ARGS)

lock: ## newest versions of all that is needed into requirements.lock
	@rm -rf $(VENV)-lock && "$(PYTHON)" -m venv $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip install -qq --disable-pip-version-check '.[test]'
	@$(VENV)-lock/bin/python -m pip freeze --exclude suyuan > requirements.lock
	@rm -rf $(VENV)-lock

clean: ## removes the environment, what was built, and the demo's data
	@rm -rf $(VENV) $(VENV)-lock .demo .bench build dist $(WEB)/dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/made:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Suyuan needs Python 3.11 or newer, and $(if $(PYTHON),$(PYTHON) is not one,none is on the PATH)." \
	    "Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make a virtual environment:" \
	    "its ensurepip or venv module is missing. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/made $(INSTALLED_FROM)
	@echo "Installing Suyuan and what it needs into $(VENV) (about a minute the first time)"
	@$(PIP) -e .
	@touch $@

$(VENV)/installed-test: $(VENV)/made $(INSTALLED_FROM)
	@echo "Installing Suyuan and what its tests need into $(VENV) (about a minute the first time)"
	@$(PIP) -e '.[test]'
	@touch $@ $(VENV)/installed
