"""Functions of the batch shape, and the columns they get, against row functions and SQL."""

import array
import datetime as dt

import pyarrow as pa
import pytest

from duckdb_wasi_udf import Column, GuestError, SignatureError
from tests.support.guests import start

pytestmark = pytest.mark.shared_sandbox


def test_a_function_over_columns_is_called_once_a_batch(con, sandbox):
    source = """
        calls = 0
        def f(xs: Column[int], ys: Column[float]) -> list[float]:
            global calls
            calls += 1
            return [x + y + calls * 0 for x, y in zip(xs, ys)]
    """
    sandbox.create_function(con, "f", source)
    for rows in (0, 1, 2047, 2048, 2049, 10_000):
        got = con.execute(f"SELECT sum(f(i, i / 2)), count(f(i, 1.0)) FROM range({rows}) r(i)").fetchall()
        assert got == con.execute(f"SELECT sum(i + i / 2), count(*) FROM range({rows}) r(i)").fetchall()
    con.execute("SET threads = 1")
    sandbox.create_function(con, "calls", "n = 0\ndef g(xs: Column[int]):\n global n\n n += 1\n return [n] * len(xs)")
    got = con.execute("SELECT calls(i)::INT AS n, count(*) FROM range(5000) r(i) GROUP BY n ORDER BY n").fetchall()
    assert got == [(1, 2048), (2, 2048), (3, 904)]


def test_type_arrow_means_the_batch_shape(con, sandbox):
    sandbox.create_function(con, "f", lambda xs: [x * 2 for x in xs], ["BIGINT"], "BIGINT", type="arrow")
    assert con.execute("SELECT sum(f(i)) FROM range(5000) r(i)").fetchall() == [(5000 * 4999,)]


def test_a_live_callable_may_be_annotated(con, sandbox):
    @sandbox.function(con)
    def longest(names: Column[str | None], size: Column[int]) -> Column[str]:
        return [name and name[:n] for name, n in zip(names, size, strict=True)]

    got = con.execute("SELECT longest(v, 2) FROM (VALUES ('abc'), (NULL), ('x')) t(v)").fetchall()
    assert got == [("ab",), (None,), ("x",)]


def test_a_column_is_a_sequence(con):
    values = [None if i % 7 == 0 else i for i in range(100)]
    source = """
        def f(c):
            assert len(c) == 100 and c.type == "BIGINT" and c.null_count == 15
            assert list(c.nulls) == [x is None for x in c]
            values = c.to_list()
            assert values == list(c) == c[:] and values[-3:] == c[-3:] and values[::-7] == c[::-7] == list(c)[::-7]
            assert c[5] == 5 and c[-1] == 99 and c[0] is None and 5 in c and repr(c) == "<Column of 100 BIGINT>"
            for bad in (100, -101, 2**70):
                try:
                    c[bad]
                except IndexError:
                    continue
                raise AssertionError(bad)
            match c:
                case [None, 1, *rest]:
                    return values
    """
    instance = start(source, pa.int64(), by_batch=True)
    result, _ = instance.call([pa.array(values)], 100)
    assert result.to_pylist() == values


@pytest.mark.parametrize(
    ("data_type", "code"),
    [
        (pa.int8(), "b"),
        (pa.int16(), "h"),
        (pa.int32(), "i"),
        (pa.int64(), "q"),
        (pa.uint8(), "B"),
        (pa.uint16(), "H"),
        (pa.uint32(), "I"),
        (pa.uint64(), "Q"),
        (pa.float32(), "f"),
        (pa.float64(), "d"),
        (pa.date32(), "i"),
        (pa.timestamp("us"), "q"),
        (pa.time64("us"), "q"),
    ],
)
def test_a_column_of_numbers_is_a_buffer(data_type, code):
    source = f"""
        import array
        def f(c):
            view = memoryview(c)
            assert view.format == {code!r} and view.readonly and view.shape == (len(c),)
            return array.array({code!r}, view).tolist()
    """
    values = pa.array(range(1, 50), pa.int32() if data_type == pa.date32() else pa.int64())
    column = values.cast(pa.int64()).cast(data_type) if pa.types.is_floating(data_type) else values.cast(data_type)
    instance = start(source, data_type, by_batch=True)
    assert instance.call([column], 49)[0].to_pylist() == list(range(1, 50))


def test_other_columns_say_that_they_are_no_buffer():
    instance = start("def f(c): return memoryview(c)", pa.string(), by_batch=True)
    with pytest.raises(GuestError, match=r"a column of VARCHAR has no buffer; iterate over it, or use to_list\(\)"):
        instance.call([pa.array(["a"])], 1)


@pytest.mark.parametrize(
    "result", ["array.array('d', c)", "memoryview(array.array('d', c))", "c", "[float(x) for x in c]"]
)
def test_results_may_be_buffers_columns_and_iterables(result):
    column = pa.array([1.5, float("inf"), -0.0])
    instance = start(f"import array\ndef f(c): return {result}", pa.float64(), result=pa.float64(), by_batch=True)
    assert instance.call([column], 3)[0].equals(column)
    assert array.array("d", column.to_pylist()) == array.array("d", instance.call([column], 3)[0].to_pylist())


def test_a_column_returned_keeps_its_nulls(con, sandbox):
    sandbox.create_function(con, "same", "def f(c: Column[int | None]) -> Column[int]: return c")
    got = con.execute("SELECT same(x) FROM (VALUES (1), (NULL), (3)) t(x)").fetchall()
    assert got == [(1,), (None,), (3,)]


