# Installs into .venv, then tests, demonstrates or checks the provider. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH := .bench
CHAOS := .chaos

.PHONY: help install test e2e chaos simulate demo bench lint clean

help: ## this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 18

install: $(INSTALLED) ## create .venv with the package and its development tools

test: $(INSTALLED) ## run all tests, the release train in a real Airflow among them
	@$(BIN)/python -m pytest --numprocesses 6 --dist worksteal --ignore tests/e2e $(ARGS)
	$(MAKE) e2e

# Two Airflows side by side, because each waits most of the time.
e2e: $(INSTALLED) ## run only the tests that need a real Airflow
	@set -m
	aside=(tests/e2e/test_kill.py tests/e2e/ui)
	said=$$(mktemp)
	$(BIN)/python -m pytest "$${aside[@]}" $(ARGS) > $$said 2>&1 &
	trap 'kill -INT $$! 2>/dev/null && wait $$!; rm -f $$said' EXIT
	status=0
	$(BIN)/python -m pytest tests/e2e "$${aside[@]/#/--ignore=}" $(ARGS) || status=$$?
	wait $$! || status=$$?
	cat $$said
	exit $$status

chaos: $(CHAOS)/.installed ## kill Airflow's processes under releases, and account for each start; SHORT=1, SEED=n
	@exec $(CHAOS)/bin/python -m tests.chaos $(if $(filter 1 true yes,$(SHORT)),--short) $(if $(SEED),--seed $(SEED)) $(ARGS)

simulate: $(INSTALLED) ## try many lives of a task in virtual time; LIVES=n, SEED=n, ARGS=--guards
	@exec $(BIN)/python -m tests.simulation $(if $(LIVES),--lives $(LIVES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

demo: $(INSTALLED) ## run the release train in Airflow against the sandbox; EXIT=1 leaves when it is done
	@exec $(BIN)/python -m demo $(if $(filter 1 true yes,$(EXIT)),--exit)

bench: $(BENCH)/.installed ## measure what waiting costs beside other providers (half an hour); QUICK=1 for a short look
	@exec $(BENCH)/bin/python -m bench $(if $(filter 1 true yes,$(QUICK)),--quick)

lint: $(INSTALLED) ## ruff, mypy, the import rules and what a package index would find wrong with the package
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) package

# The two points that pyroma would give for a home page and an address of e-mail are not ours to earn: there are none.
package: $(INSTALLED) ## build wheel and sdist into dist/ and check them
	@rm -rf dist
	$(BIN)/python -m build --outdir dist . > /dev/null
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/pyroma --min 8 dist/*.tar.gz

clean: ## remove .venv, the demo's state and caches
	@rm -rf $(VENV) $(BENCH) $(CHAOS) .demo .pytest_cache .ruff_cache .mypy_cache .import_linter_cache dist

# $(call install,FOLDER,GROUP): this package and a group of pyproject.toml into a new virtual environment.
# uv installs in seconds; where it cannot be had or cannot reach the index, pip does the same. Compiled once here, as pip
# does, because where PYTHONDONTWRITEBYTECODE is set each of Airflow's processes would compile it all again.
define install
echo "Installing the group $2 of pyproject.toml into $1 (once; about a minute)"
$(PYTHON) -m venv $1
$1/bin/python -c 'import sys, tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"][sys.argv[1]], sep="\n")' $2 > $1/requirements.txt
packages=(--constraint constraints.txt --editable . --requirement $1/requirements.txt)
test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv 2>/dev/null || true
if ! { test -x $(BIN)/uv && $(BIN)/uv pip install --quiet --compile-bytecode --python $1/bin/python "$${packages[@]}"; }; then
	echo "uv could not install, trying pip"
	$1/bin/python -m pip install --quiet --disable-pip-version-check "$${packages[@]}"
fi
touch $@
endef

$(INSTALLED): pyproject.toml constraints.txt
	@if ! $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
		echo "Python 3.11 to 3.14 is needed, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." >&2
		echo "Name another one: make PYTHON=python3.13 ..." >&2
		exit 1
	fi
	$(call install,$(VENV),dev)

# Apart from .venv: more providers would change what Airflow loads in every test.
$(BENCH)/.installed $(CHAOS)/.installed: .%/.installed: $(INSTALLED) pyproject.toml constraints.txt
	@$(call install,$(@D),$*)
