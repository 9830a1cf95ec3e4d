"""Functions created from SQL, listed, stored and restored."""

import gc
import hashlib
import logging
import subprocess
import sys
import threading

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import LimitExceeded, SignatureError
from tests.support.overloads import check_gone

CREATE = "SELECT py_create_function($1, $2)"
CREATE_WITH = "SELECT py_create_function($1, $2, {})"


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "functions.duckdb")


def listed(con, columns="name"):
    query = f"SELECT {columns} FROM (SELECT unnest(py_functions(), max_depth := 2)) WHERE created_by <> 'query'"
    rows = con.execute(f"{query} ORDER BY name").fetchall()
    return [row[0] for row in rows] if "," not in columns else rows


# ---- creating ------------------------------------------------------------------------------------------------------


def test_functions_created_from_sql_work_on_every_cursor(con, sandbox):
    created = con.execute(CREATE, ["twice", "def twice(x: int) -> int: return 2 * x"]).fetchall()
    assert created == [("twice(x BIGINT) -> BIGINT",)]
    con.execute("CREATE TABLE t AS SELECT CASE WHEN i % 3 > 0 THEN i END AS x FROM range(5000) r(i)")
    for connection in (con, con.cursor()):
        assert connection.execute("SELECT count(*) FROM t WHERE twice(x) IS DISTINCT FROM 2 * x").fetchone() == (0,)


def test_functions_are_created_from_the_rows_of_a_table(con, sandbox):
    con.execute("CREATE TABLE vetted AS FROM (VALUES ('a', 'lambda x: x + 1'), ('b', 'lambda x: x + 2')) v(name, code)")
    con.execute("SELECT py_create_function(name, code) FROM vetted").fetchall()
    assert con.execute("SELECT a(1), b(1)").fetchall() == [(2, 3)]


def test_options_are_those_of_create_function(con, sandbox):
    for name, code, options in (
        ("typed", "lambda x, y: x * y", "{'parameters': ['INTEGER', 'DOUBLE'], 'return_type': 'DOUBLE'}"),
        ("special", "lambda x: x is None", "{'null_handling': 'special', 'return_type': 'BOOLEAN'}"),
        ("lenient", "lambda x: 1 // x", "{'exception_handling': 'return_null', 'side_effects': NULL}"),
        ("nothing", "lambda x: x", "NULL"),
    ):
        con.execute(CREATE_WITH.format(options), [name, code])
    assert con.execute("SELECT typed('2', 3), special(NULL), lenient(0), nothing(1)").fetchall() == [
        (6.0, True, None, 1)
    ]
    assert listed(con, "name, signature") == [
        ("lenient", "(x ANY) -> VARIANT"),
        ("nothing", "(x ANY) -> VARIANT"),
        ("special", "(x ANY) -> BOOLEAN"),
        ("typed", "(x INTEGER, y DOUBLE) -> DOUBLE"),
    ]
    assert sandbox.failed_rows("LENIENT") == 1  # names are DuckDB's, whose case doesn't matter


def test_an_aggregate_is_created_from_sql(con, sandbox):
    con.execute(
        CREATE_WITH.format("{'kind': 'aggregate', 'parameters': ['BIGINT']}"),
        ["spread", "lambda xs: max(xs) - min(xs)"],
    )
    query = "SELECT i % 3, spread(list(i)), max(i) - min(i) FROM range(10) t(i) GROUP BY ALL ORDER BY ALL"
    assert [row[1] == row[2] for row in con.execute(query).fetchall()] == [True] * 3


