"""Look-ups in tables held in memory, against the same join in SQL or pyarrow."""

import datetime as dt
import random
import sys
import threading
import time
import uuid
from decimal import Decimal

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from hostfuncs import cached, http, lookup, retried, serialization

RATES = {"EUR": 1.0, "USD": 1.1, "JPY": 160.0}


def found(function, *columns):
    """What a look-up finds, as a list."""
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in columns]
    return function(*arrays).to_pylist()


def test_a_dict_gives_its_values_and_null_for_what_it_lacks():
    rate = lookup.from_dict(RATES, name="rate")
    assert (rate.name, list(rate.parameters), rate.return_type, rate.batched) == ("rate", ["VARCHAR"], "DOUBLE", True)
    assert found(rate, ["USD", "XXX", None, "EUR", "USD", ""]) == [1.1, None, None, 1.0, 1.1, None]


def test_a_default_stands_for_missing_keys_and_for_null():
    assert found(lookup.from_dict(RATES, default=0.0), ["USD", "XXX", None]) == [1.1, 0.0, 0.0]
    with pytest.raises(duckdb.ConversionException):
        lookup.from_dict(RATES, default="none")


def test_a_value_that_is_null_is_not_missing():
    assert found(lookup.from_dict({"a": None, "b": 1}, default=7), ["a", "b", "c"]) == [None, 1, 7]


def test_types_may_be_said():
    rate = lookup.from_dict({1: 2}, key_type="INTEGER", value_type="DECIMAL(9,3)")
    assert (list(rate.parameters), rate.return_type) == (["INTEGER"], "DECIMAL(9,3)")
    assert found(rate, pa.array([1, 2], pa.int32())) == [Decimal("2.000"), None]
    with pytest.raises(ValueError, match="'NUMBERS' is not a type"):
        lookup.from_dict({1: 2}, value_type="NUMBERS")


def test_an_empty_dict_needs_its_types_and_finds_nothing():
    with pytest.raises(ValueError, match="say key_type and value_type"):
        lookup.from_dict({})
    with pytest.raises(ValueError, match="say key_type and value_type"):
        lookup.from_dict({}, value_type="DOUBLE")
    assert found(lookup.from_dict({}, key_type="VARCHAR", value_type="DOUBLE", default=1.0), ["a"]) == [1.0]
    two = lookup.from_dict({}, key_type=["VARCHAR", "INTEGER"], value_type="DOUBLE")
    assert found(two, ["a"], pa.array([1], pa.int32())) == [None]


def test_mixed_keys_or_values_are_refused():
    with pytest.raises(TypeError, match="of one type"):
        lookup.from_dict({"a": 1, 2: 2})
    with pytest.raises(TypeError, match="of one type"):
        lookup.from_dict({"a": 1, "b": "x"})


@pytest.mark.parametrize(
    "keys",
    [
        [1, 2, -(2**63)],
        ["a", "ä", "", "日本", "\U0001f600"],
        [b"", b"\x00\xff"],
        [True, False],
        [dt.date(2024, 2, 29), dt.date(1, 1, 1)],
        [dt.datetime(2024, 1, 1, 12, 0, 0, 1), dt.datetime(1969, 1, 1)],
        [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
        [dt.time(1, 2, 3)],
        [Decimal("1.50"), Decimal("-0.01")],
        [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)],
    ],
    ids=lambda keys: type(keys[0]).__name__,
)
@pytest.mark.parametrize("many", [False, True])
def test_keys_of_every_type_that_has_one_equality(keys, many):
    columns = {"k": pa.array(keys), "v": pa.array(range(len(keys)))}
    table = pa.table(columns)
    if many:  # past the size where another way is faster
        filler = pa.table({"k": pa.nulls(3000, table.schema.field("k").type), "v": pa.array(range(3000))})
        table = pa.concat_tables([filler, table])
    function = lookup.from_table(table, "k", "v")
    asked = pa.array([*reversed(keys), None], table.schema.field("k").type)
    assert found(function, asked) == [*reversed(range(len(keys))), None]


@pytest.mark.parametrize("keys", [[1.5], [[1]], [{"a": 1}]], ids=["float", "list", "struct"])
def test_keys_of_other_types_are_refused(keys):
    with pytest.raises(TypeError, match="a key can't be of the type .*, as 'k' is; cast it"):
        lookup.from_table(pa.table({"k": pa.array(keys), "v": [1]}), "k", "v")


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 2049])
@pytest.mark.parametrize("rows", [10, 5000])
def test_a_batch_of_any_size_gives_what_a_join_gives(size, rows):
    generator = random.Random(size)
    table = pa.table({"k": [f"k{i}" for i in range(rows)], "v": [i * 0.5 for i in range(rows)]})
    keys = pa.table({"i": range(size), "k": [f"k{generator.randrange(2 * rows)}" for _ in range(size)]}).cast(
        pa.schema([("i", pa.int64()), ("k", pa.string())])
    )
    with duckdb.connect() as con:
        con.register("t", table)
        con.register("q", keys)
        joined = con.execute("SELECT v FROM q LEFT JOIN t USING (k) ORDER BY i").fetchall()
    assert found(lookup.from_table(table, "k", "v"), keys.column("k").combine_chunks()) == [v for (v,) in joined]


