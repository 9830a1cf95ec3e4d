"""The `py_*` SQL functions, and what registers them with a connection."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import duckdb

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.aggregate import InlineAggregate
from duckdb_wasi_udf._functions.inline import InlineFunction
from duckdb_wasi_udf._functions.signature import VARIANT
from duckdb_wasi_udf._sql.catalog import Catalog
from duckdb_wasi_udf._sql.map_batches import InlineMap
from duckdb_wasi_udf._sql.registration import register
from duckdb_wasi_udf._sql.streams import Streams
from duckdb_wasi_udf._sql.table_functions import InlineTable
from duckdb_wasi_udf._sql.types import types_through

if TYPE_CHECKING:
    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._sql.function_registry import FunctionRegistry

# The inline functions and the SQL type of their results; None: by annotation, or inferred.
INLINE_FUNCTIONS: dict[str, str | None] = {
    "py_udf": None,
    "py_agg": None,
    "py_udf_bigint": "BIGINT",
    "py_udf_blob": "BLOB",
    "py_udf_boolean": "BOOLEAN",
    "py_udf_date": "DATE",
    "py_udf_double": "DOUBLE",
    "py_udf_json": "JSON",
    "py_udf_timestamp": "TIMESTAMP",
    "py_udf_varchar": "VARCHAR",
}


def install_functions(
    context: CallContext,
    registry: FunctionRegistry,
    con: duckdb.DuckDBPyConnection,
    *,
    allow_inline: bool,
    allow_create: bool,
) -> None:
    """Register the `py_*` SQL functions: see `Sandbox.install`.

    Args:
        context: the call that restores stored functions.
        registry: the functions of the sandbox.
        con: the connection to register with.
        allow_inline: queries may bring code along.
        allow_create: queries may create and drop functions, and those stored are restored.

    Raises:
        SignatureError: another connection of the database has installed them.
    """
    domain, streams = registry.domain, Streams(con)
    inline_table = InlineTable(domain, "py_table", streams)
    domain.hold(inline_table)
    tables: dict[str, InlineTable | InlineMap] = {
        "py_table": inline_table,
        "py_map_batches": InlineMap(registry.map_functions, "py_map_batches", streams),
    }
    for name in (*INLINE_FUNCTIONS, *tables, *Catalog.SQL_FUNCTIONS):
        with contextlib.suppress(duckdb.InvalidInputException):  # this connection has none of that name
            con.remove_function(name)
    Catalog.leave(con)
    catalog = Catalog(registry, con, streams, allow_create=allow_create)
    try:
        for name, return_type in INLINE_FUNCTIONS.items() if allow_inline else ():
            kind = InlineAggregate if name == "py_agg" else InlineFunction
            inline = kind(domain, name, return_type, types_through(streams.cursor))
            register(domain, con, name, inline, None, return_type or VARIANT)
            domain.hold(inline)
        for name, table in tables.items() if allow_inline else ():
            register(domain, con, name, table, None, "VARCHAR")
            table.create_macro(con)
        for name, function, parameters, result in catalog.sql_functions():
            register(domain, con, name, function, parameters, result, side_effects=True)
    except (duckdb.CatalogException, duckdb.NotImplementedException) as error:
        msg = (
            f"{name} is already installed on this database through another connection; install through that one to "
            "replace it, or use it as it is"
        )
        raise SignatureError(msg) from error
    catalog.enter(context, con)