def test_a_table_function_is_created_and_dropped_from_sql(con, sandbox):
    table = "{'kind': 'table', 'schema': 'STRUCT(i UTINYINT, s VARCHAR)', 'replace': true}"
    created = con.execute(CREATE_WITH.format(table), ["rows", "lambda n: [(i, 'x' * i) for i in range(n)]"]).fetchall()
    assert created == [("rows(n ANY) -> STRUCT(i UTINYINT, s VARCHAR)",)]
    assert con.cursor().execute("SELECT typeof(i), s FROM rows(2)").fetchall() == [("UTINYINT", ""), ("UTINYINT", "x")]
    con.execute("CREATE VIEW v AS FROM rows(3)")
    stream = con.cursor().execute("FROM rows(100)")
    assert stream.fetchone() == (0, "")
    con.execute(CREATE_WITH.format("{'kind': 'table', 'replace': true}"), ["rows", "lambda n, m=2: [{'i': n * m}]"])
    assert con.execute("FROM v").fetchall() == [(6,)]
    assert con.execute("FROM rows(5, 5)").fetchall() == [(25,)]
    assert len(stream.fetchall()) == 99
    assert listed(con, "name, kind, created_by") == [("rows", "table", "sql")]
    with pytest.raises(duckdb.Error, match="there is a function rows already"):
        con.execute(CREATE_WITH.format("{'kind': 'table'}"), ["rows", "lambda: [1]"])
    con.execute(CREATE_WITH.format("{'replace': true}"), ["rows", "lambda n: n"])  # no table any more
    assert con.execute("SELECT rows(7)").fetchall() == [(7,)]
    con.execute("SELECT py_drop_function('rows')")
    check_gone(con, "rows", "FROM rows(1)", "SELECT rows(1)")
    con.execute("CREATE MACRO rows() AS TABLE SELECT 1")


def test_a_table_function_that_fails_to_be_replaced_stays(con, sandbox):
    con.execute(CREATE_WITH.format("{'kind': 'table'}"), ["rows", "lambda: [1]"])
    for code in ("lambda: [1", "def f(x: complex): return []"):
        with pytest.raises(duckdb.InvalidInputException):
            con.execute(CREATE_WITH.format("{'kind': 'table', 'replace': true}"), ["rows", code])
        assert con.execute("FROM rows()").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("'BIGINT'", r"options are a STRUCT, such as {'return_type': 'BIGINT'}; got 'BIGINT'"),
        ("return_type := 'BIGINT'", "options are a STRUCT"),  # DuckDB drops the name
        ("{'returns': 'BIGINT'}", "there is no option 'returns'; there are: kind, entry, schema"),
        ("{'parameters': 'BIGINT'}", r"the option parameters is VARCHAR\[\], got 'BIGINT'"),
        ("{'parameters': [1]}", r"the option parameters is VARCHAR\[\], got \[1\]"),
        ("{'side_effects': 'yes'}", "the option side_effects is BOOLEAN, got 'yes'"),
        ("{'kind': 'window'}", "kind must be one of 'scalar', 'aggregate', 'table'; got 'window'"),
        ("{'schema': 'BIGINT'}", "a function of the kind 'scalar' has no option schema"),
        ("{'kind': 'table', 'side_effects': true}", "a function of the kind 'table' has no option side_effects"),
        ("{'kind': 'table', 'parameters': ['BIGINT']}", "a function of the kind 'table' has no option parameters"),
        ("{'kind': 'table', 'schema': 'NOTYPE'}", "the schema is a type DuckDB knows"),
        (
            "{'kind': 'aggregate', 'null_handling': 'special'}",
            "a function of the kind 'aggregate' has no option null_handling",
        ),
        ("{'null_handling': 'never'}", "null_handling must be 'default' or 'special', got 'never'"),
        ("{'return_type': 'NONSENSE'}", "'NONSENSE' is not a type DuckDB knows"),
        ("{'parameters': ['BIGINT', 'BIGINT']}", r"2 parameter type\(s\) declared, but the function takes 1"),
        ("{}, 1", "the query passes 4"),
    ],
)
def test_wrong_options_are_refused_and_create_nothing(con, sandbox, options, message):
    with pytest.raises(duckdb.Error, match=message):
        con.execute(f"SELECT py_create_function('f', 'lambda x: x', {options})").fetchall()
    assert listed(con) == []
    con.execute(CREATE, ["f", "lambda x: x"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("upper", "upper is the name of a function that was not created with py_create_function"),
        ("SUM", "SUM is the name of a function that was not"),
        ("list_sum", "list_sum is the name of a function that was not"),
        ("read_csv", "read_csv is the name of a function that was not"),
        ("ours", "ours is the name of a function that was not"),
        ("a_macro", "a_macro is the name of a function that was not"),
        ("py_mine", "'py_mine' can't be a name"),
        ("", "'' can't be a name"),
        ("x" * 201, "can't be a name"),
        ("a\nb", "can't be a name"),
        (None, "the name and the code are VARCHAR, and not NULL"),
        (1, "the name and the code are VARCHAR, and not NULL"),
    ],
)
@pytest.mark.parametrize("options", ["NULL", "{'replace': true}"])
def test_names_that_are_taken_or_reserved_are_refused(con, sandbox, name, message, options):
    sandbox.create_function(con, "ours", "lambda x: x")
    con.execute("CREATE MACRO a_macro(x) AS x")
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.execute(CREATE_WITH.format(options), [name, "lambda x: x"]).fetchall()
    assert con.execute("SELECT upper('a'), ours(1), a_macro(1)").fetchall() == [("A", 1, 1)]
    assert listed(con) == ["ours"]


