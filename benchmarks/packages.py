"""Time to import packages in a fresh instance: compiled now, from the user's cache, and from memory."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import duckdb_wasi_udf as wasi_udf
from benchmarks.timing import median, table
from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._guests.definition import Definition

if TYPE_CHECKING:
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

# Requirements, and the modules that are imported.
IMPORTS = {
    "python-slugify": "slugify",
    "python-dateutil": "dateutil.parser",
    "jinja2": "jinja2",
    "phonenumbers": "phonenumbers",
    "pyparsing": "pyparsing",
    "sqlglot": "sqlglot",
}

HOST = "import time; started = time.perf_counter(); import {}; print(time.perf_counter() - started)"


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    repetitions = 5 if quick else 30
    lines = []
    kept = os.environ.get("DUCKDB_WASI_UDF_CACHE")
    with tempfile.TemporaryDirectory() as empty:
        os.environ["DUCKDB_WASI_UDF_CACHE"] = empty
        try:
            for requirement, module in IMPORTS.items():
                lines.append([f"`import {module}`", *_seconds(requirement, module, repetitions)])
        finally:
            del os.environ["DUCKDB_WASI_UDF_CACHE"]
            if kept is not None:
                os.environ["DUCKDB_WASI_UDF_CACHE"] = kept
    heads = ["", "modules", "first on a machine, s", "first in a process, ms", "then, ms", "on the host, ms"]
    return "## Importing packages in a fresh instance\n\n" + table(heads, lines)


def _start(domain: TrustDomain, definition: Definition) -> None:
    with CallContext(domain.clock) as context:
        domain.start(context, definition)


def _seconds(requirement: str, module: str, repetitions: int) -> list[str]:
    plain = Definition.from_source("lambda x: x", "f")
    imports = Definition.from_source(f"import {module}\nlambda x: x", "f")
    first = []
    for _ in range(2):  # compiled, then from the cache
        sandbox = wasi_udf.Sandbox(packages=[requirement])
        domain = sandbox._domain
        _start(domain, plain)
        first.append(median(lambda domain=domain: _start(domain, imports), 1))  # type: ignore[misc]
    again = median(lambda: _start(domain, imports), repetitions) - median(lambda: _start(domain, plain), repetitions)
    script = HOST.format(module)
    importlib.import_module(module)  # its compiled files are there
    done = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True) for _ in range(5)
    ]
    host = sorted(float(process.stdout) for process in done)[2]
    return [
        str(len(domain.modules._compiled)),
        f"{first[0]:.2f}",
        *(f"{seconds * 1e3:.1f}" for seconds in (first[1], again, host)),
    ]
