"""`install`, for those who need no sandbox of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from duckdb_wasi_udf._sql.connections import connection_of
from duckdb_wasi_udf._sql.database import open_database
from duckdb_wasi_udf._sql.origins import called_interactively
from duckdb_wasi_udf._sql.sandbox import Sandbox

if TYPE_CHECKING:
    import duckdb


def install(con: duckdb.DuckDBPyConnection, *, replace: bool = False) -> Sandbox:
    """Register the `py_*` SQL functions with a sandbox of default limits: `Sandbox().install(con)`.

    Args:
        con: any connection of the database; every connection sees the functions.
        replace: another sandbox may be installed: see `Sandbox.install`.

    Returns:
        The sandbox: the one that this function has installed in the database before, if there is one.

    Raises:
        SignatureError: as for `Sandbox.install`.
    """
    database = open_database(connection_of(con, "duckdb_wasi_udf.install(con)"))
    with database.lock:
        sandbox: Sandbox | None = database.default
        if sandbox is None or sandbox.closed or sandbox is not database.installed:
            sandbox = Sandbox().install(con, replace=replace or called_interactively())
            database.default = sandbox
    return sandbox.install(con)