def test_odd_names_work_when_quoted(con, sandbox):
    for name in ('My "Fun"', "größe", "select"):
        con.execute(CREATE, [name, "lambda x: x + 1"])
        quoted = '"' + name.replace('"', '""') + '"'
        assert con.execute(f"SELECT {quoted}(1)").fetchall() == [(2,)]
        assert con.execute("SELECT py_drop_function($1)", [name]).fetchall() == [(name,)]


def test_code_that_does_not_compile_creates_nothing(con, sandbox, failing):
    error = failing(CREATE, ["broken", "lambda x: x +"], error=wasi_udf.GuestError)
    assert str(error).startswith("broken: SyntaxError")
    assert listed(con) == []


def test_code_that_never_ends_is_stopped(con):
    with wasi_udf.Sandbox(limits=wasi_udf.ResourceLimits(timeout_seconds=0.3)).install(con) as sandbox:
        with pytest.raises(duckdb.InvalidInputException):
            con.execute(CREATE, ["f", "while True: pass\nf = lambda x: x"])
        assert isinstance(sandbox.last_error, LimitExceeded)
        assert listed(con) == []


# ---- replacing and dropping ----------------------------------------------------------------------------------------


def test_replacing_is_asked_for_and_may_change_the_types(con, sandbox, failing):
    con.execute(CREATE, ["f", "def f(x: int) -> int: return x"])
    con.execute("PREPARE p AS SELECT f(1)")
    error = failing(CREATE, ["F", "lambda x: -x"], error=SignatureError)
    assert str(error) == "py_create_function: there is a function F already; add {'replace': true} to replace it"
    assert con.execute("EXECUTE p").fetchall() == [(1,)]
    for code, result in (
        ("def f(x: int) -> int: return -x", -1),
        ("def f(x: str) -> str: return x * 2", "aa"),
        ("lambda *xs: len(xs)", 1),
        ("def f(x, y=5): return y", 5),
    ):
        con.execute(CREATE_WITH.format("{'replace': true}"), ["f", code])
        argument = "a" if result == "aa" else 1
        assert con.execute("SELECT f($1)", [argument]).fetchall() == [(result,)]
    assert con.execute("EXECUTE p").fetchall() == [(1,)]  # DuckDB doesn't plan it again
    assert listed(con) == ["f"]


def test_a_replacement_that_fails_leaves_the_function_as_it_was(con, sandbox):
    con.execute(CREATE_WITH.format("{'persist': true}"), ["f", "lambda x: x"])
    for code, options in (
        ("lambda x: x +", "{'replace': true}"),
        ("lambda: 1", "{'replace': true, 'side_effects': true, 'return_type': 'BIT'}"),
    ):
        with pytest.raises(duckdb.InvalidInputException):
            con.execute(CREATE_WITH.format(options), ["f", code])
        assert con.execute("SELECT f(1)").fetchall() == [(1,)]
        assert listed(con, "name, persisted, source_hash") == [("f", True, hashlib.sha256(b"lambda x: x").hexdigest())]
    assert con.execute("SELECT name, source FROM wasi_udf.functions").fetchall() == [("f", "lambda x: x")]


def test_a_running_query_keeps_the_function_it_began_with(con, sandbox):
    con.execute("SET threads = 1")
    con.execute(CREATE, ["f", "lambda x: 1"])
    stream = con.cursor().execute("SELECT f(i) FROM range(200_000) t(i)")
    assert stream.fetchone() == (1,)
    con.execute(CREATE_WITH.format("{'replace': true}"), ["f", "lambda x, y: 2"])
    assert con.execute("SELECT f(1, 1)").fetchall() == [(2,)]
    con.execute("SELECT py_drop_function('f')")
    assert {value for (value,) in stream.fetchall()} == {1}


