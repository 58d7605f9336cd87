# Two commands matter: `make demo` trains a real model on this machine, `make test` passes every test.
# Both need Python 3.11 or 3.12, make and PyPI, and prepare what is missing. `make` alone lists them all.

SHELL := /bin/sh
PYTHON ?=
BIN := .venv/bin
.DEFAULT_GOAL := help
# A venv that was made inside another Python's environment must not see that one's paths.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

# The first Python that runs, is of the right age and can make environments.
FIND_PYTHON = for p in $(PYTHON) python3.12 python3.11 python3; do \
	if "$$p" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
		2>/dev/null; then command -v "$$p"; break; fi; done

FORCE:
.PHONY: help install dev lock image demo test test-fast test-light test-stack test-local check \
	check-format check-lint check-types check-imports format \
	bench bench-cli bench-start bench-app bench-launch bench-step bench-run bench-modal \
	learn-wordle learn-bfcl learn-gsm8k pictures smoke-modal storm mutants clean

help:
	@echo 'make install   the client: .venv/bin/vfm and .venv/bin/vfm-tui'
	@echo 'make demo      train a small model to play Wordle, here, in minutes'
	@echo 'make test      every test, the real local run included'
	@echo 'make test-fast tests/unit/config   the tests in a folder or a file (test-stack and test-local take them too)'
	@echo 'make check     format, lint, types, imports'
	@echo 'make format    lay the code out as `make check` wants it'
	@echo 'make lock      write the lock files anew and show what changed (UPGRADE=1: the newest of everything)'
	@echo 'make storm     an hour of kills, a bad network, odd inputs and planted secrets (MINUTES=5 SEED=1)'
	@echo 'make mutants   do the tests notice a change of the code? a sample, drawn at random (MINUTES=10 SEED=1)'
	@echo 'make bench     the figures of the README'
	@echo 'make learn-wordle, learn-bfcl, learn-gsm8k   three seeds each: does it learn? (docs/learning.md)'
	@echo 'make pictures  docs/screens: every screen of the app over real runs'
	@echo 'make smoke-modal   the smallest real job on Modal, for those who have an account: asks first'
	@echo 'make clean     remove .venv and caches (runs and images stay)'

install: .venv/.installed

dev: .venv/.dev

.venv/.made:
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then \
		echo 'No Python 3.11 or 3.12 with venv was found (looked for python3.12, python3.11, python3).' >&2; \
		echo 'Install one (Debian, Ubuntu: apt install python3-venv), or name it: make install PYTHON=/path' >&2; \
		exit 1; \
	fi; \
	echo "==> making .venv with $$python ($$($$python --version))"; \
	"$$python" -m venv --clear .venv
	@touch $@

