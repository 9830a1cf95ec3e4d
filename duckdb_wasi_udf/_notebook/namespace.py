"""The connection and the sandbox of a notebook, found among its variables."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import duckdb
from IPython.core.error import UsageError

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._sql.connections import connection_of
from duckdb_wasi_udf._sql.database import open_database
from duckdb_wasi_udf._sql.install import install
from duckdb_wasi_udf._sql.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping

# Variables that the connection is looked for in, in this order.
_NAMES = ("con", "conn")


def find_connection(variables: Mapping[str, Any], name: str | None) -> duckdb.DuckDBPyConnection:
    """Return the notebook's connection.

    That is the variable `con` or `conn`; else the one that jupysql uses; else the only connection among the variables;
    else DuckDB's default connection.

    Args:
        variables: those of the notebook, by name.
        name: a variable that is meant instead; None to look for it.

    Raises:
        UsageError: there is no such variable, it isn't a connection or is closed, or there are several.
    """
    if name is not None:
        if name not in variables:
            known = ", ".join(connection_names(variables)) or "none"
            msg = f"--con {name}: there is no variable {name}; variables with connections: {known}"
            raise UsageError(msg)
        return _open(variables[name], name)
    for usual in _NAMES:
        if _is_connection(variables.get(usual)):
            return _open(variables[usual], usual)
    of_jupysql = _jupysqls()
    if of_jupysql is not None:
        return of_jupysql
    names = connection_names(variables)
    distinct = {id(connection_of(variables[each])): each for each in names}
    if len(distinct) > 1:
        msg = f"there are several connections; pass --con with one of: {', '.join(names)}"
        raise UsageError(msg)
    return _open(variables[names[0]], names[0]) if names else duckdb.default_connection()


def find_sandbox(variables: Mapping[str, Any], con: duckdb.DuckDBPyConnection, name: str | None) -> Sandbox:
    """Return the notebook's sandbox.

    That is the one installed in the connection's database; else the variable `sandbox`; else a new one with default
    limits, which is installed.

    Args:
        variables: those of the notebook, by name.
        con: its connection.
        name: a variable that is meant instead; None to look for it.

    Raises:
        UsageError: there is no such variable, or it isn't an open sandbox.
    """
    if name is not None:
        sandbox = variables.get(name)
        if not isinstance(sandbox, Sandbox) or sandbox.closed:
            what = "closed" if isinstance(sandbox, Sandbox) else "no sandbox" if name in variables else "not defined"
            known = ", ".join(sandbox_names(variables)) or "none"
            msg = f"--sandbox {name}: the variable {name} is {what}; variables with open sandboxes: {known}"
            raise UsageError(msg)
        return sandbox
    for found in (open_database(con).installed, variables.get("sandbox")):
        if isinstance(found, Sandbox) and not found.closed:
            return found
    return install(con)


def connection_names(variables: Mapping[str, Any]) -> list[str]:
    """Return the names of variables that hold connections, without IPython's own."""
    return sorted(name for name, value in variables.items() if not name.startswith("_") and _is_connection(value))


def sandbox_names(variables: Mapping[str, Any]) -> list[str]:
    """Return the names of variables that hold open sandboxes."""
    return sorted(
        name
        for name, value in variables.items()
        if not name.startswith("_") and isinstance(value, Sandbox) and not value.closed
    )


def _is_connection(value: Any) -> bool:
    return isinstance(value, duckdb.DuckDBPyConnection)


def _open(value: Any, name: str) -> duckdb.DuckDBPyConnection:
    try:
        con = connection_of(value)
        con.cursor().close()
    except SignatureError as error:
        msg = f"the variable {name} is no DuckDB connection, but {value!r:.80}; pass --con with one that is"
        raise UsageError(msg) from error
    except duckdb.ConnectionException as error:
        msg = f"the connection {name} is closed; connect again, or pass --con with another one"
        raise UsageError(msg) from error
    return con


def _jupysqls() -> duckdb.DuckDBPyConnection | None:
    """Return the connection that `%sql` uses now, if jupysql is loaded and it is one of DuckDB's."""
    manager = getattr(sys.modules.get("sql.connection"), "ConnectionManager", None)
    current = getattr(manager, "current", None)
    own = getattr(current, "_connection", None)
    for found in (own, getattr(own, "connection", None)):  # DuckDB's own, or SQLAlchemy's around it
        with contextlib.suppress(SignatureError):
            return connection_of(found)
    return None