def test_functions_are_replaced_while_other_threads_use_them(con, sandbox):
    con.execute(CREATE, ["f", "def f(x: int) -> int: return 0"])
    errors, seen, done = [], set(), threading.Event()

    def use(cursor):
        try:
            while not done.is_set():
                rows = cursor.execute("SELECT DISTINCT f(i) FROM range(5000) t(i)").fetchall()
                assert len(rows) == 1, rows
                seen.add(rows[0][0])
        except BaseException as error:
            errors.append(error)

    def replace(cursor, numbers):
        try:
            for number in numbers:
                code = f"def f(x: int) -> int: return {number}"
                cursor.execute(CREATE_WITH.format("{'replace': true}"), ["f", code]).fetchall()
        except BaseException as error:
            errors.append(error)

    users = [threading.Thread(target=use, args=(con.cursor(),)) for _ in range(2)]
    replacers = [threading.Thread(target=replace, args=(con.cursor(), range(i, i + 10))) for i in (100, 200)]
    for thread in users + replacers:
        thread.start()
    for thread in replacers:
        thread.join(timeout=60)
    done.set()
    for thread in users:
        thread.join(timeout=60)
    assert errors == []
    assert seen <= {0, *range(100, 110), *range(200, 210)}
    assert con.execute("SELECT f(1)").fetchone()[0] in {109, 209}


def test_what_was_dropped_is_gone_and_its_name_is_free(con, sandbox):
    for code in ("lambda x: 1", "lambda x, y: 2"):
        con.execute(CREATE, ["f", code])
        assert con.cursor().execute("SELECT py_drop_function('f'), py_drop_function(NULL)").fetchall() == [("f", None)]
        check_gone(con, "f", "SELECT f(1)")
        assert listed(con) == []
    con.create_function("f", lambda x: x, ["BIGINT"], "BIGINT")


@pytest.mark.parametrize("name", ["ours", "upper", "nothing"])
def test_only_what_sql_created_can_be_dropped_from_sql(con, sandbox, failing, name):
    sandbox.create_function(con, "ours", "lambda x: x")
    error = failing("SELECT py_drop_function($1)", [name], error=SignatureError)
    assert f"{name!r} is no function created with py_create_function" in str(error)
    assert con.execute("SELECT ours(1), upper('a')").fetchall() == [(1, "A")]


def test_creating_is_no_part_of_the_transaction_it_happens_in(con, sandbox):
    con.execute("BEGIN; CREATE TABLE t AS SELECT 1 AS x")
    con.execute(CREATE, ["f", "lambda x: x"])
    with pytest.raises(duckdb.CatalogException):  # it began before
        con.execute("SELECT f(1)")
    con.execute("ROLLBACK")
    assert con.execute("SELECT f(1)").fetchall() == [(1,)]


# ---- listing -------------------------------------------------------------------------------------------------------


def test_the_counters_tell_what_happened(con):
    # Where batches take long, as on a busy machine, another instance compiles the function and is counted.
    sandbox = wasi_udf.Sandbox(compiled=False).install(con)
    con.execute("SET threads = 1")
    sandbox.create_function(con, "lenient", "lambda x: 1 // x", ["BIGINT"], "BIGINT", exception_handling="return_null")
    con.execute(CREATE_WITH.format("{'parameters': ['BIGINT']}"), ["strict", "lambda x: 1 // x"])
    con.execute("CREATE TABLE t AS SELECT i AS x FROM range(5000) r(i)")
    con.execute("SELECT lenient(x) FROM t").fetchall()
    con.execute("SELECT strict(x) FROM t WHERE x > 0").fetchall()
    with pytest.raises(duckdb.InvalidInputException):
        con.execute("SELECT strict(x) FROM t WHERE x < 3").fetchall()
    columns = "name, kind, created_by, persisted, rows, errors, failed_rows, problem"
    assert con.execute(f"SELECT {columns} FROM py_functions() ORDER BY name").fetchall() == [
        ("lenient", "scalar", "python", False, 5000, 0, 1, None),
        ("strict", "scalar", "sql", False, 4999, 1, 0, None),
    ]
    honest = "calls >= 3 AND guest_seconds > 0 AND host_seconds > 0 AND instances = 1 AND language LIKE 'CPython 3.%'"
    assert con.execute(f"SELECT {honest} AND peak_memory_bytes > 2**20 FROM py_functions()").fetchall() == [(True,)] * 2


