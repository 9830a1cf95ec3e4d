"""Columns as arrays, and arrays as results, against numpy and SQL on the host."""

import datetime as dt
import re

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import GuestError, SignatureError
from tests.numpy.conftest import HEADER

pytestmark = pytest.mark.shared_sandbox

TYPES = {
    "TINYINT": "int8",
    "SMALLINT": "int16",
    "INTEGER": "int32",
    "BIGINT": "int64",
    "UTINYINT": "uint8",
    "USMALLINT": "uint16",
    "UINTEGER": "uint32",
    "UBIGINT": "uint64",
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "BOOLEAN": "bool",
    "DATE": "datetime64[D]",
    "TIMESTAMP": "datetime64[us]",
    "TIMESTAMP_S": "datetime64[s]",
    "TIMESTAMP_MS": "datetime64[ms]",
    "TIMESTAMP_NS": "datetime64[ns]",
    "TIMESTAMPTZ": "datetime64[us]",
    "VARCHAR": "StringDType()",
    "INTERVAL": "timedelta64[us]",
    "DECIMAL(9,2)": "object",
    "HUGEINT": "object",
    "BLOB": "object",
}
# A value of each type as SQL, for casts that numbers don't have.
VALUES = {
    "DATE": "'2020-02-29'",
    "VARCHAR": "'ä'",
    "INTERVAL": "'3 days'",
    "UUID": "'00000000-0000-0000-0000-000000000001'",
    "BLOB": "'x'",
    "BOOLEAN": "true",
} | {name: "'2020-02-29 12:00:00'" for name in TYPES if name.startswith("TIMESTAMP")}


@pytest.mark.parametrize(("sql", "dtype"), TYPES.items(), ids=list(TYPES))
def test_each_type_has_a_dtype(con, sandbox, sql, dtype):
    code = HEADER + "def f(xs: np.ndarray) -> list[str]: return [str(xs.dtype)] * len(xs)"
    query = f"SELECT py_udf($1, CAST({VALUES.get(sql, '7')} AS {sql})) FROM range(3)"
    assert con.execute(query, [code]).fetchall() == [(dtype,)] * 3


@pytest.mark.parametrize("sql", [name for name in TYPES if name not in ("DECIMAL(9,2)", "HUGEINT", "BLOB")])
def test_what_comes_in_can_go_out(con, sandbox, sql):
    code = HEADER + "def f(xs: np.ndarray): return xs"
    query = f"SELECT x, py_udf($1, x)::{sql} FROM (SELECT CAST({VALUES.get(sql, '7')} AS {sql}) AS x FROM range(3))"
    assert all(left == right for left, right in con.execute(query, [code]).fetchall())


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 2049, 5000])
def test_arithmetic_is_that_of_numpy(table, run, size):
    found = run(
        "def f(xs: NDArray[np.float64]) -> NDArray[np.float64]: return np.sqrt(xs * xs + 1)", f"FROM t LIMIT {size}"
    )
    assert np.array_equal(found, np.sqrt(np.arange(size) ** 2.0 + 1))


def test_numbers_are_a_view_of_the_batch(table, run):
    code = """def f(column: Column) -> list[bool]:
        array = np.asarray(column)
        at = np.frombuffer(memoryview(column), np.int64).__array_interface__["data"]
        assert not array.flags.writeable and not array.flags.owndata
        return [array.__array_interface__["data"][0] == at[0]] * len(column)"""
    assert set(run(code)) == {True}


def test_an_annotated_array_is_that_view(table, run):
    code = "def f(xs: np.ndarray) -> list[bool]: return [xs.base is not None and not xs.flags.owndata] * len(xs)"
    assert set(run(code)) == {True}


def test_times_are_views_too(table, run):
    code = "def f(xs: np.ndarray) -> list[bool]: return [not xs.flags.owndata and not xs.flags.writeable] * len(xs)"
    assert set(run(code, columns="t")) == {True}


def test_a_read_only_view_says_so(table, run, failing):
    code = HEADER + "def f(xs: np.ndarray):\n    xs += 1\n    return xs"
    assert "read-only" in str(failing("SELECT py_udf($1, x) FROM t", [code], error=GuestError))


def test_no_copy_is_an_error_where_one_is_needed(table, failing):
    code = HEADER + "def f(xs: Column): return np.array(xs, copy=False)"
    assert "without a copy" in str(failing("SELECT py_udf($1, s) FROM t", [code], error=GuestError))
    assert "without a copy" in str(
        failing("SELECT py_udf($1, b) FROM t", [HEADER + "def f(xs: Column): return xs.to_numpy(zero_copy_only=True)"])
    )


