# Everything a person or CI does here; each target does all of its own set-up.
PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
  BIN := $(VENV)/Scripts
else
  BIN := $(VENV)/bin
endif
RUN := $(BIN)/python
SET_UP := $(PYTHON) -m tests.tools.set_up

# No batch of DuckDB's comes here, so that these needn't run with the native library and without.
SAME_ON_BOTH_PATHS := tests/sql/test_sandbox_surface.py tests/sql/test_trial.py tests/sql/test_types.py

# Tests start Python some hundred times, and two workers import all tests: without byte code, each compiles the sources.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: python setup setup-demo guest guest-numpy guest-debug guest-verify guest-test guest-test-numpy demo docs test test-dbt test-engines test-newest test-oldest lint check check-fresh release-check bench pictures lock clean
.NOTPARALLEL:

python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || { \
	  echo "$(PYTHON) is no Python 3.11 or newer: install one, or name it, as in make PYTHON=python3.12" >&2; exit 1; }

# Everything; the guest and the demo need less, which is there sooner.
setup: python
	@$(SET_UP) dev

setup-demo: python
	@$(SET_UP) demo

guest: setup-demo
	$(RUN) -m wasm build

# The guest that has numpy: five minutes more.
guest-numpy: setup guest
	$(RUN) -m wasm build --numpy

# Builds the guest a second time in another place and compares.
guest-verify: guest
	$(RUN) -m wasm verify

# A guest with symbols and assertions in build/guest-debug: see docs/contributing/debugging-the-guest.md.
guest-debug: setup
	$(RUN) -m wasm debug

# CPython's own tests in the guest, against tests/cpython/expected.toml; MODULES="test_json test_re" runs some of them.
guest-test: setup guest
	$(RUN) -m tests.cpython $(MODULES)

# numpy's own tests in the guest, against tests/numpy_suite/expected.toml; FILES names some of them.
guest-test-numpy: guest-numpy
	$(RUN) -m tests.numpy_suite $(FILES)

demo: guest
	$(RUN) sql/run_example.py flights

test: setup guest guest-numpy
	$(RUN) -m pytest --numprocesses auto
	DUCKDB_WASI_UDF_NATIVE=0 $(RUN) -m pytest --numprocesses auto tests/sql tests/guests/test_cancel.py $(SAME_ON_BOTH_PATHS:%=--ignore %)

# The functions in Ray, Spark and Dask, and in clients of DuckDB. These are large, so they have an environment of their own.
test-engines: setup guest
	@$(SET_UP) engines --venv .venv-engines
	$(subst $(VENV),.venv-engines,$(RUN)) -m pytest tests/frames/test_engines.py tests/frames/test_clients.py

# The example project in real dbt, whose packages don't go with those of constraints.txt.
test-dbt: setup guest
	$(PYTHON) -m venv .venv-dbt
	$(subst $(VENV),.venv-dbt,$(BIN))/pip install --quiet --editable . "dbt-core>=1.11,<1.12" "dbt-duckdb>=1.11,<1.12" pytest pytest-timeout
	$(subst $(VENV),.venv-dbt,$(RUN)) -m pytest tests/dbt/test_project.py

# The tests with the highest and the lowest versions that pyproject.toml allows.
test-newest test-oldest: python
	$(PYTHON) -m tests.tools.run_versions $(@:test-%=%)

# The documentation site, in build/docs/site.
docs: setup
	$(RUN) docs/build.py

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror wasm/c/*.[ch] wasm/c/*/*.[ch] wasm/native/*.[ch]

check: lint test

# What a fresh machine does, timed: a new clone with empty caches; WITHOUT=www.python.org,zlib.net makes these unreachable.
check-fresh: python
	$(PYTHON) -m tests.tools.check_fresh --without "$(WITHOUT)"

# Wheel and source distribution, used with each Python; MISSING=allow goes on without one that isn't installed.
release-check: guest guest-numpy
	@$(SET_UP) release
	$(RUN) -m tests.tools.release_check $(if $(filter allow,$(MISSING)),--allow-missing)

bench: setup guest guest-numpy
	$(RUN) -m benchmarks

# The charts of docs/explanation/performance.md, of its tables, and the terminal in the README.
pictures: setup guest
	$(RUN) -m benchmarks.charts
	$(RUN) docs/picture.py

# The newest versions that pyproject.toml allows become those that setup installs.
lock: python
	$(PYTHON) -m tests.tools.lock

# The virtual environments and the built guest; the next target makes both again.
clean:
	[ ! -x $(RUN) ] || $(RUN) -m wasm clean || echo "$(VENV) is not complete: the built guest stays in the cache" >&2
	rm -rf $(VENV) $(VENV)-* dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
