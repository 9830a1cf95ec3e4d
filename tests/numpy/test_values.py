"""Values of numpy that row functions return, and annotations with its classes, against DuckDB's types and JSON."""

import datetime as dt
import json

import numpy as np
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import GuestError, SignatureError
from tests.numpy.conftest import HEADER

pytestmark = pytest.mark.shared_sandbox


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("np.float64(1.5)", 1.5),
        ("np.float32(1.5)", 1.5),
        ("np.int64(-3)", -3),
        ("np.uint8(3)", 3),
        ("np.bool_(True)", True),
        ("np.str_('ä')", "ä"),
        ("np.bytes_(b'x')", b"x"),
        ("np.datetime64('2020-02-29')", dt.date(2020, 2, 29)),
        ("np.datetime64('2020-02')", dt.date(2020, 2, 1)),
        ("np.datetime64('2020-02-29T12:00:00.000000001')", dt.datetime(2020, 2, 29, 12)),
        ("np.datetime64('NaT')", None),
        ("np.timedelta64(3, 'h')", dt.timedelta(hours=3)),
        ("np.longdouble(1.5)", 1.5),
        ("np.array([1, 2])", [1, 2]),
        ("np.array(5)", 5),
        ("np.ma.masked", None),
        ("np.ma.array([1, 2], mask=[0, 1])", [1, None]),
        ("[np.int32(1), np.float64(2)]", [1.0, 2.0]),
        ("{'a': np.int32(1), 'b': [np.str_('x')]}", {"a": 1, "b": ["x"]}),
        ("np.array(['2020-01-01', 'NaT'], 'M8[D]')", [dt.date(2020, 1, 1), None]),
    ],
)
def test_numpy_scalars_are_results(con, sandbox, expression, expected):
    found = con.execute("SELECT py_udf($1, 1)", [HEADER + f"def f(x): return {expression}"]).fetchone()[0]
    assert found == expected
    assert type(found) is type(expected)


def test_scalars_of_numpy_are_annotations_too(con, sandbox):
    code = (
        HEADER
        + "def f(x: np.float32, y: np.int64 | None) -> np.float64: return type(x).__name__ == 'float32' and x + 1"
    )
    assert con.execute("SELECT py_udf($1, 1.5, NULL)", [code]).fetchone() == (2.5,)


def test_a_row_function_may_return_an_array(con, sandbox):
    code = HEADER + "def f(n: int) -> NDArray[np.float64]: return np.linspace(0, 1, n)"
    assert con.execute("SELECT py_udf($1, 3)", [code]).fetchone() == ([0.0, 0.5, 1.0],)


# ---- inside of dicts and lists -----------------------------------------------------------------------------------

INSIDE = [
    ("{'a': np.int64(1), 'b': np.float64(2.5)}", {"a": 1, "b": 2.5}),
    ("[np.bool_(True), None, np.False_]", [True, None, False]),
    ("{'a': {'b': [np.array([1, 2]), np.array([3])]}}", {"a": {"b": [[1, 2], [3]]}}),
    ("{np.str_('k'): np.str_('v')}", {"k": "v"}),
    ("{'m': np.arange(4).reshape(2, 2)}", {"m": [[0, 1], [2, 3]]}),
    ("{'s': np.array(['ä', 'b'])}", {"s": ["ä", "b"]}),
    ("{'s': np.array(['ä', 'b'], 'T')}", {"s": ["ä", "b"]}),
    ("{'n': np.ma.masked, 'l': [np.ma.array([1, 2], mask=[0, 1])]}", {"n": None, "l": [[1, None]]}),
    ("{'v': np.array((1, 2.5), 'i4,f8')}", {"v": {"f0": 1, "f1": 2.5}}),
    ("[np.float16(0.5), np.float32(0.5), np.longdouble(0.5)]", [0.5, 0.5, 0.5]),
    ("[np.uint64(2**64 - 1)]", [2**64 - 1]),
    ("{'z': np.array(5), 'e': np.array([])}", {"z": 5, "e": []}),
    ("{'t': (np.int64(1), np.int64(2))}", {"t": [1, 2]}),
]