@pytest.mark.parametrize("asked", ["np.asarray(xs)", "xs.to_numpy()", "np.array(xs)", "np.asarray(xs, np.float32)"])
def test_a_column_becomes_an_array_by_any_of_its_ways(table, run, asked):
    assert run(f"def f(xs: Column): return {asked} * 2") == [2 * i for i in range(5000)]


# ---- texts, bools and lists --------------------------------------------------------------------------------------


def test_texts_of_any_length(con, sandbox, run):
    texts = ["", "a", "ä" * 7, "x" * 15, "y" * 16, "z" * 300, "\U0001f600", "a\0b"]
    con.execute("CREATE TABLE texts AS SELECT unnest($1::VARCHAR[]) AS x", [texts])
    assert run("def f(xs: np.ndarray) -> np.ndarray: return xs", "FROM texts") == texts
    assert run("def f(xs: np.ndarray): return np.strings.upper(xs)", "FROM texts") == [text.upper() for text in texts]
    assert run("def f(xs: np.ndarray): return np.array(list(xs), dtype='U300')", "FROM texts") == texts
    assert run("def f(xs: np.ndarray) -> NDArray[np.int64]: return np.strings.str_len(xs)", "FROM texts") == list(
        map(len, texts)
    )


def test_bools_are_unpacked(table, run):
    assert run("def f(xs: np.ndarray) -> NDArray[np.bool_]: return ~xs", columns="b") == [
        i % 3 > 0 for i in range(5000)
    ]


def test_bools_from_the_middle_of_a_vector(table, run):
    query = "SELECT b FROM t WHERE x % 5 = 2"
    assert run("def f(xs: np.ndarray): return xs", query, "b") == [i % 3 == 0 for i in range(2, 5000, 5)]


def test_lists_of_equal_length_have_two_dimensions(table, run):
    assert run("def f(xs: np.ndarray): return xs.sum(axis=1)", columns="l") == [2 * i + 1 for i in range(5000)]
    assert run("def f(xs: np.ndarray): return xs.sum(axis=1)", columns="l::BIGINT[2]") == [
        2 * i + 1 for i in range(5000)
    ]
    assert run("def f(xs: np.ndarray): return xs.shape[1] * np.ones(len(xs))", "FROM t LIMIT 4", "[l, l]")[0] == 2


def test_lists_of_unequal_length_are_an_error(con, sandbox, failing):
    code = HEADER + "def f(xs: np.ndarray): return xs.sum(axis=1)"
    message = str(failing("SELECT py_udf($1, range(i)) FROM range(1, 5) t(i)", [code], error=GuestError))
    assert "have 1 to 4 values" in message


def test_rows_of_an_array_are_lists(table, run):
    found = run("def f(xs: np.ndarray): return np.stack([xs, xs * 2], axis=1)")
    assert found == [[i, 2 * i] for i in range(5000)]
    found = run("def f(xs: np.ndarray) -> Annotated[np.ndarray, 'DOUBLE[2]']: return np.stack([xs, xs / 2], axis=1)")
    assert found == [[i, i / 2] for i in range(5000)]
    assert run("def f(xs: np.ndarray): return np.zeros((len(xs), 1, 2))", "FROM t LIMIT 2") == [[[0, 0]], [[0, 0]]]


# ---- results -----------------------------------------------------------------------------------------------------

DTYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "?", ">i4", ">f8", "longdouble"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_of_each_dtype(table, run, dtype):
    found = run(f"def f(xs: np.ndarray): return (xs % 100).astype('{dtype}')")
    assert found == (np.arange(5000) % 100).astype(dtype).tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "sql", ["TINYINT", "INTEGER", "BIGINT", "UBIGINT", "FLOAT", "DOUBLE", "DECIMAL(9,2)", "HUGEINT"]
)
def test_declared_results_of_each_dtype(con, sandbox, dtype, sql):
    if dtype == "?":
        pytest.skip("bool is no number for a declared type, as with any function")
    sandbox.create_function(con, "g", HEADER + f"def f(xs: np.ndarray): return xs.astype('{dtype}')", ["BIGINT"], sql)
    assert con.execute("SELECT g(i), i FROM range(9) t(i)").fetchall() == [(i, i) for i in range(9)]


@pytest.mark.parametrize(
    "strange", ["xs[::2].repeat(2)", "np.flip(xs)[::-1]", "xs.reshape(-1, 1)[:, 0]", "np.matrix(xs).A1"]
)
def test_results_of_any_layout(table, run, strange):
    code = f"def f(xs: np.ndarray): return {strange}"
    expected = np.arange(2000)
    if "repeat" in strange:
        expected = expected[::2].repeat(2)
    assert run(code, "FROM t LIMIT 2000") == expected.tolist()


