"""When functions are compiled, through DuckDB: thresholds, the cache, the switch, deoptimization, modes, limits."""

import datetime as dt
import decimal
import functools

import duckdb
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import ArtifactError, ResourceLimits, Sandbox
from duckdb_wasi_udf._process import cache_files

VARIABLE = "DUCKDB_WASI_UDF_COMPILED"
ROWS = 2047 + 2048 + 2049
SOURCE = "def f(x: int) -> int:\n    return x * 3 + 1 if x % 2 else x // 2"
TRUTH = "SELECT sum(CASE WHEN x % 2 = 1 THEN x * 3 + 1 ELSE x // 2 END)"


@pytest.fixture
def forced(as_usual, monkeypatch):
    monkeypatch.setenv(VARIABLE, "always")


@pytest.fixture(autouse=True)
def as_usual(monkeypatch):
    """Decide as for users, whatever the suite is run with."""
    monkeypatch.delenv(VARIABLE, raising=False)


def state(con, name="f"):
    """What py_functions() says of compiling a function."""
    query = "SELECT compiled, interpreted_because, compiled_rows, bailed_rows FROM py_functions() WHERE name = ?"
    (row,) = con.execute(query, [name]).fetchall()
    return row


def unique(source, request):
    """The source with a comment of its own, so that no other run has left compiled code for it."""
    return f"{source}\n# {request.node.name} {dt.datetime.now(dt.UTC).isoformat()}"


def test_a_function_is_compiled_after_some_thousand_rows(con, request):
    con.execute("SET threads = 1")
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", unique(SOURCE, request))
        con.execute("SELECT sum(f(x)) FROM range(1000) r(x)").fetchall()
        assert state(con) == (False, None, 0, 0)
        (found,) = con.execute("SELECT sum(f(x)) FROM range(100_000) r(x)").fetchone()
        assert found == con.execute(f"{TRUTH} FROM range(100_000) r(x)").fetchone()[0]
        compiled, why, rows, bailed = state(con)
        assert (compiled, why, bailed) == (True, None, 0)
        assert rows > 50_000


def test_code_that_was_kept_is_used_at_once(con, request):
    source = unique(SOURCE, request)
    for first in (True, False):
        with duckdb.connect() as other, Sandbox().install(other) as sandbox:
            sandbox.create_function(other, "f", source)
            other.execute(f"SELECT sum(f(x)) FROM range({100_000 if first else 10_000}) r(x)").fetchall()
            assert state(other)[0]
            if not first:
                assert state(other)[2] == 10_000


def test_few_rows_are_interpreted_without_a_look_at_kept_code(con, request, monkeypatch):
    looked = []
    source = unique(SOURCE, request)
    with Sandbox().install(con) as sandbox:
        monkeypatch.setattr(sandbox._domain._engine.code, "find", looked.append)
        sandbox.create_function(con, "f", source)
        con.execute("SELECT sum(f(x)) FROM range(1_024) r(x)").fetchall()
        assert not looked
        con.execute("SELECT sum(f(x)) FROM range(1) r(x)").fetchall()
        assert len(looked) == 1


def test_fresh_instances_use_compiled_code_for_large_batches(con, request):
    source = unique(SOURCE, request)
    with Sandbox(isolation="batch").install(con) as sandbox:
        sandbox.create_function(con, "f", source)
        con.execute("SELECT sum(f(x)) FROM range(100_000) r(x)").fetchall()
        compiled, why, rows, _ = state(con)
        assert compiled
        assert why is None
        con.execute("SELECT sum(f(x)) FROM range(2_048) r(x)").fetchall()
        assert state(con)[2] == rows + 2_048
        con.execute("SELECT sum(f(x)) FROM range(500) r(x)").fetchall()
        assert state(con)[2] == rows + 2_048


def test_damaged_kept_code_is_not_used(con, request, monkeypatch, tmp_path):
    def sandbox():
        made = Sandbox()
        monkeypatch.setattr(made._domain._engine.code, "_directory", tmp_path / "kept")  # other tests use the machine's
        return made

    monkeypatch.setenv(VARIABLE, "always")
    source = unique(SOURCE, request)
    with duckdb.connect() as other, sandbox().install(other) as first:
        first.create_function(other, "f", source)
        assert other.execute("SELECT f(5)").fetchone() == (16,)
    (file,) = (tmp_path / "kept").iterdir()
    monkeypatch.delenv(VARIABLE)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with sandbox().install(con) as again:
        again.create_function(con, "f", source)
        assert con.execute("SELECT f(5)").fetchone() == (16,)
        assert not state(con)[0]


