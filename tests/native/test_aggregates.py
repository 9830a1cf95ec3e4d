"""Aggregate functions of DuckDB's own, against the same functions over `list(x)`, SQL's aggregates, and Python."""

import datetime as dt
import random
import threading

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import Cancelled, LimitExceeded, SignatureError, error_of
from duckdb_wasi_udf._process import state

TOTAL = """
def total(xs: list[int]) -> int | None:
    known = [x for x in xs if x is not None]
    return sum(known) if known else None
"""
LISTS = "lambda *columns: ascii(columns)"


@pytest.fixture(scope="module")
def con():
    """A database with a real aggregate, the same over lists, and a table with NULLs and groups of many sizes."""
    with duckdb.connect(config={"threads": 2}) as con:
        sandbox = wasi_udf.install(con)
        sandbox.create_aggregate_function(con, "total", TOTAL, lists=False)
        sandbox.create_aggregate_function(con, "list_total", TOTAL)
        con.execute("""
            CREATE TABLE t AS SELECT i, (sqrt(i) % 23)::BIGINT AS g, CASE WHEN i % 7 > 0 THEN i * 37 % 1009 END AS x,
                's' || i AS s FROM range(5000) r(i)
        """)
        yield con
        sandbox.close()
    assert state.native.aggregate_held() == 0


def rows(con, query, *parameters):
    return con.execute(query, *parameters).fetchall()


# What queries that ended early may leave until others need more. See wasm/native/epochs.c.
LITTLE = 2**20


# Each: a query with a place for an aggregate of x.
QUERIES = {
    "groups": "SELECT g, {} FROM t GROUP BY g ORDER BY g",
    "no groups": "SELECT {} FROM t",
    "no rows": "SELECT {} FROM t WHERE x < 0",
    "no groups of no rows": "SELECT g, {} FROM t WHERE x < 0 GROUP BY g",
    "a filter": "SELECT g, {} FILTER (x % 2 = 0) FROM t GROUP BY g ORDER BY g",
    "a filter without rows": "SELECT g, {} FILTER (x < 0) FROM t GROUP BY g ORDER BY g",
    "grouping sets": "SELECT g % 3, s[2], {} FROM t GROUP BY GROUPING SETS ((1), (2), (1, 2), ()) ORDER BY ALL",
    "rollup": "SELECT g, grouping(g), {} FROM t GROUP BY ROLLUP (g) ORDER BY ALL",
    "cube": "SELECT g % 2, x % 2, {} FROM t GROUP BY CUBE (1, 2) ORDER BY ALL",
    "having": "SELECT g FROM t GROUP BY g HAVING {} > 90000 ORDER BY g",
    "lateral": "SELECT * FROM (VALUES (1), (2)) v(h), LATERAL (SELECT {} FROM t WHERE g = h) ORDER BY ALL",
    "correlated": "SELECT h, (SELECT {} FROM t WHERE g = h) FROM range(30) r(h) ORDER BY h",
    "ordered by it": "SELECT g FROM t GROUP BY g ORDER BY {} DESC NULLS LAST, g",
    "a window": "SELECT i, {} OVER (ORDER BY i ROWS 9 PRECEDING) FROM (FROM t LIMIT 2100) ORDER BY i",
    "a growing window": "SELECT i, {} OVER (PARTITION BY g ORDER BY i) FROM (FROM t LIMIT 900) ORDER BY i",
    "a whole window": "SELECT i, {} OVER (PARTITION BY g) FROM t ORDER BY i",
    "a window with holes": """
        SELECT i, {} FILTER (x % 3 > 0) OVER (ORDER BY i ROWS BETWEEN 40 PRECEDING AND 20 FOLLOWING EXCLUDE CURRENT ROW)
        FROM (FROM t LIMIT 900) ORDER BY i
    """,
    "a window without rows": "SELECT i, {} OVER (ORDER BY i ROWS BETWEEN 9 FOLLOWING AND 12 FOLLOWING) FROM t",
}


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("threads", [1, 2])
def test_it_gives_what_sql_gives(con, query, threads):
    con.execute(f"SET threads = {threads}")
    assert rows(con, QUERIES[query].format("total(x)")) == rows(con, QUERIES[query].format("sum(x)"))


