"""`python -m duckdb_wasi_udf doctor`: what is installed, how long a start takes, and whether everything works."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
import time
from typing import TYPE_CHECKING, Any

import duckdb

from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._engine.engine import Engine, load_engine
from duckdb_wasi_udf._errors import WasiUdfError
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._limits import ResourceLimits
from duckdb_wasi_udf._process import cache_files
from duckdb_wasi_udf._sql import native_path
from duckdb_wasi_udf._sql.sandbox import Sandbox
from duckdb_wasi_udf._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGES = ("duckdb", "wasmtime", "pyarrow")
_FRESH_INSTANCES = 20


def run(*, as_json: bool = False) -> int:
    """Print the report; 0 when every check passed, else 1.

    Args:
        as_json: print it as one JSON object, whose `checks` have null or what went wrong.
    """
    versions = {"python": platform.python_version(), "duckdb-wasi-udf": __version__}
    versions |= {package: importlib.metadata.version(package) for package in _PACKAGES}
    if as_json:
        return _run_as_json({"platform": platform.platform(), "versions": versions})
    print(f"python {versions.pop('python')} on {platform.platform()}")
    for package, version in versions.items():
        print(f"{package} {version}")
    failed = []
    try:
        _print_guest(_examine_guest())
        print(f"batches through DuckDB's C API: {native_path.status()}")
        for name, check in _CHECKS.items():
            problem = _problem(check)
            print(f"{name}: {'ok' if problem is None else f'FAILED{problem}'}")
            if problem is not None:
                failed.append(name)
    except WasiUdfError as error:
        print(f"\nFAILED: {error}")
        return 1
    print(f"\n{len(failed)} check(s) failed" if failed else "\neverything works")
    return 1 if failed else 0


def _run_as_json(report: dict[str, Any]) -> int:
    checks: dict[str, str | None] = {}
    try:
        report["guest"] = _examine_guest()
        report["native_path"] = native_path.status()
        for name, check in _CHECKS.items():
            problem = _problem(check)
            checks[name] = None if problem is None else problem.removeprefix(": ") or "FAILED"
    except WasiUdfError as error:
        report["error"] = str(error)
    works = "error" not in report and not any(checks.values())
    print(json.dumps(report | {"checks": checks, "everything_works": works}, indent=2))
    return 0 if works else 1


def compile_guest(*, fuel: bool, numpy: bool = False, as_json: bool = False) -> int:
    """Compile the guest into the cache, for all users of the machine or of an image to read; return the exit status.

    Args:
        fuel: compile it for sandboxes with `ResourceLimits(fuel=...)` as well.
        numpy: compile the guest that has numpy as well.
        as_json: print JSON.
    """
    directory = cache_files.directory()
    compiled = []
    try:
        guests = {"": artifact.find()} | ({"with numpy, ": artifact.find_numpy()} if numpy else {})
        for counts_fuel in (False, True) if fuel else (False,):
            for kind, guest in guests.items():
                engine = Engine(guest, directory, timeout_seconds=10, counts_fuel=counts_fuel)
                how = "compiled in" if engine.compiled_now else "was there already; it took"
                if not as_json:
                    what = f"{'with fuel, ' if counts_fuel else ''}{kind}"
                    print(f"{directory}: {what}{how} {engine.compile_seconds:.1f} s")
                compiled.append(
                    {
                        "fuel": counts_fuel,
                        "numpy": bool(kind),
                        "compiled_now": engine.compiled_now,
                        "seconds": engine.compile_seconds,
                    }
                )
        cache_files.share(directory)
    except WasiUdfError as error:
        print(json.dumps({"directory": str(directory), "error": str(error)}) if as_json else f"FAILED: {error}")
        return 1
    if as_json:
        print(json.dumps({"directory": str(directory), "compiled": compiled}, indent=2))
    return 0


def _examine_guest() -> dict[str, Any]:
    """Return versions, files and hashes of the guest, and how long it takes to start one."""
    guest = artifact.find()
    started = time.perf_counter()
    engine = load_engine(guest, timeout_seconds=10)
    load_seconds = time.perf_counter() - started
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
    return {
        "python": guest.manifest["versions"]["python"],
        "abi_version": guest.manifest["abi_version"],
        "path": str(guest.module_path),
        "sha256": guest.sha256,
        "cache": str(cache_files.directory()),
        "compiled_now": engine.compiled_now,
        "load_seconds": load_seconds,
        "compile_seconds": engine.compile_seconds,
        "fresh_instance_seconds": sorted(instantiate)[_FRESH_INSTANCES // 2],
        "defined_instance_seconds": sorted(define)[_FRESH_INSTANCES // 2],
    }


def _print_guest(found: dict[str, Any]) -> None:
    print(f"guest: CPython {found['python']}, ABI {found['abi_version']}")
    print(f"  {found['path']}")
    print(f"  sha256 {found['sha256']}")
    where = "compiled now" if found["compiled_now"] else f"loaded from {found['cache']}"
    print(
        f"machine code: {where} in {found['load_seconds']:.2f} s; "
        f"compiling took {found['compile_seconds']:.1f} s on first use"
    )
    print(
        f"fresh instance: {found['fresh_instance_seconds'] * 1e3:.2f} ms, "
        f"with a function defined {found['defined_instance_seconds'] * 1e3:.2f} ms (median of {_FRESH_INSTANCES})"
    )


def _problem(check: Callable[[], bool]) -> str | None:
    """Return None if a check passes, else the error after a colon, as far as there is one."""
    try:
        return None if check() else ""
    except (duckdb.Error, WasiUdfError) as error:
        return f": {error}"


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