def test_a_structured_array_is_rows_of_structs(table, run):
    code = (
        "def f(xs: np.ndarray):\n    a = np.zeros(len(xs), [('a', 'i4'), ('b', 'U3')])\n    a['a'] = xs\n    return a"
    )
    assert run(code, "FROM t LIMIT 2") == [{"a": 0, "b": ""}, {"a": 1, "b": ""}]


def test_nat_becomes_null(table, run):
    code = (
        "def f(xs: np.ndarray): return np.where(xs == 1, np.datetime64('NaT', 's'), np.datetime64('2020-01-01', 's'))"
    )
    moment = dt.datetime(2020, 1, 1)
    assert run(code, "FROM t LIMIT 3") == [moment, None, moment]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("np.array([object()] * len(xs))", "an array of objects"),
        ("xs * 1j", "complex numbers"),
        ("xs[:-1]", "values for a batch of"),
        ("np.float64(1)", "an array without a dimension|no iterable"),
        ("np.array(1)", "an array without a dimension"),
        ("np.full(len(xs), np.datetime64(10**15, 'D'))", "outside of the dates|out of range|date"),
        ("np.full(len(xs), 'NaT', 'M8')", "without a unit"),
        ("np.empty(10**12)", "Maximum allowed dimension exceeded|maximum supported|array is too big"),
    ],
)
def test_results_that_are_no_column(table, failing, expression, message):
    error = failing("SELECT py_udf($1, x) FROM t", [HEADER + f"def f(xs: np.ndarray): return {expression}"])
    assert re.search(message, str(error))


def test_a_wrong_dtype_is_an_error(con, sandbox, failing):
    sandbox.create_function(con, "g", HEADER + "def f(xs: np.ndarray): return xs + 0.5", ["BIGINT"], "BIGINT")
    assert "BIGINT" in str(failing("SELECT g(1)", error=GuestError))
    sandbox.create_function(con, "h", HEADER + "def f(xs: np.ndarray): return xs + 1000", ["BIGINT"], "TINYINT")
    assert "TINYINT" in str(failing("SELECT h(1)", error=GuestError))


def test_an_array_that_is_kept_is_an_error(table, failing, run):
    code = HEADER + "kept = []\ndef f(xs: np.ndarray):\n    kept.append(xs[:2])\n    return xs"
    error = failing("SELECT py_udf($1, x) FROM t", [code], error=GuestError)
    assert "keep array.copy()" in str(error)
    assert "row " not in str(error).partition("Traceback")[0].partition("ValueError")[2]
    code = "kept = []\ndef f(xs: np.ndarray):\n    kept.append(xs[:2].copy())\n    return xs"
    assert len(run(code)) == 5000


def test_a_cycle_around_an_array_is_none_that_is_kept(table, run):
    code = "def f(xs: np.ndarray):\n    cycle = [xs]\n    cycle.append(cycle)\n    return xs"
    assert len(run(code)) == 5000


def test_an_annotation_of_what_sql_has_not(failing):
    error = failing(
        "SELECT py_udf($1, 1)", [HEADER + "def f(xs: NDArray[np.complex128]): return xs"], error=SignatureError
    )
    assert "complex128" in str(error)


def test_arrays_and_values_are_not_mixed(failing):
    code = HEADER + "def f(xs: np.ndarray, y: int): return xs"
    failing("SELECT py_udf($1, 1, 2)", [code], error=GuestError)


# ---- aggregates and tables ---------------------------------------------------------------------------------------


def test_an_aggregate_over_arrays(table):
    code = HEADER + "def f(xs: np.ndarray) -> float: return np.median(xs)"
    found = table.execute("SELECT x % 9, py_agg($1, list(d)) FROM t GROUP BY 1 ORDER BY 1", [code]).fetchall()
    assert found == table.execute("SELECT x % 9, median(d) FROM t GROUP BY 1 ORDER BY 1").fetchall()


def test_an_aggregate_of_two_columns_leaves_null_out(table):
    code = HEADER + "def f(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> float: return np.corrcoef(xs, ys)[0, 1]"
    found = table.execute(
        "SELECT x % 3, py_agg($1, list(n), list(d * x)) FROM t GROUP BY 1 ORDER BY 1", [code]
    ).fetchall()
    expected = table.execute("SELECT x % 3, corr(n, d * x) FROM t GROUP BY 1 ORDER BY 1").fetchall()
    assert np.allclose(found, expected)


