# `make demo` and `make test` set everything up first; nothing but git, make and Python 3.11 is needed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV := $(shell command -v uv || echo .uv/bin/uv)
STORE ?= .curette
UI_PORT ?= 4200

SYNC = $(UV) sync --frozen --quiet --python $(PYTHON)
# TORCH=cpu: no CUDA. The package index has no such torch for Linux on x86-64; PyTorch's own index has the locked version.
ifeq ($(TORCH),cpu)
ELSEWHERE = torch torchvision $(shell sed -nE 's/^name = "((cuda|nvidia)-.*)"/\1/p' uv.lock)
SYNC += --inexact $(ELSEWHERE:%=--no-install-package %)
TORCH_ALONE = $(UV) export --frozen --quiet --no-hashes --no-emit-project | grep -E '^torch(vision)?==' | \
	$(UV) pip install --quiet --python .venv --torch-backend cpu -r -
endif

# Where this is set, each of the many processes compiles all libraries anew: 17 s of a core.
export PYTHONDONTWRITEBYTECODE =

# One more than cores, since whole studies wait for servers a fifth of the time; each takes up to 2 GB.
WORKERS = $(shell $(PYTHON) -c 'import os; print(min(os.cpu_count() + 1, 4))')

.DEFAULT_GOAL := help
.PHONY: help setup demo test fuzz check types lint bench bench-large docs ui clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 13

setup: .venv/.ready ## the environment in .venv, from uv.lock

.uv/bin/uv:
	@$(PYTHON) -m pip install --quiet --target .uv uv

.venv/.ready: uv.lock pyproject.toml | $(UV)
	@$(SYNC)
	@$(TORCH_ALONE)
	@touch $@

demo: setup ## the whole study on the demo dataset, then where its results are
	.venv/bin/curette run demo --store $(STORE)

test: setup ## the tests
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

fuzz: setup ## 20,000 mutated files for each reader
	FUZZ_MUTATIONS=20000 .venv/bin/python -m pytest -o timeout=0 tests/fuzz

check: setup ## lint, types, architecture
	@$(MAKE) --no-print-directory -j 2 types lint

types: setup
	.venv/bin/mypy --num-workers 2

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/lint-imports

bench: setup ## ratios and seconds, printed as a table
	$(SYNC) --group bench
	.venv/bin/python -m tests.benchmarks

bench-large: setup ## pools of up to a million: many minutes and gigabytes
	.venv/bin/python -m tests.benchmarks --large

docs: $(UV) ## the documentation as pages in site/, from an environment of its own
	UV_PROJECT_ENVIRONMENT=.venv-docs $(UV) sync --frozen --quiet --python $(PYTHON) --only-group docs
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@! grep -rnoE '(src|<link[^>]* href)="(https?:)?//[^"]*' site --include='*.html' # no other host
	@echo "the documentation: site/index.html"

ui: setup ## a Prefect server and its UI on 127.0.0.1
	@echo "Prefect UI: http://127.0.0.1:$(UI_PORT)"
	@echo "In another terminal: export PREFECT_API_URL=http://127.0.0.1:$(UI_PORT)/api"
	@.venv/bin/python -m curette.flows.ui $(UI_PORT)

clean: ## remove the environments, the site and the store
	rm -rf .venv .venv-docs .uv site $(STORE)
