"""Functions over the values of groups, against the same query in plain SQL."""

import statistics
import threading

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import GuestError, LimitExceeded, SignatureError
from duckdb_wasi_udf._functions import aggregate

pytestmark = pytest.mark.shared_sandbox

SUM = """
class Sum:
    def __init__(self):
        self.total = None

    def step(self, x: int):
        self.total = x + (self.total or 0)

    def finish(self) -> int:
        return self.total
"""


@pytest.fixture
def table(con, sandbox):
    """5000 rows with groups of many sizes, NULLs in both columns."""
    con.execute("""
        CREATE TABLE t AS SELECT (sqrt(i) % 23)::BIGINT AS g, CASE WHEN i % 7 > 0 THEN i * 37 % 1009 END AS x,
            CASE WHEN i % 5 > 0 THEN i / 8 END AS y, 's' || i AS s FROM range(5000) r(i)
    """)
    sandbox.create_aggregate_function(con, "total", SUM)
    return con


# Each: what is aggregated by a function here, and the same in SQL.
QUERIES = {
    "groups": "SELECT g, {} FROM t GROUP BY g ORDER BY g",
    "no groups": "SELECT {} FROM t",
    "no rows": "SELECT {} FROM t WHERE x < 0",
    "no groups of no rows": "SELECT g, {} FROM t WHERE x < 0 GROUP BY g",
    "grouping sets": "SELECT g % 3, s[2], {} FROM t GROUP BY GROUPING SETS ((1), (2), (1, 2), ()) ORDER BY ALL",
    "rollup": "SELECT g, grouping(g), {} FROM t GROUP BY ROLLUP (g) ORDER BY ALL",
    "having": "SELECT g FROM t GROUP BY g HAVING {} > 90000 ORDER BY g",
    "subquery": "SELECT * FROM (VALUES (1), (2)) v(h), LATERAL (SELECT {} FROM t WHERE g = h) ORDER BY ALL",
    "ordered by": "SELECT g FROM t GROUP BY g ORDER BY {} DESC NULLS LAST, g",
}
FORMS = {
    "plain": ("total(list(x))", "sum(x)"),
    "inline": ("py_agg('def f(xs: list[int]) -> int: return sum(x or 0 for x in xs)', list(x))", "coalesce(sum(x), 0)"),
    "filter": ("total(list(x) FILTER (x % 2 = 0))", "sum(x) FILTER (x % 2 = 0)"),
    "distinct": ("total(list(DISTINCT x))", "sum(DISTINCT x)"),
}


@pytest.mark.parametrize("annotation", ["list", "Sequence", "list[Any]", "object", "'list'"])
def test_a_list_of_anything_is_a_list_as_it_comes(con, sandbox, annotation):
    code = f"from collections.abc import Sequence\ndef f(xs: {annotation}): return repr(xs)"
    query = "SELECT py_agg($1, list({'i': i})) FROM range(2) t(i)"
    assert con.execute(query, [code]).fetchall() == [("[{'i': 0}, {'i': 1}]",)]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("form", FORMS)
def test_aggregates_give_what_sql_gives(table, query, form):
    ours, theirs = FORMS[form]
    assert (
        table.execute(QUERIES[query].format(ours)).fetchall() == table.execute(QUERIES[query].format(theirs)).fetchall()
    )


@pytest.mark.parametrize(
    "over",
    [
        "OVER ()",
        "OVER (PARTITION BY g)",
        "OVER (ORDER BY s)",
        "OVER (PARTITION BY g ORDER BY s ROWS BETWEEN 3 PRECEDING AND 1 FOLLOWING)",
        "OVER (ORDER BY s ROWS BETWEEN 5 PRECEDING AND 1 PRECEDING EXCLUDE CURRENT ROW)",
    ],
)
def test_windows_are_those_of_list(table, over):
    query = "SELECT s, {} FROM (FROM t LIMIT 300) ORDER BY s"
    ours, theirs = (query.format(form) for form in (f"total(list(x) {over})", f"sum(x) {over}"))
    assert table.execute(ours).fetchall() == table.execute(theirs).fetchall()


