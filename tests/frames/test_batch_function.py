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
from duckdb_wasi_udf._frames import running
from duckdb_wasi_udf._functions.scalar import ScalarFunction
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


@pytest.mark.parametrize(
    ("annotation", "expression", "expected"),
    [
        ("timedelta", "timedelta(days=-x, seconds=5)", lambda x: dt.timedelta(days=-x, seconds=5)),
        ("list[timedelta | None]", "[timedelta(x), None]", lambda x: [dt.timedelta(x), None]),
        ("Iterator[timedelta]", "iter([timedelta(x, 0, 1)])", lambda x: dt.timedelta(x, 0, 1)),
    ],
)
def test_intervals_become_durations(annotation, expression, expected):
    code = f"from datetime import timedelta\ndef d(x: int) -> {annotation}: return {expression}"
    function = wasi_udf.batch_function(code, rows="any" if "Iterator" in annotation else "one")
    table = pa.table({"x": [1, 400_000]})
    assert function(table)["d"].to_pylist() == [expected(1), expected(400_000)]
    assert function(table.slice(0, 0))["d"].to_pylist() == []
    pl = pytest.importorskip("polars", reason="pip install polars")
    assert function(pl.from_arrow(table).lazy()).collect()["d"].to_list() == [expected(1), expected(400_000)]


def test_intervals_that_are_no_durations_are_refused():
    table = pa.table({"x": pa.array([(0, 1, 0), (1, 0, 0)], pa.month_day_nano_interval())})
    same = wasi_udf.batch_function("lambda x: x", {"same": "INTERVAL"})
    assert same(table.slice(0, 1))["same"].to_pylist() == [dt.timedelta(1)]
    with pytest.raises(SignatureError, match="an INTERVAL with months has no fixed length"):
        same(table)
    with pytest.raises(SignatureError, match="more than 53,375,995 days is no duration"):
        wasi_udf.apply("import datetime\nlambda x: datetime.timedelta.max", pa.table({"x": [1]}), {"d": "INTERVAL"})


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


def test_host_functions_made_by_others_are_found_in_their_module():
    code = "import host\nasync def f(country: str) -> float: return await host.remembered(country)"
    asking = wasi_udf.batch_function(code, host_functions=[rates.remembered])
    assert asking._recipe.settings.host_functions == ("tests.frames.rates:remembered",)
    assert asking(pa.table({"country": ["FR", "XX"]}))["f"].to_pylist() == [0.2, None]


def loaded_elsewhere(pickled, run, *flags):
    """Load a pickle in a process of its own; return how its error ends."""
    run = f"{run}\nimport pickle, sys\npickle.load(sys.stdin.buffer)"
    done = subprocess.run(
        [sys.executable, *flags, "-c", run], input=pickled, capture_output=True, timeout=100, check=False
    )
    assert done.returncode == 1
    return done.stderr.decode().strip()


# What another version has in the place of ours: nothing but its public names.
ANOTHER = """
import sys, types
package = sys.modules["duckdb_wasi_udf"] = types.ModuleType("duckdb_wasi_udf")
package.__version__, package.SignatureError = "0.0.1", type("SignatureError", (Exception,), {})
"""


def test_nothing_of_another_versions_pickle_is_read(gross, monkeypatch):
    monkeypatch.setattr(pickle, "dumps", lambda recipe: b"what no other version can read")
    state = gross.__reduce__()
    monkeypatch.undo()

    class Sent:
        def __reduce__(self):
            return state

    error = loaded_elsewhere(pickle.dumps(Sent()), ANOTHER).splitlines()[-1]
    assert re.search(
        rf"SignatureError: gross: the function was pickled by duckdb-wasi-udf {re.escape(wasi_udf.__version__)}, and "
        r"Python 3\S+ of this process \(.*python.*\) has 0\.0\.1; install the same version everywhere$",
        error,
    )


def test_a_process_without_the_package_says_so(gross):
    version = re.escape(wasi_udf.__version__)
    needs = (
        rf"ModuleNotFoundError: gross: the function needs duckdb-wasi-udf {version}, which Python 3\S+ of this process"
    )
    error = loaded_elsewhere(pickle.dumps(gross), "", "-I", "-S").splitlines()[-1]
    assert re.search(rf"^{needs} \(.*python.*\) hasn't: install it where workers run$", error)
    # The package is there, and what it needs isn't.
    error = loaded_elsewhere(pickle.dumps(gross), "import sys\nsys.modules['pyarrow'] = None").splitlines()[-1]
    assert re.search(rf"^{needs} \(.*python.*\) can't import \(.*pyarrow.*\): install it where workers run$", error)


def test_a_process_without_the_host_function_says_so():
    code = "import host\nasync def taxed(country: str) -> float: return await host.rate(country)"
    taxed = wasi_udf.batch_function(code, host_functions=[rates.rate])
    error = loaded_elsewhere(pickle.dumps(taxed), "import sys\nsys.modules['tests.frames.rates'] = None")
    assert "SignatureError: 'tests.frames.rates:rate' is no host function that can be imported here" in error
    assert "in the function taxed, which another process has pickled" in error


