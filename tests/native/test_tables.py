"""Table functions on both paths: DuckDB's own on the native one, macros on the other (registered in a transaction)."""

import contextlib
import functools
import gc
import itertools
import threading

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf._process import state
from tests.native import both as both_paths

UP_TO = "def up_to(n: int) -> Iterator[int]:\n    yield from range(n)"
WIDE = """
from typing import TypedDict
from duckdb_wasi_udf import wanted_columns

def wide(n: int) -> Iterator[TypedDict("Row", {"i": int, "s": str, "wanted": list[str]})]:
    wanted = wanted_columns()
    for i in range(n):
        yield {"i": i, "s": str(i), "wanted": wanted}
"""


class Path(both_paths.Path):
    """A database with a sandbox whose table functions take one of the paths."""

    def __init__(self, *, native, **options):
        super().__init__(native=native, **options)
        with self.registering():
            self.sandbox.install(self.con)

    @contextlib.contextmanager
    def registering(self):
        if not self.native:
            self.con.begin()
        yield
        if not self.native:
            self.con.commit()

    def create(self, name, source, schema=None, **options):
        with self.registering():
            self.sandbox.create_table_function(self.con, name, source, schema, **options)

    def outcome(self, query, *parameters):
        """What a query returns with the types of its columns, or the error."""
        try:
            result = self.con.execute(query, parameters)
            described = [(name, str(kind)) for name, kind, *_ in result.description]
            return described, result.fetchall()
        except duckdb.Error as error:
            return type(wasi_udf.error_of(error)), str(wasi_udf.error_of(error)).partition("\n\nLINE")[0]


both = functools.partial(both_paths.both, Path)


@pytest.fixture(scope="module")
def paths():
    with both() as made:
        for path in made:
            path.create("up_to", UP_TO)
            path.create("steps", "def f(n: int = 2, step: float = 0.5): return [i * step for i in range(n)]")
            path.create("days", "def f(day: 'DATE', *more: str): return [(day, list(more))]")
        yield made


def kinds(con, name):
    query = "SELECT DISTINCT function_type FROM duckdb_functions() WHERE lower(function_name) = lower($1) ORDER BY ALL"
    return [kind for (kind,) in con.cursor().execute(query, [name]).fetchall()]


# ---- the same on both paths --------------------------------------------------------------------------------------


def test_the_native_path_has_functions_and_the_other_macros(paths):
    native, other = paths
    for name in ("up_to", "steps", "days", "py_table", "py_map_batches", "py_functions", "py_host_calls"):
        assert kinds(native.con, name) == ["scalar", "table"]
        assert kinds(other.con, name) == ["scalar", "table_macro"]