def test_the_order_inside_the_aggregate_is_that_of_the_list(table):
    query = """
        SELECT g, py_agg('def f(ss: list[str]) -> str: return ",".join(ss)', list(s ORDER BY y DESC NULLS LAST, s)),
            string_agg(s, ',' ORDER BY y DESC NULLS LAST, s) FROM t GROUP BY g
    """
    assert all(ours == theirs for _, ours, theirs in table.execute(query).fetchall())


CORRELATION = """
import statistics

def correlation(xs: list[float], ys: list[float]) -> float:
    pairs = [(x, y) for x, y in zip(xs, ys, strict=True) if x is not None and y is not None]
    return statistics.correlation(*zip(*pairs))
"""
COVARIANCE = """
class Covariance:
    def __init__(self):
        self.n = self.x = self.y = self.xy = 0

    def step(self, x: float, y: float):
        self.n += 1
        self.x += x
        self.y += y
        self.xy += x * y

    def finish(self) -> float | None:
        return (self.xy - self.x * self.y / self.n) / self.n if self.n else None
"""


@pytest.mark.parametrize(("code", "theirs"), [(CORRELATION, "corr"), (COVARIANCE, "covar_pop")])
def test_several_columns_are_several_lists(table, code, theirs):
    rows = table.execute(
        f"SELECT py_agg($1, list(x), list(y))::DOUBLE, {theirs}(x, y) FROM t GROUP BY g", [code]
    ).fetchall()
    assert [ours for ours, _ in rows] == pytest.approx([theirs for _, theirs in rows])


def test_distinct_rows_of_several_columns_are_structs(table):
    code = "def f(rows: list): return len(rows)"
    ours, theirs = "py_agg($1, list(DISTINCT {'x': x % 5, 'y': y % 3}))", "count(DISTINCT (x % 5, y % 3))"
    assert table.execute(f"SELECT DISTINCT {ours} = {theirs} FROM t GROUP BY g", [code]).fetchall() == [(True,)]


def test_lists_of_a_function_may_differ_in_length(table, failing):
    query = "SELECT py_agg($1, list(x) FILTER (x > 500), list(x) FILTER (x <= 500))"
    code = "lambda high, low: len(high) - len(low)"
    theirs = "count(*) FILTER (x > 500) - count(*) FILTER (x <= 500)"
    assert table.execute(f"{query} = {theirs} FROM t", [code]).fetchall() == [(True,)]
    assert "ValueError: zip()" in str(failing(f"{query} FROM t", [COVARIANCE], error=GuestError))


def test_every_null_is_in_the_list_and_an_empty_group_is_empty(con, sandbox):
    query = "SELECT py_agg('lambda xs: repr(xs)', list(x)) FROM (VALUES (1), (NULL), (3)) t(x)"
    assert con.execute(query).fetchall() == [("[1, None, 3]",)]
    assert con.execute(f"{query} WHERE x > 9").fetchall() == [("[]",)]
    assert con.execute(f"{query} WHERE x IS NULL").fetchall() == [("[None]",)]
    assert con.execute("SELECT py_agg('lambda xs: repr(xs)', list(NULL)), py_agg('len', NULL)").fetchall() == [
        ("[None]", 0)
    ]


@pytest.mark.parametrize(
    ("annotated", "seen"),
    [("x, y", 1), ("x: int, y: int", 1), ("x: int | None, y: int", 2), ("x: int | None, y: int | None", 4), ("*xy", 1)],
)
def test_step_sees_the_nulls_its_annotations_admit(con, sandbox, annotated, seen):
    code = f"""
class Count:
    n = 0
    def step(self, {annotated}): self.n += 1
    def finish(self): return self.n
"""
    values = "(VALUES (1, 1), (NULL, 1), (1, NULL), (NULL, NULL)) t(x, y)"
    assert con.execute(f"SELECT py_agg($1, list(x), list(y)) FROM {values}", [code]).fetchall() == [(seen,)]