def test_an_error_among_batches_says_in_which():
    f = wasi_udf.batch_function("def inverse(x: int) -> float: return 1 / x")
    batches = pa.table({"x": [*range(1, 5001), 0]}).to_batches(max_chunksize=3000)
    with pytest.raises(GuestError) as caught:
        list(f.iterate(batches))
    assert (caught.value.row, caught.value.__notes__) == (2000, ["in the batch that begins with row 3,000"])
    assert pickle.loads(pickle.dumps(caught.value)).__notes__ == caught.value.__notes__


def test_columns_can_be_checked_before_there_are_rows(gross):
    gross.check(pa.schema({"net": pa.float32(), "country": pa.dictionary(pa.int8(), pa.string()), "x": pa.int8()}))
    gross.check(pa.schema({"net": pa.null()}))
    for schema, message in (
        ({"country": pa.string()}, "no column 'net'"),
        ({"net": pa.string()}, "'net' expects DOUBLE, got VARCHAR"),
        ({"net": pa.list_(pa.int8())}, r"'net' expects DOUBLE, got TINYINT\[\]"),
    ):
        with pytest.raises(SignatureError, match=message):
            gross.check(pa.schema(schema))
    assert gross(pa.table({"net": pa.array([], pa.float64())})).num_rows == 0


def test_text_is_defined_once_and_named_as_in_its_code(monkeypatch):
    defined = []
    monkeypatch.setattr(running, "ScalarFunction", lambda *given: defined.append(1) or ScalarFunction(*given))
    before = len(running.functions)
    once = wasi_udf.batch_function("def defined_once(x: int) -> float: return 1 / x")
    again = pickle.loads(pickle.dumps(once))
    assert once(pa.table({"x": [2]})) == again(pa.table({"x": [2]}))
    assert (len(defined), len(running.functions) - before) == (1, 1)
    for function in (once, again):
        with pytest.raises(GuestError, match="^defined_once: ZeroDivisionError"):
            function(pa.table({"x": [0]}))
        with pytest.raises(SignatureError, match="^defined_once: the parameter 'x' expects BIGINT"):
            function(pa.table({"x": ["a"]}))


def test_the_error_of_a_quota_names_it_too():
    code = "import host\nasync def asks(country: str) -> float: return await host.rate(country)"
    quota = wasi_udf.HostQuota(calls=1, bytes=1, seconds=1.0)
    asks = wasi_udf.batch_function(code, host_functions=[rates.rate], limits=ResourceLimits(host_batch=quota))
    with pytest.raises(LimitExceeded, match="^asks: asks too much of host functions"):
        asks(pa.table({"country": ["FR"]}))


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


def nowhere():
    """Return a host function that no module has."""
    return wasi_udf.HostFunction(lambda x: x, name="here", parameters=["INTEGER"], return_type="INTEGER")


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
        ((GROSS,), {"host_functions": [nowhere()]}, "'here' can't be imported in another process"),
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


# ---- any number of rows --------------------------------------------------------------------------------------------

WORDS = "def word(s: str) -> Iterator[str]: yield from s.split()"


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049, 10_000])
def test_rows_become_any_number_of_rows(rows):
    texts = [None if i % 7 == 0 else "ä " * (i % 4) + str(i) if i % 5 else "" for i in range(rows)]
    table = pa.table({"id": pa.array(range(rows), pa.int64()), "s": pa.array(texts, pa.string())})
    result = wasi_udf.apply(WORDS, table, rows="any")
    assert result.schema == table.schema.append(pa.field("word", pa.string()))
    assert result.to_pylist() == [row | {"word": w} for row in table.to_pylist() for w in (row["s"] or "").split()]


def test_a_filter_keeps_the_kind_of_table_and_its_other_columns():
    pl = pytest.importorskip("polars")
    pd = pytest.importorskip("pandas")
    large = wasi_udf.batch_function("def large(net: float) -> Iterator[bool]:\n  if net > 2: yield True", rows="any")
    columns = {"net": [1.0, 3.0, None, 5.0], "k": ["a", "b", "c", "d"]}
    expected = {"net": [3.0, 5.0], "k": ["b", "d"], "large": [True, True]}
    assert large(pa.table(columns)).to_pydict() == expected
    batch = large(pa.record_batch(columns))
    assert isinstance(batch, pa.RecordBatch)
    assert batch.to_pydict() == expected
    assert large(pl.DataFrame(columns)).to_dict(as_series=False) == expected
    frame = large(pd.DataFrame(columns, index=list("wxyz")))
    assert frame.to_dict("list") == expected
    assert list(frame.index) == ["x", "z"]
    lazy = large(pl.LazyFrame(columns))
    for engine in ("in-memory", "streaming"):
        assert lazy.head(1).collect(engine=engine)["k"].to_list() == ["b"]
        assert lazy.filter(pl.col("k") == "d").collect(engine=engine)["net"].to_list() == [5.0]
        assert lazy.select(pl.len()).collect(engine=engine).item() == 2


