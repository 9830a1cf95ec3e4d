"""Table functions that give whole column batches, against the same rows one by one and plain SQL."""

import array

import duckdb
import pytest

from duckdb_wasi_udf import Columns, GuestError

pytestmark = pytest.mark.shared_sandbox

IMPORT = "import array\nfrom duckdb_wasi_udf import Columns\n"

# Yields rows `start` to `stop` in batches of the size given.
BATCHES = (
    IMPORT
    + """
def rows(n: int, size: int) -> Iterator[Columns[tuple[int, str | None]]]:
    for start in range(0, n, size):
        numbers = range(start, min(n, start + size))
        yield Columns(array.array("q", numbers), [None if i % 7 == 0 else f"s{i}" for i in numbers])
"""
)
IN_SQL = "SELECT i AS col0, CASE WHEN i % 7 > 0 THEN 's' || i END AS col1 FROM range({}) r(i)"


@pytest.fixture
def batches(con, sandbox):
    sandbox.create_table_function(con, "batches", BATCHES)
    return con


@pytest.mark.parametrize("n", [0, 1, 2047, 2048, 2049, 10_000])
@pytest.mark.parametrize("size", [1, 1000, 2048, 2049, 100_000])
def test_batches_of_any_size_are_the_rows_in_order(batches, n, size):
    if size == 1:
        n = min(n, 2049)
    result = batches.execute("FROM batches($1, $2)", [n, size])
    assert [(name, str(kind)) for name, kind, *_ in result.description] == [("col0", "BIGINT"), ("col1", "VARCHAR")]
    assert result.fetchall() == batches.execute(IN_SQL.format(n)).fetchall()


@pytest.mark.parametrize(
    "columns",
    [
        "Columns(a=[1, 2, None], b=['x', None, 'z'])",
        "Columns(b=('x', None, 'z'), a=(1, 2, None))",
        "Columns(**{'a': iter([1, 2, None]), 'b': ['x', None, 'z']})",
        "Columns([1, 2, None], ['x', None, 'z'])",
        "Columns({'a': 1, 'b': 2, None: 3}.values(), dict.fromkeys(['x', None, 'z']).keys())",
    ],
)
@pytest.mark.parametrize("schema", [True, False])
def test_columns_are_told_by_name_or_position(con, sandbox, columns, schema):
    code = f"{IMPORT}def f(): yield {columns}"
    declared = ", schema := {'a': 'TINYINT', 'b': 'VARCHAR'}" if schema else ""
    result = con.execute(f"FROM py_table($1{declared})", [code])
    names = [name for name, *_ in result.description]
    rows = result.fetchall()
    wanted = ["a", "b"]
    if not schema and "=" not in columns and "**" not in columns:
        wanted = ["col0", "col1"]
    if names != wanted:  # by name, the order is that of the first batch
        assert (sorted(names), schema) == (wanted, False)
        rows = [row[::-1] for row in rows]
    assert rows == [(1, "x"), (2, None), (None if "None: 3" not in columns else 3, "z")]


def test_rows_and_columns_mix_and_a_missing_column_is_null(con, sandbox):
    code = f"""{IMPORT}
def f() -> Iterator[dict]:
    yield {{"a": 0, "b": "zero"}}
    yield Columns(a=range(1, 4000))
    yield None
    yield Columns(b=["x", "y"])
    yield Columns(a=[], b=[])
    yield 7, "seven"
"""
    expected = [(0, "zero"), *[(i, None) for i in range(1, 4000)], (None, None), (None, "x"), (None, "y"), (7, "seven")]
    declared = "FROM py_table($1, schema := {'a': 'BIGINT', 'b': 'VARCHAR'})"
    assert con.execute(declared, [code]).fetchall() == expected
    inferred = code.replace("    yield 7", "    return\n    yield 7").replace("yield None", "yield {}")
    assert con.execute("FROM py_table($1)", [inferred]).fetchall() == expected[:-1]


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        ("int", "Columns(range(3))", [0, 1, 2]),
        ("float", "Columns([0, 1.5, None])", [0.0, 1.5, None]),
        ("float", "Columns(array.array('d', [0.5, 1.5]))", [0.5, 1.5]),
        ("float", "Columns(array.array('q', [1, 2]))", [1.0, 2.0]),
        ("int", "Columns(array.array('i', [1, -2]))", [1, -2]),
        ("int", "Columns(memoryview(array.array('q', range(9)))[::4])", [0, 4, 8]),
        ("int", "Columns(b'ab')", [97, 98]),
        ("list[int]", "Columns([[1], []])", [[1], []]),
        ("Annotated[int, 'UBIGINT']", "Columns(array.array('Q', [2**64 - 1]))", [2**64 - 1]),
        ("Annotated[int, 'HUGEINT']", "Columns([2**100, 1, None])", [2**100, 1, None]),
        ("bool", "Columns([True, None, False])", [True, None, False]),
        ("str", "Columns(['ä', '', None, '🦆' * 5000])", ["ä", "", None, "🦆" * 5000]),
    ],
)
def test_a_single_column_gives_the_values_alone(con, sandbox, row, column, expected):
    code = f"{IMPORT}def f() -> Iterator[{row}]: yield {column}"
    assert [value for (value,) in con.execute("FROM py_table($1)", [code]).fetchall()] == expected


