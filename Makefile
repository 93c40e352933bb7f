# `make` alone prints this list. Everything works from a clean clone; see CONTRIBUTING.md.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv/bin

.PHONY: help
help: ## Print what there is to make
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*?## /\1\t/' | expand -t 14

.PHONY: setup
setup: ## Create .venv with tapeline in it, and install the Debian packages that the tests use
	@scripts/setup

.PHONY: binaries
binaries: setup ## Build the real servers from pinned Go modules (about 25 min once, then cached)
	@$(VENV)/tapeline stack build

.PHONY: demo
demo: setup ## Bring everything up from nothing: servers, gate, four trading systems; Ctrl-C removes it all
	@$(VENV)/tapeline demo floor

.PHONY: test
test: setup lint binaries ## Everything: lint, types, unit, property, the compiled form, the real stack
	@scripts/test

.PHONY: compiled-test
compiled-test: setup ## In the compiled form: tests that hold fast paths to plain ones, and oracles
	@scripts/compiled-test

.PHONY: quick
quick: setup lint ## Lint, types, unit and property tests; no servers needed
	@$(VENV)/pytest -m "not acceptance and not stack"

.PHONY: lint
lint: setup ## ruff and mypy, as CI and pre-commit run them
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy

.PHONY: acceptance
acceptance: setup binaries ## The long runs: fuzzed requests, random input, floods of series, kills under load, outages
	@$(VENV)/pytest -m acceptance

.PHONY: bench
bench: setup binaries ## Measure the gate beside the collector and its peers; writes bench/results.json
	@$(VENV)/python bench/run.py

.PHONY: compiled
compiled: setup ## Make the compiled form (mypyc, gcc) in the cache, and print its folder
	@$(VENV)/python scripts/compiled.py

.PHONY: lock
lock: setup ## Make requirements/*.txt anew after a change in pyproject.toml
	@scripts/lock

.PHONY: clean
clean: ## Remove what the other targets made inside the tree (not the cache of built servers)
	@rm -rf .venv .tapeline .mypy_cache .ruff_cache .pytest_cache .hypothesis dist bench/results.json
