"""A sandbox belongs to a database: installed on any of its connections, alive as long as it is."""

import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import Sandbox, SignatureError
from tests.support.overloads import overloads

UDF = "SELECT py_udf_bigint('lambda x: x + 1', 41)"
TABLE = "FROM py_table('def rows() -> list[int]: return [1, 2]')"
MAP = "FROM py_map_batches('lambda x: [x, x]', 'SELECT 7 AS x')"
CREATE = "SELECT py_create_function('f', 'def f(x: int) -> int: return x + 1', {'replace': true, 'persist': true})"


def check_everything_works(con):
    assert con.execute(UDF).fetchall() == [(42,)]
    assert con.execute(TABLE).fetchall() == [(1,), (2,)]
    assert con.execute(MAP).fetchall() == [(7,), (7,)]
    con.execute(CREATE).fetchall()
    assert con.execute("SELECT f(1)").fetchall() == [(2,)]
    assert "f" in [name for (name,) in con.execute("SELECT name FROM py_functions()").fetchall()]
    assert con.execute("FROM py_host_calls()").fetchall() == []
    assert con.execute("SELECT py_drop_function('f')").fetchall() == [("f",)]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "file.db")


# ---- install -------------------------------------------------------------------------------------------------------


def test_installing_again_on_any_connection_changes_nothing(path):
    with duckdb.connect(path) as con, duckdb.connect(path) as other, Sandbox() as sandbox:
        sandbox.install(con)
        con.execute(CREATE)
        before = overloads(con, "py_%"), overloads(con, "py_udf")
        for connection in (con, con.cursor(), other, other.cursor().cursor()):
            assert sandbox.install(connection) is sandbox
            assert connection.execute("SELECT f(1)").fetchall() == [(2,)]
        assert (overloads(con, "py_%"), overloads(con, "py_udf")) == before
        check_everything_works(other)


def test_the_function_install_returns_the_sandbox_it_has_made(con):
    sandbox = wasi_udf.install(con)
    assert wasi_udf.install(con.cursor()) is sandbox
    sandbox.close()
    other = wasi_udf.install(con)
    assert other is not sandbox
    check_everything_works(con)


def test_another_sandbox_is_refused_unless_it_is_to_replace(con):
    first = Sandbox().install(con)
    first.create_function(con, "kept", "lambda x: x")
    con.execute(CREATE)
    for install in (Sandbox().install, wasi_udf.install):
        for connection in (con, con.cursor()):
            with pytest.raises(SignatureError, match="another sandbox is installed in this database already"):
                install(connection)
    assert con.execute("SELECT f(1)").fetchall() == [(2,)]
    second = Sandbox(limits=wasi_udf.ResourceLimits(timeout_seconds=5)).install(con.cursor(), replace=True)
    assert second.install(con) is second
    check_everything_works(con)
    first.close()
    check_everything_works(con)
    assert wasi_udf.install(con, replace=True) is not second
    check_everything_works(con)


def test_a_closed_sandbox_is_replaced_without_asking(con):
    Sandbox().install(con).close()
    Sandbox().install(con)
    check_everything_works(con)


def test_threads_install_at_the_same_time(path):
    with duckdb.connect(path) as con, Sandbox() as sandbox:
        connections = [con.cursor(), con.cursor(), duckdb.connect(path), duckdb.connect(path)]
        barrier, failed, rows = threading.Barrier(len(connections)), [], []

        def work(connection):
            try:
                barrier.wait(timeout=30)
                sandbox.install(connection)
                rows.extend(connection.execute(UDF).fetchall())
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(connection,)) for connection in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert (failed, rows) == ([], [(42,)] * 4)
        for connection in connections:
            connection.close()


def test_a_pool_installs_on_each_connection_it_makes(path):
    """Connections come and go, and the one that was first is among those that go."""
    sandbox = Sandbox()
    with duckdb.connect(path) as keeper:
        for _ in range(5):
            with duckdb.connect(path) as con:
                sandbox.install(con)
                assert con.execute(UDF).fetchall() == [(42,)]
            with keeper.cursor() as cursor:
                sandbox.install(cursor)
                assert cursor.execute(TABLE).fetchall() == [(1,), (2,)]
        check_everything_works(keeper)


def test_an_open_result_and_an_open_transaction_stay_as_they_are(con):
    result = con.execute("SELECT * FROM range(5000)")
    assert result.fetchone() == (0,)
    sandbox = Sandbox().install(con)
    assert sandbox.install(con) is sandbox
    assert len(result.fetchall()) == 4999
    con.execute("BEGIN; CREATE TABLE t AS SELECT upper('a') AS x")
    Sandbox().install(con, replace=True)
    con.execute("ROLLBACK")
    assert con.execute("SHOW TABLES").fetchall() == []
    check_everything_works(con)


