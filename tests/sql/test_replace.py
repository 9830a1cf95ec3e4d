"""Functions that are registered again under their names."""

import gc
import importlib.util
import subprocess
import sys
import threading

import duckdb
import pytest

from duckdb_wasi_udf import GuestError, Sandbox, SignatureError
from tests.support.overloads import check_gone, overloads

REFUSED = "there is a function f of a sandbox in this database already; pass replace=True to replace it"


# Of each kind: how it is created, a first and a second function that differ in result and parameters, and calls.
KINDS = {
    "scalar": ("create_function", "lambda x: 1", "lambda x, y: 2", "SELECT f(0)", "SELECT f(0, 0)"),
    "aggregate": (
        "create_aggregate_function",
        "lambda xs: 1",
        "lambda xs, ys: 2",
        "SELECT f(list(x)) FROM range(9) r(x)",
        "SELECT f(list(x), list(x)) FROM range(9) r(x)",
    ),
    "table": ("create_table_function", "lambda n: [1]", "lambda n, m: [2]", "FROM f(0)", "FROM f(0, 0)"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_is_replaced_when_that_is_asked_for(con, sandbox, kind):
    method, first, second, call, changed_call = KINDS[kind]
    create = getattr(sandbox, method)
    create(con, "f", first, replace=True)  # there is none yet
    for connection in (con, con.cursor()):
        with pytest.raises(duckdb.CatalogException, match=REFUSED):
            create(connection, "f", second)
        assert con.execute(call).fetchall() == [(1,)]
    for connection in (con, con.cursor(), con.cursor(), con):
        create(connection, "F", second, replace=True)
        assert con.execute(changed_call).fetchall() == [(2,)]
        with pytest.raises(duckdb.Error):
            con.execute(call).fetchall()
        create(connection, "f", first, replace=True)
        assert con.execute(call).fetchall() == [(1,)]
        assert len(overloads(con, "f", "scalar")) == 1
    assert con.execute("SELECT name, kind FROM py_functions()").fetchall() == [("f", kind)]


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", KINDS)
def test_a_function_of_one_kind_is_replaced_by_another(con, sandbox, before, after):
    getattr(sandbox, KINDS[before][0])(con, "f", KINDS[before][1])
    getattr(sandbox, KINDS[after][0])(con, "f", KINDS[after][2], replace=True)
    assert con.execute(KINDS[after][4]).fetchall() == [(2,)]
    if after != "table":
        assert overloads(con, "f", "table_macro") == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", ["lambda x: x +", "def f(x: complex): return []", "def f(x: int) -> NoSuchType: 1"])
def test_a_replacement_that_fails_leaves_the_old_function(con, sandbox, kind, wrong):
    method, first, _, call, _ = KINDS[kind]
    getattr(sandbox, method)(con, "f", first)
    before = len(sandbox._domain.instances)
    with pytest.raises((SignatureError, GuestError)):
        getattr(sandbox, method)(con, "f", wrong, replace=True)
    assert con.execute(call).fetchall() == [(1,)]
    assert con.execute("SELECT name, kind FROM py_functions()").fetchall() == [("f", kind)]
    assert len(sandbox._domain.instances) <= before + 1


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_free_again_after_a_rollback(con, sandbox, kind, replace):
    method, first, second, call, changed_call = KINDS[kind]
    create = getattr(sandbox, method)
    con.begin()
    create(con, "f", first)
    if not replace:
        with pytest.raises(duckdb.CatalogException, match=REFUSED):
            create(con, "f", second)
    assert con.execute(call).fetchall() == [(1,)]
    con.rollback()
    con.begin()  # DuckDB's client still has the name, and there is no other connection in this transaction
    with pytest.raises(duckdb.CatalogException, match="remembers that this connection has registered a function f"):
        create(con, "f", second, replace=replace)
    con.rollback()
    create(con, "f", second, replace=replace)
    for connection in (con, con.cursor()):
        assert connection.execute(changed_call).fetchall() == [(2,)]
    con.remove_function("f")
    create(con, "f", first)
    assert con.execute(call).fetchall() == [(1,)]


@pytest.mark.parametrize("kind", KINDS)
def test_replacing_is_part_of_an_open_transaction(con, sandbox, kind):
    method, first, second, call, changed_call = KINDS[kind]
    getattr(sandbox, method)(con.cursor(), "f", first)
    other = con.cursor()
    con.execute("BEGIN; CREATE TABLE t AS SELECT upper('a') AS x")
    getattr(sandbox, method)(con, "f", second, replace=True)
    assert con.execute(changed_call).fetchall() == [(2,)]
    assert other.execute(call).fetchall() == [(1,)]  # which sees the old one until the end
    con.execute("COMMIT")
    assert other.execute(changed_call).fetchall() == [(2,)]


def test_what_is_not_of_a_sandbox_is_never_replaced(con, sandbox):
    con.create_function("theirs", lambda x: x, ["BIGINT"], "BIGINT")
    con.execute("CREATE MACRO a_macro(x) AS x")
    for name in ("theirs", "a_macro", "py_udf", "py_table", "sum"):
        for connection in (con, con.cursor()):
            with pytest.raises((duckdb.CatalogException, duckdb.NotImplementedException)):
                sandbox.create_function(connection, name, "lambda x: -x", ["BIGINT"], "BIGINT", replace=True)
    assert con.execute("SELECT theirs(1), a_macro(1), sum(1), py_udf('lambda x: x', 1)").fetchall() == [(1, 1, 1, 1)]


def test_a_function_that_is_gone_is_created_either_way(con, sandbox):
    for replace in (False, True):
        sandbox.create_function(con, "f", "lambda x: 1", replace=replace)
        con.remove_function("f")
        check_gone(con, "f", "SELECT f(0)")
    sandbox.create_function(con.cursor(), "f", "lambda x: 2", replace=True)
    assert con.execute("SELECT f(0)").fetchall() == [(2,)]


def test_sql_does_not_drop_what_python_put_in_its_place(con, sandbox, failing):
    con.execute("SELECT py_create_function('f', 'lambda x: 1')")
    sandbox.create_function(con, "f", "lambda x: 2", replace=True)
    for query in ("SELECT py_drop_function('f')", "SELECT py_create_function('f', 'lambda x: 3', {'replace': true})"):
        failing(query, error=SignatureError)
    assert con.execute("SELECT f(0)").fetchall() == [(2,)]
    listed = con.execute("SELECT name, created_by FROM py_functions() WHERE created_by <> 'query'").fetchall()
    assert listed == [("f", "python")]


def test_a_running_query_keeps_the_function_it_began_with(con, sandbox):
    con.execute("SET threads = 1")
    sandbox.create_function(con, "f", "lambda x: 1")
    stream = con.cursor().execute("SELECT f(i) FROM range(200_000) t(i)")
    assert stream.fetchone() == (1,)
    with Sandbox() as other:
        other.create_function(con, "f", "lambda x: 2", replace=True)
        gc.collect()
        assert con.execute("SELECT f(1)").fetchall() == [(2,)]
        assert {value for (value,) in stream.fetchall()} == {1}


def test_threads_see_the_old_function_or_the_new_one(con, sandbox):
    def version(number):
        return f"def f(x: int) -> int: return {number}"

    sandbox.create_function(con, "f", version(0))
    failed, seen, done = [], set(), threading.Event()

    def use(cursor):
        try:
            while not done.is_set():
                rows = cursor.execute("SELECT DISTINCT f(i) FROM range(5000) t(i)").fetchall()
                assert len(rows) == 1, rows
                seen.add(rows[0][0])
        except BaseException as error:
            failed.append(error)

    users = [threading.Thread(target=use, args=(con.cursor(),)) for _ in range(2)]
    for thread in users:
        thread.start()
    for number in range(1, 15):
        sandbox.create_function(con, "f", version(number), replace=True)
    done.set()
    for thread in users:
        thread.join(timeout=60)
    assert failed == []
    assert seen <= set(range(15))
    assert con.execute("SELECT f(1)").fetchall() == [(14,)]


def test_the_decorator_replaces_and_wants_its_connection(con, sandbox):
    @sandbox.function(con)
    def f(x: int) -> int:
        return 1

    with pytest.raises(duckdb.CatalogException, match=REFUSED):
        sandbox.function(con)(f)

    @sandbox.function(con, replace=True)
    def f(x: int) -> int:
        return 2

    assert con.execute("SELECT f(0)").fetchall() == [(2,)]
    with pytest.raises(SignatureError, match=r"got the function g; write @sandbox.function\(con\)"):

        @sandbox.function
        def g(x: int) -> int:
            return x

    check_gone(con, "g", "SELECT g(1)")


def test_map_batches_has_no_name_to_take(con, sandbox):
    for number in range(3):
        mapped = sandbox.map_batches(con.sql("SELECT 1 AS x"), f"lambda x: [{number}]")
        assert mapped.fetchall() == [(number,)]


# ---- notebooks -----------------------------------------------------------------------------------------------------

CELL = """
@sandbox.function(con)
def gross(x: int) -> int:
    return x + {0}
sandbox.create_function(con, "txt", "lambda x: x + {0}")
sandbox.create_function(con, "plain", lambda x: x + {0})
sandbox.create_aggregate_function(con, "agg", "lambda xs: sum(xs) + {0}")
sandbox.create_table_function(con, "tab", "lambda: [{0}]")
print(con.execute("SELECT gross(0), txt(0), plain(0), agg([0]), tab FROM tab()").fetchall())
"""
INSTALL = "import duckdb, duckdb_wasi_udf as wasi_udf\ncon = globals().get('con') or duckdb.connect()\n"
INSTALL += "sandbox = wasi_udf.Sandbox().install(con)\n"
OTHER = """
def other():
    def gross(x: int) -> int:
        return -x
    return gross
try:
    sandbox.create_function(con, "gross", other())
except duckdb.CatalogException as error:
    print("replace=True" in str(error))
"""
EXPECTED = [f"[({i}, {i}, {i}, {i}, {i})]" for i in (1, 2, 3)]
EXPECTED.insert(2, "True")
CELLS = [INSTALL, CELL.format(1), CELL.format(2), OTHER, INSTALL, CELL.format(3)]

IPYTHON = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in {cells!r}:
    assert shell.run_cell(cell).success
"""
CONSOLE = """
import code, linecache, sys
sys.ps1 = ">>> "
import __main__
for number, cell in enumerate({cells!r}):
    name = f"<cell {{number}}>"
    linecache.cache[name] = (len(cell), None, cell.splitlines(True), name)
    exec(compile(cell, name, "exec"), vars(__main__))
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return [line for line in done.stdout.splitlines() if line.startswith(("[(", "True", "False"))]


def test_in_a_python_shell_a_definition_replaces_itself():
    assert run(CONSOLE.format(cells=CELLS)) == EXPECTED


@pytest.mark.skipif(importlib.util.find_spec("IPython") is None, reason="IPython is not installed")
def test_in_ipython_a_cell_that_is_run_again_replaces_itself():
    assert run(IPYTHON.format(cells=CELLS)) == EXPECTED


def test_in_a_script_nothing_replaces_itself(tmp_path):
    script = tmp_path / "script.py"
    again = "\n".join(f"    {line}" for line in CELL.format(2).splitlines())
    caught = (
        "except (duckdb.CatalogException, wasi_udf.SignatureError) as error:\n    print('replace=True' in str(error))"
    )
    install = "    wasi_udf.install(con)"
    script.write_text("\n".join([INSTALL, CELL.format(1), "try:", again, caught, "try:", install, caught]))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=90, check=False)
    assert (done.stdout.splitlines(), done.returncode) == ([EXPECTED[0], "True", "True"], 0), done.stderr
