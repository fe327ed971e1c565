.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUNNABLE := $(VENV)/.runnable

help: ## Show this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): setup.py pyproject.toml .ci/setup .ci/link-tree
	PYTHON=$(PYTHON) VENV=$(VENV) .ci/setup dev
	@touch $(READY) $(RUNNABLE)

$(RUNNABLE): setup.py .ci/setup .ci/link-tree
	PYTHON=$(PYTHON) VENV=$(VENV) .ci/setup manager
	@touch $(RUNNABLE)

setup: $(READY) ## Make the virtualenv with everything that development needs.

demo: $(RUNNABLE) ## Install, check and uninstall the example application with the embedded default.
	$(BIN)/python -m examples.demo

check: $(READY) ## Format, lint, types, import rules, docs links.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	MYPYPATH=build/tree $(BIN)/mypy -p outrider
	$(BIN)/python -m pytest -q tests/unit/test_import_rules.py tests/unit/test_docs_links.py

test: $(READY) ## Run all tests; those whose system packages are missing are skipped by name.
	.ci/system-packages
	$(BIN)/python -m pytest tests

faults: $(READY) ## Run the whole fault sweep, not only the sample of `make test`.
	.ci/system-packages
	OUTRIDER_FAULTS=all $(BIN)/python -m pytest tests/faults \
		tests/hosts/test_agents_in_operation.py tests/hosts/test_interrupted_installs.py

bench: $(READY) ## Run the benchmarks and print their tables.
	$(BIN)/python -m benchmarks

clean: ## Remove what was built.
	rm -rf build dist site *.egg-info $(VENV)

.PHONY: help setup demo check test faults bench clean