@pytest.mark.parametrize("n", [0, 1, 2, 2047, 2048, 2049, 5000])
@pytest.mark.parametrize("groups", [1, 3, 400, 2049])
def test_groups_of_every_size_are_complete(con, n, groups):
    con.execute("SET threads = 1")
    frm = f"FROM range({n}) r(i) GROUP BY i % {groups} ORDER BY i % {groups}"
    code = "lambda xs, ss: repr((xs, ss))"
    new = f"SELECT py_aggregate('{code}', i, 'ä' || i)::VARCHAR {frm}"
    old = f"SELECT py_agg('{code}', list(i), list('ä' || i))::VARCHAR {frm}"
    assert rows(con, new) == rows(con, old)
    assert rows(con, new) == [
        (repr((list(range(g, n, groups)), [f"ä{i}" for i in range(g, n, groups)])),) for g in range(min(n, groups))
    ]


def test_distinct_and_order_are_those_of_the_call(con):
    query = "SELECT g, {}, {} FROM t GROUP BY g ORDER BY g"
    ours = query.format("total(DISTINCT x)", "py_aggregate($1, s ORDER BY x DESC NULLS LAST, s)::VARCHAR")
    theirs = query.format("sum(DISTINCT x)", "string_agg(s, ',' ORDER BY x DESC NULLS LAST, s)")
    assert rows(con, ours, ["','.join"]) == rows(con, theirs)
    assert rows(
        con, "SELECT py_aggregate(DISTINCT 'lambda xs: sorted(x or 0 for x in xs)', x % 3)::BIGINT[] FROM t"
    ) == [([0, 0, 1, 2],)]


def test_two_in_one_query_keep_their_rows_apart(con):
    query = (
        "SELECT g, total(x), py_aggregate('len', s), py_aggregate('lambda xs: xs[-1]', i ORDER BY i) FROM t GROUP BY g"
    )
    theirs = "SELECT g, sum(x), count(s), max(i) FROM t GROUP BY g"
    assert sorted(rows(con, query)) == sorted(rows(con, theirs))


TYPES = [
    *(
        "i",
        "i::UTINYINT",
        "i::SMALLINT",
        "i::HUGEINT",
        "i::UHUGEINT",
        "i / 3",
        "(i / 3)::FLOAT",
        "i % 2 = 0",
        "i::BIGNUM",
    ),
    *(
        "i::DECIMAL(9, 2)",
        "i::DECIMAL(30, 2)",
        "i::VARCHAR",
        "repeat('äé' || i, 9)",
        "i::VARCHAR::BLOB",
        "i::INTEGER::BIT",
    ),
    *("DATE '2020-01-01' + i::INTEGER", "TIME '01:02:03'", "TIMESTAMP '2020-01-01 01:02:03' + to_days(i::INTEGER)"),
    *("TIMESTAMPTZ '2020-01-01 01:02:03+00'", "TIMESTAMP_NS '2020-01-01 00:00:00.123456'", "TIMETZ '01:02:03+02'"),
    *("to_days(i::INTEGER)", "'5d2f4e4e-8c86-4d2b-8e9c-000000000001'::UUID", "NULL", "if(i % 2 = 0, i, NULL)"),
    *(
        "if(i % 3 = 0, NULL, chr((97 + i % 2)::INTEGER))::ENUM('a', 'b')",
        "[i, NULL, i + 1]",
        "[[i], []]",
        "array_value(i, i)",
    ),
    *(
        "{'a': i, 'b': 'x' || i}",
        "{'a': [{'b': i}], 'c': NULL}",
        "map {'k' || i: i}",
        "union_value(n := i)",
        "i::VARIANT",
    ),
    "{'a': [{'b': i}]}::JSON",
]


@pytest.mark.parametrize("value", TYPES)
def test_values_of_every_type_are_those_of_list(con, value):
    for code in ("lambda xs: repr(xs)", "lambda xs: xs[0]", "lambda xs: xs"):
        query = "SELECT {} AS r, typeof(r) FROM range(120) t(i) GROUP BY i % 7 ORDER BY i % 7"
        old, new = f"py_agg('{code}', list({value}))", f"py_aggregate('{code}', {value})"
        assert rows(con, query.format(new)) == rows(con, query.format(old)), code