@pytest.mark.parametrize(
    "query",
    [
        *(f"FROM up_to({n})" for n in (0, 1, 2047, 2048, 2049, 5000)),
        "FROM steps()",
        "FROM steps(3)",
        "FROM steps(2, 2)",
        "FROM steps(step := 3, n := 1 + 1)",
        "FROM steps(NULL)",
        "FROM days(DATE '2026-01-02')",
        "FROM days(DATE '2026-01-02', 'a', 'ö')",
        "FROM query(steps(2, 4.0::DOUBLE))",
        "SELECT count(*), sum(up_to), max(up_to) FROM up_to(5000)",
        "SELECT a.up_to FROM up_to(3000) a JOIN up_to(2) b USING (up_to) ORDER BY ALL",
        "WITH n AS MATERIALIZED (FROM up_to(9)) SELECT count(*) FROM n, n AS m",
        "SELECT (SELECT count(*) FROM up_to(4)), x FROM range(3) r(x)",
        "SELECT 1 FROM up_to(2050) WHERE up_to % 2 = 0",
        "FROM up_to(10) t(renamed) WHERE renamed > 7",
        "FROM up_to(5000) LIMIT 3 OFFSET 2046",
        "FROM up_to(5000) ORDER BY up_to DESC LIMIT 2",
        "FROM py_table('lambda: [(1, None), (None, ''ö'')]')",
        "FROM py_table('lambda: []', schema := {'a': 'INTEGER', 'b c': 'ENUM(''x'', ''y'')'})",
        "FROM py_table('lambda: [None, (1, ''y'')]', schema := {'a': 'INTEGER', 'b c': 'ENUM(''x'', ''y'')'})",
        "SELECT \"b c\" FROM py_table('lambda: [(1, ''y'')]', schema := {'a': 'INTEGER', 'b c': 'ENUM(''x'', ''y'')'})",
        "FROM py_table('def f(n: int) -> Iterator[int]: return range(n)', {'n': 3})",
        "FROM py_table('lambda: [[{\"k\": [1, None]}, None], [], None]', schema := 'STRUCT(k INTEGER[])[]')",
        "FROM py_table('lambda: [{\"a\": {1: \"x\"}}]', schema := {'a': 'MAP(INTEGER, VARCHAR)'})",
        "FROM py_table('lambda: [(1,), (\"s\",), (None,)]', schema := {'u': 'UNION(i INTEGER, s VARCHAR)'})",
        "SELECT v::VARCHAR FROM py_table('lambda: [(1,), ([2],)]', schema := {'v': 'VARIANT'})",
        "FROM py_table('import decimal\nlambda: [decimal.Decimal(\"1.5\")]', schema := 'DECIMAL(5, 2)')",
        "SELECT count(*) FROM py_map_batches('def f(i: int) -> Iterator[int]: return [i] * i', 'FROM range(300) r(i)')",
        "FROM py_map_batches('def f(i: int) -> Iterator[int]: return [i]', 'FROM range(3)', 'TINYINT')",
        "SELECT name, kind, created_by FROM py_functions() WHERE created_by = 'python' ORDER BY ALL",
        "FROM py_host_calls()",
        # errors
        "FROM py_table('1 +')",
        "FROM py_table(NULL)",
        "FROM py_table(42)",
        "FROM py_table('lambda n: [n]')",
        "FROM py_table('lambda n: [n]', args := {'m': 1})",
        "FROM py_table('lambda: [1]', schema := 'NOTYPE')",
        "FROM py_table('lambda: 5')",
        "FROM py_table('def f() -> Iterator[int]:\n yield 1\n raise ValueError(\"no more\")')",
        "FROM py_table('def f() -> Iterator[int]:\n yield from range(2100)\n yield \"x\"')",
        "FROM py_table('lambda: [1, 1000]', schema := 'TINYINT')",
        "FROM py_table('def f(n: int) -> list[int]: return 1 // n', args := {'n': 0})",
        "FROM steps(n := 'three')",
        "FROM py_map_batches('lambda i: [1 // i]', 'SELECT 0 AS i')",
        "FROM py_map_batches('lambda i: [i]', 'FROM nowhere')",
    ],
)
def test_both_paths_return_the_same(paths, query):
    native, other = (path.outcome(query) for path in paths)
    assert native == other
    assert [path.con.execute("FROM up_to(1)").fetchall() for path in paths] == [[(0,)], [(0,)]]


def test_rows_are_those_that_duckdb_makes(paths):
    for path in paths:
        assert path.con.execute("FROM up_to(4097)").fetchall() == path.con.execute("FROM range(4097)").fetchall()


@pytest.mark.parametrize("lossless", [False, True])
def test_arguments_arrive_as_they_are(paths, lossless):
    code = "def f(x): return [repr(x)]"
    values = ["1", "1.5", "'ö'", "NULL", "[1, NULL]", "{'a': 1}", "DATE '2026-01-02'", "1::UTINYINT", "'a'::BLOB"]
    values += ["'00000000-0000-0000-0000-000000000005'::UUID", "170141183460469231731687303715884105727"]
    values += ["MAP {1: 'x'}", "TIMESTAMPTZ '2026-01-02 03:04:05+00'", "'x'::ENUM('x', 'y')", "'[1]'::JSON"]
    values += ["1.25::DECIMAL(5,3)", "INTERVAL 1 DAY"]
    for path in paths:
        path.con.execute(f"SET arrow_lossless_conversion = {lossless}")
    for value in values:
        found = [path.outcome(f"FROM py_table($1, args := {{'x': {value}}})", code) for path in paths]
        assert found[0] == found[1]
        if value != "NULL" or not lossless:
            assert paths[0].outcome(f"FROM py_table($1, x := {value})", code) == found[0]
    for path in paths:
        path.con.execute("RESET arrow_lossless_conversion")


