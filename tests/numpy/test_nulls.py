"""NULL in columns that become arrays."""

import datetime as dt

import pytest

import duckdb_wasi_udf as wasi_udf
from tests.numpy.conftest import HEADER

pytestmark = pytest.mark.shared_sandbox


def test_rows_with_null_are_left_out_by_default(table, run):
    code = "def f(xs: np.ndarray) -> np.ndarray:\n    assert len(xs) < 2048\n    return xs + 1"
    assert run(code, columns="n") == [i + 1 if i % 7 else None for i in range(5000)]


def test_null_is_nan_where_the_annotation_admits_it(table, run):
    found = run(
        "def f(xs: NDArray[np.float64] | None) -> NDArray[np.float64]: return np.nan_to_num(xs, nan=-1)", columns="n"
    )
    assert found == [i if i % 7 else -1 for i in range(5000)]


def test_null_is_masked_in_a_masked_array(table, run):
    code = "def f(xs: np.ma.MaskedArray):\n    assert xs.dtype == int and not xs.data.flags.owndata\n    return xs * 2"
    assert run(code, columns="n") == [2 * i if i % 7 else None for i in range(5000)]


def test_null_is_nat_in_times(table, run):
    found = run("def f(xs: np.ndarray | None): return np.isnat(xs)", "FROM t", "CASE WHEN x % 7 > 0 THEN t END")
    assert found == [i % 7 == 0 for i in range(5000)]
    assert run("def f(xs: np.ndarray | None): return xs", "FROM t LIMIT 3", "CASE WHEN x <> 1 THEN day END") == [
        dt.date(2000, 1, 1), None, dt.date(2000, 1, 3)
    ]  # fmt: skip


def test_null_is_none_in_texts(table, run):
    code = "def f(xs: np.ndarray | None) -> list[bool]: return [x is None for x in xs]"
    assert run(code, "FROM t LIMIT 9", "CASE WHEN x <> 1 THEN s END") == [i == 1 for i in range(9)]
    assert run("def f(xs: np.ndarray | None): return xs", "FROM t LIMIT 3", "CASE WHEN x <> 1 THEN s END") == [
        "ä0", None, "ä2"
    ]  # fmt: skip


def test_null_in_a_boolean_is_none_or_masked(table, run):
    column = "CASE WHEN x % 7 > 0 THEN b END"
    expected = [i % 3 == 0 if i % 7 else None for i in range(5000)]
    assert run("def f(xs: np.ndarray | None) -> list[bool]: return xs.tolist()", columns=column) == expected
    assert (
        run("def f(xs: Column[bool | None]) -> list[bool]: return xs.to_numpy().tolist()", columns=column) == expected
    )
    assert run("def f(xs: np.ma.MaskedArray): return xs", columns=column) == expected
    assert run("def f(xs: np.ndarray | None) -> list[bool]: return [xs.dtype == bool] * len(xs)", columns="b")[0]


@pytest.mark.parametrize("size", [1, 2047, 2048, 2049])
@pytest.mark.parametrize("item", ["BIGINT", "DOUBLE"])
@pytest.mark.parametrize("sql", ["{}[]", "{}[2]"])
def test_a_list_that_is_null_is_a_row_of_nulls(table, run, sql, item, size):
    column = f"CASE WHEN x % 7 > 0 THEN l END::{sql.format(item)}"
    code = "def f(xs: np.ndarray | None): return np.nan_to_num(xs, nan=-1)"
    expected = [[i, i + 1] if i % 7 else [-1, -1] for i in range(1, size + 1)]
    query = f"FROM t WHERE x BETWEEN 1 AND {size}"
    assert run(code, query, column) == expected
    code = (
        f"def f(xs: np.ma.MaskedArray):\n    assert xs.dtype == '{'f8' if item == 'DOUBLE' else 'i8'}'\n    return xs"
    )
    assert run(code, query, column) == [[None, None] if row == [-1, -1] else row for row in expected]
    assert run("def f(xs: np.ndarray): return xs.sum(axis=1)", query, column) == [
        2 * i + 1 if i % 7 else None for i in range(1, size + 1)
    ]


def test_lists_with_null_of_other_types(table, run):
    query = "FROM t LIMIT 8"
    for item, values in {
        "VARCHAR": ["ä", None],
        "BOOLEAN": [True, None],
        "DATE": [dt.date(2020, 2, 29), None],
        "TIMESTAMP": [dt.datetime(2020, 2, 29, 1), None],
    }.items():
        texts = ", ".join("NULL" if value is None else f"'{value}'" for value in values)
        column = f"CASE WHEN x <> 1 THEN [{texts}]::{item}[] END"
        expected = [[None, None] if i == 1 else values for i in range(8)]
        code = "def f(xs: np.ndarray | None): return [[None if isnull(x) else x for x in row] for row in xs.tolist()]"
        code = "def isnull(x): return x is None or x != x\n" + code
        assert run(code, query, column) == expected
        assert run("def f(xs: np.ma.MaskedArray): return xs", query, column) == expected