# Which rows a group holds itself depends on the types of both columns, and on each value.
PAIRS = {
    "one word each": ("i", "i / 3"),
    "less than a word": ("i % 2 = 0", "i::SMALLINT"),
    "one word and two": ("i::INTEGER", "i::HUGEINT"),
    "two words and one": ("to_days(i::INTEGER)", "i::DECIMAL(9, 2)"),
    "short and long texts": ("if(i % 5 = 0, repeat('é', 20), 'é' || i)", "i"),
    "NULLs in one": ("i", "if(i % 3 = 0, NULL, i)"),
    "NULLs in both": ("if(i % 4 = 0, NULL, uuid_of(i))", "if(i % 3 = 0, NULL, 's' || i)"),
    "nested": ("[i]", "i"),
    "a name of its own": ("to_json(i)", "i"),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_pairs_of_columns_are_those_of_list(con, pair):
    """Groups with rows one by one, with short runs and with long ones; windows add groups to others."""
    con.execute("CREATE OR REPLACE TEMP MACRO uuid_of(i) AS printf('%032d', i)::UUID; SET threads = 1")
    a, b = PAIRS[pair]
    code = "lambda *columns: repr(columns)"
    ours, lists = f"py_aggregate('{code}', {a}, {b})::VARCHAR", f"py_agg('{code}', list({a}), list({b}))::VARCHAR"
    for group in ("i % 7", "i // 3 % 5", "i // 100", "0", "i // (1 + i % 9)"):
        query = f"SELECT {group} AS g, {{}} FROM range(2100) t(i) GROUP BY g ORDER BY g"
        assert rows(con, query.format(ours)) == rows(con, query.format(lists)), group
    frame = "OVER (ORDER BY i ROWS 20 PRECEDING)"
    query = "SELECT {} FROM range(200) t(i) ORDER BY i"
    ours = f"py_aggregate('{code}', {a}, {b}) {frame}::VARCHAR"
    lists = f"py_agg('{code}', list({a}) {frame}, list({b}) {frame})::VARCHAR"
    assert rows(con, query.format(ours)) == rows(con, query.format(lists))


RESULTS = {
    "BIGINT": 5,
    "TINYINT": -5,
    "UBIGINT": 2**64 - 1,
    "HUGEINT": 2**100,
    "DOUBLE": 0.5,
    "FLOAT": 0.5,
    "BOOLEAN": True,
    "VARCHAR": "ä\0" * 9,
    "BLOB": b"\0\xff",
    "DATE": dt.date(2020, 1, 2),
    "TIMESTAMP": dt.datetime(2020, 1, 2, 3, 4, 5, 6),
    "DECIMAL(9, 2)": "1.25",
    "ENUM('a', 'b')": "b",
    "INTEGER[]": [1, None],
    "STRUCT(a INTEGER, b VARCHAR[])": {"a": None, "b": ["x"]},
    "MAP(VARCHAR, INTEGER)": {"k": 1},
    "JSON": '{"a":1}',
    "UUID": "5d2f4e4e-8c86-4d2b-8e9c-000000000001",
    "VARIANT": [1, "a"],
}


@pytest.mark.parametrize("result", RESULTS)
def test_results_have_the_declared_type(result):
    value = RESULTS[result]
    with duckdb.connect() as con, wasi_udf.Sandbox() as sandbox:
        for name, lists in (("ours", False), ("theirs", True)):
            code = f"import datetime\ndef f(xs): return {value!r} if 3 in xs else None"
            sandbox.create_aggregate_function(con, name, code, None, result, lists=lists)
        query = "SELECT i % 4, {} AS r, typeof(r) FROM range(9) t(i) GROUP BY 1 ORDER BY 1"
        found = rows(con, query.format("ours(i)"))
        assert found == rows(con, query.format("theirs(list(i))"))
        assert [r is None for _, r, _ in found] == [True, True, True, False]


def test_a_result_outside_of_its_type_is_an_error(con):
    sandbox = wasi_udf.install(con)
    sandbox.create_aggregate_function(con, "narrow", "lambda xs: sum(xs)", ["BIGINT"], "TINYINT", lists=False)
    assert rows(con, "SELECT narrow(i) FROM range(5) t(i)") == [(10,)]
    with pytest.raises(duckdb.Error, match="300"):
        rows(con, "SELECT narrow(i) FROM range(300, 301) t(i)")
    assert rows(con, "SELECT narrow(i) FROM range(5) t(i)") == [(10,)]


def test_classes_step_through_the_rows(con):
    code = """
class Span:
    def __init__(self):
        self.seen = []
    def step(self, x: int, s: str | None):
        self.seen.append((x, s))
    def finish(self) -> str:
        return repr(self.seen)
"""
    query = "SELECT g, {} FROM t GROUP BY g ORDER BY g"
    new, old = (
        "py_aggregate($1, x, nullif(s, 's9') ORDER BY i)",
        "py_agg($1, list(x ORDER BY i), list(nullif(s, 's9') ORDER BY i))",
    )
    assert rows(con, query.format(new), [code]) == rows(con, query.format(old), [code])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.none() | st.text(max_size=20), st.none() | st.integers(-(2**63), 2**63 - 1))
    )
)
def test_random_groups_are_those_of_python(con, table):
    con.execute("CREATE OR REPLACE TEMP TABLE r (n INTEGER, g INTEGER, s VARCHAR, x BIGINT)")
    if table:
        con.executemany("INSERT INTO r VALUES ($1, $2, $3, $4)", [(n, *row) for n, row in enumerate(table)])
    found = rows(con, f"SELECT g, py_aggregate('{LISTS}', s, x ORDER BY n)::VARCHAR FROM r GROUP BY g ORDER BY g")
    assert found == [
        (g, ascii(([s for h, s, _ in table if h == g], [x for h, _, x in table if h == g])))
        for g in sorted({g for g, *_ in table})
    ]