def test_objects_around_a_connection_are_taken_for_it(con):
    class Wrapper:
        """Like those of SQLAlchemy's pools."""

        def __getattr__(self, name):
            return getattr(con, name)

    sandbox = Sandbox().install(Wrapper())
    sandbox.create_function(Wrapper(), "g", "lambda x: x")
    assert con.execute("SELECT g(1)").fetchall() == [(1,)]
    check_everything_works(con)


def test_the_module_duckdb_stands_for_its_default_connection():
    code = (
        "import duckdb, duckdb_wasi_udf\n"
        "sandbox = duckdb_wasi_udf.install(duckdb)\n"
        "assert duckdb_wasi_udf.install(duckdb.default_connection()) is sandbox\n"
        f"print(duckdb.sql({TABLE!r}).fetchall(), duckdb.sql({MAP!r}).fetchall())\n"
        "con = duckdb.connect()\n"
        "sandbox = duckdb_wasi_udf.install(con)\n"  # DuckDB keeps the other one until the modules are gone
        "con.execute('SELECT 1')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[(1,), (2,)] [(7,), (7,)]\n", "")


@pytest.mark.parametrize("wrong", ["gross", None, 3, duckdb.connect, type(duckdb.connect())])
def test_what_is_no_connection_is_refused(con, wrong):
    with Sandbox() as sandbox:
        for call in (
            lambda: sandbox.install(wrong),
            lambda: wasi_udf.install(wrong),
            lambda: sandbox.create_function(wrong, "f", "lambda x: x"),
            lambda: sandbox.create_table_function(wrong, "f", "lambda: [1]"),
            lambda: sandbox.function(wrong),
        ):
            with pytest.raises(SignatureError, match="the first argument is a DuckDB connection, got"):
                call()


def test_the_macros_are_where_a_connection_looks_for_names(con, sandbox):
    con.execute("ATTACH ':memory:' AS other; CREATE SCHEMA other.s; USE other.s")
    if not overloads(con, "py_table", "table"):  # those of the native library are found everywhere
        with pytest.raises(duckdb.CatalogException):
            con.execute(TABLE)
    sandbox.install(con)
    check_everything_works(con)
    con.execute("USE memory.main")
    check_everything_works(con)


def test_a_macro_of_ours_that_a_file_has_kept_is_replaced(path):
    for _ in range(2):
        with duckdb.connect(path) as con:
            wasi_udf.install(con)
            check_everything_works(con.cursor())
    with duckdb.connect(path, read_only=True) as con:
        wasi_udf.install(con)
        assert con.cursor().execute(TABLE).fetchall() == [(1,), (2,)]


def test_a_read_only_database_has_the_macros_on_each_connection(path):
    duckdb.connect(path).close()
    with duckdb.connect(path, read_only=True) as con, duckdb.connect(path, read_only=True) as other:
        sandbox = wasi_udf.install(con)
        for connection in (con, other):
            assert wasi_udf.install(connection) is sandbox
            assert connection.execute(TABLE).fetchall() == [(1,), (2,)]
            assert connection.execute(MAP).fetchall() == [(7,), (7,)]
            assert connection.execute("FROM py_functions() WHERE created_by <> 'query'").fetchall() == []


@pytest.mark.parametrize(
    ("taken", "drop"),
    [
        ("CREATE MACRO py_table(x) AS TABLE SELECT x", "DROP MACRO TABLE py_table"),
        ("CREATE MACRO py_functions() AS 1", "DROP MACRO py_functions"),
    ],
)
def test_what_has_one_of_the_names_is_left_alone(con, taken, drop):
    con.execute(taken)
    kept = con.execute("SELECT macro_definition FROM duckdb_functions() WHERE NOT internal").fetchall()
    with pytest.raises(SignatureError, match="one of the names py_udf, .* is something else's"):
        wasi_udf.install(con)
    assert con.execute("SELECT macro_definition FROM duckdb_functions() WHERE NOT internal").fetchall() == kept
    assert overloads(con, "py_udf") == []
    con.execute(drop)
    wasi_udf.install(con)
    check_everything_works(con)


def test_the_configuration_may_be_locked(con):
    con.execute("SET enable_external_access = false; SET lock_configuration = true")
    sandbox = wasi_udf.install(con)
    check_everything_works(con)
    check_everything_works(con.cursor())
    for name in ("con", "query", "cursor", "duckdb", "pa", "types", "text"):  # variables of ours
        with pytest.raises(duckdb.InvalidInputException, match="the input can't be read"):
            con.execute(MAP.replace("SELECT 7 AS x", f"FROM {name}"))
        assert isinstance(sandbox.last_error.__cause__, duckdb.CatalogException)


def test_a_replaced_sandbox_finishes_the_queries_it_runs(con):
    con.execute("SET threads = 1")
    wasi_udf.install(con)
    stream = con.cursor().execute("SELECT py_udf_bigint('lambda x: 1', i) FROM range(200_000) t(i)")
    assert stream.fetchone() == (1,)
    wasi_udf.install(con, replace=True)
    gc.collect()
    assert {value for (value,) in stream.fetchall()} == {1}
    check_everything_works(con)