def test_the_types_of_later_rows_widen_the_first_batch(con, sandbox):
    code = f"{IMPORT}def f():\n    yield Columns(a=[None, 1, 2**70], b=array.array('q', [1, 2, 3]))\n"
    code += "    yield Columns(a=[5], b=[0.5])"
    result = con.execute("SELECT a, b, typeof(a), typeof(b) FROM py_table($1)", [code]).fetchall()
    types = ("HUGEINT", "DOUBLE")
    assert result == [(None, 1.0, *types), (1, 2.0, *types), (2**70, 3.0, *types), (5, 0.5, *types)]


def test_a_buffer_may_be_changed_once_its_rows_are_given(con, sandbox):
    code = f"""{IMPORT}
def f() -> Iterator[int]:
    numbers = array.array("q")
    for i in range(4):
        numbers.extend([i] * 1500)  # an error while a buffer of it is in use
        yield Columns(numbers)
"""
    query = "SELECT py_table AS i, count(*) FROM py_table($1) GROUP BY i ORDER BY i"
    assert con.execute(query, [code]).fetchall() == [(0, 6000), (1, 4500), (2, 3000), (3, 1500)]


def test_all_rows_may_be_returned_as_columns(con, sandbox):
    code = f"{IMPORT}def f() -> Columns[int]: return Columns(range(5000))"
    inferred = f"{IMPORT}def f(): return Columns(a=range(5000))"
    for source in (code, inferred, inferred.replace("f():", "f() -> Columns:")):
        assert con.execute("SELECT count(*) FROM py_table($1)", [source]).fetchall() == [(5000,)]


def test_limit_pulls_no_more_than_it_needs(con, caplog, sandbox):
    code = f"""{IMPORT}
def f() -> Iterator[int]:
    for i in range(10**9):
        print(f"batch {{i}}")
        yield Columns(range(i * 3000, i * 3000 + 3000))
"""
    with caplog.at_level("INFO", logger="duckdb_wasi_udf.guest"):
        assert con.execute("FROM py_table($1) LIMIT 2", [code]).fetchall() == [(0,), (1,)]
    assert "batch 0" in caplog.text
    assert "batch 1" not in caplog.text


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("Columns(a=[1], b=[])", "ValueError: the columns of Columns differ in length: a has 1 values, b has 0 values"),
        ("Columns()", "TypeError: Columns takes columns by position"),
        ("Columns([1], b=[1])", "TypeError: Columns takes columns by position"),
        ("Columns('ab', [1, 2])", "the column col0 of Columns is a str; give it a value for each row"),
        ("Columns(a={1: 2}, b=[1])", "the column a of Columns is a dict"),
        ("Columns(1, 2)", "TypeError: 'int' object is not iterable"),
        ("Columns([1])", "returned a tuple of 1 where its result type STRUCT has 2 fields"),
        ("Columns(a=[1], c=[1])", "returned a dict with the key 'c', which its result type STRUCT doesn't have"),
        ("Columns(a=[1, 2, 'x'], b=[''] * 3)", "returned 'x', which is no BIGINT: .*\nafter 2 rows"),
        ("Columns(a=[1, 2**63], b=[''] * 2)", "OverflowError: .*\nafter 1 rows"),
        ("Columns(a=[1] * 9, b=['s'] * 5 + [b''] * 4)", "returned bytes where .* VARCHAR was declared\nafter 5 rows"),
        ("Columns(a=array.array('d', [1.0, 2.5]), b=['', ''])", "returned 2.5, which is no BIGINT"),
        ("Broken.of(a=[1], b=[1, 2])", "differ in length: 'a' has 1 values, 'b' has 2"),
        ("Broken.of(a=1, b=2)", "a column of Columns is no iterable"),
        ("Columns", "returned type where its result type STRUCT"),
    ],
)
def test_columns_that_do_not_fit_say_why(failing, columns, message):
    code = f"""{IMPORT}
class Broken:
    @staticmethod
    def of(**named):
        columns = Columns(a=[])
        columns.by_name = named
        columns.by_position = False
        return columns

def f(): yield {columns}
"""
    error = failing("FROM py_table($1, schema := {'a': 'BIGINT', 'b': 'VARCHAR'})", [code], error=GuestError)
    assert duckdb.execute("SELECT regexp_matches($1, $2)", [str(error), message]).fetchall() == [(True,)], str(error)


def test_a_list_that_shrinks_while_it_is_read_is_an_error(failing):
    code = f"""{IMPORT}
values = []
def f():
    from decimal import Decimal
    class Number(Decimal):
        def __float__(self): values.clear(); return 1.0
    values.extend([1.0, Number(2), 3.0, 4.0])
    yield Columns(a=values, b=[1.0] * 4)
"""
    error = failing("FROM py_table($1, schema := {'a': 'DOUBLE', 'b': 'DOUBLE'})", [code], error=GuestError)
    assert "a list became shorter while its values were read" in str(error)


def test_columns_are_a_class_of_the_host_too(con, sandbox):
    def squares(n: int) -> "Iterator[Columns[tuple[int, int]]]":  # noqa: F821 - known in the sandbox
        yield Columns(array.array("q", range(n)), [x * x for x in range(n)])

    (columns,) = squares(3)
    assert len(columns) == 3
    assert columns.by_name == {"col0": array.array("q", [0, 1, 2]), "col1": [0, 1, 4]}
    sandbox.create_table_function(con, "squares", squares)
    assert con.execute("FROM squares(3)").fetchall() == list(zip(*columns.by_name.values(), strict=True))
