"""`python -m duckdb_wasi_udf doctor`: what is installed, how long a start takes, and whether everything works."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import time
from typing import TYPE_CHECKING

import duckdb

from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._engine.engine import Engine, load_engine
from duckdb_wasi_udf._errors import WasiUdfError
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._limits import ResourceLimits
from duckdb_wasi_udf._process import cache_files
from duckdb_wasi_udf._sql.sandbox import Sandbox
from duckdb_wasi_udf._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGES = ("duckdb", "wasmtime", "pyarrow")
_FRESH_INSTANCES = 20


def run() -> int:
    """Print the report; 0 when every check passed, else 1."""
    print(f"python {platform.python_version()} on {platform.platform()}")
    print(f"duckdb-wasi-udf {__version__}")
    for package in _PACKAGES:
        print(f"{package} {importlib.metadata.version(package)}")
    try:
        _report_guest()
        failed = [name for name, check in _CHECKS.items() if not _passes(name, check)]
    except WasiUdfError as error:
        print(f"\nFAILED: {error}")
        return 1
    print(f"\n{len(failed)} check(s) failed" if failed else "\neverything works")
    return 1 if failed else 0


def compile_guest(*, fuel: bool, numpy: bool = False) -> int:
    """Compile the guest into the cache, for all users of the machine or of an image to read; return the exit status.

    Args:
        fuel: compile it for sandboxes with `ResourceLimits(fuel=...)` as well.
        numpy: compile the guest that has numpy as well.
    """
    directory = cache_files.directory()
    try:
        guests = {"": artifact.find()} | ({"with numpy, ": artifact.find_numpy()} if numpy else {})
        for counts_fuel in (False, True) if fuel else (False,):
            for kind, guest in guests.items():
                engine = Engine(guest, directory, timeout_seconds=10, counts_fuel=counts_fuel)
                how = "compiled in" if engine.compiled_now else "was there already; it took"
                print(f"{directory}: {'with fuel, ' if counts_fuel else ''}{kind}{how} {engine.compile_seconds:.1f} s")
        cache_files.share(directory)
    except WasiUdfError as error:
        print(f"FAILED: {error}")
        return 1
    return 0


def _report_guest() -> None:
    guest = artifact.find()
    print(f"guest: CPython {guest.manifest['versions']['python']}, ABI {guest.manifest['abi_version']}")
    print(f"  {guest.module_path}")
    print(f"  sha256 {guest.sha256}")
    started = time.perf_counter()
    engine = load_engine(guest, timeout_seconds=10)
    seconds = time.perf_counter() - started
    where = "compiled now" if engine.compiled_now else f"loaded from {cache_files.directory()}"
    print(f"machine code: {where} in {seconds:.2f} s; compiling took {engine.compile_seconds:.1f} s on first use")
    sandbox = Sandbox()
    domain = sandbox._domain
    definition = Definition.from_source("lambda x: x", "doctor")
    instantiate, define = [], []
    for _ in range(_FRESH_INSTANCES):
        started = time.perf_counter()
        instance = engine.instantiate(domain.limits.memory_bytes)
        instantiate.append(time.perf_counter() - started)
        del instance
        started = time.perf_counter()
        with CallContext(domain.clock) as context:
            domain.start(context, definition)
        define.append(time.perf_counter() - started)
    print(
        f"fresh instance: {sorted(instantiate)[_FRESH_INSTANCES // 2] * 1e3:.2f} ms, "
        f"with a function defined {sorted(define)[_FRESH_INSTANCES // 2] * 1e3:.2f} ms (median of {_FRESH_INSTANCES})"
    )


def _passes(name: str, check: Callable[[], bool]) -> bool:
    try:
        passed = check()
    except (duckdb.Error, WasiUdfError) as error:
        print(f"{name}: FAILED: {error}")
        return False
    print(f"{name}: {'ok' if passed else 'FAILED'}")
    return passed


def _query(code: str, *, timeout_seconds: float = 10.0) -> str | None:
    """Return what `code` returns for 1 in a sandbox of its own, or the name of the error it ends in."""
    with (
        duckdb.connect() as con,
        Sandbox(limits=ResourceLimits(timeout_seconds=timeout_seconds)).install(con) as sandbox,
    ):
        try:
            return str(con.execute("SELECT py_udf($1, 1)", [code]).fetchall()[0][0])
        except duckdb.InvalidInputException:
            return type(sandbox.last_error).__name__


_CHECKS: dict[str, Callable[[], bool]] = {
    "a function runs": lambda: _query("lambda x: x + 1") == "2",
    "an error has its traceback": lambda: _query("lambda x: x / 0") == "GuestError",
    "an endless loop is stopped": lambda: (
        _query("def f(x):\n while True: pass", timeout_seconds=0.2) == "LimitExceeded"
    ),
    "memory is capped": lambda: _query("lambda x: [0] * 10**9") == "LimitExceeded",
    "files are out of reach": lambda: _query(f"lambda x: open({sys.executable!r}).read()") == "GuestError",
    "the environment is empty": lambda: _query("import os\nlambda x: len(os.environ)") == "0",
}