def test_100_000_groups_are_summed(con):
    con.execute("SET threads = 2")
    query = "SELECT {} AS ours, sum(i) AS theirs FROM range(300000) t(i) GROUP BY i % 100000"
    query = f"SELECT count(*), bool_and(ours = theirs) FROM ({query})"
    assert rows(con, query.format("total(i)")) == [(100000, True)]


# ---- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    ["lambda xs: 1 // (len(xs) - 3)", "raise ValueError('at load')", "def f(", "lambda xs, ys: 1", "lambda xs: {1}"],
)
def test_errors_are_those_over_lists(con, code):
    con.execute("SET threads = 1")  # the first error is that of the same group then
    query = "SELECT {} FROM range(7) t(i) GROUP BY i // 3 ORDER BY i // 3"
    seen = []
    for form in ("py_agg($1, list(i))", "py_aggregate($1, i)"):
        with pytest.raises(duckdb.Error) as caught:
            rows(con, query.format(form), [code])
        seen.append(
            (type(caught.value), type(error_of(caught.value)), str(caught.value).replace("py_aggregate", "py_agg"))
        )
    assert seen[0] == seen[1]
    assert state.native.aggregate_held() < LITTLE
    assert rows(con, "SELECT total(i) FROM range(4) t(i)") == [(6,)]


def test_the_code_is_one_for_a_group(con):
    query = "SELECT py_aggregate(if(i % 2 = 0, 'len', 'sum'), i) FROM range(10) t(i) {}"
    assert rows(con, query.format("GROUP BY i % 2 ORDER BY i % 2")) == [(5,), (25,)]
    with pytest.raises(duckdb.InvalidInputException, match="not the same in all rows of a group"):
        rows(con, query.format(""))
    assert state.native.aggregate_held() < LITTLE


def test_without_code_the_result_is_null(con):
    assert rows(con, "SELECT py_aggregate(NULL, i) FROM range(3) t(i)") == [(None,)]
    assert rows(con, "SELECT py_aggregate('len', i) FROM range(3) t(i) WHERE i > 3") == [(None,)]
    frm = "FROM range(5000) t(i) GROUP BY i // 2 ORDER BY i // 2"
    found = rows(con, f"SELECT py_aggregate('lambda xs: [xs]', i) FILTER (i % 8 < 2) {frm}")
    assert found == [([[2 * g, 2 * g + 1]],) if g % 4 == 0 else (None,) for g in range(2500)]


