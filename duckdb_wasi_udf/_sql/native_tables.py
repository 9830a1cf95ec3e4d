"""Table functions that DuckDB has through the native library, in place of macros.

DuckDB drops no table function, and doesn't replace one either. So it has one under a name for as long as the database
is open, which leads to whichever function has the name at the moment, and is none when nothing has it. A function
with other parameters than the first of its name gets a macro: macros come first.
"""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._native.layouts import ParameterKind, TableForm, TableParameter
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._shared.identifiers import quote_identifier
from duckdb_wasi_udf._sql.macros import is_ours
from duckdb_wasi_udf._sql.native_path import can_register, register_natively

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from duckdb_wasi_udf._functions.arrow_stream import ArrowStream
    from duckdb_wasi_udf._sql.database import Database


class NativeParameter(NamedTuple):
    """A parameter of a table function.

    Attributes:
        name: Its name.
        sql_type: Its SQL type; None for any.
        kind: How queries pass it.
    """

    name: str
    sql_type: str | None = None
    kind: ParameterKind = ParameterKind.STANDARD


_NO_PARAMETER = "no_parameter_of_any_function"

# The parameters for each number of arguments that a function takes.
Forms = tuple[tuple[NativeParameter, ...], ...]

# Binds a call: of a RecordBatch of one row with the arguments.
Callback = "Callable[..., ArrowStream]"


class NativeTable:
    """A table function that DuckDB has until the database ends.

    Attributes:
        name: Its SQL name.
        forms: Its parameters.
        callback: What it leads to now; None if nothing has the name.
    """

    def __init__(self, database: Database, name: str, forms: Forms) -> None:
        self.name = name
        self.forms = forms
        self.callback: Callable[..., ArrowStream] | None = None
        self.number = next(state.native_numbers)
        self._database = weakref.ref(database)
        state.native_tables[self.number] = self

    def current(self) -> Callable[..., ArrowStream] | None:
        """Return what it leads to; None if nothing has the name, as after `remove_function`."""
        database = self._database()
        if self.callback is None or database is None:
            return None
        try:
            cursor = database.cursor()
        except SignatureError:  # no connection is known that is open, so nobody has removed anything
            return self.callback
        with cursor:
            return self.callback if has_scalar(cursor, self.name) else None


def has_scalar(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Return whether there is a scalar function: `duckdb_functions()` takes 20 ms to say so, binding a call 0.3."""
    for arguments in ("NULL", ""):  # one that takes any wants one at least
        try:
            con.sql(f"SELECT {quote_identifier(name)}({arguments})")  # which is bound, and never run
        except duckdb.CatalogException:
            return False
        except duckdb.BinderException:  # the arguments don't fit, or only the table function or its macro is left
            continue
        return True
    query = "SELECT 1 FROM duckdb_functions() WHERE lower(function_name) = lower($1) AND function_type = 'scalar'"
    return bool(con.execute(query, [name]).fetchall())


def is_free(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Return whether no table function or macro has a name, which DuckDB says faster than `duckdb_functions()`."""
    with contextlib.suppress(duckdb.BinderException):  # nobody has the parameter, so no call is bound
        try:
            con.sql(f"FROM {quote_identifier(name)}({_NO_PARAMETER} := NULL)")
        except duckdb.CatalogException:
            return True
        except duckdb.ResourceInUseException:
            return False
    return False


def fits(database: Database, con: duckdb.DuckDBPyConnection, forms: Mapping[str, Forms]) -> bool:
    """Return whether functions can be DuckDB's own under these names: see `taken_names`."""
    return taken_names(database, con, forms) is not None


def taken_names(database: Database, con: duckdb.DuckDBPyConnection, forms: Mapping[str, Forms]) -> list[str] | None:
    """Return which names our own table functions or kept macros have.

    Args:
        database: where.
        con: a connection of it; one that is in a transaction can't register functions.
        forms: the parameters of the functions, by name.

    Returns:
        The names, none if all are free; None if the functions can't be DuckDB's own under these names.
    """
    native = state.native
    is_reached = bool(database.native_tables or database.aggregates)
    if native is None or not native.has_tables or not can_register(con, tables=True, is_reached=is_reached):
        return None
    known = {name: database.native_tables.get(name.lower()) for name in forms}
    if any(table is not None and table.forms != forms[name] for name, table in known.items()):
        return None
    kept = _kept(con, [name for name, table in known.items() if table is None])
    return None if kept is None else [*kept, *[name for name, table in known.items() if table is not None]]


def register_tables(
    database: Database,
    con: duckdb.DuckDBPyConnection,
    forms: Mapping[str, Forms],
    callbacks: Mapping[str, Callable[..., ArrowStream]],
) -> bool:
    """Have names lead to functions: those of `taken_names`, which has to be asked before.

    Returns:
        Whether DuckDB has taken them.
    """
    new = [NativeTable(database, name, forms[name]) for name in forms if name.lower() not in database.native_tables]
    if new and not register_natively(con, _structs(new)):
        return False
    database.native_tables |= {table.name.lower(): table for table in new}
    lead(database, callbacks)
    return True


def lead(database: Database, callbacks: Mapping[str, Callable[..., ArrowStream] | None]) -> None:
    """Have names that DuckDB has as table functions lead to other functions, or to none."""
    for name, callback in callbacks.items():
        table = database.native_tables.get(name.lower())
        if table is not None:
            table.callback = callback


def _structs(tables: Iterable[NativeTable]) -> list[TableForm]:
    structs = []
    for table in tables:
        for form in table.forms:
            parameters = [
                TableParameter(
                    parameter.name.encode(), parameter.sql_type and parameter.sql_type.encode(), parameter.kind
                )
                for parameter in form
            ]
            array = (TableParameter * len(parameters))(*parameters)
            structs.append(TableForm(table.name.encode(), table.number, array, len(parameters)))
    return structs


def _kept(con: duckdb.DuckDBPyConnection, names: list[str]) -> list[str] | None:
    """Return which names macros of ours have; None if table functions or macros that aren't ours have one."""
    with con.cursor() as cursor:
        taken = [name for name in names if not is_free(cursor, name)]
        if not taken:
            return taken
        query = """
            SELECT macro_definition FROM duckdb_functions()
            WHERE lower(function_name) IN (SELECT lower(unnest($1::VARCHAR[])))
            AND function_type IN ('table', 'table_macro')
        """
        rows = cursor.execute(query, [taken]).fetchall()
        return taken if all(is_ours(definition) for (definition,) in rows) else None
