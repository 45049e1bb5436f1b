# Everything starts here. `make demo` and `make test` work on a fresh machine: they set up first.
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_HOME ?= .finestra/demo

.DEFAULT_GOAL := help
.PHONY: help setup vllm run demo test test-fast test-long test-matrix check bench bench-data bench-train \
	bench-serve bench-eval starter data \
	screenshots chromium wheel clean

help: ## Shows this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## Makes .venv with everything in it (done once; instant afterwards)

$(READY): pyproject.toml constraints.txt scripts/setup
	@scripts/setup $(VENV)

vllm: ## Makes .venv-vllm, where the engine vLLM runs: 3.5 GB, with CUDA 12 GB and more
	@scripts/vllm

run: $(READY) ## Opens the studio at http://127.0.0.1:7860
	@$(BIN)/finestra serve

demo: $(READY) ## Trains the starter on the sample data and shows what it learned
	@$(BIN)/python -m app.demo --home $(DEMO_HOME)

test: $(READY) chromium ## Every suite but the long one, one after the other
	@$(BIN)/python -m tests.suites

test-fast: $(READY) ## Unit tests only: no browser, no training, a minute or so
	@$(BIN)/python -m tests.suites unit

test-long: $(READY) chromium ## What takes long: three seeds, shuffled answers, every family, recipe and optimizer
	@$(BIN)/python -m tests.suites long

test-matrix: $(READY) ## Every pair of choices of the form: trained two steps, or refused with a reason (long)
	@$(BIN)/python -m tests.matrix $(MATRIX)

check: $(READY) ## Lint, types and the rules of the house
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_security_rules.py

bench: $(READY) chromium ## Measures the numbers of docs/benchmarks.md and writes it
	@$(BIN)/python -m bench

bench-data: $(READY) ## Measures reading, checking and tokenising; needs 2 GB in the temporary folder
	@$(BIN)/python -m bench data

bench-train: $(READY) ## Measures training against plain TRL and, where its Python is named, LLaMA-Factory
	@$(BIN)/python -m bench train

bench-serve: $(READY) ## Measures streams through the API, engines (vLLM where there is one), merging
	@$(BIN)/python -m bench serve

bench-eval: $(READY) ## Measures evaluations on both engines and what scoring costs; BENCH_EVAL_ROWS=16 is a quick look
	@$(BIN)/python -m bench eval scoring

starter: $(READY) ## Trains the starter model again, from generated text (long)
	@$(BIN)/python -m assets.make starter

data: $(READY) ## Generates the sample datasets again
	@$(BIN)/python -m assets.make data

screenshots: $(READY) chromium ## Takes the pictures of the README from the real pages
	@$(BIN)/python -m tests.e2e.screenshots

chromium:
	@scripts/chromium

wheel: $(READY) ## Builds the wheel into dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean: ## Removes what the other targets made, except runs and .venv
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache swanlog
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
