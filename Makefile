# Everything a person or CI does here; each target does all of its own set-up.
PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
  BIN := $(VENV)/Scripts
else
  BIN := $(VENV)/bin
endif
RUN := $(BIN)/python

.PHONY: setup guest guest-debug demo test lint check bench clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

guest: setup
	$(RUN) -m wasm build

# A guest with symbols and assertions in build/guest-debug: see docs/contributing/debugging-the-guest.md.
guest-debug: setup
	$(RUN) -m wasm debug

demo: guest
	$(RUN) sql/run_example.py flights

test: guest
	$(RUN) -m pytest --numprocesses auto

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror wasm/c/*.[ch] wasm/c/*/*.[ch]

check: lint test

bench: guest
	$(RUN) -m benchmarks

# The virtual environment and the built guest; the next target makes both again.
clean:
	[ ! -x $(RUN) ] || $(RUN) -m wasm clean
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