def test_a_merge_is_never_needed(table):
    table.execute("SET threads = 4")
    code = SUM + "    def merge(self, other): raise NotImplementedError\n"
    query = "SELECT g, py_agg($1, list(x))::BIGINT, sum(x) FROM t GROUP BY g"
    assert all(ours == theirs for _, ours, theirs in table.execute(query, [code]).fetchall())


@pytest.mark.parametrize("n", [0, 1, 2, 2047, 2048, 2049])
@pytest.mark.parametrize("code", [SUM, "def f(xs: list[int]) -> int: return sum(xs) if xs else None"])
def test_groups_of_every_size_are_those_of_sql(con, sandbox, n, code):
    query = f"SELECT py_agg($1, list(i)), sum(i) FROM range({n}) t(i)"
    ((ours, theirs),) = con.execute(query, [code]).fetchall()
    assert ours == theirs
    ones = f"SELECT py_agg($1, list(i))::BIGINT AS a, sum(i) AS b FROM range({n}) t(i) GROUP BY i"
    assert con.execute(f"SELECT count(*) FROM ({ones}) WHERE a = b", [code]).fetchall() == [(n,)]


def test_distinct_order_and_filter_go_together(table):
    ours = "total(list(DISTINCT x ORDER BY x DESC) FILTER (x % 3 = 0))"
    query = f"SELECT {ours}, sum(DISTINCT x) FILTER (x % 3 = 0) FROM t GROUP BY g"
    assert all(ours == theirs for ours, theirs in table.execute(query).fetchall())
    window = "FILTER (x > 500) OVER (PARTITION BY g ORDER BY s ROWS 3 PRECEDING)"
    query = f"SELECT total(list(x) {window}), sum(x) {window} FROM (FROM t LIMIT 500)"
    assert all(ours == theirs for ours, theirs in table.execute(query).fetchall())


def test_groups_do_not_see_each_others_state(con, sandbox):
    query = "SELECT DISTINCT py_agg($1, list(i)) FROM range(6000) t(i) GROUP BY i // 2"
    code = (
        "class C:\n def __init__(self): self.n = 0\n def step(self, x): self.n += 1\n def finish(self): return self.n"
    )
    assert con.execute(query, [code]).fetchall() == [(2,)]


# ---- create_aggregate_function -------------------------------------------------------------------------------------


@pytest.mark.own_sandbox
def test_an_aggregate_is_a_python_function_or_class_of_the_host(con, sandbox):
    scale = 10

    def scaled(xs: list[float]) -> float:
        return scale * statistics.fmean(xs)

    class Longest:
        def __init__(self):
            self.found = ""

        def step(self, s: str):
            self.found = max(self.found, s, key=len)

        def finish(self) -> str:
            return self.found

    sandbox.create_aggregate_function(con, "scaled", scaled)
    sandbox.create_aggregate_function(con, "longest", Longest)
    assert sandbox.create_aggregate_function(con, "middle", statistics.median, ["INTEGER"], "DOUBLE") is con
    con.execute("CREATE TABLE t AS SELECT i::INTEGER AS i, i::VARCHAR AS s FROM range(11) r(i)")
    query = "SELECT scaled(list(i)), longest(list(s)), middle(list(i)) AS m, typeof(m) FROM t"
    assert con.cursor().execute(query).fetchall() == [(50.0, "10", 5.0, "DOUBLE")]
    assert con.execute("SELECT name, kind, signature FROM py_functions() ORDER BY name").fetchall() == [
        ("longest", "aggregate", "(s VARCHAR[]) -> VARCHAR"),
        ("middle", "aggregate", "(data INTEGER[]) -> DOUBLE"),
        ("scaled", "aggregate", "(xs DOUBLE[]) -> DOUBLE"),
    ]