def test_table_functions_are_listed_with_what_their_scans_did(con, sandbox):
    sandbox.create_table_function(con, "up_to", "def up_to(n: int) -> Iterator[int]: return iter(range(n))")
    sandbox.create_table_function(con, "guessed", "def guessed(x=1): yield {'a': 1 // x}")
    con.execute("SELECT sum(up_to) FROM up_to(5000)").fetchall()
    con.execute("FROM guessed()").fetchall()
    with pytest.raises(duckdb.InvalidInputException, match="ZeroDivisionError"):
        con.execute("FROM guessed(0)").fetchall()
    columns = "name, kind, signature, rows, errors, failed_rows, created_by, persisted, calls, instances"
    assert con.execute(f"SELECT {columns} FROM py_functions() ORDER BY name").fetchall() == [
        # for the columns of `guessed`, once more than for its rows
        ("guessed", "table", "([x ANY]) -> VARIANT", 2, 1, 0, "python", False, 4, 1),
        ("up_to", "table", "(n BIGINT) -> BIGINT", 5000, 0, 0, "python", False, 4, 1),
    ]
    honest = "guest_seconds > 0 AND host_seconds > 0 AND peak_memory_bytes > 2**20 AND length(source_hash) = 64"
    assert con.execute(f"SELECT DISTINCT {honest} FROM py_functions()").fetchall() == [(True,)]
    con.remove_function("up_to")
    assert listed(con) == ["guessed"]


def test_the_list_is_up_to_date_whenever_it_is_read(con, sandbox):
    con.execute("PREPARE p AS SELECT name, rows FROM py_functions()")
    assert con.execute("EXECUTE p").fetchall() == []
    sandbox.create_function(con, "f", "lambda x: x", ["BIGINT"], "BIGINT")
    con.execute("SELECT f(i) FROM range(10) t(i)").fetchall()
    assert con.execute("EXECUTE p").fetchall() == [("f", 10)]
    con.remove_function("f")
    assert con.execute("EXECUTE p").fetchall() == []


# ---- storing -------------------------------------------------------------------------------------------------------


def stored(path):
    """A database with two stored functions and one that isn't."""
    with duckdb.connect(path) as con, wasi_udf.Sandbox().install(con):
        options = "{'persist': true, 'exception_handling': 'return_null', 'parameters': ['BIGINT']}"
        con.execute(CREATE_WITH.format(options), ["inverse", "def inverse(x) -> float: return 1 / x"])
        con.execute(
            CREATE_WITH.format("{'persist': true, 'kind': 'aggregate'}"), ["longest", "lambda xs: max(xs, key=len)"]
        )
        con.execute(CREATE, ["passing", "lambda x: x"])
        assert listed(con, "name, persisted") == [("inverse", True), ("longest", True), ("passing", False)]


@pytest.mark.parametrize("read_only", [False, True])
def test_stored_functions_are_there_when_the_file_is_reopened(path, read_only):
    stored(path)
    with duckdb.connect(path, read_only=read_only) as con, wasi_udf.Sandbox().install(con):
        columns = "name, kind, signature, persisted, created_by, problem"
        assert listed(con, columns) == [
            ("inverse", "scalar", "(x BIGINT) -> DOUBLE", True, "sql", None),
            ("longest", "aggregate", "(xs ANY) -> VARIANT", True, "sql", None),
        ]
        query = "SELECT inverse(4), inverse(0), longest(list(s)) FROM (VALUES ('a'), ('ccc'), ('bb')) t(s)"
        assert con.execute(query).fetchall() == [(0.25, None, "ccc")]
        with pytest.raises(duckdb.CatalogException):
            con.execute("SELECT passing(1)")


@pytest.mark.parametrize("read_only", [False, True])
def test_a_stored_table_function_is_there_after_reopening(path, read_only):
    with duckdb.connect(path) as con, wasi_udf.Sandbox().install(con):
        options = "{'kind': 'table', 'persist': true, 'schema': 'INTEGER'}"
        con.execute(CREATE_WITH.format(options), ["up_to", "lambda n: range(n)"])
        con.execute("CREATE VIEW few AS FROM up_to(3)")
    with duckdb.connect(path, read_only=read_only) as con, wasi_udf.Sandbox().install(con):
        assert listed(con, "name, kind, persisted, problem") == [("up_to", "table", True, None)]
        for query in ("few", "up_to(3)", "query(up_to(3))"):
            assert con.cursor().execute(f"SELECT sum(up_to), typeof(any_value(up_to)) FROM {query}").fetchall() == [
                (3, "INTEGER")
            ]
        wasi_udf.install(con, replace=True)
        assert con.execute("FROM few").fetchall() == [(0,), (1,), (2,)]
        if not read_only:
            con.execute("SELECT py_drop_function('up_to')")
            check_gone(con, "up_to", "FROM up_to(3)")


