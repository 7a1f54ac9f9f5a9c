# Each command is enough by itself on a fresh machine: it first makes the environment, or finds it up to date.
# ESVAE_PYTHON, ESVAE_VENV and ESVAE_TORCH choose the interpreter, the folder and the build of torch: see scripts/setup.

ESVAE_VENV ?= .venv
export ESVAE_VENV
BIN := $(ESVAE_VENV)/bin
PYTEST_ARGS ?=
DEMO_OUT ?= demo
N ?= 1000

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types unit thorough fuzz docs clean distclean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup:  ## make the environment and install the project into it; quick when nothing has changed
	@sh scripts/setup

demo: setup  ## train, export, simulate and verify a small network; results in demo/ (DEMO_OUT=folder)
	$(BIN)/esvae demo --out $(DEMO_OUT)

test: lint types unit  ## everything that must hold: lint, types and tests (PYTEST_ARGS="-k name")

lint: setup  ## ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## mypy
	$(BIN)/mypy

# Hundreds of processes of the tests read what one of them has compiled.
unit: export PYTHONDONTWRITEBYTECODE =
unit: setup  ## pytest alone, in four processes, as some tests wait (PYTEST_ARGS="-k name", or "-n 0" for one)
	$(BIN)/python -m pytest -n 4 --dist loadfile $(PROFILE) $(PYTEST_ARGS)

thorough: PROFILE = --hypothesis-profile=thorough
thorough: unit  ## the tests with all random cases, of which the others try a quarter, other ones every time

fuzz: setup  ## run N random networks on Lava against the twin (N=1000); a failing case is kept in fuzz/
	$(BIN)/python tests/fuzz.py -n $(N) --out fuzz

docs:  ## build the user guide into site/, with every warning an error
	@sh scripts/setup --docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:  ## remove what the commands wrote: the demo, caches, built packages
	rm -rf demo build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean  ## remove the environments too
	rm -rf .venv .venv-*
