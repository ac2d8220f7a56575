# Installs into .venv, then tests, demonstrates or checks the provider. `make help` lists the targets.
# Also for GNU make 3.81, as on a Mac: each line of a recipe runs in its own shell, and longer recipes are in scripts/.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Where it is set, each of the tests' processes compiles all of them again, which takes longer than running many.
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH := .bench
CHAOS := .chaos
# Tests without processes or long waits, except those with very many waits, very large answers or a vendor that lags.
UNIT := tests/core tests/clients $(patsubst %,--ignore=tests/clients/%.py,\
	test_bounds test_many_waits code_stream/test_execution_watch service_stage/test_against_the_sandbox)

.PHONY: help install unit test coverage e2e first-hour chaos simulate fuzz hostile demo demo-svg bench matrix lint package clean

help: ## this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1	/' | expand -t 18

install: $(INSTALLED) ## create .venv with the package and its development tools

unit: $(INSTALLED) ## run the quick tests, in little more than a minute on two cores; ARGS=path
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(or $(ARGS),$(UNIT))

test: $(INSTALLED) ## run all tests, including the release train in a real Airflow
	@$(BIN)/python -m pytest --numprocesses 6 --dist worksteal --ignore tests/e2e --ignore tests/first_hour $(ARGS)
	@$(MAKE) e2e

coverage: $(INSTALLED) ## run all tests but those in a real Airflow, and show which lines and branches none of them reached
	@$(BIN)/python -m pytest --numprocesses 4 --dist worksteal --ignore tests/e2e --ignore tests/first_hour --cov --cov-report=term-missing:skip-covered $(ARGS)

# Under Celery too, which is in an environment of its own.
e2e: $(INSTALLED) $(CHAOS)/.installed ## run only the tests that need a real Airflow
	@exec scripts/e2e $(ARGS)

first-hour: $(INSTALLED) ## run the README's first screen in a new environment, from the wheel
	@exec $(BIN)/python -m pytest tests/first_hour $(ARGS)

chaos: $(CHAOS)/.installed ## kill Airflow's processes during releases, and account for each start; SHORT=1, SEED=n
	@exec $(CHAOS)/bin/python -m tests.chaos $(if $(filter 1 true yes,$(SHORT)),--short) $(if $(SEED),--seed $(SEED)) $(ARGS)

simulate: $(INSTALLED) ## simulate many lives of a task in virtual time; LIVES=n, SEED=n, ARGS=--guards
	@exec $(BIN)/python -m tests.simulation $(if $(LIVES),--lives $(LIVES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: $(INSTALLED) ## test every call of the clients with very many broken answers; EXAMPLES=n (100000: ten minutes)
	@FUZZ_EXAMPLES=$(or $(EXAMPLES),100000) $(BIN)/python -m pytest tests/fuzz --numprocesses 4 $(ARGS)

hostile: $(INSTALLED) ## run waits on hostile vendors in a real triggerer on PostgreSQL; MINUTES=n (15), SEED=n
	@exec $(BIN)/python -m tests.hostile $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

demo: $(INSTALLED) ## run the release train in Airflow against the sandbox; EXIT=1 approves by itself, and exits when it is done
	@exec $(BIN)/python -m demo $(if $(filter 1 true yes,$(EXIT)),--exit)

demo-svg: $(INSTALLED) ## draw docs/demo.svg from a run of the demo
	@exec $(BIN)/python -m demo --exit --svg docs/demo.svg

bench: $(BENCH)/.installed ## measure what waiting costs, beside other providers (half an hour); QUICK=1 for a short run
	@exec $(BENCH)/bin/python -m bench $(if $(filter 1 true yes,$(QUICK)),--quick)

matrix: $(INSTALLED) ## test every supported version that is available here, and write the README's table
	@exec $(BIN)/python -m scripts.matrix $(ARGS)

# deptry twice: outside the package, what a development group declares may be imported, but need not be.
lint: $(INSTALLED) ## ruff, mypy, import rules, declared dependencies, and what a package index checks
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry airflow_provider
	@$(BIN)/deptry bench demo scripts tests --exclude '\.venv' --ignore DEP002,DEP004
	@$(MAKE) package

# pyroma deducts two points for a home page and an e-mail address, which the project does not have.
package: $(INSTALLED) ## build wheel and sdist into dist/ and check them
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist . > /dev/null
	@$(BIN)/twine check --strict dist/*
	@$(BIN)/check-wheel-contents dist/*.whl
	@$(BIN)/pyroma --min 8 dist/*.tar.gz

clean: ## remove .venv, the demo's state and caches
	@rm -rf $(VENV) $(BENCH) $(CHAOS) .demo .matrix .pytest_cache .coverage .ruff_cache .mypy_cache .import_linter_cache dist

$(INSTALLED): pyproject.toml constraints.txt
	@scripts/install $(VENV) dev $(PYTHON)

# Separate from .venv: more providers would change what Airflow loads in every test.
$(BENCH)/.installed $(CHAOS)/.installed: .%/.installed: $(INSTALLED) pyproject.toml constraints.txt
	@scripts/install $(@D) $* $(PYTHON)