def test_aggregates_work_in_views_and_read_only_databases(tmp_path):
    path = str(tmp_path / "aggregates.duckdb")
    with duckdb.connect(path) as con, wasi_udf.Sandbox().install(con) as sandbox:
        sandbox.create_aggregate_function(con, "total", SUM)
        con.execute("CREATE VIEW v AS SELECT i % 2 AS g, total(list(i)) AS t FROM range(10) r(i) GROUP BY ALL")
    with duckdb.connect(path, read_only=True) as con, wasi_udf.Sandbox().install(con) as sandbox:
        sandbox.create_aggregate_function(con, "total", SUM)
        con.execute("PREPARE p AS SELECT t FROM v WHERE g = $1")
        assert con.execute("EXECUTE p(1)").fetchall() == [(25,)]


def test_threads_aggregate_at_the_same_time(table):
    results = []

    def run(cursor):
        results.append(cursor.execute("SELECT g, total(list(x)) FROM t GROUP BY g ORDER BY g").fetchall())

    threads = [threading.Thread(target=run, args=(table.cursor(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert results == [table.execute("SELECT g, sum(x) FROM t GROUP BY g ORDER BY g").fetchall()] * 4


# ---- size ----------------------------------------------------------------------------------------------------------


def test_large_groups_and_large_batches_are_cut(con, sandbox, monkeypatch):
    monkeypatch.setattr(aggregate, "_PIECE_VALUES", 7)
    monkeypatch.setattr(aggregate, "_CALL_VALUES", 50)
    con.execute("CREATE TABLE u AS SELECT (sqrt(i) % 17)::INT AS g, nullif(i % 11, 3) AS x FROM range(3000) r(i)")
    ours = "py_agg($1, list(x)), py_agg('def f(xs: list[int]) -> int: return len(xs)', list(x))"
    query = f"SELECT g, {ours}, sum(x), count(*) FROM u GROUP BY ROLLUP (g)"
    for g, *ours_and_theirs in con.execute(query, [SUM]).fetchall():
        assert ours_and_theirs[:2] == ours_and_theirs[2:], g


def test_results_of_different_types_keep_theirs_across_calls(con, sandbox, monkeypatch):
    monkeypatch.setattr(aggregate, "_CALL_VALUES", 2)
    code = "lambda xs: None if xs[0] == 0 else xs[0] if xs[0] == 1 else str(xs[0]) if xs[0] == 2 else [xs[0]]"
    con.execute("SET threads = 1")
    query = "SELECT py_agg($1, list(i)) AS v, variant_typeof(v) FROM range(4) t(i) GROUP BY i ORDER BY i"
    values = [value for value, _ in con.execute(query, [code]).fetchall()]
    assert values == [None, 1, "2", [3]]


def test_a_class_takes_groups_larger_than_the_guests_memory(con):
    n = 3_000_000
    query = f"SELECT py_agg($1, list(i)) FROM range({n}) t(i)"
    with wasi_udf.Sandbox(limits=wasi_udf.ResourceLimits(timeout_seconds=60.0)).install(
        con
    ):  # a second where no one waits
        assert con.execute(query, [SUM]).fetchall() == [(n * (n - 1) // 2,)]


@pytest.mark.parametrize("n", [3_000_000, 40_000_000])
def test_a_group_that_is_too_large_is_an_error(con, sandbox, failing, n):
    error = failing(f"SELECT py_agg('len', list(i)) FROM range({n}) t(i)", error=LimitExceeded)
    assert error.limit == "memory_bytes"
    assert str(error).startswith("py_agg('len'): ran out of memory, memory_bytes allows 268,435,456 bytes")


# ---- errors --------------------------------------------------------------------------------------------------------


def test_an_error_shows_the_groups_values_and_leaves_no_state(con, sandbox, failing, monkeypatch):
    monkeypatch.setattr(aggregate, "_PIECE_VALUES", 4)
    con.execute("SET threads = 1")
    code = SUM.replace("        self.total = x", "        if x == 5: raise ValueError('five')\n        self.total = x")
    error = failing("SELECT py_agg($1, list(i)) FROM range(10) t(i)", [code], error=GuestError)
    assert "ValueError: five\n" in str(error)
    assert error.arguments == ("[4, 5, 6, 7]",)
    assert "_udf_functions" not in error.guest_traceback
    assert con.execute("SELECT py_agg($1, list(i)) FROM range(3) t(i)", [code]).fetchall() == [(3,)]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "py_agg('len', x)",
            r"py_agg\('len'\): argument 1 is of the Arrow type int\d+, no list of a group's values; write list",
        ),
        ("py_agg('len', [1, 2]::INTEGER[2])", "argument 1 is of the Arrow type fixed_size_list"),
        ("py_agg('len', list(x), 3)", "argument 2 is of the Arrow type int"),
        ("py_agg('len')", "an aggregate takes at least one column; write list"),
        ("py_agg('async def f(xs): return 1', list(x))", "the function returned coroutine"),
        ("py_agg('def f(xs): yield 1', list(x))", "the function returned generator"),
        ("py_agg('def f(xs: Column[int]): return 1', list(x))", "annotated with Column"),
        ("py_agg('lambda xs: 1', list(x), list(x))", r"the function takes 1 argument\(s\) \(xs\), the query passes 2"),
        ("py_agg(NULL, list(x))", "py_agg: the code, its first argument, is NULL"),
        ("py_agg('3', list(x))", "the code is 3, not a function"),
        ("py_agg('class A:\n def step(self, x): pass', list(x))", "the class A has step, but no finish"),
        ("py_agg('class A:\n def step(self, x: Nonsense): pass\n def finish(self): pass', list(x))", "Nonsense"),
        ("py_agg('class A:\n def step(self): pass\n def finish(self): pass', list(x))", r"takes 0 argument\(s\)"),
        (
            "py_agg('class A:\n def step(self, x): raise StopIteration\n def finish(self): pass', list(x))",
            "StopIteration",
        ),
        ("py_agg('def f(xs: list[str]): return 1', list(x) , list(x))", r"takes 1 argument\(s\)"),
    ],
)
def test_mistakes_are_told(con, sandbox, query, message):
    source = "(VALUES (1)) t(x) GROUP BY x" if "x)" in query and "list(x" not in query else "(VALUES (1)) t(x)"
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.execute(f"SELECT {query} FROM {source}").fetchall()


@pytest.mark.own_sandbox
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lambda xs: 1", ["NONSENSE"]), "'NONSENSE' is not a type DuckDB knows"),
        (("lambda xs: 1", ["BIGINT", "BIGINT"]), "declared, but the function takes"),
        (("lambda xs: 1", None, "NONSENSE"), "'NONSENSE' is not a type DuckDB knows"),
        (("def f(xs: Nonsense): return 1",), "the annotation 'Nonsense' of parameter 'xs'"),
        ((threading.Lock(),), "this is a lock, which can't be called"),
    ],
)
def test_contradictions_are_refused_at_registration(con, sandbox, arguments, message):
    with pytest.raises(SignatureError, match=f"wrong: .*{message}"):
        sandbox.create_aggregate_function(con, "wrong", *arguments)
    sandbox.create_aggregate_function(con, "wrong", "lambda xs: 1")
    sandbox.close()
    with pytest.raises(wasi_udf.ClosedError):
        sandbox.create_aggregate_function(con, "late", "lambda xs: 1")


def test_filter_distinct_and_order_by_go_into_the_list(table):
    for query in ("total(x)", "total(DISTINCT list(x))", "total(list(x)) FILTER (x > 1)", "total(list(x)) OVER ()"):
        with pytest.raises(duckdb.Error):
            table.execute(f"SELECT {query} FROM t")