def test_code_that_cant_be_kept_is_used_all_the_same(con, forced, request, monkeypatch):
    def refuse(*_):
        raise ArtifactError("the disk is full")

    monkeypatch.setattr(cache_files, "write_checked", refuse)
    source = unique(SOURCE, request)
    with Sandbox().install(con) as sandbox:
        monkeypatch.setattr(cache_files, "make_private", refuse)  # nor looked for
        sandbox.create_function(con, "f", source)
        assert con.execute("SELECT f(5)").fetchall() == [(16,)]
        assert state(con)[0]


def test_the_switch_keeps_the_interpreter(con, request):
    with Sandbox(compiled=False).install(con) as sandbox:
        sandbox.create_function(con, "f", unique(SOURCE, request))
        con.execute("SELECT sum(f(x)) FROM range(100_000) r(x)").fetchall()
        assert state(con) == (False, "the sandbox has compiled=False", 0, 0)
        assert "compiled=False" in sandbox.explain("f")


def test_a_function_that_bails_often_is_given_up(con, request):
    con.execute("SET threads = 1")
    source = "def f(x: int) -> int:\n    return x * x * x * x if x % 2 else 1"
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", unique(source, request))
        query = "SELECT count(*) FROM (SELECT f(x + 10_000_000) AS y FROM range(100_000) r(x)) WHERE y IS NOT NULL"
        with pytest.raises(duckdb.Error):
            con.execute(query).fetchall()
        sandbox.create_function(con, "g", unique("def f(x: int) -> str:\n    return str(x * x * x * x)", request))
        found = con.execute("SELECT g(x + 10_000_000) FROM range(100_000) r(x)").fetchall()
        assert found == [(str((x + 10_000_000) ** 4),) for x in range(100_000)]
        compiled, why, rows, bailed = state(con, "g")
        assert not compiled
        assert "30 %" in why
        assert rows == 0
        assert bailed < 5_000


@pytest.mark.parametrize(
    "options",
    [{"isolation": "batch"}, {"deterministic": True}, {"limits": ResourceLimits(fuel=10**9)}, {}],
    ids=["batch", "deterministic", "fuel", "function"],
)
@pytest.mark.parametrize("threads", [1, 4])
def test_every_mode_computes_the_same(con, forced, options, threads):
    con.execute(f"SET threads = {threads}")
    with Sandbox(**options).install(con) as sandbox:
        sandbox.create_function(con, "f", SOURCE)
        sandbox.create_function(con, "up", "lambda s: s.upper()", ["VARCHAR"], "VARCHAR")
        (found,) = con.execute(f"SELECT sum(f(x)) FROM range({ROWS}) r(x)").fetchone()
        assert found == con.execute(f"{TRUTH} FROM range({ROWS}) r(x)").fetchone()[0]
        found = con.execute(f"SELECT bool_and(up('é' || x) = upper('é' || x)) FROM range({ROWS}) r(x)").fetchone()
        assert found == (True,)
        assert state(con)[2] == ROWS


