"""Functions that return rows: columns for plain tuples, and the columns that code itself describes."""

import functools

from duckdb_wasi_udf import Columns
from duckdb_wasi_udf._shared.annotations import row_type
from duckdb_wasi_udf._shared.columns import Scan


def with_columns(function):
    """Return a table function whose plain tuples are rows with columns; without a declared type they would be lists."""

    @functools.wraps(function)
    def rows(*arguments):
        returned = function(*arguments)  # which is rows, or for the one who iterates to refuse
        return returned if isinstance(returned, (str, bytes, dict, Columns)) else map(name_columns, returned)

    return rows


def name_columns(row):
    """Return a row as a dict of columns, if it is a plain tuple."""
    return {f"col{i}": value for i, value in enumerate(row)} if type(row) is tuple else row


def schema_as_text(function):
    """Return a function `schema` that returns the SQL type of a row, instead of what the user's returns."""

    @functools.wraps(function)
    def schema(*arguments):
        return row_type(function(*arguments))

    return schema


def row_count(function):
    """Return a function `cardinality` whose result is checked."""

    @functools.wraps(function)
    def cardinality(*arguments):
        rows = function(*arguments)
        if rows is not None and (not isinstance(rows, int) or not 0 <= rows < 2**63):
            raise TypeError(f"cardinality returned {rows!r:.100}; the number of rows is an int from 0 on, or None")
        return rows

    return cardinality


def for_scan(function):
    """Return a table function whose last argument is a list of the columns that a scan needs; None for all."""

    @functools.wraps(function)
    def rows(*arguments):
        *own, wanted = arguments
        Scan.wanted = None if wanted is None else tuple(wanted)
        return function(*own)

    return rows
