"""What a batch costs apart from the user's function."""

from __future__ import annotations

import pyarrow as pa

import duckdb_wasi_udf as wasi_udf
from benchmarks.timing import best, table
from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._guests.definition import Definition

ROWS = 2048


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    repetitions = 200 if quick else 5000
    sandbox = wasi_udf.Sandbox()
    domain = sandbox._domain
    column = pa.nulls(ROWS, pa.int64())
    with CallContext(domain.clock) as context:
        instance = domain.start(context, Definition.from_source("lambda x: x", "f"))
        # NULLs that the function doesn't want to see: the guest does next to nothing.
        instance.bind(context, [(pa.int64(), False)], pa.int64())
        whole = best(lambda: instance.call(context, [column], ROWS), repetitions)
        raw = instance._raw
        inside = best(lambda: raw.call_export(_abi.CALL, instance._arena.address), repetitions)
        entry = best(lambda: raw.call_export(_abi.VERSION), repetitions)
    return f"## One call of {ROWS} rows of BIGINT\n\n" + table(
        ["", "best"],
        [
            ["whole call, function never run", f"{whole * 1e6:.1f} µs"],
            ["of it inside the guest", f"{inside * 1e6:.1f} µs"],
            ["host's part", f"{(whole - inside) * 1e6:.1f} µs"],
            ["entering and leaving the guest alone", f"{entry * 1e6:.1f} µs"],
        ],
    )