def test_several_values_are_a_struct_with_a_struct_for_default():
    table = pa.table({"code": ["DE"], "name": ["Germany"], "eu": [True], "id": [uuid.UUID(int=1)]})
    country = lookup.from_table(table, "code", ["name", "eu", "id"], default={"name": "?", "eu": False, "id": None})
    assert country.return_type == 'STRUCT("name" VARCHAR, eu BOOLEAN, id UUID)'
    assert found(country, ["DE", "XX"]) == [
        {"name": "Germany", "eu": True, "id": uuid.UUID(int=1)},
        {"name": "?", "eu": False, "id": None},
    ]
    assert found(lookup.from_table(table, "code", ["name"]), ["XX", "DE"]) == [None, {"name": "Germany"}]


def test_several_keys_are_several_parameters_and_null_is_none():
    table = pa.table({"c": ["DE", "DE", None], "y": [2023, 2024, 2024], "v": [1, 2, 3]})
    rate = lookup.from_table(table, ["c", "y"], "v")
    assert list(rate.parameters) == ["VARCHAR", "BIGINT"]
    assert found(rate, ["DE", "DE", "FR", None], [2024, None, 2024, 2024]) == [2, None, None, None]
    assert found(lookup.from_dict({("a", 1): 1, ("a", 2): 2}), ["a", "b"], [2, 2]) == [2, None]


def test_lists_structs_and_maps_are_values():
    table = pa.table({"k": ["a", "b"], "l": [[True, None], []], "s": [{"x": [1]}, {"x": None}]})
    assert found(lookup.from_table(table, "k", ["l", "s"]), ["b", "a"]) == [
        {"l": [], "s": {"x": None}},
        {"l": [True, None], "s": {"x": [1]}},
    ]


def test_duplicate_keys_are_an_error_unless_one_is_chosen():
    table = pa.table({"k": ["a", "b", "a", None, None], "v": [1, 2, 3, 4, 5]})
    with pytest.raises(ValueError, match=r"the key \('a'\) of k occurs 2 times; say duplicates='first'"):
        lookup.from_table(table, "k", "v")
    assert found(lookup.from_table(table, "k", "v", duplicates="first"), ["a", "b"]) == [1, 2]
    assert found(lookup.from_table(table, "k", "v", duplicates="last"), ["a", "b"]) == [3, 2]
    with pytest.raises(ValueError, match="duplicates must be"):
        lookup.from_table(table, "k", "v", duplicates="any")


def test_pandas_and_polars_tables_are_tables():
    columns = {"k": ["a", "b"], "v": [1.5, None]}
    for table in (pd.DataFrame(columns), pl.DataFrame(columns), columns):
        assert found(lookup.from_table(table, "k", "v", default=0.0), ["b", "a", "c"]) == [None, 1.5, 0.0]
    categorical = pd.DataFrame({"k": pd.Categorical(["x", "y"]), "v": [1, 2]})
    assert found(lookup.from_table(categorical, "k", "v"), ["y"]) == [2]


def test_columns_are_cast_and_missing_ones_named():
    table = pa.table({"k": ["1"], 'odd "name"': ["2024-01-01"]})
    function = lookup.from_table(table, "k", 'odd "name"', types={"k": "INTEGER", 'odd "name"': "DATE"})
    assert found(function, pa.array([1], pa.int32())) == [dt.date(2024, 1, 1)]
    with pytest.raises(ValueError, match="there is no column 'v'; the columns are k"):
        lookup.from_table(table, "k", "v")
    with pytest.raises(ValueError, match="types: 'w' is neither"):
        lookup.from_table(table, "k", 'odd "name"', types={"w": "INTEGER"})
    with pytest.raises(ValueError, match="at least one key column"):
        lookup.from_table(table, [], "k")


def test_a_table_that_changes_later_is_not_seen():
    mapping = dict(RATES)
    rate = lookup.from_dict(mapping)
    mapping["USD"] = 9.9
    assert found(rate, ["USD"]) == [1.1]