# The versions and hashes that are locked; then the checkout itself, built by the hatchling among them.
LOCKED = $(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r
THIS = $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .

.venv/.installed: pyproject.toml locks/client.txt .venv/.made
	@echo '==> installing the client into .venv (no torch: about 50 small packages)'
	$(LOCKED) locks/client.txt
	$(THIS)
	@echo '==> ready: $(BIN)/vfm and $(BIN)/vfm-tui'
	@touch $@

.venv/.dev: locks/dev.txt .venv/.installed
	@echo '==> installing what tests and checks need into .venv'
	$(LOCKED) locks/dev.txt
	@touch $@

# Needs the package index, and no training stack: it is resolved and not installed.
lock: install
	@$(BIN)/python -m locks $(if $(UPGRADE),--upgrade) $(PACKAGES)

# In a terminal the app shows the run. Elsewhere its stream is printed, and the exit code is the run's.
demo: install
	@if [ -t 0 ] && [ -t 1 ] && [ -t 2 ]; then \
		run=$$($(BIN)/vfm launch configs/local_demo.yaml --detach) && exec $(BIN)/vfm-tui "$$run"; \
	else \
		echo '==> training: Ctrl-C leaves the run going, `$(BIN)/vfm logs last --follow` joins it again'; \
		exec $(BIN)/vfm launch configs/local_demo.yaml; \
	fi

# The file holds the path of the image's Python; it changes only when the image does.
.venv/.image: .venv/.installed FORCE
	@echo '==> the image that runs train in (built once, kept for every run)'
	@$(BIN)/vfm image build local > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

image: .venv/.image

# Folders and files of tests that stand on the command line: `make test-fast tests/unit/config`.
NAMED = $(filter tests/% environments/%,$(MAKECMDGOALS))

# Fast first: what fails in seconds should not wait for what takes minutes.
test: test-light test-stack test-local

test-fast: dev
	$(BIN)/python -m pytest -q -n 2 --dist loadfile $(or $(NAMED),tests/unit tests/property)

test-light: dev
	@echo '==> the light suite'
	$(BIN)/python -m pytest --ignore=tests/stack --ignore=tests/local --ignore-glob='environments/*/tests/stack' \
		-n 2 --dist loadfile

# These import torch, so they run with the image's Python; pytest is lent to it from a side folder. Tests with a real
# vLLM server wait for it most of the time: the others run beside them, and say so when both are through.
STACK_TESTS = "$$(cat .venv/.image)" tests/run_in_image.py .venv/stack-tests \
	$(or $(NAMED),tests/stack environments/*/tests/stack)

test-stack: .venv/.stack-tests
	@echo '==> the suite of the training stack, inside the local image: with real vLLM servers, and without'
	@if [ -n '$(NAMED)' ]; then exec $(STACK_TESTS); fi; \
	log=$$(mktemp); $(STACK_TESTS) -m 'not vllm' > "$$log" 2>&1 & beside=$$!; \
	$(STACK_TESTS) -m vllm; code=$$?; \
	wait $$beside || code=$$?; cat "$$log"; rm -f "$$log"; exit $$code

.venv/.stack-tests: .venv/.dev .venv/.image
	@echo '==> lending pytest to the image'
	$(BIN)/python -m uv pip install --python "$$(cat .venv/.image)" --target .venv/stack-tests \
		--constraints locks/dev.txt pytest pytest-asyncio hypothesis
	@touch $@

test-local: dev image
	@echo '==> real runs on this machine'
	@command -v tmux >/dev/null || echo '    (no tmux: the app is not driven in a terminal; Debian: apt install tmux)'
	$(BIN)/python -m pytest $(or $(NAMED),tests/local)

# Its parts are the hooks of .pre-commit-config.yaml.
check: check-format check-lint check-types check-imports

check-format: dev
	$(BIN)/ruff format --check .

check-lint: dev
	$(BIN)/ruff check .

check-types: dev
	$(BIN)/mypy

check-imports: dev
	$(BIN)/lint-imports

format: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: bench-cli bench-start bench-app bench-modal bench-launch bench-step bench-run

bench-cli: install
	$(BIN)/python -m benchmarks.cli_start

bench-start: install
	$(BIN)/python -m benchmarks.start_up

# The app's parts beside Textual's own and plain tools: table, charts, log, keys, download.
bench-app: install
	$(BIN)/python -m benchmarks.runs_table
	$(BIN)/python -m benchmarks.charts
	$(BIN)/python -m benchmarks.logs
	$(BIN)/python -m benchmarks.log_keys
	$(BIN)/python -m benchmarks.download
	$(BIN)/python -m benchmarks.reattach

# Beside Modal's own command line, over the tests' server of its protocol; no account is needed.
bench-modal: dev
	$(BIN)/python -m benchmarks.modal_download
	$(BIN)/python -m benchmarks.modal_logs
	$(BIN)/python -m benchmarks.modal_runs

bench-launch: image
	"$$(cat .venv/.image)" -m benchmarks.launch_overlap

bench-step: image
	"$$(cat .venv/.image)" -m benchmarks.step_vs_trl

bench-run: image
	@run=$$($(BIN)/vfm launch configs/local_demo.yaml --detach) && \
	$(BIN)/vfm logs "$$run" --follow && \
	where=$$($(BIN)/vfm show "$$run" --json | $(BIN)/python -c \
		'import json, sys; run = json.load(sys.stdin); print(run["outputs"] + ":runs/" + run["run_id"])') && \
	$(BIN)/vfm get "$$where" .venv/bench && \
	$(BIN)/python -m benchmarks.run_report ".venv/bench/$$run"

# Three trainings one after another each: 18 minutes for Wordle on two quiet cores, the others take longer.
LEARN = $(BIN)/python -m benchmarks.learning

learn-wordle: image
	$(LEARN) configs/local_demo.yaml --seeds 1 2 3 --parts first_letter real_word --svg docs/curves.svg

learn-bfcl: image
	$(LEARN) configs/local_bfcl.yaml --seeds 1 2 3 --parts correct format arguments --svg docs/learning_bfcl.svg

learn-gsm8k: image
	$(LEARN) configs/local_gsm8k.yaml --seeds 1 2 3 --parts correct format --svg docs/learning_gsm8k.svg

# The runs that it needs are launched where there are none: half an hour on two cores, minutes after that.
pictures: image
	$(BIN)/python -m benchmarks.screens

# Costs money, so it says how much and asks. `make smoke-modal YES=--yes` does not ask.
smoke-modal: install
	@$(BIN)/python -m tests.modal.smoke $(YES)

# Loopback and a temporary folder only; `make test` has three minutes of the same.
storm: dev
	$(BIN)/python -m tests.storm --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED))

# Runs tests in a copy of the checkout, nothing of which is changed.
mutants: dev
	$(BIN)/python -m tests.mutants --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