# ---- what the native path has besides ----------------------------------------------------------------------------


def test_py_table_takes_arguments_by_name(paths):
    native, _ = paths
    code = "def f(n: int, *, key=None) -> Iterator[int]: return range(n)"
    for call, rows in (("n := 3", 3), ("N := 2", 2), ("n := 1, schema := 'TINYINT'", 1), ("n := $2", 4)):
        parameters = [code, 4] if "$2" in call else [code]
        assert len(native.con.execute(f"FROM py_table($1, {call})", parameters).fetchall()) == rows
    for call, message in (
        ("m := 3", r"the function takes \(n\); it has no 'm'"),
        ("n := 3, args := {'n': 4}", "by name or in args, not both"),
        ("{'n': 4}, args := {'n': 4}", "args is passed twice"),
        ("{'n': 4}, NULL, 5", "py_table takes code, args and schema"),
    ):
        with pytest.raises(duckdb.Error, match=message):
            native.con.execute(f"FROM py_table($1, {call})", [code])


def few(r: int, a: int = 7, b: str = "q", c: float = 0.5, d: bool | None = None) -> list[str]:
    return [ascii((r, a, b, c, d))]


def many(a=1, b="2", c: float = 3.5, d=True, e: str = "é", f: int = 0) -> list[str]:
    return [ascii((a, b, c, d, e, f))]


@pytest.mark.parametrize(
    ("function", "required", "values"),
    [
        (few, 1, {"r": 1, "a": 2, "b": "x", "c": 1.5, "d": False}),
        (many, 0, dict(zip("abcdef", (2, "x", 1.5, "y", "z", 3), strict=True))),
    ],
)
def test_any_parameters_with_a_default_are_left_out(paths, function, required, values):
    path, con = paths[0], paths[0].con
    path.create(function.__name__, function)
    first, optional = list(values.values())[:required], list(values)[required:]
    for count in range(len(optional) + 1):
        for chosen in itertools.combinations(optional, count):
            by_position = next((i for i in range(count) if chosen[i] != optional[i]), count)
            for positions in {0, by_position}:
                positional = [*first, *[values[name] for name in chosen[:positions]]]
                named = {name: values[name] for name in reversed(chosen[positions:])}
                places = [*["?"] * len(positional), *[f"{name.upper()} := ?" for name in named]]
                query = f"FROM {function.__name__}({', '.join(places)})"
                found = con.execute(query, [*positional, *named.values()]).fetchall()
                assert found == [(function(*positional, **named)[0],)], (query, positional, named)


def test_rows_are_numbered_by_duckdb(paths):
    assert paths[0].con.execute("FROM up_to(2) WITH ORDINALITY").fetchall() == [(0, 1), (1, 2)]


def test_any_number_of_arguments_of_a_function_with_a_rest(paths):
    native, _ = paths
    many = ", ".join(f"'{i}'" for i in range(40))
    assert native.con.execute(f"SELECT len(col1) FROM days('2026-01-02', {many})").fetchall() == [(40,)]


def test_no_macro_is_left_in_a_file_and_old_ones_go(tmp_path):
    path = tmp_path / "file.db"
    with duckdb.connect(path) as con, wasi_udf.Sandbox() as sandbox:
        con.begin()
        sandbox.install(con)
        sandbox.create_table_function(con, "up_to", UP_TO)
        con.commit()
        con.begin()
        sandbox.create_table_function(con, "fixed", "def fixed() -> list[int]: return [1]")
        con.commit()
        con.execute("CREATE VIEW few AS FROM up_to(3)")
        assert "table_macro" in kinds(con, "up_to") + kinds(con, "py_table")
    with duckdb.connect(path) as con, wasi_udf.Sandbox() as sandbox:
        sandbox.install(con)
        sandbox.create_table_function(con, "up_to", UP_TO)
        sandbox.create_table_function(con, "fixed", "def fixed() -> list[int]: return [2]")
        assert con.execute("FROM fixed()").fetchall() == [(2,)]
        query = "SELECT count(*) FROM duckdb_functions() WHERE function_type = 'table_macro' AND NOT internal"
        assert con.execute(query).fetchall() == [(0,)]
        assert con.execute("FROM few").fetchall() == con.execute("FROM range(3)").fetchall()
    with duckdb.connect(path, read_only=True) as con, wasi_udf.Sandbox() as sandbox:
        sandbox.install(con)
        sandbox.create_table_function(con, "up_to", UP_TO)
        for connection in (con, con.cursor()):
            assert len(connection.execute("SELECT * FROM few, py_table('lambda: [1]'), up_to(2)").fetchall()) == 6


