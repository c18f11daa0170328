# `make` lists the targets. Everything runs from .venv, which `setup` makes and keeps.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
READY := .venv/.ready
PYTEST := $(BIN)/pytest
# Most tests wait for processes: one more than there are cores keeps these busy.
WORKERS ?= $(shell expr `nproc` + 1)
ARGS ?=
# Where it is set, each of the many processes that tests start compiles the project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup lint fmt test test-fast coverage test-crash bench eval demo fresh-test clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## make .venv with the pinned packages; does nothing when it is up to date

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	@scripts/setup.sh
	@touch $(READY)

lint: setup ## style, types, import rules, size of modules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/module_sizes.py

fmt: setup ## put the code into the one style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

test: setup ## all tests but the big crash matrix
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not matrix" $(ARGS)

test-fast: setup ## tests that neither start processes nor take a second
	$(PYTEST) -n auto --maxprocesses 8 --hypothesis-profile=fast -m "not slow and not crash and not matrix" $(ARGS)

coverage: setup ## all tests with the coverage of libs and services; fails below the floor in pyproject.toml
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not matrix" --cov --cov-report=term $(ARGS)

test-crash: setup ## the crash matrix: at least 200 injected faults
	RUGS_CRASH_FULL=1 $(PYTEST) -m "crash or matrix" -s $(ARGS)

bench: setup ## speed, size and delay, from socket and publish to committed Parquet (RECORDINGS=DIR for real frames)
	$(BIN)/python -m tests.bench $(ARGS)
	$(BIN)/python -m tests.bench.capture
	$(BIN)/python -m tests.bench.ingest
	$(BIN)/python -m tests.bench.client
	$(BIN)/python -m tests.bench.dual
	$(BIN)/python -m tests.bench.pruning
	$(BIN)/python -m tests.bench.following
	$(BIN)/python -m tests.bench.changing
	$(BIN)/python -m tests.bench.discovery
	$(BIN)/python -m tests.bench.index
	$(BIN)/python -m tests.bench.embedding
	$(BIN)/python -m tests.bench.beside

eval: setup ## how well the semantic index answers the golden set; ARGS=--held-out asks the other half too
	$(BIN)/python -m tests.retrieval.eval $(ARGS)

demo: setup ## start the stack, import recordings, show what arrived (RECORDINGS=DIR for real ones)
	$(BIN)/python -m rugs_cli.demo $(ARGS)

fresh-test: ## prove `make demo` and `make test` on a bare Debian, from a fresh clone (as root)
	@scripts/fresh_test.sh

clean: ## remove .venv, caches and build products
	rm -rf .venv .venv-ducklake .venv-ducklake.lock .venv-tools .venv-tools.lock .venv-torch .venv-torch.lock .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist .coverage .coverage.*
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf libs/*.egg-info *.egg-info
