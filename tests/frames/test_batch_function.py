"""`batch_function` and `apply`: the same rows as plain Python makes, in the caller's kind of table."""

import datetime as dt
import decimal
import pickle
import re
import subprocess
import sys
import threading

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import GuestError, LimitExceeded, PackageError, ResourceLimits, SignatureError
from duckdb_wasi_udf._frames import batch_function as module
from tests.frames import rates

GROSS = "def gross(net: float) -> float:\n    return round(net * 1.19, 2)"


@pytest.fixture(scope="module")
def gross():
    return wasi_udf.batch_function(GROSS)


def plain(net):
    return None if net is None else round(net * 1.19, 2)


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049, 10_000])
def test_rows_are_those_of_plain_python(gross, rows):
    net = [None if i % 7 == 0 else i / 3 for i in range(rows)]
    table = pa.table({"id": pa.array(range(rows), pa.int64()), "net": pa.array(net, pa.float64())})
    result = gross(table)
    assert result.column_names == ["id", "net", "gross"]
    assert result.schema.field("gross").type == pa.float64()
    assert result["gross"].to_pylist() == [plain(value) for value in net]
    assert result.select(["id", "net"]).equals(table)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.one_of(st.none(), st.text(max_size=20)), max_size=5), max_size=5))
def test_chunks_and_slices_dont_matter(parts):
    function = wasi_udf.batch_function("def turned(s: str) -> str: return s[::-1]")
    chunked = pa.chunked_array([pa.array(["before", *part], pa.string())[1:] for part in parts], pa.string())
    result = function(pa.table({"s": chunked}))["turned"].to_pylist()
    assert result == [None if s is None else s[::-1] for part in parts for s in part]


def test_the_kind_of_table_stays(gross):
    pl = pytest.importorskip("polars")
    pd = pytest.importorskip("pandas")
    net, expected = [100.0, None, 3.0], [119.0, None, 3.57]
    batch = gross(pa.record_batch({"net": net}))
    assert isinstance(batch, pa.RecordBatch)
    assert batch["gross"].to_pylist() == expected
    assert isinstance(gross(batch.slice(0, 0)), pa.RecordBatch)
    frame = gross(pl.DataFrame({"net": net}))
    assert frame.to_dict(as_series=False) == {"net": net, "gross": expected}
    lazy = gross(pl.LazyFrame({"net": net}).filter(pl.col("net") > 3))
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().to_dict(as_series=False) == {"net": [100.0], "gross": [119.0]}
    indexed = gross(pd.DataFrame({"net": net}, index=["a", "b", "c"]))
    assert list(indexed.index) == ["a", "b", "c"]
    assert indexed["gross"].tolist()[::2] == [119.0, 3.57]
    counted = wasi_udf.apply("def n(s: str) -> int: return len(s)", pd.DataFrame({"s": ["ab", None]}))
    assert counted["n"].dtype == "Int64"
    assert counted["n"].tolist() == [2, pd.NA]


def test_a_column_of_the_name_is_replaced():
    doubled = wasi_udf.batch_function("lambda x: 2 * x", {"x": "BIGINT"})
    assert doubled(pa.table({"x": [1, 2], "y": [3, 4]})).to_pydict() == {"x": [2, 4], "y": [3, 4]}


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, "b", "a"]).dictionary_encode(),
        pa.array(["a", None, "b", "a"], pa.large_string()),
        pa.array(["a", None, "b", "a"], pa.string_view()),
        pa.array([b"a", None], pa.binary_view()),
        pa.array([dt.date(2020, 2, 29), None], pa.date64()),
        pa.array([dt.time(1, 2, 3), None], pa.time32("s")),
        pa.array([1.5, None], pa.float16()),
        pa.array([decimal.Decimal("1.50"), None], pa.decimal32(5, 2)),
        pa.array([dt.datetime(2020, 2, 29, 1, 2, 3), None], pa.timestamp("s")),
        pa.array([[1, None], None, []], pa.large_list(pa.int16())),
        pa.array([None, None], pa.null()),
        pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"]),
    ],
    ids=lambda column: str(column.type)[:30],
)
def test_types_that_duckdb_doesnt_hand_over_are_read(column):
    shown = wasi_udf.batch_function("def shown(x) -> str: return repr(x)", null_handling="special")
    table = pa.table({"x": column})
    expected = [repr(value) for value in column.to_pylist()]
    assert shown(table)["shown"].to_pylist() == expected