def test_fuel_counts_the_same_in_every_run(con, request):
    """With fuel it is decided at the first batch: the same batches take as much fuel in every run."""
    source = unique("def f(x: int) -> int:\n    n = 0\n    while n < x:\n        n += 1\n    return n", request)
    outcomes = []
    for _ in range(2):
        with duckdb.connect() as other, Sandbox(limits=ResourceLimits(fuel=40_000_000)).install(other) as sandbox:
            sandbox.create_function(other, "f", source)
            enough = 0
            for power in range(10, 26):
                try:
                    other.execute(f"SELECT f({2**power})").fetchall()
                    enough = power
                except duckdb.Error:
                    break
            outcomes.append(enough)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    ("values", "sql"),
    [
        ([None, 1, 2, None, -3], "BIGINT"),
        ([None] * 5, "BIGINT"),
        ([], "BIGINT"),
        (["", "é", None, "日本", "x" * 50_000], "VARCHAR"),
        ([True, None, False], "BOOLEAN"),
        ([1.5, None, float("inf"), -0.0], "DOUBLE"),
        ([dt.date(1, 1, 1), None, dt.date(9999, 12, 31)], "DATE"),
        ([dt.datetime(2024, 2, 29, 1, 2, 3, 4), None], "TIMESTAMP"),
        ([decimal.Decimal("-0.01"), None, decimal.Decimal("9999999999999999.99")], "DECIMAL(18,2)"),
        ([decimal.Decimal(f"{'9' * 28}.{'9' * 10}"), decimal.Decimal("-1E-10"), None], "DECIMAL(38,10)"),
    ],
)
@pytest.mark.parametrize("declared", [True, False])
def test_values_pass_through(con, forced, values, sql, declared):
    arrow = {"BIGINT": pa.int64(), "VARCHAR": pa.string(), "BOOLEAN": pa.bool_(), "DOUBLE": pa.float64()}
    arrow |= {"DATE": pa.date32(), "TIMESTAMP": pa.timestamp("us")}
    arrow |= {"DECIMAL(18,2)": pa.decimal128(18, 2), "DECIMAL(38,10)": pa.decimal128(38, 10)}
    table = pa.table({"x": pa.array(values, arrow[sql])})
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "same", "lambda x: x", [sql], sql if declared else None)
        sandbox.create_function(
            con, "special", "lambda x: x", [sql], sql if declared else None, null_handling="special"
        )
        con.register("t", table)
        for name in ("same", "special"):
            found = con.execute(f"SELECT CAST({name}(x) AS {sql}) FROM t").fetchall()
            assert found == [(value,) for value in values]
            if values:
                assert state(con, name)[0]


def test_errors_are_the_interpreters(con, forced):
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", "def f(x: int) -> float:\n    return 10 / (x - 3)")
        with pytest.raises(duckdb.Error, match="ZeroDivisionError"):
            con.execute("SELECT f(x) FROM range(10) r(x)").fetchall()
        error = sandbox.last_error
        assert isinstance(error, wasi_udf.GuestError)
        assert "return 10 / (x - 3)" in str(error)
        assert "row 3" in str(error)
        assert con.execute("SELECT f(4)").fetchall() == [(10.0,)]
        sandbox.create_function(
            con, "g", "def f(x: int) -> float:\n    return 10 / (x - 3)", exception_handling="return_null"
        )
        assert con.execute("SELECT count(g(x)) FROM range(5000) r(x)").fetchone() == (4999,)
        assert sandbox.failed_rows("g") == 1


def test_decimals_agree_with_sql(con, forced):
    source = (
        "from decimal import Decimal, ROUND_HALF_UP\nVAT = {0: Decimal('0.07'), 1: Decimal('0.19')}\n"
        "def gross(net: Decimal, kind: int) -> Decimal:\n"
        "    return (net * (1 + VAT[kind])).quantize(Decimal('0.01'), ROUND_HALF_UP)\n"
    )
    con.execute(
        "CREATE TABLE prices AS SELECT CAST(CASE WHEN i % 97 > 0 THEN i * 7919 % 100000 / 100 END AS DECIMAL(18,2)) "
        f"AS net, i % 2 AS kind FROM range({ROWS}) r(i)"
    )
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "gross", source, ["DECIMAL(18,2)", "BIGINT"], "DECIMAL(18,2)")
        of_sql = "CAST(round(net * CASE kind WHEN 0 THEN 1.07 ELSE 1.19 END, 2) AS DECIMAL(18,2))"
        query = f"SELECT count(*) FROM prices WHERE gross(net, kind) IS DISTINCT FROM {of_sql}"
        assert con.execute(query).fetchone() == (0,)
        assert state(con, "gross") == (True, None, ROWS, 0)


LEVENSHTEIN = """
def distance(a: str, b: str) -> int:
    old = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        new = [i]
        for j, y in enumerate(b, 1):
            new.append(min(old[j] + 1, new[j - 1] + 1, old[j - 1] + (x != y)))
        old = new
    return old[-1]
"""


