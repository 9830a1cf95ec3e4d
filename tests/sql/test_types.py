"""SQL types by name, without a database for the plain ones."""

import duckdb
import pytest

from duckdb_wasi_udf._sql import types

PLAIN = dict(types._PLAIN)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_types_are_what_duckdb_makes_of_them(name):
    with duckdb.connect() as con:
        con.execute("SET arrow_lossless_conversion = true")
        relation = con.sql(f"SELECT NULL::{name} AS x")
        assert [str(found) for found in relation.types] == [name]
        assert PLAIN[name] == relation.to_arrow_table().schema.field("x").type


def test_plain_types_take_no_database(monkeypatch):
    monkeypatch.setattr(duckdb, "connect", lambda *given: pytest.fail("a database was opened"))
    types.sql_type_of.cache_clear()
    assert types.sql_type_of("DOUBLE") == types.SqlType("DOUBLE", PLAIN["DOUBLE"])