def test_a_group_has_the_memory_of_a_sandbox():
    limits = wasi_udf.ResourceLimits(memory_bytes=96 * 2**20)
    with duckdb.connect() as con, wasi_udf.Sandbox(limits=limits) as sandbox:
        sandbox.create_aggregate_function(con, "total", TOTAL, lists=False)
        for values, count in (("i", 20_000_000), ("i::VARCHAR || repeat('x', 990)", 120_000)):
            call = "total(i)" if values == "i" else "n(s)"
            if values != "i":
                sandbox.create_aggregate_function(con, "n", "def n(ss: list[str]) -> int: return len(ss)", lists=False)
            with pytest.raises(duckdb.InvalidInputException) as caught:
                rows(con, f"SELECT {call} FROM (SELECT i, {values} AS s FROM range({count}) t(i))")
            error = error_of(caught.value)
            assert isinstance(error, LimitExceeded)
            assert (error.limit, error.allowed) == ("memory_bytes", 96 * 2**20)
        assert rows(con, "SELECT total(i) FROM range(100) t(i)") == [(4950,)]
    assert state.native.aggregate_held() < LITTLE


def test_all_groups_have_the_memory_of_duckdb():
    with duckdb.connect(config={"memory_limit": "64MB"}) as con, wasi_udf.Sandbox() as sandbox:
        sandbox.create_aggregate_function(con, "total", TOTAL, lists=False)
        with pytest.raises(duckdb.InvalidInputException) as caught:
            rows(con, "SELECT sum(v) FROM (SELECT total(i) v FROM range(20000000) t(i) GROUP BY i % 100)")
        error = error_of(caught.value)
        assert isinstance(error, LimitExceeded)
        assert error.limit == "memory_limit"
        assert state.native.aggregate_held() < LITTLE
        con.execute("SET memory_limit = '1GB'")
        assert rows(con, "SELECT total(i) FROM range(100) t(i)") == [(4950,)]


def test_what_is_stopped_holds_nothing():
    host_called, queries = threading.Event(), []

    @wasi_udf.host_function
    def wait(x: list[int]) -> list[int]:
        host_called.set()
        return x

    loop = "import host\ndef f(xs):\n    host.wait(1)\n    while True: pass"
    with duckdb.connect() as con, wasi_udf.Sandbox(host_functions=[wait]) as sandbox:
        sandbox.install(con)
        for stop in (sandbox.cancel, lambda: queries[-1].cancel()):
            host_called.clear()
            stopper = threading.Thread(target=lambda stop=stop: (host_called.wait(60), stop()))
            stopper.start()
            with sandbox.query(con) as query:
                queries.append(query)
                with pytest.raises(duckdb.Error) as caught:
                    rows(con, "SELECT py_aggregate($1, i) FROM range(10000) t(i) GROUP BY i % 3", [loop])
            stopper.join()
            # Which of the two it is depends on where the query was: see `Query.cancel`.
            assert isinstance(caught.value, duckdb.InterruptException) or isinstance(error_of(caught.value), Cancelled)
            assert state.native.aggregate_held() < LITTLE
        assert rows(con, "SELECT py_aggregate('len', i) FROM range(10) t(i)") == [(10,)]


def test_an_interrupted_query_holds_nothing(con):
    entered = threading.Event()

    def interrupt():
        entered.wait(60)
        con.interrupt()

    @wasi_udf.host_function
    def enter(x: list[int]) -> list[int]:
        entered.set()
        return x

    with wasi_udf.Sandbox(host_functions=[enter]) as sandbox:
        sandbox.create_aggregate_function(
            con, "entering", "import host\ndef f(xs): return host.enter(len(xs))", lists=False
        )
        thread = threading.Thread(target=interrupt)
        thread.start()
        windows = "SELECT entering(i) OVER (ORDER BY i ROWS 99 PRECEDING) AS v FROM range(3000000) t(i)"
        with pytest.raises(duckdb.InterruptException):
            rows(con, f"SELECT sum(v::BIGINT) FROM ({windows})")
        thread.join()
    assert state.native.aggregate_held() < LITTLE
    assert rows(con, "SELECT total(i) FROM range(4) t(i)") == [(6,)]