@pytest.mark.parametrize(
    ("code", "columns", "expected"),
    [
        ("lambda i: range(i)", {"n": "TINYINT"}, [{"i": 2, "n": 0}, {"i": 2, "n": 1}]),
        ("lambda i: [(i, str(i))]", {"a": "INT", "b": "VARCHAR"}, [{"i": 2, "a": 2, "b": "2"}]),
        ("lambda i: [{'b': 1}, None]", {"b": "INT"}, [{"i": 2, "b": 1}, {"i": 2, "b": None}]),
        ("lambda i: {10 * i}", {"i": "BIGINT"}, [{"i": 20}]),
        ("lambda i: None", {"n": "INT"}, []),
        ("def f(i: int) -> Iterator[tuple[int, str]]: yield i, 'a'", None, [{"i": 2, "col0": 2, "col1": "a"}]),
        ("class R(TypedDict):\n  n: int\ndef f(i: int) -> list[R]: return [{'n': i}]", None, [{"i": 2, "n": 2}]),
        ("class R(NamedTuple):\n  n: int\ndef f(i) -> Iterator[R]: yield R(i)", None, [{"i": 2, "n": 2}]),
        ("async def f(i: int) -> AsyncIterator[int]:\n  yield i\n  yield 0", None, [{"i": 2, "f": v} for v in (2, 0)]),
        ("async def f(i: int) -> list[int]: return [i, i]", None, [{"i": 2, "f": 2}, {"i": 2, "f": 2}]),
        ("lambda i: [[1, i], []]", {"l": "INT[]"}, [{"i": 2, "l": [1, 2]}, {"i": 2, "l": []}]),
        ("lambda i: [{'a': i}]", {"s": "STRUCT(a INT)"}, [{"i": 2, "s": {"a": 2}}]),
    ],
)  # fmt: skip
def test_rows_have_the_forms_of_table_functions(code, columns, expected):
    code = f"from typing import NamedTuple, TypedDict\n{code}"
    assert wasi_udf.apply(code, pa.table({"i": [2]}), columns, rows="any").to_pylist() == expected


def test_host_functions_are_asked_for_rows_at_once():
    code = "import host\nasync def f(c: str) -> AsyncIterator[float]:\n  yield await host.rate(c)\n  yield 0.0"
    table = pa.table({"c": ["DE", "FR"] * 1000})
    result = wasi_udf.apply(code, table, rows="any", host_functions=[rates.rate])
    assert result["f"].to_pylist() == [0.19, 0.0, 0.2, 0.0] * 1000


def test_a_callable_that_yields_is_shipped():
    scale = 10

    def times(i: int, n: int = 2):
        for factor in range(n):
            yield i * factor * scale

    function = wasi_udf.batch_function(times, {"m": "BIGINT"}, rows="any")
    again = pickle.loads(pickle.dumps(function))
    for each in (function, again):
        assert each(pa.table({"i": [1, 2]}))["m"].to_pylist() == [0, 10, 0, 20]
        assert each(pa.table({"i": [5], "n": [0]})).num_rows == 0


def test_mistakes_in_functions_of_many_rows():
    table = pa.table({"i": range(5000)})
    late = "def late(i: int) -> Iterator[float]:\n  yield 1 / (i - 4000)"
    with pytest.raises(GuestError, match="late: ZeroDivisionError") as caught:
        wasi_udf.apply(late, table, rows="any")
    assert (caught.value.row, caught.value.arguments) == (4000, ("4000",))
    kept = wasi_udf.apply(late, table, rows="any", exception_handling="return_null")
    assert kept["i"].to_pylist() == [i for i in range(5000) if i != 4000]
    for code, columns, message in (
        ("lambda i: str(i)", {"n": "VARCHAR"}, "it yields rows, or returns an iterable"),
        ("def f(i: int) -> int: return i", None, "the annotation 'int' of the result is not that of rows"),
        ("class F:\n  def process(self, i): yield i", {"n": "INT"}, "F is a class; .* write a function"),
    ):
        with pytest.raises(GuestError, match=message):
            wasi_udf.apply(code, table, columns, rows="any")
    for code, columns, message in (
        ("def f(i): yield i", None, r"annotate the function's result, as in -> Iterator\[float\]"),
        ("def f(i: Column[int]) -> list[int]: return i", None, "a function of columns returns a value for each row"),
        ("lambda i: [i]", {"n": "UUID"}, "known to DuckDB alone"),
    ):
        with pytest.raises(SignatureError, match=message):
            wasi_udf.apply(code, table, columns, rows="any")
    with pytest.raises(SignatureError, match="rows must be 'one' or 'any', got 'many'"):
        wasi_udf.batch_function(WORDS, rows="many")
    with pytest.raises(SignatureError) as caught:
        wasi_udf.batch_function(WORDS)
    assert "rows='any'" in caught.value.__notes__[0]


def test_endless_rows_end_at_a_limit():
    limits = ResourceLimits(memory_bytes=64 * 2**20, timeout_seconds=20)
    endless = wasi_udf.batch_function("def f(i: int) -> Iterator[int]:\n  while i: yield i", rows="any", limits=limits)
    with pytest.raises(LimitExceeded, match="memory_bytes"):
        endless(pa.table({"i": [1]}))
    assert endless(pa.table({"i": [0]})).num_rows == 0


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