def test_from_duckdb_reads_once_with_a_cursor_of_its_own(con):
    con.execute("CREATE TABLE rates AS FROM (VALUES ('EUR', 1.0::DOUBLE, true), ('USD', 1.1, false)) t(k, v, b)")
    con.execute("BEGIN; INSERT INTO rates VALUES ('JPY', 160.0, NULL)")  # not committed: not there
    rate = lookup.from_duckdb(con, "FROM rates", "k", ["v", "b"])
    con.execute("COMMIT")
    assert found(rate, ["USD", "JPY"]) == [{"v": 1.1, "b": False}, None]
    assert found(lookup.from_duckdb(con, "SELECT k, v * 2 AS w FROM rates", "k", "w"), ["JPY"]) == [320.0]


def test_from_duckdb_refreshes_and_tells_when_it_can_not(con, monkeypatch):
    con.execute("CREATE TABLE rates AS SELECT 'EUR' AS k, 1 AS v")
    rate = lookup.from_duckdb(con, "FROM rates", "k", "v", refresh_seconds=60)
    once = lookup.from_duckdb(con, "FROM rates", "k", "v")
    con.execute("UPDATE rates SET v = 2")
    assert found(rate, ["EUR"]) == [1]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert found(rate, ["EUR"]) == [2]
    con.execute("DROP TABLE rates")
    assert found(rate, ["EUR"]) == [2]
    monkeypatch.setattr(time, "monotonic", lambda: now + 200)
    for _ in range(2):
        with pytest.raises(duckdb.CatalogException, match="rates"):
            found(rate, ["EUR"])
    con.execute("CREATE TABLE rates AS SELECT 'EUR' AS k, 3 AS v")
    assert found(rate, ["EUR"]) == [3]
    assert found(once, ["EUR"]) == [1]


def test_from_duckdb_refreshes_under_many_threads(con):
    con.execute("CREATE TABLE rates AS SELECT 'k' || i AS k, i AS v FROM range(100) t(i)")
    rate = lookup.from_duckdb(con, "FROM rates", "k", "v", refresh_seconds=0)
    wrong = []

    def ask():
        wrong.extend(values for _ in range(5) if (values := found(rate, ["k7", "x"])) != [7, None])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("query", ["DROP TABLE t", "FROM t; FROM t", "", "INSERT INTO t SELECT 1 RETURNING *"])
def test_from_duckdb_takes_one_query_that_reads(con, query):
    con.execute("CREATE TABLE t AS SELECT 1 AS k")
    with pytest.raises(ValueError, match="one query that reads"):
        lookup.from_duckdb(con, query, "k", "k")


def test_from_duckdb_can_not_write(con):
    con.execute("CREATE SEQUENCE s")
    with pytest.raises(duckdb.TransactionException):
        lookup.from_duckdb(con, "SELECT nextval('s') AS k, 1 AS v", "k", "v")
    assert con.execute("SELECT nextval('s')").fetchall() == [(1,)]


def test_from_duckdb_reads_a_file(tmp_path):
    path = tmp_path / "rates.duckdb"
    with duckdb.connect(path) as con:
        con.execute("CREATE TABLE rates AS SELECT 'EUR' AS k, uuid() AS v")
        ((value,),) = con.execute("SELECT v FROM rates").fetchall()
    assert found(lookup.from_duckdb(path, "FROM rates", "k", "v"), ["EUR"]) == [value]
    with duckdb.connect(path) as con:  # nothing holds the file
        con.execute("DROP TABLE rates")


@pytest.mark.parametrize(
    ("module", "call", "extra"),
    [
        ("sqlalchemy", lambda: lookup.from_sql("sqlite://", "t", "k", "v", {}), "sql"),
        ("cachetools", lambda: lookup.from_sql("sqlite://", "t", "k", "v", {}), "sql"),
        ("cachetools", lambda: cached(max), "scaling"),
        ("tenacity", lambda: retried(max), "scaling"),
        ("redis", lambda: lookup.from_redis("redis://x"), "redis"),
        ("httpx", lambda: http.fetch([]), "http"),
        ("orjson", lambda: serialization.decode("json", "JSON"), "serialization"),
        ("yaml", lambda: serialization.encode("yaml", "JSON"), "serialization"),
    ],
)
def test_a_library_that_is_not_installed_is_named_with_its_extra(monkeypatch, module, call, extra):
    for folder, name in ((lookup, "_sql_rows"), (http, "_requests"), (http, "_origins"), (serialization, "_documents")):
        monkeypatch.delitem(sys.modules, f"{folder.__name__}.{name}", raising=False)
        monkeypatch.delattr(folder, name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)  # as if it weren't installed
    with pytest.raises(ImportError, match=rf"^{module} is not installed: pip install 'duckdb-wasi-udf\[{extra}\]'$"):
        call()