# ---- threads and databases ---------------------------------------------------------------------------------------


def test_many_cursors_run_it_at_once(con):
    failures = []

    def run(number):
        chosen = random.Random(number)
        try:
            with con.cursor() as cursor:
                for _ in range(4):
                    groups = chosen.randrange(1, 4000)
                    query = "SELECT py_aggregate('sum', i)::BIGINT AS a, total(i) AS b FROM range(9000) t(i)"
                    query = f"SELECT bool_and(a = b) FROM ({query} GROUP BY i % {groups})"
                    assert rows(cursor, query) == [(True,)]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_100_databases_come_and_go():
    with wasi_udf.Sandbox() as sandbox:
        for number in range(100):
            with duckdb.connect() as con:
                sandbox.create_aggregate_function(con, "total", TOTAL, lists=False)
                if number % 20 == 0:
                    assert rows(con.cursor(), "SELECT total(i) FROM range(3000) t(i)") == [(4498500,)]
    assert state.native.aggregate_held() < LITTLE


LEFT = "SELECT i % 50000 AS g, total(i) FROM range(100000) t(i) GROUP BY g LIMIT 5"


def test_groups_that_nobody_reads_are_released():
    before = state.native.aggregate_held()
    with duckdb.connect() as con, wasi_udf.Sandbox() as sandbox:
        sandbox.create_aggregate_function(con, "total", TOTAL, lists=False)
        reader = con.cursor().execute("SELECT i % 9000 AS g, total(i) FROM range(90000) t(i) GROUP BY g")
        first = reader.fetchmany(10)
        for _ in range(5):
            assert len(rows(con, LEFT)) == 5
        found = dict(first + reader.fetchall())  # as long as this result is open, nothing is released
        assert found == {g: 10 * g + 9000 * 45 for g in range(9000)}
        reader.close()
        for _ in range(12):
            assert len(rows(con, LEFT)) == 5
        assert state.native.aggregate_held() < before + 48 * 2**20  # of 130 MB
    assert state.native.aggregate_held() <= before


def test_a_prepared_statement_keeps_its_rows():
    """It has no transaction that would keep them: see wasm/native/epochs.c."""
    with duckdb.connect() as con, wasi_udf.Sandbox() as sandbox:
        sandbox.create_aggregate_function(con, "total", TOTAL, lists=False)
        query = "SELECT sum(v) FROM (SELECT total(i) v FROM range(1500000) t(i) GROUP BY i % 1000)"
        con.execute(f"PREPARE p AS {query}")
        for _ in range(3):
            assert rows(con, "EXECUTE p") == rows(con, "SELECT sum(i)::HUGEINT FROM range(1500000) t(i)")


# ---- names -------------------------------------------------------------------------------------------------------


def test_a_name_keeps_its_types(con):
    sandbox = wasi_udf.install(con)
    query = "SELECT renewed(i) FROM range(4) t(i)"
    create = sandbox.create_aggregate_function
    create(con, "renewed", TOTAL, lists=False)
    assert rows(con, query) == [(6,)]
    with pytest.raises(duckdb.CatalogException, match="replace=True"):
        create(con, "renewed", TOTAL, lists=False)
    create(con, "renewed", TOTAL.replace("sum(", "-sum("), lists=False, replace=True)
    assert rows(con, query) == [(-6,)]
    with pytest.raises(SignatureError, match="until the database is closed"):
        create(con, "renewed", "lambda xs: 'text'", ["BIGINT"], "VARCHAR", lists=False, replace=True)
    for other in ({}, {"lists": True}):
        with pytest.raises(duckdb.CatalogException, match="until it is closed"):
            create(con, "renewed", TOTAL, replace=True, **other)
    with pytest.raises(duckdb.CatalogException, match="until it is closed"):
        sandbox.create_function(con, "renewed", "lambda x: x", replace=True)
    assert rows(con, query) == [(-6,)]
    assert ("renewed", "aggregate") in rows(con, "SELECT name, kind FROM py_functions()")


