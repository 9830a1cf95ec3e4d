"""A sandbox of default limits, for the first query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from duckdb_wasi_udf._sql.sandbox import Sandbox

if TYPE_CHECKING:
    import duckdb


def install(con: duckdb.DuckDBPyConnection) -> Sandbox:
    """Register the `py_*` SQL functions with a sandbox of default limits: `Sandbox().install(con)`.

    Args:
        con: the connection to register with; every connection of the database sees the functions.

    Returns:
        The sandbox.
    """
    return Sandbox().install(con)