def test_lists_agree_with_sql(con, forced):
    words = "left(md5(CAST(i AS VARCHAR)), i % 12) AS a, left(md5(CAST(i * 3 AS VARCHAR)), i % 9) AS b"
    con.execute(f"CREATE TABLE words AS SELECT {words} FROM range({ROWS}) r(i)")
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "distance", LEVENSHTEIN)
        query = "SELECT count(*) FROM words WHERE distance(a, b) <> levenshtein(a, b)"
        assert con.execute(query).fetchone() == (0,)
        assert state(con, "distance") == (True, None, ROWS, 0)


def test_what_a_row_holds_is_bounded(con, forced):
    """Rows that fill the memory of one row run in the interpreter; what comes after them is compiled again."""
    source = "def f(x: int) -> int:\n    p = []\n    for i in range(x):\n        p.append(i)\n    return len(p)"
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", source)
        found = con.execute("SELECT f(x) FROM (VALUES (3), (200_000), (4), (0)) t(x)").fetchall()
        assert found == [(3,), (200_000,), (4,), (0,)]
        assert state(con) == (True, None, 3, 1)


def _times(x, y=2):
    return x * y


@functools.cache
def _cached(x: int) -> int:
    return _times(x) + 1


def test_shipped_functions_are_compiled(con, forced):
    """Each is a unit with a source text of its own, and a wrapper has the name of what it wraps."""
    factor = 3
    functions = {"cached": _cached, "closure": lambda x: x * factor, "calls": lambda x: _times(x, y=factor)}
    with Sandbox().install(con) as sandbox:
        for name, function in functions.items():
            sandbox.create_function(con, name, function, ["BIGINT"], "BIGINT")
            found = con.execute(f"SELECT sum({name}(x)) FROM range({ROWS}) r(x)").fetchall()
            assert found == [(sum(map(function, range(ROWS))),)]
            assert state(con, name)[2:] == (ROWS, 0), name


def test_loops_without_end_are_stopped(con, forced):
    limits = ResourceLimits(timeout_seconds=0.3)
    with Sandbox(limits=limits).install(con) as sandbox:
        sandbox.create_function(
            con, "f", "def f(x: int) -> int:\n    while x > 5:\n        x = x + 1 - 1\n    return x"
        )
        with pytest.raises(duckdb.Error, match="timeout_seconds"):
            con.execute("SELECT f(x) FROM range(10) r(x)").fetchall()
        assert isinstance(sandbox.last_error, wasi_udf.LimitExceeded)
        assert con.execute("SELECT f(3)").fetchall() == [(3,)]


def test_undeclared_results_of_several_types(con, forced):
    source = "def f(x):\n    return x * 2 if x < 9223372036854775807 else 'large'"
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", source, ["BIGINT"])
        found = con.execute("SELECT f(x) FROM (VALUES (1), (4611686018427387904), (2)) t(x)").fetchall()
        assert found == [(2,), (9223372036854775808,), (4,)]
        assert state(con) == (True, None, 2, 1)


def test_explain_names_line_and_construct(con):
    source = "import json\ndef f(s: str) -> str:\n    x = s.strip()\n    return json.loads(x)['name']"
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", source)
        assert "line 4" in sandbox.explain("f")
        assert "loads" in sandbox.explain("f")
        sandbox.create_function(
            con, "g", "def f(s: str) -> str:\n    if s == '':\n        return ascii(s)\n    return s"
        )
        assert "rows that reach this are interpreted: line 3" in sandbox.explain("g")
        sandbox.create_function(con, "h", "lambda x: x", ["BIGINT"], "BIGINT", type="arrow")
        assert "once a row" in sandbox.explain("h")
        sandbox.create_function(con, "any", "lambda x: x")
        assert "no types" in sandbox.explain("any")
        with pytest.raises(wasi_udf.SignatureError):
            sandbox.explain("nothing")


def test_a_guest_that_makes_a_wild_module_is_interpreted(con, forced):
    """Code that changes the compiler in its own guest gains a module that is refused, and the interpreter."""
    source = (
        "import _udf_compiler.translation as t\n"
        "made = t.assemble\n"
        "t.assemble = lambda *a: (made(*a)[0][:-1] + bytes([0x40, 0, 0x0b]), [])\n"
        "def f(x: int) -> int:\n    return x + 1"
    )
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", source)
        assert con.execute("SELECT f(1)").fetchone() == (2,)
        compiled, why, _, _ = state(con)
        assert not compiled
        assert "ProtocolError" in why