@pytest.mark.parametrize(("expression", "expected"), INSIDE)
def test_numpy_values_inside_of_results(con, sandbox, expression, expected):
    code = HEADER + f"def f(x): return {expression}"
    assert con.execute("SELECT py_udf($1, 1)", [code]).fetchone() == (expected,)
    assert json.loads(con.execute("SELECT py_udf_json($1, 1)", [code]).fetchone()[0]) == expected


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 2049])
def test_numpy_values_in_the_json_of_batches(con, sandbox, size):
    code = HEADER + "def f(x): return {'n': np.int64(x), 'l': np.array([x, x / 2]), np.int64(7): None}"
    rows = con.execute(f"SELECT py_udf_json($1, i) FROM range({size}) t(i)", [code]).fetchall()
    assert [json.loads(row[0]) for row in rows] == [{"n": i, "l": [i, i / 2], "7": None} for i in range(size)]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("{'a': [np.complex128(1)]}", "complex"),
        ("[np.nan, np.int64(1)]", "nan"),
        ("[{1, 2}, np.int64(1)]", "set"),
        ("[np.datetime64('2020-01-01')]", "date"),
        ("{(np.int64(1), 2): 3}", "tuple"),
    ],
)
def test_what_json_has_not_is_an_error(con, failing, expression, message):
    code = HEADER + f"def f(x): return {expression}"
    assert message in str(failing("SELECT py_udf_json($1, 1)", [code], error=GuestError))
    cycle = HEADER + "def f(x):\n    a = [np.int64(1)]\n    a.append(a)\n    return a"
    failing("SELECT py_udf_json($1, 1)", [cycle], error=GuestError)


def test_keys_of_a_class_of_their_own_name_fields(con, sandbox):
    code = "import enum\nclass K(enum.StrEnum):\n    A = 'a'\n    B = 'b'\ndef f(x): return {K.A: x, K.B: None, 'c': 1}"
    assert con.execute("SELECT py_udf($1, 5)", [code]).fetchone() == ({"a": 5, "b": None, "c": 1},)


# ---- annotations -------------------------------------------------------------------------------------------------

ANNOTATIONS = [
    ("np.float64", "DOUBLE", "np.float64(x)"),
    ("np.float32 | None", "FLOAT", "x"),
    ("np.int8", "TINYINT", "np.int64(x)"),
    ("np.uint16", "USMALLINT", "x"),
    ("np.bool_", "BOOLEAN", "np.True_"),
    ("np.str_", "VARCHAR", "str(x)"),
    ("np.bytes_", "BLOB", "b'x'"),
    ("np.datetime64", "TIMESTAMP", "np.datetime64('2020-01-01')"),
    ("np.timedelta64", "INTERVAL", "np.timedelta64(1, 'D')"),
    ("np.longdouble", "DOUBLE", "np.longdouble(x)"),
    ("np.integer", "BIGINT", "np.int8(x)"),
    ("np.floating", "DOUBLE", "np.float32(x)"),
    ("list[np.float64]", "DOUBLE[]", "[np.float64(x), x]"),
    ("list[np.int32 | None]", "INTEGER[]", "[np.int32(x), None]"),
    ("dict[str, np.int64]", "MAP(VARCHAR, BIGINT)", "{'a': np.int64(x)}"),
    ("list[NDArray[np.float64]]", "DOUBLE[][]", "[np.ones(2), [x]]"),
    ("dict[str, NDArray[np.int16]]", "MAP(VARCHAR, SMALLINT[])", "{'a': np.ones(2, 'i2')}"),
    ("Point", "STRUCT(x DOUBLE, y SMALLINT[])", "Point(np.float64(x), np.ones(2, int))"),
    ("list[Point]", "STRUCT(x DOUBLE, y SMALLINT[])[]", "[Point(x, [1])]"),
]
POINT = "from typing import NamedTuple\nclass Point(NamedTuple):\n    x: np.float64\n    y: NDArray[np.int16]\n"