def test_every_connection_finds_them_in_any_schema():
    with both() as (path, _):
        path.con.execute("ATTACH ':memory:' AS other; CREATE SCHEMA other.s; USE other.s")
        path.create("up_to", UP_TO)
        path.con.execute("USE memory.main")
        cursor = path.con.cursor()
        cursor.execute("USE other")
        for connection in (path.con, cursor):
            assert len(connection.execute("FROM up_to(2), py_table('lambda: [1]')").fetchall()) == 2


def test_a_function_of_the_users_keeps_its_name():
    with both() as (path, _):
        path.con.execute("CREATE MACRO taken() AS TABLE SELECT 42 AS x")
        with pytest.raises(duckdb.CatalogException, match="taken"):
            path.create("taken", UP_TO)
        assert path.con.execute("FROM taken()").fetchall() == [(42,)]


@pytest.mark.parametrize("name", ["py_functions", "PY_Map_Batches"])
def test_installing_leaves_a_macro_of_the_users_alone(name):
    with duckdb.connect() as con, wasi_udf.Sandbox() as sandbox:
        con.execute(f"CREATE MACRO {name}() AS TABLE SELECT 42 AS x")
        with pytest.raises(wasi_udf.SignatureError, match="something else's"):
            sandbox.install(con)
        assert con.execute(f"FROM {name}()").fetchall() == [(42,)]
        con.execute(f"DROP MACRO TABLE {name}")
        sandbox.install(con)
        assert con.execute("SELECT x + py_udf('lambda: 1') FROM py_table('lambda: [41]') t(x)").fetchall() == [(42,)]


def test_macros_that_were_kept_go_when_another_sandbox_installs(tmp_path):
    query = "SELECT count(*) FROM duckdb_functions() WHERE function_type = 'table_macro' AND NOT internal"
    with duckdb.connect(tmp_path / "file.db") as con, wasi_udf.Sandbox() as first, wasi_udf.Sandbox() as second:
        con.begin()
        first.install(con)
        con.commit()
        assert con.execute(query).fetchall() == [(4,)]
        con.execute("ATTACH ':memory:' AS other; USE other")
        second.install(con, replace=True)
        con.execute("USE file")
        assert con.execute("FROM py_table('lambda: [1]')").fetchall() == [(1,)]


def test_replacing_takes_effect_on_every_connection():
    with both() as (path, _):
        path.create("f", "def f(n: int) -> Iterator[int]: return range(n)")
        cursor = path.con.cursor()
        cursor.execute("PREPARE p AS SELECT count(*) FROM f(3)")
        assert cursor.execute("EXECUTE p").fetchall() == [(3,)]
        path.create("f", "def f(n: int) -> Iterator[int]: return range(n + 1)", replace=True)
        assert cursor.execute("SELECT count(*) FROM f(3)").fetchall() == [(4,)]
        path.create("f", "def f(a: str, b: int = 1) -> Iterator[str]: return [a] * b", replace=True)  # other parameters
        for connection in (path.con, cursor):
            assert connection.execute("FROM f('x', 2)").fetchall() == [("x",), ("x",)]
            assert connection.execute("FROM f(a := 'y')").fetchall() == [("y",)]
        path.sandbox.create_function(path.con, "f", "def f(x: int) -> int: return x", replace=True)
        assert path.con.execute("SELECT f(1)").fetchall() == [(1,)]
        with pytest.raises(duckdb.CatalogException):
            path.con.execute("FROM f(1)")


