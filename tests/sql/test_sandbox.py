import contextlib
import gc
import subprocess
import sys
import threading
import weakref

import duckdb
import numpy as np
import pytest
from duckdb import sqltypes
from duckdb.func import NATIVE, SPECIAL

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import ClosedError, GuestError, SignatureError
from tests.support.overloads import overloads


def test_a_closed_sandbox_refuses_everything(con):
    with wasi_udf.Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", "lambda x: x")
        assert not sandbox.closed
    assert sandbox.closed
    sandbox.close()
    for query in ("SELECT py_udf('lambda x: x', 1)", "SELECT f(1)"):
        with pytest.raises(duckdb.InvalidInputException, match="the sandbox is closed"):
            con.execute(query).fetchall()
    with pytest.raises(ClosedError):
        sandbox.install(con)
    with pytest.raises(ClosedError):
        sandbox.create_function(con, "g", "lambda x: x")


def test_functions_outlive_their_connection_and_the_sandbox(con):
    cursor = con.cursor()
    wasi_udf.install(cursor).create_function(cursor, "f", "lambda x: x + 1", ["BIGINT"], "BIGINT")
    cursor.close()
    del cursor
    gc.collect()
    assert con.execute("SELECT sum(f(i)), sum(py_udf_bigint('lambda x: x', i)) FROM range(9) t(i)").fetchall() == [
        (45, 36)
    ]


def test_a_closed_sandbox_frees_its_machine_code_at_once():
    """A cycle would keep its file open and mapped until Python looks for cycles: many, where sandboxes are short."""

    def use(code, **settings):
        with duckdb.connect() as con, wasi_udf.Sandbox(**settings).install(con) as sandbox:
            sandbox.create_function(con, "f", "def f(x: int) -> int: return x + 1")
            con.execute("SELECT sum(f(i)) FROM range(9) t(i)").fetchall()
            con.execute("SELECT py_agg('sum', list(i)) FROM range(9) t(i)").fetchall()
            con.execute("FROM py_table('def f() -> Iterator[int]:\n    while True: yield 1')").fetchone()
            with contextlib.suppress(duckdb.InvalidInputException):
                con.execute("SELECT py_udf($code, i) FROM range(9) t(i)", {"code": code}).fetchall()
        return weakref.ref(sandbox._domain)

    gc.disable()
    try:
        short = wasi_udf.ResourceLimits(timeout_seconds=0.1)
        kept = [
            use("lambda x: x"),
            use("lambda x: 1 / 0"),
            use("lambda x:"),
            use("import sys\ndef f(x): sys.exit()"),
            use("def f(x):\n    while True: pass", limits=short),
            use("lambda x: x", isolation="batch"),
        ]
        assert [domain() for domain in kept] == [None] * len(kept)
    finally:
        gc.enable()


# ---- create_function -----------------------------------------------------------------------------------------------


def test_a_function_from_source_text(con, sandbox):
    assert sandbox.create_function(con, "shout", "def f(s: str) -> str:\n    return s.upper() + '!'") is con
    assert con.execute("SELECT shout('hey'), typeof(shout('hey'))").fetchall() == [("HEY!", "VARCHAR")]


def test_a_def_with_annotations_and_a_closure(con, sandbox):
    greeting = "hello"

    def greet(name: str, times: int) -> str:
        return " ".join([greeting, name] * times)

    sandbox.create_function(con, "greet", greet)
    assert con.execute("SELECT greet('you', 2)").fetchall() == [("hello you hello you",)]
    assert overloads(con, "greet") == [["VARCHAR", "BIGINT"]]
    with pytest.raises(duckdb.BinderException, match="greet"):
        con.execute("SELECT greet('you')")


def test_the_decorator_registers_and_leaves_the_function_alone(con, sandbox):
    @sandbox.function(con)
    def slugify(title: str) -> str:
        return "-".join(title.lower().split())

    @sandbox.function(con, "plus", return_type="BIGINT")
    def anything(x, y):
        return x + y

    assert slugify("A B") == "a-b"
    assert con.execute("SELECT slugify('Hello World'), plus(1, 2), typeof(plus(1, 2))").fetchall() == [
        ("hello-world", 3, "BIGINT")
    ]


def test_a_default_makes_an_argument_optional(con, sandbox):
    sandbox.create_function(con, "joined", "def f(s: str, sep: str = '-') -> str: return sep.join(s)")
    assert con.execute("SELECT joined('abc'), joined('abc', '+')").fetchall() == [("a-b-c", "a+b+c")]


@pytest.mark.parametrize(
    ("parameters", "return_type"),
    [
        (["BIGINT"], "BIGINT"),
        (["bigint"], "int8"),
        ([int], int),
        ([sqltypes.BIGINT], sqltypes.BIGINT),
        ((sqltypes.BIGINT,), "long"),
    ],
)
def test_types_are_given_as_duckdb_takes_them(con, sandbox, parameters, return_type):
    sandbox.create_function(con, "inc", lambda x: x + 1, parameters, return_type)
    assert con.execute("SELECT inc(41), typeof(inc(41))").fetchall() == [(42, "BIGINT")]


