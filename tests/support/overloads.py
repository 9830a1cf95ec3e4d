"""What DuckDB has under a name, read from its catalog: its error messages change from release to release."""

import duckdb
import pytest


def overloads(con, name, kind="%"):
    """The parameter types of each function or macro of a name, in order; `kind` may be "table%"."""
    query = """
        SELECT parameter_types FROM duckdb_functions()
        WHERE lower(function_name) = lower($1) AND function_type LIKE $2 ORDER BY ALL
    """
    return [types for (types,) in con.cursor().execute(query, [name, kind]).fetchall()]


def check_gone(con, name, *queries):
    """Check that nothing has the name, and that queries which call it are DuckDB's error.

    DuckDB drops no table function: one of the native library's is left, and has to be an error as well.
    """
    assert overloads(con, name, "scalar") == overloads(con, name, "table_macro") == []
    for query in queries:
        with pytest.raises((duckdb.CatalogException, duckdb.BinderException), match=f"(?i){name}"):
            con.execute(query)