def test_an_aggregate_sees_null_as_it_is_annotated(table):
    for annotation, expression in (("np.ndarray | None", "np.isnan(xs).sum()"), ("np.ma.MaskedArray", "xs.mask.sum()")):
        code = HEADER + f"def f(xs: {annotation}) -> int: return {expression}"
        assert table.execute("SELECT py_agg($1, list(n)) FROM t", [code]).fetchone() == (715,)


def test_an_aggregate_of_a_large_group(con, sandbox):
    code = HEADER + "def f(xs: np.ndarray) -> int: return int(xs.sum())"
    found = con.execute("SELECT py_agg($1, list(i)) FROM range(200000) t(i)", [code]).fetchone()
    assert found == (sum(range(200000)),)


def test_an_aggregate_may_return_an_array(table):
    code = HEADER + "def f(xs: np.ndarray) -> NDArray[np.float64]: return np.quantile(xs, [0, 1])"
    assert table.execute("SELECT py_agg($1, list(x)) FROM t", [code]).fetchone() == ([0.0, 4999.0],)


def test_an_aggregate_over_no_rows(table):
    code = HEADER + "def f(xs: np.ndarray) -> int: return len(xs)"
    assert table.execute("SELECT py_agg($1, list(x)) FROM t WHERE x < 0", [code]).fetchone()[0] in (0, None)


def test_a_table_function_of_arrays(con, sandbox):
    code = (
        HEADER
        + """from duckdb_wasi_udf import Columns
def f(n: int) -> Iterator[Columns[tuple[int, float, str, date]]]:
    days = np.datetime64("2000-01-01") + np.arange(n)
    yield Columns(np.arange(n), np.arange(n) / 2, np.arange(n).astype("U"), days)"""
    )
    found = con.execute("SELECT * FROM py_table($1, args := {'n': 5000})", [code]).fetchall()
    expected = [(i, i / 2, str(i), dt.date(2000, 1, 1) + dt.timedelta(i)) for i in range(5000)]
    assert found == expected


# ---- declared functions and other shapes -------------------------------------------------------------------------


def test_a_declared_function_takes_arrays(con, sandbox):
    sandbox.create_function(
        con,
        "hypot",
        HEADER + "def hypot(xs: np.ndarray, ys: np.ndarray): return np.hypot(xs, ys)",
        ["DOUBLE"] * 2,
        "DOUBLE",
    )
    assert con.execute("SELECT hypot(3, 4), hypot(NULL, 4)").fetchone() == (5.0, None)


def test_a_callable_with_numpy_is_shipped(con, sandbox):
    weights = np.array([1.0, 2.0, 3.0])

    def weighted(xs: np.ndarray) -> np.ndarray:
        return xs * weights.sum()

    sandbox.create_function(con, "weighted", weighted, ["DOUBLE"], "DOUBLE")
    assert con.execute("SELECT sum(weighted(i)) FROM range(3) t(i)").fetchone() == (18.0,)


def test_threads_use_arrays_at_once(sandbox, con):
    con.execute("SET threads = 2")
    code = HEADER + "def f(xs: NDArray[np.float64]) -> NDArray[np.float64]: return np.log1p(xs)"
    found = con.execute("SELECT sum(py_udf_double($1, i)) FROM range(500000) t(i)", [code]).fetchone()[0]
    assert found == pytest.approx(np.log1p(np.arange(500000)).sum())


def test_duckdb_arrow_functions_move_with_small_edits(con, sandbox):
    """The example of the migration page: DuckDB's own function on the left."""

    def native(xs):
        values = xs.to_numpy()
        return pa.array(np.where(values > 1, values * 2, 0))

    con.create_function("native", native, ["BIGINT"], "BIGINT", type="arrow")
    moved = HEADER + "def f(xs: Column):\n    values = xs.to_numpy()\n    return np.where(values > 1, values * 2, 0)"
    assert con.execute(
        "SELECT bool_and(native(i) = py_udf($1, i)::BIGINT) FROM range(5000) t(i)", [moved]
    ).fetchone() == (True,)


def test_the_sandbox_can_be_closed_while_numpy_is_used():
    with duckdb.connect() as con:
        sandbox = wasi_udf.Sandbox().install(con)
        con.execute("SELECT py_udf('import numpy as np\nf = lambda x: np.float64(x)', 1)").fetchall()
        sandbox.close()
        with pytest.raises(duckdb.InvalidInputException, match="closed"):
            con.execute("SELECT py_udf('import numpy as np\nf = lambda x: np.float64(x)', 1)").fetchall()
