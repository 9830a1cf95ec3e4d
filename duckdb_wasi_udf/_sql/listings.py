"""The columns of `py_functions()` and `py_host_calls()`, and the two as streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from duckdb_wasi_udf._functions.arrow_stream import ArrowStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

LISTING = {
    "name": "VARCHAR",
    "kind": "VARCHAR",
    "signature": "VARCHAR",
    "language": "VARCHAR",
    "source_hash": "VARCHAR",
    "created_by": "VARCHAR",
    "persisted": "BOOLEAN",
    "problem": "VARCHAR",
    "calls": "BIGINT",
    "rows": "BIGINT",
    "native_rows": "BIGINT",
    "errors": "BIGINT",
    "failed_rows": "BIGINT",
    "guest_seconds": "DOUBLE",
    "host_seconds": "DOUBLE",
    "peak_memory_bytes": "BIGINT",
    "instances": "BIGINT",
    "compiled": "BOOLEAN",
    "interpreted_because": "VARCHAR",
    "compiled_rows": "BIGINT",
    "bailed_rows": "BIGINT",
}
# The fields of `HostCallRecord`.
HOST_CALLS = {
    "called_at": "TIMESTAMP",
    "host_function": "VARCHAR",
    "called_by": "VARCHAR",
    "rows": "BIGINT",
    "bytes_in": "BIGINT",
    "bytes_out": "BIGINT",
    "seconds": "DOUBLE",
    "outcome": "VARCHAR",
    "detail": "VARCHAR",
}
_ARROW = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "TIMESTAMP": pa.timestamp("us"),
}


def sql_type(columns: dict[str, str]) -> str:
    """Return the SQL type of a table with these columns, in one value."""
    return f"STRUCT({', '.join(f'{name} {kind}' for name, kind in columns.items())})[]"


def in_one_value(columns: dict[str, str], rows: list[dict[str, Any]]) -> pa.Array:
    """Return a table as one value."""
    return pa.array([rows], pa.list_(pa.struct([(name, _ARROW[kind]) for name, kind in columns.items()])))


def stream_of(domain: TrustDomain, name: str, columns: dict[str, str], rows: Callable[[], pa.Array]) -> ArrowStream:
    """Return a table as a stream, whose rows are listed when it is scanned.

    Args:
        domain: what the table belongs to.
        name: its SQL name.
        columns: its columns.
        rows: returns it in one value.
    """
    row_type = pa.struct([(column, _ARROW[kind]) for column, kind in columns.items()])
    return ArrowStream(domain, name, sql_type(columns).removesuffix("[]"), row_type, name, lambda _: _Listing(rows))


class _Listing:
    """A pass over what is listed: see `Scan`.

    Attributes:
        runner: None, since no guest runs.
    """

    runner = None

    def __init__(self, rows: Callable[[], pa.Array]) -> None:
        self._list: Callable[[], pa.Array] | None = rows

    def next(self, context: CallContext) -> pa.Array | None:  # noqa: ARG002 - no guest runs
        """Return all rows at once; None after that."""
        if self._list is None:
            return None
        rows, self._list = self._list().flatten(), None
        return rows if len(rows) else None

    def close(self) -> None:
        """End the pass."""