def test_null_inside_of_lists(table, run):
    column = "[x, CASE WHEN x % 7 > 0 THEN x END]"
    found = run("def f(xs: np.ndarray): return np.nansum(xs, axis=1)", columns=column)
    assert found == [2 * i if i % 7 else i for i in range(5000)]
    assert run("def f(xs: np.ma.MaskedArray): return xs * 2", columns=column) == [
        [2 * i, 2 * i if i % 7 else None] for i in range(5000)
    ]
    assert run("def f(xs: np.ma.MaskedArray): return xs.sum(axis=2)", "FROM t LIMIT 8", f"[{column}, NULL]") == [
        [2 * i if i % 7 else i, None] for i in range(8)
    ]


@pytest.mark.parametrize("dtype", ["np.int64", "np.bool_", "np.uint8"])
@pytest.mark.parametrize("column", ["n % 2", "[n % 2, 1]", "CASE WHEN x > 1 THEN b END"])
def test_null_in_an_array_that_has_none_is_an_error(table, failing, dtype, column):
    code = HEADER + f"def f(xs: Column | None): return np.asarray(xs, {dtype})"
    assert "annotate numpy.ma.MaskedArray" in str(failing(f"SELECT py_udf($1, {column}) FROM t", [code]))


@pytest.mark.parametrize(("dtype", "column"), [("np.int64", "n"), ("np.uint8", "n % 2"), ("np.bool_", "n > 5")])
def test_null_where_the_annotation_has_no_room_for_it(table, failing, dtype, column):
    code = HEADER + f"def f(xs: NDArray[{dtype}] | None): return xs"
    assert "annotate numpy.ma.MaskedArray" in str(failing(f"SELECT py_udf($1, {column}) FROM t", [code]))
    code = HEADER + f"def f(xs: NDArray[{dtype}]): return xs"
    assert table.execute(f"SELECT count(py_udf($1, {column})) FROM t", [code]).fetchall() == [(4285,)]


def test_aggregates_over_booleans_and_lists_with_null(table, run):
    total = [sum(i % 3 == 0 for i in range(5000) if i % 7)]
    column = "list(CASE WHEN x % 7 > 0 THEN b END)"
    assert run("def f(xs: np.ndarray) -> int: return xs.sum()", columns=column, function="py_agg") == total
    code = "def f(xs: np.ndarray | None) -> int: return sum(x for x in xs if x is not None)"
    assert run(code, columns=column, function="py_agg") == total
    assert run("def f(xs: np.ma.MaskedArray) -> int: return xs.sum()", columns=column, function="py_agg") == total
    code = "def f(xs: np.ndarray) -> int: return xs[:, 1].sum()"
    column = "list(CASE WHEN x % 7 > 0 THEN l END)"
    assert run(code, columns=column, function="py_agg") == [sum(i + 1 for i in range(5000) if i % 7)]


def test_all_null(con, sandbox, run):
    assert (
        run("def f(xs: np.ndarray | None) -> np.ndarray: return xs", "SELECT NULL::DOUBLE AS x FROM range(3)")[0] != 0
    )
    assert run("def f(xs: np.ma.MaskedArray): return xs", "SELECT NULL::BIGINT AS x FROM range(3)") == [None] * 3
    assert run("def f(xs: np.ndarray): return xs", "SELECT NULL::BIGINT AS x FROM range(3)") == [None] * 3


@pytest.mark.parametrize(
    ("annotation", "dtype"),
    [
        ("np.ndarray", "int64"),
        ("NDArray[np.float32]", "float32"),
        ("NDArray[np.float64] | None", "float64"),
        ("NDArray[np.object_]", "object"),
        ("np.ma.MaskedArray", "int64 masked"),
        ("np.ma.MaskedArray[tuple[int], np.dtype[np.float64]]", "float64 masked"),
    ],
)
def test_every_instance_converts_its_columns_alike(con, annotation, dtype):
    """The first instance describes for the others what becomes of the arguments."""
    code = HEADER + (
        f"def f(xs: {annotation}, ys: {annotation}) -> list[str]:\n"
        "    masked = ' masked' if isinstance(ys, np.ma.MaskedArray) else ''\n"
        "    return [str(ys.dtype) + masked] * len(xs)"
    )
    with wasi_udf.Sandbox(isolation="batch").install(con):
        rows = con.execute("SELECT DISTINCT py_udf($1, i, i + 1) FROM range(4 * 2048) t(i)", [code]).fetchall()
        assert rows == [(dtype,)]