def test_narrow_result_types_are_checked(con, sandbox):
    sandbox.create_function(con, "times", "lambda x: x * 1000", ["INTEGER"], "SMALLINT")
    assert con.execute("SELECT times(32), typeof(times(32))").fetchall() == [(32000, "SMALLINT")]
    with pytest.raises(duckdb.InvalidInputException):
        con.execute("SELECT times(33)").fetchall()
    assert isinstance(sandbox.last_error, GuestError)
    assert "outside the range of SMALLINT (-32768 to 32767)" in str(sandbox.last_error)
    assert (sandbox.last_error.row, sandbox.last_error.arguments) == (0, ("33",))


def test_null_policies_are_those_of_duckdb(con, sandbox):
    for own, suffix in ((True, "own"), (False, "ours")):
        create = con.create_function if own else lambda *args, **options: sandbox.create_function(con, *args, **options)
        for handling in ("default", "special"):
            create(
                f"{handling}_{suffix}", lambda x: -1 if x is None else x, ["BIGINT"], "BIGINT", null_handling=handling
            )
    con.execute("CREATE TABLE t AS SELECT unnest([1, NULL, 3]) AS x")
    for handling in ("default", "special"):
        own, ours = (con.execute(f"SELECT {handling}_{suffix}(x) FROM t").fetchall() for suffix in ("own", "ours"))
        assert own == ours


def test_exception_policies_are_those_of_duckdb(con, sandbox):
    own = lambda x: 10 // x
    con.create_function("own", own, ["BIGINT"], "BIGINT", exception_handling="return_null")
    handling = duckdb.PythonExceptionHandling.RETURN_NULL
    sandbox.create_function(con, "ours", lambda x: 10 // x, ["BIGINT"], "BIGINT", exception_handling=handling)
    query = "SELECT {}(i - 3) FROM range(5000) r(i)"
    assert con.execute(query.format("ours")).fetchall() == con.execute(query.format("own")).fetchall()


def test_constant_arguments_fold_unless_there_are_side_effects(con, sandbox):
    source = "import itertools\ncount = itertools.count()\ndef f(x: int) -> int: return next(count)"
    sandbox.create_function(con, "folded", source)
    sandbox.create_function(con, "counted", source, side_effects=True)
    assert con.execute("SELECT DISTINCT folded(1) FROM range(10)").fetchall() == [(0,)]
    con.execute("SET threads = 1")
    assert con.execute("SELECT counted(1) FROM range(3)").fetchall() == [(0,), (1,), (2,)]


def test_a_function_without_parameters(con, sandbox):
    sandbox.create_function(con, "answer", "def f() -> int: return 42")
    assert con.execute("SELECT answer() FROM range(3)").fetchall() == [(42,)] * 3


def test_enums_are_taken_as_well_as_their_names(con, sandbox):
    sandbox.create_function(con, "f", "lambda x: x is None", return_type="BOOLEAN", type=NATIVE, null_handling=SPECIAL)
    assert con.execute("SELECT f(NULL::BIGINT)").fetchall() == [(True,)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "fast"}, "type must be 'native' or 'arrow', got 'fast'"),
        ({"null_handling": "never"}, "null_handling must be 'default' or 'special', got 'never'"),
        ({"exception_handling": None}, "exception_handling must be 'default' or 'return_null', got None"),
        ({"parameters": ["NONSENSE"]}, "'NONSENSE' is not a type DuckDB knows"),
        ({"parameters": ["NUMBER"]}, "wrong: 'NUMBER' is not a type DuckDB knows"),
        ({"return_type": np.ndarray}, "is not a type DuckDB knows"),
        ({"return_type": "VARIANT[]"}, r"a result of the type VARIANT\[\] can't be built; return VARIANT as a whole"),
        ({"parameters": []}, r"0 parameter type\(s\) declared, but the function takes 1"),
    ],
)
def test_contradictions_are_refused_at_registration(con, sandbox, options, message):
    with pytest.raises(SignatureError, match=f"wrong: .*{message}|{message}"):
        sandbox.create_function(con, "wrong", "lambda x: x", **options)
    sandbox.create_function(con, "wrong", "lambda x: x")


CREATE = {
    "create_function": "lambda x: x",
    "create_aggregate_function": "lambda xs: len(xs)",
    "create_table_function": "lambda: [1]",
}


@pytest.mark.parametrize("create", CREATE)
@pytest.mark.parametrize("name", ["", "a\nb", "a\0b", "\x1b[31m", None, 5, b"f"])
def test_a_name_is_printable_text(con, sandbox, create, name):
    with pytest.raises(SignatureError, match="a function's name is text of printable characters, got"):
        getattr(sandbox, create)(con, name, CREATE[create])
    assert len(sandbox._domain.instances) == 0