def test_null_in_gives_null_out_without_a_call(con, sandbox):
    source = "def f(xs: Column[int], ys: Column[str]): return [[x, y, len(xs)] for x, y in zip(xs, ys)]"
    query = "SELECT py_udf($1, x, y) FROM (VALUES (1, 'a'), (NULL, 'b'), (3, NULL), (4, 'd')) t(x, y)"
    assert con.execute(query, [source]).fetchall() == [([1, "a", 2],), (None,), (None,), ([4, "d", 2],)]
    assert (
        con.execute("SELECT py_udf($1, NULL::INT, x::VARCHAR) FROM range(3) t(x)", [source]).fetchall() == [(None,)] * 3
    )
    seen = "def f(xs: Column[int | None]) -> list[bool]: return [x is None for x in xs]"
    assert con.execute("SELECT py_udf($1, x) FROM (VALUES (1), (NULL)) t(x)", [seen]).fetchall() == [(False,), (True,)]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(c: Column[int]): return [1]", "returned 1 values for a batch of 3 rows"),
        ("def f(c: Column[int]): return (x for x in range(9))", "returned 9 values for a batch of 3 rows"),
        ("def f(c: Column[int]): return 5", "the function returned no iterable"),
        ("def f(c: Column[int]): return 'abc'", "returned str; one of the batch shape returns a column, list or other"),
        ("def f(c: Column[int]) -> list[int]: return [1, 'x', 3]", "in row 1 of the batch"),
        ("def f(c: Column[int]): return [1 // x for x in c]", "ZeroDivisionError"),
        ("def f(c: Column[int], x: int): return c", "some parameters are annotated with Column and others not"),
        ("async def f(c: Column[int]): return c", "a function of the batch shape can't be async"),
        ("kept = []\ndef f(c: Column[int]): return kept[0] if kept else kept.append(c) or c", None),
    ],
)
def test_what_is_wrong_with_a_batch_function_is_said(con, sandbox, failing, source, message):
    query = "SELECT py_udf($1, CASE WHEN i < 1500 THEN i END), count(*) OVER () FROM range(3) r(i)"
    if message is not None:
        assert message in str(failing(query, [source], error=GuestError))
        return
    con.execute("SET threads = 1")
    assert "the column's batch is over" in str(
        failing("SELECT py_udf($1, i) FROM range(3000) r(i)", [source], error=GuestError)
    )


def test_an_annotation_of_a_batch_result_is_one_of_many_values(con, sandbox):
    with pytest.raises(SignatureError, match=r"returns Column\[T\] or list\[T\]"):
        sandbox.create_function(con, "f", "def f(c: Column[int]) -> int: return 1")


def test_a_batch_that_fails_is_null_under_return_null(con, sandbox):
    con.execute("SET threads = 1")
    source = "def f(c: Column[int]) -> list[int]: return [1 // (x // 2048) for x in c]"
    sandbox.create_function(con, "f", source, exception_handling="return_null")
    got = con.execute("SELECT count(f(i)), count(*) FROM range(4096) r(i)").fetchall()
    assert got == [(2048, 4096)]
    assert sandbox.failed_rows("f") == 2048


def test_coroutines_are_run(con, sandbox):
    source = """
        async def half(x): return x / 2
        async def f(x: int) -> float: return await half(x) + 1
    """
    sandbox.create_function(con, "f", source)
    assert con.execute("SELECT f(i) FROM range(3) r(i)").fetchall() == [(1.0,), (1.5,), (2.0,)]


def test_a_coroutine_that_waits_for_nothing_says_so(failing):
    source = """
        import types
        @types.coroutine
        def never(): yield
        async def f(x): await never()
    """
    assert "awaits something that never comes" in str(failing("SELECT py_udf($1, 1)", [source], error=GuestError))


# ---- code that differs from row to row -----------------------------------------------------------------------------


def test_each_row_may_bring_its_code(con, sandbox):
    con.execute("CREATE TABLE rules (id INTEGER, rule VARCHAR)")
    con.execute(
        "INSERT INTO rules VALUES (0, 'lambda x: x + 1'), (1, 'lambda x: str(x)'), (2, NULL), (3, 'lambda x: None')"
    )
    query = "SELECT py_udf(rule, i) FROM range(5000) r(i) JOIN rules ON id = i % 4 ORDER BY i"
    expected = [(i + 1 if i % 4 == 0 else str(i) if i % 4 == 1 else None,) for i in range(5000)]
    assert con.execute(query).fetchall() == expected


def test_codes_whose_results_no_variant_takes_together_say_so(con, sandbox, failing):
    con.execute("CREATE TABLE rules AS SELECT unnest(['lambda x: [x, str(x)]', 'lambda x: x']) AS rule")
    assert "use a typed form, such as py_udf_json" in str(failing("SELECT py_udf(rule, 1) FROM rules"))
    got = con.execute("SELECT py_udf_json(rule, 1) FROM rules").fetchall()
    assert sorted(got) == [("1",), ('[1, "1"]',)]


def test_typed_forms(con, sandbox):
    con.execute("SET TimeZone = 'UTC'")
    source = "import datetime\nlambda x: datetime.datetime(2020, 1, 1, x)"
    row = con.execute(
        "SELECT py_udf_timestamp($1, 5), py_udf_date($2, 1), py_udf_json('lambda x: {\"a\": [x]}', 1), "
        "py_udf_blob('lambda x: bytes([x])', 7)",
        [source, source.replace("datetime.datetime(2020, 1, 1, x)", "datetime.date(2020, 1, 1)")],
    ).fetchall()
    assert row == [(dt.datetime(2020, 1, 1, 5), dt.date(2020, 1, 1), '{"a": [1]}', b"\x07")]
