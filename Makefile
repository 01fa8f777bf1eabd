# make demo: the plugin at work on a local Sentry. make test: all tests. Both set up what they need.

PYTHON ?= python3
PYTHON_OK = import sys; sys.exit(sys.version_info < (3, 11))
TOO_OLD = this plugin needs Python 3.11 or newer, $(PYTHON) is not: make PYTHON=/path/to/python3.11
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --requirement
GENERATOR = PATH="$(CURDIR)/.venv-tools/bin:$$PATH"
CODE = bin komand_sentry testing sandbox unit_test e2e sandbox_test soak bench image_test tools/*.py

.DEFAULT_GOAL := help
.PHONY: help setup demo sandbox test e2e judge soak bench validate image image-test export docs docs-check icons audit packages-check check format-check lint types refresh refresh-check clean

help: ## this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/ready .venv-tools/ready ## both environments, from pinned requirements

.venv/ready: requirements-dev.txt requirements.txt
.venv-tools/ready: requirements-tools.txt
.venv-bugsink/ready: requirements-bugsink.txt
.venv-audit/ready: requirements-audit.txt
.venv/ready .venv-tools/ready .venv-bugsink/ready .venv-audit/ready:
	@$(PYTHON) -c '$(PYTHON_OK)' || { echo "$(TOO_OLD)" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python $(PIP_INSTALL) $<
	@touch $@

demo: .venv/ready ## every action of the plugin, as InsightConnect runs it, on a local Sentry
	@.venv/bin/python -m tools.demo

sandbox: .venv/ready ## a local Sentry on port 9000 that keeps its data in sandbox.db
	.venv/bin/python -m sandbox --port 9000 --database sandbox.db

test: .venv/ready ## all tests, and how much of the plugin they cover
	.venv/bin/coverage run -m pytest --quiet unit_test
	.venv/bin/coverage report

e2e: .venv/ready ## end-to-end tests against a sandbox, or the server that SENTRY_E2E_... name (see README.md)
	.venv/bin/python -m e2e

judge: .venv/ready .venv-npm/ready .venv-bugsink/ready ## sandbox and events judged by Sentry's schema, client and Relay
	.venv/bin/python -m pytest --quiet sandbox_test

soak: .venv/ready ## under load and faults: no event is lost or doubled, no issue left out, the HTTP mode does not grow
	.venv/bin/python -m soak

bench: .venv/ready ## what a step costs, beside the least it could cost and the usual way (QUICK=1: in a minute)
	@.venv/bin/python -m bench $(if $(QUICK),--quick)

validate: .venv-tools/ready ## every validator of the plugin generator that needs no network
	@.venv-tools/bin/python tools/validate.py

image: ## the plugin's image, with docker or podman
	@tools/image build

image-test: .venv/ready ## builds the image and runs every action in it, on stdin and over HTTP
	.venv/bin/python -m image_test

export: .venv/ready ## the image as the file that InsightConnect imports, loaded back and run
	@tools/image export
	.venv/bin/python -m image_test "$$(ls -t *.plg | head -n 1)"

docs: .venv/ready ## the examples of README.md and its picture, from real runs
	.venv/bin/python -m tools.docs

docs-check: .venv/ready
	.venv/bin/python -m tools.docs --check

icons: ## icon.png and extension.png from their drawing
	@command -v rsvg-convert >/dev/null || { echo "rsvg-convert is missing: install librsvg2-bin" >&2; exit 1; }
	rsvg-convert --width 256 --height 256 --output icon.png artwork/icon.svg
	rsvg-convert --width 512 --height 512 --output extension.png artwork/icon.svg

.venv-npm/ready: sandbox_test/package.json
	@command -v npm >/dev/null || { echo "the judgement of Sentry's npm client needs Node.js 20 or newer, with npm" >&2; exit 1; }
	@mkdir -p $(@D) && cp $< $(@D)/
	npm install --silent --no-package-lock --no-audit --no-fund --prefix $(@D)
	@touch $@

audit: .venv-audit/ready ## known vulnerabilities of the packages, where their database can be reached
	.venv-audit/bin/pip-audit --requirement requirements-dev.txt

check: format-check lint types packages-check refresh-check ## formatter, linter, type checker, packages, and that a refresh changes nothing

packages-check: .venv/ready
	.venv/bin/python -m pip check

format-check: .venv-tools/ready
	.venv-tools/bin/black --config "$$(find .venv-tools -name black_config.toml)" --check --quiet $(CODE)

lint: .venv/ready
	.venv/bin/ruff check $(CODE)

types: .venv/ready
	.venv/bin/mypy

refresh: .venv-tools/ready ## regenerate from plugin.spec.yaml what is derived from it, and format all code
	$(GENERATOR) insight-plugin refresh

refresh-check: .venv-tools/ready
	@state() { git diff HEAD | git hash-object --stdin; git ls-files --others --exclude-standard; }; \
	before="$$(state)"; $(MAKE) --no-print-directory refresh; test "$$before" = "$$(state)" || \
		{ git status --short; echo "make refresh changes the files above: run it and commit them" >&2; exit 1; }

clean: ## remove all environments and everything made by tools
	rm -rf .venv .venv-tools .venv-npm .venv-bugsink .venv-audit .hypothesis .mypy_cache .ruff_cache .pytest_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