def test_durations_arrive_as_intervals():
    column = pa.array([dt.timedelta(days=-1, seconds=5), None, dt.timedelta(days=400)], pa.duration("ms"))
    seconds = wasi_udf.batch_function("def s(x) -> float: return x.total_seconds()")
    assert seconds(pa.table({"x": column}))["s"].to_pylist() == [-86395.0, None, 34560000.0]


@pytest.mark.parametrize(
    ("sql_type", "value"),
    {
        "TINYINT": -3,
        "UBIGINT": 2**64 - 1,
        "FLOAT": 0.5,
        "DECIMAL(9,2)": decimal.Decimal("1.25"),
        "DATE": dt.date(2020, 2, 29),
        "TIMESTAMP": dt.datetime(2020, 2, 29, 1, 2, 3, 4),
        "TIMESTAMP_MS": dt.datetime(2020, 2, 29, 1, 2, 3),
        "TIME": dt.time(1, 2, 3, 4),
        "TIMESTAMPTZ": dt.datetime(2020, 2, 29, 1, 2, 3, tzinfo=dt.UTC),
        "BLOB": b"\0\xff",
        "JSON": '{"a": 1}',
        "ENUM('a', 'b')": "b",
        "BOOLEAN[]": [True, None],
        "MAP(VARCHAR, INTEGER)": [("a", 1)],
        "BOOLEAN": True,
        "INTEGER[]": [1, None],
        "INTEGER[2]": [1, 2],
        "STRUCT(a TINYINT, b VARCHAR)": {"a": 1, "b": "x"},
    }.items(),
)
def test_results_have_the_declared_type(sql_type, value):
    returned = dict(value) if sql_type.startswith("MAP") else value
    made = wasi_udf.batch_function(lambda i: returned if i else None, {"made": sql_type})
    result = made(pa.table({"i": [1, 0]}))["made"]
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        expected = con.sql(f"SELECT NULL::{sql_type} AS x").to_arrow_table().schema.field("x").type
    if pa.types.is_dictionary(expected):
        expected = expected.value_type
    assert result.to_pylist() == [value, None]
    assert str(result.type) == re.sub(r"<l?:", "<item:", str(expected))


@pytest.mark.parametrize("sql_type", ["HUGEINT", "UUID", "TIMETZ", "BIT", "UNION(a INTEGER)", "UUID[]", "VARIANT"])
def test_results_that_only_duckdb_knows_are_refused(sql_type):
    with pytest.raises(SignatureError, match="known to DuckDB alone|isn't known|can't be built"):
        wasi_udf.batch_function("lambda x: x", {"y": sql_type})


def test_several_columns_are_those_of_a_row():
    code = "def split(name): return dict(zip(('first', 'last'), name.split(' ', 1)))"
    split = wasi_udf.batch_function(code, {"first": "VARCHAR", "last": str})
    table = pa.table({"name": ["ada lovelace", None, "grace hopper"]})
    assert split(table).drop_columns("name").to_pydict() == {
        "first": ["ada", None, "grace"],
        "last": ["lovelace", None, "hopper"],
    }
    assert split(table.slice(0, 0)).schema.names == ["name", "first", "last"]


def test_a_batch_function_gets_columns():
    code = "def total(x: Column[float]) -> list[float]: return [sum(x)] * len(x)"
    total = wasi_udf.batch_function(code)
    assert total(pa.table({"x": [1.0, 2.0, 3.0]}))["total"].to_pylist() == [6.0] * 3


def test_parameters_with_defaults_may_have_no_column():
    f = wasi_udf.batch_function("def f(a: int, b: int = 10, c: int = 100) -> int: return a + b + c")
    assert f(pa.table({"a": [1]}))["f"].to_pylist() == [111]
    assert f(pa.table({"b": [2], "a": [1]}))["f"].to_pylist() == [103]
    with pytest.raises(SignatureError, match="no column 'b'"):
        f(pa.table({"a": [1], "c": [2]}))


def test_pickled_functions_make_the_same_rows_in_another_process(gross, tmp_path):
    text = "import helper_for_frames\ndef f(s: str) -> str: return helper_for_frames.shout(s)"
    package = tmp_path / "helper_for_frames.py"
    package.write_text("def shout(s): return s.upper() + '!'")
    shout = wasi_udf.batch_function(text, packages=[package])
    taxed = wasi_udf.batch_function(
        "import host\nasync def taxed(net: float, country: str) -> float: return net * (1 + await host.rate(country))",
        host_functions=[rates.rate],
    )
    package.unlink()  # its files travel along
    table = pa.table({"net": [100.0], "s": ["a"], "country": ["FR"]})
    code = """
import pickle, sys
functions, table = pickle.load(sys.stdin.buffer)
for function in functions:
    table = function(table)
pickle.dump(table, sys.stdout.buffer)
"""
    sent = pickle.dumps(([gross, shout, taxed], table))
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, timeout=100, check=True)
    assert pickle.loads(done.stdout).to_pylist()[0] == {
        "net": 100.0, "s": "a", "country": "FR", "gross": 119.0, "f": "A!", "taxed": 120.0,
    }  # fmt: skip


