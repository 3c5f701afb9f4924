# Tidegate's everyday commands. Each one sets up .venv by itself when it is missing.

.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STATE ?= $(HOME)/.tidegate
TORCH := 2.13.0
# Tests that start no cluster run several at a time; those that do share one and take turns.
AT_ONCE := -n 2 --dist worksteal

# The first Python 3.11 or newer on the path; 3.11 is the one that CI uses.
PYTHON ?= $(shell for candidate in python3.11 python3 python3.12 python3.13 python3.14; do \
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$candidate"; break; }; \
	done)

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.ready ## tell the whole story on this machine with measured figures (4 minutes)
	$(BIN)/python -m loadtest demo

.PHONY: test
test: $(VENV)/.ready-torch ## run every test, the end-to-end story included
	$(BIN)/python -m pytest -m "not e2e" $(AT_ONCE) $(PYTEST_ARGS) || [ $$? = 5 ] # 5: PYTEST_ARGS choose none of these
	$(BIN)/python -m pytest -m e2e $(PYTEST_ARGS) || [ $$? = 5 ]

# Only a KUBECONFIG that is said on the command line counts: the tests change the configuration of the cluster they run on.
E2E_CLUSTER = $(if $(filter command line,$(origin KUBECONFIG)),TIDEGATE_E2E_KUBECONFIG=$(KUBECONFIG) TIDEGATE_E2E_GATEWAY=$(GATEWAY))

.PHONY: e2e
e2e: $(VENV)/.ready-torch ## run the end-to-end tests on a local cluster, or KUBECONFIG=FILE GATEWAY=127.0.0.1:PORT (docs/cluster.md)
	$(E2E_CLUSTER) $(BIN)/python -m pytest -m e2e tests/e2e $(PYTEST_ARGS)

.PHONY: unit
unit: $(VENV)/.ready ## run the tests that start no local cluster
	$(BIN)/python -m pytest -m "not e2e" $(AT_ONCE) $(PYTEST_ARGS)

.PHONY: conformance
conformance: $(VENV)/.ready ## ask for the behaviours of Knative's own suites on a local cluster; writes docs/conformance.md (15 minutes)
	$(BIN)/python -m tests.conformance $(PYTEST_ARGS)

.PHONY: deep
deep: $(VENV)/.ready ## look longer for counter-examples to every property (many minutes)
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -m "not e2e" --timeout 3600 $(PYTEST_ARGS)

.PHONY: compiled
compiled: $(VENV)/.ready ## write the engine as C extensions to build/compiled (needs a C compiler; docs/compiled.md)
	$(BIN)/python hatch_build.py build/compiled

.PHONY: compiled-test
compiled-test: compiled ## run the tests of engine and directors on the compiled build
	PYTHONSAFEPATH=1 PYTHONPATH=build/compiled:. TIDEGATE_EXPECT_COMPILED=1 $(BIN)/pytest -q \
		tests/wire tests/gateway tests/queueproxy tests/activator tests/build $(PYTEST_ARGS)

.PHONY: check
check: lint unit ## format, lint, types, import directions, changelog, and the tests that start no local cluster
	@echo "check: all good"

.PHONY: lint
lint: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	.ci/changelog

.PHONY: format
format: $(VENV)/.ready ## rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: up
up: $(VENV)/.ready ## start a local instance (STATE=folder, UP_ARGS="--port 8080")
	$(BIN)/tidegate up --state "$(STATE)" $(UP_ARGS)

.PHONY: down
down: ## stop the local instance of STATE
	@if [ -x $(BIN)/tidegate ]; then $(BIN)/tidegate down --state "$(STATE)"; else echo "nothing is installed, so nothing runs"; fi

.PHONY: clean
clean: ## stop the local instance, then remove .venv, caches and build outputs
	@if [ -x $(BIN)/tidegate ]; then $(BIN)/tidegate down --state "$(STATE)" || true; fi
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready: pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "Tidegate needs Python 3.11 or newer, and none is on the path."; \
		echo "Install it (Debian: apt-get install python3 python3-venv) or say where it is: make PYTHON=/path/to/python3.11"; \
		exit 1; \
	fi
	@echo "[setup 1/2] $(VENV) with $$($(PYTHON) --version) ..."
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo "could not create $(VENV); on Debian the missing part is: apt-get install python3-venv"; \
		exit 1; \
	}
	@echo "[setup 2/2] Tidegate and its development tools (a minute or two the first time) ..."
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,models]'
	@touch $@

$(VENV)/.ready-torch: $(VENV)/.ready
	@echo "[setup] torch $(TORCH) for the digits model (the first time this downloads a lot) ..."
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,models,torch]' 'torch==$(TORCH)'
	@touch $@
