"""Types that users create, in all places where a type is declared."""

import contextlib

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import GuestError, SignatureError

MOOD = "ENUM('sad', 'ok')"
PAIR = f"STRUCT(n TINYINT, m {MOOD})"
SETUP = """
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TYPE age AS TINYINT;
    CREATE TYPE pair AS STRUCT(n age, m mood);
    CREATE SCHEMA s;
    CREATE TYPE s.level AS ENUM ('low', 'high');
    ATTACH ':memory:' AS other;
    CREATE TYPE other.main.color AS ENUM ('red');
"""

# A type as users name it, the name that DuckDB expands it to, a Python value, and that as text.
NAMED = [
    ("mood", MOOD, "'ok'", "ok"),
    ("MOOD", MOOD, "'ok'", "ok"),
    ("main.mood", MOOD, "'ok'", "ok"),
    ("age", "TINYINT", "5", "5"),
    ("s.level", "ENUM('low', 'high')", "'low'", "low"),
    ("other.color", "ENUM('red')", "'red'", "red"),
    ("other.main.color", "ENUM('red')", "'red'", "red"),
    ("mood[]", f"{MOOD}[]", "['ok', None]", "[ok, NULL]"),
    ("mood[2]", f"{MOOD}[2]", "('ok', 'sad')", "[ok, sad]"),
    ("pair", PAIR, "{'n': 1, 'm': 'sad'}", "{'n': 1, 'm': sad}"),
    ("MAP(mood, age)", f"MAP({MOOD}, TINYINT)", "{'ok': 1}", "{ok=1}"),
    ("UNION(a age, m mood)", f"UNION(a TINYINT, m {MOOD})", "'ok'", "ok"),
]


@pytest.fixture
def con():
    with duckdb.connect() as connection:
        connection.execute(SETUP)
        yield connection


@pytest.fixture
def sandbox(con):
    with wasi_udf.Sandbox() as made:
        yield made.install(con)


def only(con, query, *parameters):
    (row,) = con.execute(query, list(parameters)).fetchall()
    return row


@pytest.mark.parametrize(("name", "expanded", "value", "text"), NAMED)
def test_a_function_has_user_types(con, sandbox, name, expanded, value, text):
    sandbox.create_function(con, "f", f"lambda x: {value}", [name], name)
    sandbox.create_function(con, "same", "lambda x: x", [name], name)
    query = f"SELECT f(x)::VARCHAR, typeof(f(x)), same(f(x)) = f(x), same(NULL) FROM (SELECT NULL::{name} AS x)"
    assert only(con, query)[1] == expanded
    sandbox.create_function(con, "make", f"lambda i: {value}", ["BIGINT"], name)
    assert only(con, "SELECT make(1)::VARCHAR, same(make(1)) = make(1), same(NULL)") == (text, True, None)


@pytest.mark.parametrize(("name", "expanded", "value", "text"), NAMED)
def test_annotations_name_user_types(con, sandbox, name, expanded, value, text):
    sandbox.create_function(con, "f", f"def f(i: int, x: '{name} | None' = None) -> '{name}': return {value}")
    assert only(con, "SELECT f(1)::VARCHAR, typeof(f(1))") == (text, expanded)
    assert only(con, "SELECT py_udf($1, 1) IS NOT NULL", f"def f(i) -> '{name}': return {value}") == (True,)


def test_aggregates_and_stored_functions_have_user_types(con, sandbox):
    sandbox.create_aggregate_function(con, "least_mood", "lambda moods: min(moods)", ["mood"], "mood")
    sandbox.create_aggregate_function(con, "ages", "def f(xs: 'age[]') -> 'pair': return {'n': len(xs), 'm': 'ok'}")
    rows = "(VALUES ('ok'::mood, 1::age), ('sad'::mood, 2::age)) t(m, a)"
    assert only(con, f"SELECT least_mood(list(m)), ages(list(a))::VARCHAR FROM {rows}") == ("ok", "{'n': 2, 'm': ok}")
    created = only(
        con, "SELECT py_create_function('f', 'lambda x: x', {'parameters': ['mood'], 'return_type': 'mood'})"
    )
    assert created == (f"f(x {MOOD}) -> {MOOD}",)
    assert only(con, "SELECT f('sad'), typeof(f('sad'))") == ("sad", MOOD)