# ---- lifetimes -----------------------------------------------------------------------------------------------------


def test_everything_goes_on_when_the_installing_cursor_is_gone(con):
    with con.cursor() as cursor:
        wasi_udf.install(cursor)
    del cursor
    gc.collect()
    check_everything_works(con)
    con.sql(TABLE).fetchall()
    deeper = con.cursor().cursor()
    assert wasi_udf.install(deeper) is wasi_udf.install(con)


def test_everything_goes_on_through_an_unknown_connection(path):
    con = duckdb.connect(path)
    wasi_udf.install(con)
    with duckdb.connect(path) as other:
        con.close()
        check_everything_works(other)
    with duckdb.connect(path) as reopened, pytest.raises(duckdb.CatalogException):
        reopened.execute(UDF)


def test_a_relation_is_enough_to_go_on(con):
    def relation():
        connection = duckdb.connect()
        wasi_udf.install(connection)
        return connection.sql("FROM py_map_batches('lambda x: [x]', 'FROM range(3)')")

    made = relation()
    gc.collect()
    assert made.fetchall() == [(0,), (1,), (2,)]
    mapped = Sandbox().map_batches(con.sql("SELECT 5 AS x"), "lambda x: [x]")
    gc.collect()
    assert mapped.fetchall() == [(5,)]


def test_a_sandbox_ends_with_its_database_and_not_before(path):
    con, other = duckdb.connect(path), duckdb.connect(path)
    sandbox = Sandbox().install(con)
    sandbox.create_function(con, "f", "lambda x: x")
    domain, gone = sandbox._domain, weakref.ref(sandbox)
    del sandbox
    gc.collect()
    con.close()
    assert other.execute("SELECT f(1)").fetchall() == [(1,)]
    assert not domain.closed
    other.close()
    assert domain.closed
    assert gone() is None
    assert len(domain.instances) == 0


def test_a_sandbox_that_is_referred_to_outlives_its_databases(con):
    sandbox = Sandbox()
    for _ in range(2):
        with duckdb.connect() as first:
            sandbox.install(first)
            check_everything_works(first)
        assert not sandbox.closed
    sandbox.install(con)
    check_everything_works(con)


def test_a_sandbox_keeps_nothing_of_databases_that_are_gone():
    with Sandbox() as sandbox:
        domain, counts = sandbox._domain, []
        for _ in range(4):
            with duckdb.connect() as con:
                sandbox.install(con)
                sandbox.create_function(con, "named", "lambda x: x")
                sandbox.create_table_function(con, "rows", "lambda: [1]")
                check_everything_works(con)
                assert con.execute("SELECT named(1), * FROM rows()").fetchall() == [(1, 1)]
            counts.append((len(domain._functions), len(domain._held), len(domain.instances)))
        assert len(set(counts)) == 1, counts
        assert counts[0][0] == 0


def test_a_sandbox_nobody_refers_to_and_nothing_uses_is_closed(con):
    domain = Sandbox()._domain
    assert domain.closed
    sandbox = Sandbox()
    sandbox.create_function(con, "f", "lambda x: x")
    domain = sandbox._domain
    del sandbox
    assert con.execute("SELECT f(1)").fetchall() == [(1,)]
    assert not domain.closed


def test_replaced_sandboxes_do_not_pile_up(con):
    domains = []
    for _ in range(12):
        sandbox = Sandbox().install(con, replace=True)
        sandbox.create_function(con, "f", "lambda x: x", replace=True)
        assert con.execute("SELECT f(1), py_udf('lambda x: x', 2)").fetchall() == [(1, 2)]
        domains.append(sandbox._domain)
        del sandbox
    assert [domain.closed for domain in domains] == [True] * 7 + [False] * 5


ROUNDS = """
import gc, os, sys
import duckdb, duckdb_wasi_udf as wasi_udf

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def once():
    con = duckdb.connect(config={"threads": 1})
    sandbox = wasi_udf.install(con)
    sandbox.create_function(con, "g", "lambda x: x")
    assert con.execute("SELECT py_udf('lambda x: x + 1', 41), g(1)").fetchall() == [(42, 1)]
    assert con.execute("FROM py_table('lambda: [1]')").fetchall() == [(1,)]
    con.execute("SELECT py_create_function('f', 'lambda x: x')")
    con.close()

def measured():
    gc.collect()  # calls and sandboxes refer to each other
    return resident(), len(os.listdir("/proc/self/fd"))

for _ in range(15):
    once()
memory, descriptors = measured()
for _ in range(20):
    once()
more_memory, more_descriptors = measured()
print(more_memory - memory, more_descriptors - descriptors)
"""


@pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="/proc says how much memory and how many files there are"
)
def test_databases_that_come_and_go_leave_nothing_behind():
    done = subprocess.run([sys.executable, "-c", ROUNDS], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    memory, descriptors = map(int, done.stdout.split())
    assert descriptors <= 0
    assert memory < 20 * 2**20  # a sandbox that stays takes 15 MiB, 20 times