def test_installing_again_restores_the_stored_and_drops_the_rest(path):
    stored(path)
    with duckdb.connect(path) as con:
        wasi_udf.install(con)
        con.execute(CREATE, ["passing", "lambda x: x"]).fetchall()
        with wasi_udf.Sandbox().install(con, replace=True):
            assert listed(con) == ["inverse", "longest"]
            assert con.execute("SELECT inverse(4)").fetchall() == [(0.25,)]
            with pytest.raises(duckdb.CatalogException):
                con.execute("SELECT passing(1)")


def test_dropping_and_replacing_change_what_is_stored(path):
    stored(path)
    with duckdb.connect(path) as con, wasi_udf.Sandbox().install(con):
        con.execute("SELECT py_drop_function('inverse')")
        con.execute(CREATE_WITH.format("{'replace': true, 'persist': true}"), ["longest", "lambda x: 'new'"])
    with duckdb.connect(path) as con, wasi_udf.Sandbox().install(con):
        assert listed(con, "name, kind") == [("longest", "scalar")]
        assert con.execute("SELECT longest(1)").fetchall() == [("new",)]
        con.execute(CREATE_WITH.format("{'replace': true}"), ["longest", "lambda x: 'passing'"])
    with duckdb.connect(path) as con, wasi_udf.Sandbox().install(con):
        assert listed(con) == []


def test_a_read_only_database_refuses_to_store(path):
    stored(path)
    with duckdb.connect(path, read_only=True) as con, wasi_udf.Sandbox().install(con):
        with pytest.raises(duckdb.InvalidInputException):
            con.execute(CREATE_WITH.format("{'persist': true}"), ["f", "lambda x: x"])
        check_gone(con, "f", "SELECT f(1)")
        assert listed(con) == ["inverse", "longest"]
        con.execute(CREATE, ["f", "lambda x: x + 1"])
        assert con.execute("SELECT f(1)").fetchall() == [(2,)]


def test_what_cannot_be_restored_is_logged_and_listed(path, caplog):
    stored(path)
    with duckdb.connect(path) as con:
        con.execute("UPDATE wasi_udf.functions SET source = 'lambda xs: xs +' WHERE name = 'longest'")
        con.execute("""INSERT INTO wasi_udf.functions VALUES
            ('upper', 'scalar', 'lambda s: s', '', '{}', ''), ('a', 'scalar', 'lambda s: s', '', '[[', ''),
            ('b', 'sclar', 'lambda s: s', '', '{}', ''), ('c', 'scalar', NULL, NULL, '{}', NULL),
            ('d', 'scalar', 'lambda s: s', '', '{"return_type": 3}', ''), ('inverse', 'scalar', '', '', '{}', '')""")
    with caplog.at_level(logging.WARNING), duckdb.connect(path) as con, wasi_udf.Sandbox().install(con):
        problems = dict(con.execute("SELECT name, problem FROM py_functions() WHERE problem IS NOT NULL").fetchall())
        for name, problem in {
            "a": "its stored options are no JSON object",
            "b": "kind must be one of 'scalar', 'aggregate', 'table'; got 'sclar'",
            "c": "the name and the code are VARCHAR",
            "d": "the option return_type is VARCHAR, got 3",
            "longest": "SyntaxError",
            "upper": "upper is the name of a function that was not created",
        }.items():
            assert problem in problems[name]
            assert any(f"function {name} is not restored" in message for message in caplog.messages)
        assert con.execute("SELECT upper('a')").fetchall() == [("A",)]
        assert listed(con, "name, problem IS NULL").count(("inverse", True)) <= 1
        con.execute("SELECT py_drop_function('longest')")
        con.execute(CREATE_WITH.format("{'replace': true, 'persist': true}"), ["a", "lambda x: x"])
    with duckdb.connect(path) as con, wasi_udf.Sandbox().install(con):
        assert con.execute("SELECT a(7)").fetchall() == [(7,)]
        assert "longest" not in listed(con)