def test_tables_have_user_types(con, sandbox):
    sandbox.create_table_function(con, "moods", "def f(n):\n  yield ('ok', n)", {"m": "mood", "a": "age"})
    sandbox.create_table_function(
        con, "by_call", "def f(n: int):\n  yield ('ok', n)", lambda n: {"m": "mood", "n": "age"}
    )
    declared = [
        ("moods(3)", ("ok", 3)),
        ("by_call(3)", ("ok", 3)),
        ("py_table('lambda: [(''ok'', 3)]', schema := {'m': 'mood', 'a': 'age'})", ("ok", 3)),
        ("py_table('def f() -> Iterator[\"pair\"]: yield (3, ''ok'')')", (3, "ok")),
        ("py_map_batches('lambda x: [(''ok'', x)]', 'SELECT 3', schema := {'m': 'mood', 'a': 'age'})", ("ok", 3)),
    ]
    for call, row in declared:
        assert con.execute(f"FROM {call}").fetchall() == [row]
        assert {kind for _, kind, *_ in con.execute(f"DESCRIBE FROM {call}").fetchall()} == {MOOD, "TINYINT"}
    mapped = sandbox.map_batches(con.sql("SELECT 3 AS x"), "lambda x: [('ok', x)]", {"m": "mood", "a": "age"})
    assert (mapped.fetchall(), [str(kind) for kind in mapped.types]) == ([("ok", 3)], [MOOD, "TINYINT"])


def test_types_of_the_callers_transaction_and_search_path(con, sandbox):
    con.execute("CREATE TEMP TYPE brief AS ENUM ('t')")
    con.begin()
    con.execute("CREATE TYPE fresh AS ENUM ('f')")
    sandbox.create_function(con, "f", "lambda x: 'f'", ["fresh"], "fresh")
    sandbox.create_function(con, "t", "lambda x: 't'", ["brief"], "brief")
    sandbox.create_aggregate_function(con, "a", "lambda xs: xs[0]", ["fresh"], "fresh")
    assert only(con, "SELECT f('f'), t('t'), a(list('f'::fresh))") == ("f", "t", "f")
    expanded = "py_create_function('p', 'lambda x: x', {'parameters': [typeof(NULL::fresh)], 'return_type': 'BIGINT'})"
    assert only(con, f"SELECT {expanded}") == ("p(x ENUM('f')) -> BIGINT",)
    with pytest.raises(duckdb.InvalidInputException, match="'fresh' is not a type DuckDB knows"):  # read by a cursor
        con.execute("SELECT py_create_function('q', 'lambda x: x', {'parameters': ['fresh']})")
    with contextlib.suppress(duckdb.Error):
        con.rollback()
    con.execute("USE s")
    sandbox.create_function(con, "level", "lambda x: 'low'", ["level"], "level")
    assert only(con, "SELECT main.level('high')") == ("low",)


def test_a_type_that_is_not_there_is_named(con, sandbox):
    for create in (
        lambda: sandbox.create_function(con, "f", "lambda x: x", ["gloom"], "BIGINT"),
        lambda: sandbox.create_function(con, "f", "def f(x: gloom): return x"),
        lambda: sandbox.create_aggregate_function(con, "f", "lambda x: x", ["BIGINT"], "gloom"),
        lambda: sandbox.create_table_function(con, "f", "lambda: []", {"a": "gloom"}),
        lambda: sandbox.map_batches(con.sql("SELECT 1"), "lambda x: [x]", {"a": "gloom"}),
    ):
        with pytest.raises(SignatureError, match=r"gloom[\s\S]*does not exist"):
            create()
    assert only(con, "SELECT py_udf('lambda x: x', 1)") == (1,)


def test_a_replaced_type_counts_from_the_next_registration(con, sandbox):
    sandbox.create_function(con, "f", "lambda x: 'new'", ["BIGINT"], "VARCHAR")
    con.execute("DROP TYPE mood CASCADE; CREATE TYPE mood AS ENUM ('new')")
    sandbox.create_function(con, "g", "lambda x: 'new'", ["BIGINT"], "mood")
    assert only(con, "SELECT g(1), typeof(g(1))") == ("new", "ENUM('new')")
    sandbox.create_function(con, "h", "lambda x: 'ok'", ["BIGINT"], "mood")
    with pytest.raises(duckdb.InvalidInputException):
        con.execute("SELECT h(1)").fetchall()
    assert isinstance(sandbox.last_error, GuestError)
    assert "'ok', which is not among the 1 values" in str(sandbox.last_error)


def test_a_stored_function_finds_its_types_again(tmp_path):
    path = str(tmp_path / "types.duckdb")
    with duckdb.connect(path) as con, wasi_udf.Sandbox() as sandbox:
        con.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
        sandbox.install(con)
        options = "{'parameters': ['mood'], 'return_type': 'mood', 'persist': true}"
        con.execute(f"SELECT py_create_function('f', 'lambda x: x', {options})").fetchall()
    with duckdb.connect(path) as con, wasi_udf.Sandbox() as sandbox:
        sandbox.install(con)
        assert only(con, "SELECT f('ok'), typeof(f('ok'))") == ("ok", MOOD)