@pytest.mark.parametrize("name", ["sum", "upper", "py_aggregate", "scalar_one"])
def test_a_name_that_is_taken_is_refused(con, name):
    sandbox = wasi_udf.install(con)
    if name == "scalar_one":
        sandbox.create_function(con, name, "def f(x: int) -> int: return x")
    with pytest.raises((SignatureError, duckdb.CatalogException)):
        sandbox.create_aggregate_function(con, name, TOTAL, lists=False, replace=name == "scalar_one")
    assert rows(con, "SELECT sum(i), upper('a'), py_aggregate('len', i) FROM range(4) t(i)") == [(6, "A", 4)]


def test_a_transaction_is_refused(con):
    sandbox = wasi_udf.install(con)
    con.begin()
    with pytest.raises(SignatureError, match=r"transaction.* write late\(list\(x\)\)"):
        sandbox.create_aggregate_function(con, "late", TOTAL, lists=False)
    con.rollback()
    sandbox.create_aggregate_function(con, "late", TOTAL, lists=False)
    assert rows(con, "SELECT late(i) FROM range(4) t(i)") == [(6,)]


@pytest.mark.parametrize("source", ["def f(x: str) -> int: return 0", "def f() -> int: return 0"])
def test_parameters_that_are_no_lists_are_refused(con, source):
    with pytest.raises(SignatureError, match="takes 1 to 16 lists"):
        wasi_udf.install(con).create_aggregate_function(con, "refused", source, lists=False)


def test_another_sandbox_takes_py_aggregate_over():
    query = "SELECT py_aggregate('len', i) FROM range(4) t(i)"
    with duckdb.connect() as con, wasi_udf.Sandbox() as second:
        with wasi_udf.Sandbox() as first:
            first.install(con)
            assert rows(con, query) == [(4,)]
        with pytest.raises(duckdb.InvalidInputException) as caught:
            rows(con, query)
        assert "ClosedError" in str(caught.value)
        second.install(con, replace=True)
        assert rows(con.cursor(), query) == [(4,)]
    with duckdb.connect() as con, wasi_udf.Sandbox(allow_inline=False) as closed, wasi_udf.Sandbox() as first:
        first.install(con)
        closed.install(con, replace=True)
        with pytest.raises(duckdb.InvalidInputException, match="was dropped, or its sandbox was replaced"):
            rows(con, query)


def test_read_only_databases_have_it(tmp_path):
    path = str(tmp_path / "a.duckdb")
    with duckdb.connect(path) as con:
        con.execute("CREATE TABLE t AS FROM range(9) t(i)")
    with duckdb.connect(path, read_only=True) as con:
        sandbox = wasi_udf.install(con)
        sandbox.create_aggregate_function(con, "total", TOTAL, lists=False)
        assert rows(con, "SELECT total(i), py_aggregate('sum', i) FROM t") == [(36, 36)]
        sandbox.close()


def test_aggregates_in_a_group_of_sandboxes():
    """Groups take no other calls of the native path; the time of these is charged, and the group's limits hold."""
    limits = wasi_udf.GroupLimits(sandboxes=1, shared_cpu_seconds=1.0)
    with wasi_udf.SandboxGroup(limits=limits) as group, duckdb.connect(config={"threads": 2}) as con:
        sandbox = wasi_udf.Sandbox(group=group, name="a").install(con)
        query = "SELECT i % 3 AS g, {} FROM range(2049) t(i) GROUP BY g ORDER BY g"
        assert (
            con.execute(query.format("py_aggregate('max', i)::BIGINT")).fetchall()
            == con.execute(query.format("max(i)")).fetchall()
        )
        assert con.execute("SELECT py_aggregate('len', i) FROM range(0) t(i)").fetchall() == [(None,)]
        assert 0 < group.usage()["a"].cpu_seconds < 1.0
        with pytest.raises(duckdb.Error) as raised:
            con.execute("SELECT py_aggregate('def f(xs):\n    while True: pass', i) FROM range(3) t(i)")
        error = wasi_udf.error_of(raised.value)
        assert (error.limit, error.sandbox) == ("shared_cpu_seconds", "a")
        assert con.execute("SELECT 42").fetchall() == [(42,)]
        assert sandbox.usage().limits_hit["shared_cpu_seconds"] >= 1