def test_a_transaction_decides_what_a_name_means():
    with both() as (path, _):
        con, other = path.con, path.con.cursor()
        path.create("f", "def f() -> list[int]: return [1]")
        for end, rows in ((con.rollback, [(1,)]), (con.commit, [(2,)])):
            con.begin()
            path.sandbox.create_table_function(con, "f", "def f() -> list[int]: return [2]", replace=True)
            assert con.execute("FROM f()").fetchall() == [(2,)]
            assert other.execute("FROM f()").fetchall() == [(1,)]
            end()
            assert con.execute("FROM f()").fetchall() == rows
        con.remove_function("f")  # which leaves the macro, as ever
        for connection in (con, other):
            with pytest.raises((duckdb.CatalogException, duckdb.BinderException)):
                connection.execute("FROM f()")
        path.create("g", "def g() -> list[int]: return [1]")
        assert con.execute("FROM g()").fetchall() == [(1,)]
        con.remove_function("g")
        with pytest.raises(duckdb.CatalogException):
            other.execute("FROM g()")


# ---- columns, rows and estimates ---------------------------------------------------------------------------------


def test_a_function_learns_which_columns_are_wanted():
    with both() as (native, other):
        for path in (native, other):
            path.create("wide", WIDE)
        wanted = "SELECT DISTINCT {} FROM wide(3000)"
        assert native.con.execute(wanted.format("wanted")).fetchall() == [(["wanted"],)]
        assert native.con.execute(wanted.format("max(i), wanted") + " GROUP BY wanted").fetchall() == [
            (2999, ["i", "wanted"])
        ]
        assert native.con.execute("SELECT wanted FROM wide(1) WHERE s = '0'").fetchall() == [(["s", "wanted"],)]
        assert native.con.execute("SELECT * FROM wide(1)").fetchall() == [(0, "0", None)]
        assert native.con.execute("SELECT wanted, s, i FROM wide(1)").fetchall() == [(None, "0", 0)]
        assert native.con.execute("SELECT count(*) FROM wide(2049)").fetchall() == [(2049,)]
        assert other.con.execute(wanted.format("wanted")).fetchall() == [(None,)]
        inferred = "from duckdb_wasi_udf import wanted_columns\ndef f(): yield {'a': 1, 'b': str(wanted_columns())}"
        assert native.con.execute("SELECT b FROM py_table($1)", [inferred]).fetchall() == [("('b',)",)]


def test_the_code_says_how_many_rows_to_expect():
    code = "def cardinality(n): return n\ndef f(n: int) -> Iterator[int]: return range(n)"
    with both() as (path, _):
        path.create("numbers", code)
        ((_, plan),) = path.con.execute("EXPLAIN FROM numbers(123456)").fetchall()
        assert "123,456" in plan or "123456" in plan
        assert path.con.execute("SELECT count(*) FROM numbers(2049)").fetchall() == [(2049,)]
        for wrong in ("-1", "'many'", "2**63"):
            text = f"def cardinality(): return {wrong}\ndef f() -> list[int]: return [1]"
            with pytest.raises(duckdb.Error, match="the number of rows is an int from 0 on, or None"):
                path.con.execute("FROM py_table($1)", [text])
        path.create("fixed", "def f() -> list[int]: return [1]", cardinality=654321)
        path.create("shipped", UP_TO, cardinality=lambda n: n * 7)
        for query, rows in (("FROM fixed()", "654,321"), ("FROM shipped(100000)", "700,000")):
            ((_, plan),) = path.con.execute(f"EXPLAIN {query}").fetchall()
            assert rows in plan or rows.replace(",", "") in plan
            assert path.con.execute(f"SELECT count(*) > 0 FROM ({query})").fetchall() == [(True,)]
        for wrong in (-1, True, "many", 2**63, 1.5):
            with pytest.raises(wasi_udf.SignatureError, match="cardinality is a number of rows or a function"):
                path.create("wrong", UP_TO, cardinality=wrong)
        text = "def cardinality(): return None\ndef f() -> list[int]: return [1]"
        assert path.con.execute("FROM py_table($1)", [text]).fetchall() == [(1,)]


# ---- lifetimes ---------------------------------------------------------------------------------------------------


