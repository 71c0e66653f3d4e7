# Everything one does with a checkout. Each target sets up what it needs; `make` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

SYSTEM_PYTHON := $(shell command -v python3.11 || command -v python3)
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
PYTHON := .venv/bin/python
LOCAL := $(PYTHON) -m deploy.local
READY := .venv/.ready
BROWSER_READY := .venv/.ready-browser

# make chaos SEED=7 KILLS=20 · make cohort PATIENTS=50 · make bench ONLY="decade workers" · make test TESTS="tests/unit -k ports"
SEED ?= 1
KILLS ?= 20
ONLY ?=
TESTS ?=
ARCHITECTURE ?=
DEBIAN ?=
PARAMETERS ?=
PATIENTS ?=

# pyright tells about newer versions of itself; ours is locked.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help
help: ## Show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: setup
setup: $(READY) ## Make .venv with the hemvital commands, install Debian packages

$(READY): requirements/dev.txt pyproject.toml
	@[[ -n "$(SYSTEM_PYTHON)" ]] && $(SYSTEM_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'Hemvital needs Python 3.11 or later as python3' >&2; exit 1; }
	@if [[ ! -x $(PYTHON) ]]; then \
	  $(SYSTEM_PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	    $(SUDO) apt-get --quiet --quiet update; \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get --quiet --quiet --yes install python3-venv; \
	  }; \
	  $(SYSTEM_PYTHON) -m venv .venv; \
	fi
	@# The lock is whole, so nothing is resolved: pip's resolver may look at newer releases than those
	@# that are locked, and then refuses its own find for having no hash.
	@printf 'Python packages … '; began=$$SECONDS; \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements/dev.txt; \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	echo "$$((SECONDS - began)) s"
	@$(LOCAL) prepare
	@touch $@

$(BROWSER_READY): $(READY)
	@$(LOCAL) prepare --browser
	@touch $@

.PHONY: services-up services-down
services-up: setup ## Start TimescaleDB and mosquitto
	@$(LOCAL) up

services-down: ## Stop both
	@if [[ -x $(PYTHON) ]]; then $(LOCAL) down; fi

.PHONY: format lint types imports check
format: setup ## Format the code and sort its imports
	@.venv/bin/ruff check --quiet --select I --fix .
	@.venv/bin/ruff format .

lint: setup ## Check the code by ruff
	@.venv/bin/ruff check .

types: setup ## Check types by pyright, strict, tests too
	@.venv/bin/pyright

imports: setup ## Check who imports whom
	@.venv/bin/lint-imports

check: setup ## Check format, lint, types and imports
	@.venv/bin/ruff format --check .
	@$(MAKE) --no-print-directory lint types imports

.PHONY: test
test: setup $(BROWSER_READY) ## Run the tests on the real database, broker and radio
	@exec $(PYTHON) -m pytest -m "not soak" $(TESTS)

.PHONY: demo demo-check chaos bench cohort soak screenshots
demo: setup ## Start the whole platform with virtual devices; Ctrl-C ends it
	@exec $(PYTHON) -m deploy.local.demo

demo-check: setup ## The same without a person: wait for readings, read them back, stop
	@exec $(PYTHON) -m deploy.local.demo_check

chaos: setup ## Kill processes at seeded moments and count readings (SEED=1 KILLS=20)
	@exec $(PYTHON) -m deploy.local.chaos --seed $(SEED) --kills $(KILLS)

bench: setup ## Measure what the program exists for, or a part (ONLY=decade)
	@exec $(PYTHON) -m benchmarks $(if $(ONLY),--only $(ONLY))

cohort: setup ## Simulate patients whose truth is known; judge them (PARAMETERS=p.json PATIENTS=50)
	@exec $(PYTHON) -m benchmarks.cohort --out .local/cohort \
	  $(if $(PARAMETERS),--parameters $(PARAMETERS)) $(if $(PATIENTS),--patients $(PATIENTS))

soak: setup $(BROWSER_READY) ## Run the long suites whole
	@exec $(PYTHON) -m pytest -m soak $(TESTS)

screenshots: setup $(BROWSER_READY) ## Take the documentation's pictures of the pages
	@exec $(PYTHON) -m deploy.local.screenshots

# make gateway-package ARCHITECTURE=arm64 DEBIAN=trixie
.PHONY: gateway-package
gateway-package: setup ## Build the gateway's Debian package (ARCHITECTURE=arm64 DEBIAN=trixie)
	@$(PYTHON) -m deploy.gateway \
	  $(if $(ARCHITECTURE),--architecture $(ARCHITECTURE)) $(if $(DEBIAN),--debian $(DEBIAN))

.PHONY: lock
lock: setup ## Pin every Python package anew, with hashes
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	@.venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock' \
	  --extra dev pyproject.toml requirements/build.in --output-file requirements/dev.txt
	@# What a gateway carries is what was tested: the same versions, and Linux alone.
	@.venv/bin/uv pip compile --quiet --python-platform linux --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock' \
	  --extra gateway --extra gateway-enrolment --constraint requirements/dev.txt pyproject.toml \
	  --output-file requirements/gateway.txt

.PHONY: clean
clean: ## Stop the services; remove what make has made, with all local data
	@if [[ -x $(PYTHON) && -d .local/run ]]; then $(LOCAL) down; fi
	@rm -rf .local .venv .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