@pytest.mark.parametrize(("annotation", "sql", "expression"), ANNOTATIONS)
def test_annotations_with_numpys_classes(con, sandbox, annotation, sql, expression):
    code = HEADER + POINT + f"def f(x: np.int64) -> {annotation}: return {expression}"
    sandbox.create_function(con, "g", code)
    assert con.execute("SELECT typeof(g(1))").fetchall() == [(sql,)]
    assert con.execute("SELECT count(g(i % 99)) FROM range(2049) t(i)").fetchall() == [(2049,)]
    # The same as a parameter.
    code = HEADER + POINT + f"def h(x: {annotation}) -> str: return type(x).__name__"
    sandbox.create_function(con, "h", code)
    assert con.execute("SELECT count(h(g(1)))").fetchall() == [(1,)]


def test_arguments_are_what_their_annotations_name(con, sandbox):
    code = (
        HEADER
        + POINT
        + (
            "def f(a: list[np.float32], b: dict[str, NDArray[np.float64]], c: Point) -> list[str]:\n"
            "    return [type(a[0]).__name__, b['k'].dtype.name, type(c.x).__name__, c.y.dtype.name, str(b['k'].sum())]"
        )
    )
    found = con.execute("SELECT py_udf($1, [1, 2], MAP {'k': [1.5, 2.5]}, {'x': 1, 'y': [1, 2]})", [code]).fetchone()[0]
    assert found == ["float32", "float64", "float64", "int16", "4.0"]


@pytest.mark.parametrize("annotation", ["np.float64", "np.float32", "np.int32", "float", "np.number"])
def test_a_column_of_numpys_classes(con, sandbox, annotation):
    code = HEADER + f"def f(xs: Column[{annotation}]) -> Column[{annotation}]: return np.asarray(xs) * 2"
    found = con.execute("SELECT py_udf($1, i) FROM range(2049) t(i)", [code]).fetchall()
    assert found == [(2 * i,) for i in range(2049)]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ("np.complex128", "complex128"),
        ("list[np.complex64]", "complex64"),
        ("list[np.ndarray]", "NDArray[np.float64]"),
        ("dict[str, np.ndarray]", "NDArray[np.float64]"),
        ("Column[np.ndarray]", "NDArray[np.float64]"),
        ("NDArray[np.complex128]", "complex128"),
    ],
)
def test_annotations_without_a_sql_type_say_what_to_write(failing, annotation, message):
    given = "Column[int]" if annotation.startswith(("Column", "NDArray")) else "int"
    for code in (f"def f(x: {annotation}): return 1", f"def f(x: {given}) -> {annotation}: return 1"):
        assert message in str(failing("SELECT py_udf($1, 1)", [HEADER + code], error=SignatureError))


def test_numpys_classes_in_the_rows_of_a_table(con, sandbox):
    code = HEADER + (
        "from typing import Iterator\n"
        "def rows(n: int) -> Iterator[tuple[np.int16, np.float32]]:\n"
        "    for i in range(n):\n        yield np.int16(i), np.float32(i / 2)"
    )
    sandbox.create_table_function(con, "rows", code)
    found = con.execute("SELECT typeof(col0), typeof(col1), sum(col1) FROM rows(3) GROUP BY ALL").fetchall()
    assert found == [("SMALLINT", "FLOAT", 1.5)]


def test_host_functions_are_annotated_with_numpys_classes(con):
    def double(x: np.float64) -> np.float64:
        assert isinstance(x, np.float64)
        return x * 2

    with wasi_udf.Sandbox(host_functions=[wasi_udf.HostFunction(double)]).install(con):
        code = "import host\ndef f(x): return host.double(x)"
        assert con.execute("SELECT py_udf($1, 1.5)", [code]).fetchone() == (3.0,)