def test_another_version_is_refused(gross, monkeypatch):
    monkeypatch.setattr(module, "__version__", "0.0.1")
    pickled = pickle.dumps(gross)
    monkeypatch.undo()
    with pytest.raises(SignatureError, match=r"pickled by duckdb-wasi-udf 0\.0\.1.*same version"):
        pickle.loads(pickled)


def test_errors_name_function_row_and_arguments(gross):
    f = wasi_udf.batch_function("def inverse(x: int) -> float: return 1 / x")
    with pytest.raises(GuestError, match="inverse: ZeroDivisionError") as caught:
        f(pa.table({"x": [*range(1, 5001), 0]}))
    assert (caught.value.row, caught.value.arguments) == (5000, ("0",))
    assert pickle.loads(pickle.dumps(caught.value)).row == 5000
    assert f(pa.table({"x": [2]}))["inverse"].to_pylist() == [0.5]
    forgiving = wasi_udf.batch_function("lambda x: 1 / x", {"y": "DOUBLE"}, exception_handling="return_null")
    assert forgiving(pa.table({"x": [0, 2]}))["y"].to_pylist() == [None, 0.5]
    with pytest.raises(SignatureError, match="no column 'net', which the function takes by name; it has 'x'"):
        gross(pa.table({"x": [1]}))
    with pytest.raises(SignatureError, match="'net' expects DOUBLE, got VARCHAR"):
        gross(pa.table({"net": ["a"]}))


here = wasi_udf.HostFunction(lambda x: x, name="here", parameters=["INTEGER"], return_type="INTEGER")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("lambda x: x",), {}, "type of the column isn't known"),
        (("def f(*x) -> int: return 1",), {}, r"\*x isn't"),
        ((GROSS, {"a": "NO_SUCH_TYPE"}), {}, "'NO_SUCH_TYPE' of the column 'a' is not a type DuckDB knows"),
        ((GROSS, {}), {}, "columns are names and SQL types"),
        ((GROSS, "DOUBLE"), {}, "columns are names and SQL types"),
        ((GROSS,), {"null_handling": "maybe"}, "null_handling must be 'default' or 'special', got 'maybe'"),
        ((GROSS,), {"host_functions": ["tests.frames.rates:gone"]}, "no host function that can be imported"),
        ((GROSS,), {"host_functions": ["rates"]}, "written as 'module:name'"),
        ((GROSS,), {"host_functions": ["math:sin"]}, "it is <built-in function sin>"),
        ((GROSS,), {"host_functions": [here]}, "'here' can't be imported in another process"),
    ],
)  # fmt: skip
def test_what_cant_be_made_is_refused_at_once(arguments, options, message):
    with pytest.raises(SignatureError, match=message):
        wasi_udf.batch_function(*arguments, **options)


def test_other_bad_input_is_refused(gross):
    with pytest.raises(PackageError, match="no_such_package_anywhere"):
        wasi_udf.batch_function(GROSS, packages=["no_such_package_anywhere"])
    with pytest.raises(SignatureError, match="a table is a pandas or Polars DataFrame .* got builtins.dict"):
        gross({"net": [1.0]})
    with pytest.raises(SignatureError, match="several columns 'net'"):
        gross(pa.Table.from_arrays([pa.array([1.0])] * 2, names=["net", "net"]))
    with pytest.raises(SignatureError, match="2\\*\\*31 days"):
        wasi_udf.apply("def f(x) -> int: return 1", pa.table({"x": pa.array([2**62], pa.duration("s"))}))


def test_limits_hold_and_the_next_call_works():
    code = "def f(x: int) -> int:\n    while x: pass\n    return x"
    f = wasi_udf.batch_function(code, limits=ResourceLimits(timeout_seconds=0.3))
    with pytest.raises(LimitExceeded):
        f(pa.table({"x": [1]}))
    assert f(pa.table({"x": [0]}))["f"].to_pylist() == [0]


def test_threads_share_a_function(gross):
    results = {}

    def work(number):
        table = pa.table({"net": [float(number)] * 5000})
        results[number] = set(pickle.loads(pickle.dumps(gross))(table)["gross"].to_pylist())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: {plain(float(number))} for number in range(8)}