@pytest.mark.parametrize("create", CREATE)
@pytest.mark.parametrize("name", ["py_udf", "py_agg", "py_table", "py_functions", "sum", "mine", "MINE", "a_macro"])
def test_a_name_that_is_taken_is_an_error_and_leaves_nothing(con, sandbox, create, name):
    sandbox.create_function(con, "mine", "lambda x: x + 1")
    con.execute("CREATE MACRO a_macro(x) AS x")
    before = len(sandbox._domain.instances)
    with pytest.raises((duckdb.NotImplementedException, duckdb.CatalogException)):
        getattr(sandbox, create)(con, name, CREATE[create])
    assert len(sandbox._domain.instances) == before
    assert con.execute("SELECT mine(1), a_macro(1), sum(1), py_udf('lambda x: x', 1)").fetchall() == [(2, 1, 1, 1)]
    query = "SELECT name, kind FROM py_functions() WHERE created_by <> 'query'"
    assert con.execute(query).fetchall() == [("mine", "scalar")]


@pytest.mark.parametrize(
    ("create", "name", "what"),
    [
        *[("create_function", name, "aggregate function of DuckDB's own") for name in ("product", "SUM")],
        ("create_function", "split_part", "macro of DuckDB's own"),
        ("create_function", "a_macro", "macro of this database"),
        ("create_aggregate_function", "sum", "aggregate function of DuckDB's own"),
        *[("create_table_function", name, "table function of DuckDB's own") for name in ("range", "query", "Read_CSV")],
        ("create_table_function", "summary", "table function of DuckDB's own"),
    ],
)
def test_a_name_of_duckdbs_own_is_said_to_be(con, sandbox, create, name, what):
    con.execute("CREATE MACRO a_macro(x) AS x")
    with pytest.raises(duckdb.CatalogException, match=rf"{name} is an? {what}; choose another name"):
        getattr(sandbox, create)(con, name, CREATE[create])
    assert con.execute("SELECT sum(i), product(i), any_value(a_macro(1)) FROM range(3) t(i)").fetchall() == [(3, 0, 1)]


@pytest.mark.parametrize("create", CREATE)
@pytest.mark.parametrize("name", ["select", 'a "quoted" name', "main.f", "größe", "a" * 300, "🦆", "it's"])
def test_an_odd_name_works_when_it_is_quoted(con, sandbox, create, name):
    getattr(sandbox, create)(con, name, CREATE[create])
    quoted = '"' + name.replace('"', '""') + '"'
    call = {"create_function": f"SELECT {quoted}(1)", "create_table_function": f"FROM {quoted}()"}
    assert con.execute(call.get(create, f"SELECT {quoted}(list(1))")).fetchall() == [(1,)]


@pytest.mark.parametrize("create", ["create_function", "create_aggregate_function"])
@pytest.mark.parametrize("parameters", ["BIGINT", 5])
def test_parameters_are_a_list(con, sandbox, create, parameters):
    with pytest.raises(SignatureError, match=r"f: parameters are a list of types, such as .*, got"):
        getattr(sandbox, create)(con, "f", CREATE[create], parameters)


def test_code_that_does_not_compile_is_refused_at_registration(con, sandbox):
    with pytest.raises(GuestError, match="broken: SyntaxError"):
        sandbox.create_function(con, "broken", "lambda x: x +")


def test_a_name_that_is_taken_is_an_error_until_it_is_free(con, sandbox):
    sandbox.create_function(con, "taken", "lambda x: x")
    with pytest.raises(duckdb.Error) as own:
        con.create_function("taken", lambda x: -x, ["BIGINT"], "BIGINT")
    assert isinstance(own.value, duckdb.NotImplementedException)
    with pytest.raises(duckdb.CatalogException, match="function taken of a sandbox .* pass replace=True to"):
        sandbox.create_function(con, "taken", "lambda x: -x")
    assert con.execute("SELECT taken(1)").fetchall() == [(1,)]
    con.remove_function("taken")
    sandbox.create_function(con, "taken", "lambda x: -x")
    assert con.execute("SELECT taken(1)").fetchall() == [(-1,)]


def test_nothing_passes_from_function_to_function(con, sandbox):
    con.execute("SET threads = 1")
    sandbox.create_function(con, "leave", "import math\ndef f(x: int) -> int:\n    math.left = x\n    return x")
    sandbox.create_function(con, "find", "import math\ndef f(x: int) -> bool: return hasattr(math, 'left')")
    assert con.execute("SELECT leave(1), find(1)").fetchall() == [(1, False)]


def test_a_worker_thread_may_use_the_functions(con, sandbox):
    results = []
    thread = threading.Thread(
        target=lambda: results.extend(con.cursor().execute("SELECT py_udf('lambda x: x', 7)").fetchall())
    )
    thread.start()
    thread.join(timeout=60)
    assert results == [(7,)]


def test_a_process_ends_cleanly_with_functions_installed():
    code = (
        "import duckdb, duckdb_wasi_udf\n"
        "con = duckdb.connect()\n"
        "duckdb_wasi_udf.install(con)\n"
        "print(con.sql(\"SELECT py_udf('lambda x: x + 1', 41)\").fetchall())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "[(42,)]\n")
