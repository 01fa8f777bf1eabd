# `make demo` shows the plugin at work, `make test` runs the tests. Each target installs what it needs.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec

PYTHON ?= python3
# The message of tests/ that `make run` sends.
ACTION ?= list_project_issues
PYTHON_OK = import sys; sys.exit(sys.version_info < (3, 11))
TOO_OLD = The plugin needs Python 3.11 or newer, and $(PYTHON) is older or missing: make PYTHON=/path/to/python3.11
# Prints one line per package, so that a slow download is visible.
PIP_PROGRESS = sed -n -E -e 's/^(Collecting|Processing) ([^ ]*\/)?([A-Za-z0-9_.]+(-[A-Za-z][A-Za-z0-9_.]*)*).*/  \3/p' \
	-e 's/^Installing collected .*/  installing them/p'
GENERATOR = PATH="$(CURDIR)/.venv-tools/bin:$$PATH"
BLACK = .venv-tools/bin/black --config "$$(find .venv-tools -name black_config.toml)"
CODE = bin komand_sentry testing sandbox unit_test e2e sandbox_test soak bench image_test tools/*.py
# The development environment also serves the demo, so a second one is only made without it.
DEMO_ENV = $(if $(wildcard .venv/ready),.venv,.venv-demo)

.DEFAULT_GOAL := help
.PHONY: help setup demo run sandbox test e2e judge soak bench validate image image-test export docs docs-check icons \
	audit packages-check check format-check lint types refresh refresh-check clean

help: ## List the targets
	@sed -n -E 's/^([a-z0-9-]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: .venv/ready .venv-tools/ready ## Create both development environments from pinned requirements (about 1 min)

.venv/ready: requirements-dev.txt requirements-demo.txt requirements.txt
.venv-demo/ready: requirements-demo.txt requirements.txt
.venv-tools/ready: requirements-tools.txt
.venv-bugsink/ready: requirements-bugsink.txt
.venv-audit/ready: requirements-audit.txt
.venv/ready .venv-demo/ready .venv-tools/ready .venv-bugsink/ready .venv-audit/ready:
	@$(PYTHON) -c '$(PYTHON_OK)' 2>/dev/null || { echo "$(TOO_OLD)" >&2; exit 1; }
	@echo "Installing the packages of $< into $(@D):"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --disable-pip-version-check --progress-bar off --requirement $< | $(PIP_PROGRESS)
	@touch $@

demo: $(DEMO_ENV)/ready ## Run a trigger and a triage in a sandbox, a local server that behaves like Sentry (about 10 s)
	@$(DEMO_ENV)/bin/python -m tools.demo

run: $(DEMO_ENV)/ready ## Run a message of tests/ against a sandbox: make run ACTION=list_project_issues
	@$(DEMO_ENV)/bin/python -m tools.run $(ACTION)

sandbox: $(DEMO_ENV)/ready ## Start a sandbox on port 9000 that keeps its data in sandbox.db
	@$(DEMO_ENV)/bin/python -m sandbox --port 9000 --database sandbox.db

test: .venv/ready ## Run the unit tests in parallel and report their coverage (CI=1: more property examples)
	@.venv/bin/coverage erase
	.venv/bin/coverage run -m pytest --quiet --numprocesses logical --maxprocesses 4 --dist loadscope unit_test
	@.venv/bin/coverage combine --quiet
	.venv/bin/coverage report

e2e: .venv/ready ## Run the end-to-end tests against a sandbox, or the server that SENTRY_E2E_... name (see e2e/README.md)
	.venv/bin/python -m e2e

judge: .venv/ready .venv-npm/ready .venv-bugsink/ready ## Check the sandbox and the events with Sentry's schema and clients, Relay and bugsink
	.venv/bin/python -m pytest --quiet sandbox_test

soak: .venv/ready ## Run the plugin under load and faults, and check that no event or issue is lost or doubled
	.venv/bin/python -m soak

bench: .venv/ready ## Measure what a step costs (QUICK=1: a smaller run), see bench/README.md
	@.venv/bin/python -m bench $(if $(QUICK),--quick)

validate: .venv-tools/ready ## Run the validators of the plugin generator that need no network
	@.venv-tools/bin/python tools/validate.py

image: ## Build the image of the plugin with docker or podman
	@tools/image build

image-test: .venv/ready ## Build the image and run every action in a container
	.venv/bin/python -m image_test

export: .venv/ready ## Write the file that InsightConnect imports, load it and run every action
	@tools/image export
	.venv/bin/python -m image_test "$$(ls -t *.plg | head -n 1)"

docs: .venv/ready ## Update README.md, docs/recipes.md and artwork/demo.svg from real runs
	.venv/bin/python -m tools.docs

docs-check: .venv/ready ## Check that make docs changes nothing
	.venv/bin/python -m tools.docs --check

icons: ## Render icon.png and extension.png from artwork/
	@command -v rsvg-convert >/dev/null || { echo "rsvg-convert is missing: install librsvg2-bin" >&2; exit 1; }
	rsvg-convert --width 500 --height 500 --output icon.png artwork/icon.svg
	rsvg-convert --width 890 --output extension.png artwork/extension.svg

.venv-npm/ready: sandbox_test/package.json
	@command -v npm >/dev/null || { echo "The test with Sentry's npm client needs Node.js 20 or newer with npm" >&2; exit 1; }
	@mkdir -p $(@D) && cp $< $(@D)/
	npm install --silent --no-package-lock --no-audit --no-fund --prefix $(@D)
	@touch $@

audit: .venv-audit/ready ## Look for known vulnerabilities of the packages (fails if their database is unreachable)
	@.venv-audit/bin/pip-audit --strict --progress-spinner off --requirement requirements-dev.txt || \
		{ echo "A vulnerability was found, or the packages were not audited: see the message above" >&2; exit 1; }

check: format-check lint types packages-check refresh-check ## Run all five static checks below

format-check: .venv-tools/ready ## Check the format of the code with black
	$(BLACK) --check --quiet $(CODE)

lint: .venv/ready ## Check the code with ruff
	.venv/bin/ruff check $(CODE)

types: .venv/ready ## Check the types with mypy
	.venv/bin/mypy

packages-check: .venv/ready ## Check that the installed packages fit together
	.venv/bin/python -m pip check

refresh-check: .venv-tools/ready ## Check that make refresh changes nothing
	@state() { git diff HEAD | git hash-object --stdin; git ls-files --others --exclude-standard; }; \
	before="$$(state)"; $(MAKE) --no-print-directory refresh; test "$$before" = "$$(state)" || \
		{ git status --short; echo "make refresh changes the files above: run it and commit them" >&2; exit 1; }

refresh: .venv-tools/ready ## Regenerate the files derived from plugin.spec.yaml, and format the code
	$(GENERATOR) insight-plugin refresh

clean: ## Remove all environments and caches
	rm -rf .venv .venv-demo .venv-tools .venv-npm .venv-bugsink .venv-audit
	rm -rf .hypothesis .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