def test_nothing_is_left_of_queries_however_they_end():
    with both() as (path, _):
        con, code = path.con, "def f() -> Iterator[int]:\n  i = 0\n  while True: yield 1 // (6000 - i); i += 1"
        gc.collect()
        before = len(state.native_bound), len(state.native_scans)
        con.execute("FROM py_table($1) LIMIT 3", [code]).fetchall()
        with pytest.raises(duckdb.InvalidInputException, match="ZeroDivisionError"):
            con.execute("SELECT sum(py_table) FROM py_table($1)", [code]).fetchall()
        con.execute("EXPLAIN FROM py_table($1)", [code]).fetchall()
        cursor = con.cursor()
        reader = cursor.execute(
            "FROM py_table($1)", ["import itertools\ndef f() -> Iterator[int]: return itertools.count()"]
        )
        assert reader.fetchone() == (0,)
        assert len(state.native_scans) > before[1]
        con.execute("PREPARE p AS FROM py_table('lambda: [1]')")
        assert [con.execute("EXECUTE p").fetchall() for _ in range(3)] == [[(1,)]] * 3
        cursor.close()
        con.execute("DEALLOCATE p")
        del reader, cursor
        con.execute("SELECT 1").fetchall()
        gc.collect()
        assert (len(state.native_bound), len(state.native_scans)) == before


def test_a_hundred_databases_come_and_go():
    before = len(state.native_tables)
    with wasi_udf.Sandbox() as sandbox:
        for number in range(100):
            con = duckdb.connect()
            sandbox.create_table_function(con, "up_to", UP_TO)
            cursor = con.cursor()
            if number % 10 == 0:
                assert cursor.execute("SELECT count(*) FROM up_to($1)", [number]).fetchall() == [(number,)]
                cursor.execute("FROM up_to(100000)").fetchone()
            if number % 2:
                cursor.close()
            con.close()
        del con, cursor
        gc.collect()
        assert not state.native_bound
        assert not state.native_scans
        assert len(state.native_tables) == before


def test_a_closed_sandbox_ends_its_scans():
    with both() as (path, _):
        path.create("naturals", "import itertools\ndef f() -> Iterator[int]: return itertools.count()")
        result = path.con.execute("FROM naturals()")
        assert result.fetchone() == (0,)
        path.sandbox.close()
        with pytest.raises(duckdb.InvalidInputException, match="the sandbox is closed"):
            result.fetchall()
        with pytest.raises(duckdb.InvalidInputException, match="the sandbox is closed"):
            path.con.execute("FROM naturals()")


def test_an_interrupt_ends_a_scan_between_steps():
    with both() as (path, _):
        path.create("naturals", "import itertools\ndef f() -> Iterator[int]: return itertools.count()")
        errors = []

        def run():
            try:
                path.con.execute("SELECT sum(naturals) FROM naturals()").fetchall()
            except duckdb.Error as error:
                errors.append(error)

        worker = threading.Thread(target=run)
        worker.start()
        while worker.is_alive():
            if path.sandbox.usage().rows:
                path.con.interrupt()
            worker.join(0.02)
        assert isinstance(errors[0], duckdb.InterruptException)
        assert path.con.execute("FROM naturals() LIMIT 1").fetchall() == [(0,)]


@pytest.mark.parametrize("threads", [1, 4])
def test_many_connections_bind_and_scan_at_once(threads):
    with both() as (path, _):
        path.con.execute(f"SET threads = {threads}")
        path.create("up_to", UP_TO)
        found, wanted = [], []

        def work(first):
            cursor = path.con.cursor()
            for n in range(first, first + 8):
                wanted.append(n)
                query = "SELECT count(*) FROM (FROM up_to($1) UNION ALL FROM py_table($2, n := $1))"
                found.append(cursor.execute(query, [n, UP_TO]).fetchone()[0] // 2)

        workers = [threading.Thread(target=work, args=(n,)) for n in (0, 2040, 4090)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert sorted(found) == sorted(wanted)


def test_a_query_is_stopped_apart_from_another_connections():
    code = "def f() -> Iterator[int]:\n    i = 0\n    while True:\n        i += 1\n        yield i"
    with both() as (path, _):
        mine, other = path.con, path.con.cursor()
        rest = other.execute("FROM py_table($1)", [code])
        assert rest.fetchone() == (1,)
        with path.sandbox.query(mine) as query:
            query.cancel()
            with pytest.raises(duckdb.Error):
                mine.execute("SELECT max(py_table) FROM py_table($1)", [code]).fetchall()
            assert [rest.fetchone()[0] for _ in range(5000)] == list(itertools.islice(itertools.count(2), 5000))
        rest.close()