def test_a_view_in_place_of_the_table_is_not_read(path):
    with duckdb.connect(path) as con:
        con.execute("CREATE SCHEMA wasi_udf")
        con.execute("""CREATE VIEW wasi_udf.functions AS SELECT 'f' AS name, 'scalar' AS kind, 'lambda x: x' AS source,
            '' AS signature, '{}' AS options, '' AS language""")
        with wasi_udf.Sandbox().install(con):
            assert listed(con) == []


def test_a_table_of_other_columns_is_reported(path, caplog):
    with duckdb.connect(path) as con:
        con.execute("CREATE SCHEMA wasi_udf; CREATE TABLE wasi_udf.functions AS SELECT 'f' AS name, 1 AS version")
        with wasi_udf.Sandbox().install(con):
            ((name, problem),) = con.execute("SELECT name, problem FROM py_functions()").fetchall()
    assert name == "wasi_udf.functions"
    assert "kind" in problem
    assert "the stored function wasi_udf.functions is not restored" in caplog.text


# ---- permissions ---------------------------------------------------------------------------------------------------


def test_without_inline_code_only_named_functions_run(con):
    wasi_udf.install(con)
    with wasi_udf.Sandbox(allow_inline=False).install(con, replace=True) as sandbox:
        for name in ("py_udf", "py_udf_bigint", "py_udf_boolean", "py_udf_double", "py_udf_varchar", "py_agg"):
            check_gone(con, name, f"SELECT {name}('lambda x: x', [1])")
        sandbox.create_function(con, "vetted", "lambda x: x + 1")
        con.execute(CREATE, ["created", "lambda x: x + 2"])
        assert con.execute("SELECT vetted(1), created(1)").fetchall() == [(2, 3)]


def test_without_creation_sql_cannot_create_drop_or_restore(path):
    stored(path)
    with duckdb.connect(path) as con:
        wasi_udf.install(con)
        with wasi_udf.Sandbox(allow_create=False).install(con, replace=True) as sandbox:
            sandbox.create_function(con, "vetted", "lambda x: x + 1")
            check_gone(con, "py_create_function", "SELECT py_create_function('f', 'lambda x: x')")
            check_gone(con, "py_drop_function", "SELECT py_drop_function('vetted')")
            check_gone(con, "inverse", "SELECT inverse(1)")
            assert con.execute("SELECT vetted(1), py_udf('lambda x: x', 1)").fetchall() == [(2, 1)]
            forbidden = "the sandbox doesn't let SQL create functions (allow_create=False)"
            assert listed(con, "name, problem") == [("inverse", forbidden), ("longest", forbidden), ("vetted", None)]


# ---- lifetimes -----------------------------------------------------------------------------------------------------


def test_functions_outlive_the_installing_connection(con):
    first = con.cursor()
    sandbox = wasi_udf.install(first)
    con.execute(CREATE, ["f", "lambda x: x + 1"])
    first.close()
    del first
    gc.collect()
    assert con.execute("SELECT sum(f(i)::BIGINT) FROM range(5000) t(i)").fetchall() == [(5000 * 5001 // 2,)]
    assert listed(con) == ["f"]
    con.execute("SELECT py_create_function('g', 'lambda x: -x')").fetchall()
    assert con.execute("SELECT g(3)").fetchall() == [(-3,)]
    assert con.execute("SELECT py_drop_function('f')").fetchall() == [("f",)]
    assert listed(con) == ["g"]
    sandbox.close()
    with pytest.raises(duckdb.InvalidInputException, match="the sandbox is closed"):
        con.execute("SELECT g(1)").fetchall()


def test_a_sandbox_does_not_keep_the_database_open(path):
    con = duckdb.connect(path)
    with wasi_udf.Sandbox().install(con):
        con.execute(CREATE_WITH.format("{'persist': true}"), ["f", "lambda x: x"])
        con.close()
        code = (
            f"import duckdb\nprint(duckdb.connect({path!r}).execute('SELECT name FROM wasi_udf.functions').fetchall())"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert (done.stdout, done.returncode) == ("[('f',)]\n", 0), done.stderr


def test_a_closed_sandbox_creates_nothing(con):
    wasi_udf.install(con).close()
    with pytest.raises(duckdb.InvalidInputException, match="the sandbox is closed"):
        con.execute(CREATE, ["f", "lambda x: x"])
