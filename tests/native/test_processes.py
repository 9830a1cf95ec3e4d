"""Processes that end, fork, open many databases or have a second copy of the package: none crashes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import duckdb_wasi_udf

PACKAGE = Path(duckdb_wasi_udf.__file__).parent

BEGIN = """
import faulthandler, gc, os, sys, threading, time
faulthandler.enable()
import duckdb, duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf._process import state

def opened(sandbox, path=":memory:"):
    con = duckdb.connect(path)
    sandbox.create_function(con, "f", "def f(x: int) -> int:\\n    return x + 1", replace=True)
    return con

def total(con, rows=5000):
    assert con.execute(f"SELECT sum(f(i)) FROM range({rows}) r(i)").fetchall() == [(rows * (rows + 1) // 2,)]
"""

PROGRAMS = {
    "databases that come and go": """
sandbox = wasi_udf.Sandbox()
for number in range(60):
    con = opened(sandbox)
    total(con, 30000 if number % 30 == 0 else 3000)
    cursor = con.cursor()
    total(cursor, 3000)
    if number % 2:
        cursor.close()
    con.close()
assert sandbox.usage().native_rows > 0
print("done")
""",
    "a file that is closed can be opened by another process": """
import subprocess, tempfile
path = os.path.join(tempfile.mkdtemp(), "a.duckdb")
sandbox = wasi_udf.Sandbox()
con = opened(sandbox, path)
total(con)
con.close()
code = f"import duckdb; duckdb.connect({path!r}).execute('CREATE TABLE t AS SELECT 1')"
subprocess.run([sys.executable, "-c", code], check=True)
print("done")
""",
    "the end with queries in flight": """
sandbox = wasi_udf.Sandbox()
con = opened(sandbox)
total(con, 30000)
for _ in range(4):
    cursor = con.cursor()
    query = "SELECT sum(f(i)) FROM range(10000000000) r(i)"
    threading.Thread(target=lambda: cursor.execute(query).fetchall(), daemon=True).start()
time.sleep(0.3)
print("done")
""",
    "the end with an open result": """
sandbox = wasi_udf.Sandbox()
con = opened(sandbox)
total(con, 30000)
reader = con.cursor().execute("SELECT f(i) FROM range(10000000) r(i)")
reader.fetchmany(10)
print("done")
""",
    "a sandbox that is closed amid queries": """
def run(cursor):
    try:
        cursor.execute("SELECT sum(f(i)) FROM range(10000000000) r(i)").fetchall()
    except duckdb.Error as error:
        errors.append(str(error))
errors = []
for _ in range(5):
    sandbox = wasi_udf.Sandbox()
    con = opened(sandbox)
    total(con, 30000)
    threads = [threading.Thread(target=run, args=[con.cursor()]) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    sandbox.close()
    for thread in threads:
        thread.join()
    con.close()
assert len(errors) == 20 and all("closed" in error for error in errors), errors
print("done")
""",
    "a child that was forked": """
sandbox = wasi_udf.Sandbox()
con = opened(sandbox)
total(con, 30000)
if os.fork() == 0:
    try:
        total(opened(wasi_udf.Sandbox()), 30000)
        os._exit(0)
    except BaseException as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
assert os.wait()[1] == 0
total(con, 30000)
print("done")
""",
    "scans of table functions that are left open, also by a process that was forked": """
import subprocess, tempfile
path = os.path.join(tempfile.mkdtemp(), "a.duckdb")
sandbox = wasi_udf.Sandbox()
text = "import itertools\\ndef naturals() -> Iterator[int]: return itertools.count()"

def left_open(con):
    sandbox.create_table_function(con, "naturals", text, replace=True)
    assert state.native_tables, state.native_status
    result = con.cursor().execute("FROM naturals()")
    assert result.fetchone() == (0,)
    con.execute("PREPARE p AS FROM naturals() LIMIT 1")
    return result, con.sql("FROM naturals() LIMIT 3"), con.execute("EXECUTE p")

for _ in range(3):
    con = duckdb.connect(path)
    kept = left_open(con)
    con.close()
    kept[0].close()
    code = f"import duckdb; duckdb.connect({path!r}).execute('CREATE OR REPLACE TABLE t AS SELECT 1')"
    subprocess.run([sys.executable, "-c", code], check=True)
del con, kept
gc.collect()
assert not state.native_bound and not state.native_scans and not state.native_tables
con = duckdb.connect()
kept = left_open(con)
if os.fork() == 0:
    try:
        sandbox = wasi_udf.Sandbox()
        left_open(duckdb.connect())
        os._exit(0)
    except BaseException as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
assert os.wait()[1] == 0
for _ in range(2):
    cursor = con.cursor()
    endless = "SELECT sum(naturals) FROM naturals()"
    threading.Thread(target=lambda: cursor.execute(endless).fetchall(), daemon=True).start()
assert kept[0].fetchone() == (1,)
print("done")
""",
    "a Ctrl-C": """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
sandbox = wasi_udf.Sandbox()
con = opened(sandbox)
total(con, 30000)
for _ in range(3):
    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    try:
        con.execute("SELECT sum(f(i)) FROM range(10000000000) r(i)").fetchall()
    except (KeyboardInterrupt, duckdb.InvalidInputException, RuntimeError) as error:  # whoever notices it first
        assert "nterrupt" in repr(error) or "stopped by Ctrl-C" in repr(error), error
    else:
        raise AssertionError
    time.sleep(0.1)
    total(con, 30000)
print("done")
""",
    "a Ctrl-C while the main thread runs a guest": """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
sandbox = wasi_udf.Sandbox()
con = opened(sandbox)
con.execute("SET threads = 1")
sandbox.create_function(con, "stuck", "def f(x: int) -> int:\\n    while x > 60000: pass\\n    return x")
con.execute("CREATE TABLE t AS SELECT i FROM range(100000) r(i)")
con.execute("SELECT sum(stuck(i)) FROM t WHERE i < 60000").fetchall()
native = []
def kill():
    give_up = time.monotonic() + 2  # this batch goes through Python, as the first ones after an error do
    while not state.native.running() and time.monotonic() < give_up:
        time.sleep(0.01)
    native.append(state.native.running() > 0)
    os.kill(os.getpid(), signal.SIGINT)
while sum(native) < 2 and len(native) < 10:
    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        con.execute("SELECT sum(stuck(i)) FROM t WHERE i > 60000").fetchall()
    except (KeyboardInterrupt, duckdb.InvalidInputException) as error:
        assert "nterrupt" in repr(error) or "stopped by Ctrl-C" in repr(error), error
    else:
        raise AssertionError
    killer.join()
    assert con.execute("SELECT sum(stuck(i)) FROM t WHERE i < 3").fetchall() == [(3,)]
assert any(native)
print("done")
""",
    "a database that was opened before": """
sandbox = wasi_udf.Sandbox()
con = before
sandbox.create_function(con, "f", "def f(x: int) -> int:\\n    return x + 1")
total(con, 30000)
assert sandbox.usage().native_rows == 0
print("done")
""",
    "busy threads of Python beside": """
sandbox = wasi_udf.Sandbox()
con = opened(sandbox)
going = True
def busy():
    while going:
        sum(range(1000))
threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads:
    thread.start()
total(con, 300000)
going = False
print("done")
""",
    "a fork while another thread has groups": """
inside, leave = threading.Event(), threading.Event()

def meet(n: int) -> int:
    inside.set()
    leave.wait()
    return n

def database(**options):
    con = duckdb.connect()
    con.execute("SET threads = 1")
    return con, wasi_udf.Sandbox(**options)

con, sandbox = database(host_functions=[wasi_udf.HostFunction(meet)])
code = "import host\\ndef f(x: list[int]) -> int:\\n    return host.meet(len(x))"
sandbox.create_aggregate_function(con, "counted", code, lists=False)
query = threading.Thread(target=lambda: con.execute("SELECT counted(i) FROM range(100_000) r(i)").fetchall())
query.start()
inside.wait()
assert state.native.aggregate_held() > 0
pid = os.fork()
if pid == 0:
    assert state.native.aggregate_held() == 0  # it isn't this process's
    con, sandbox = database()
    sandbox.create_aggregate_function(con, "total", "def f(x: list[int]) -> int: return sum(x)", lists=False)
    for _ in range(3):
        con.execute("SELECT total(i) FROM range(50_000) r(i) GROUP BY i % 100").fetchall()
        assert state.native.aggregate_held() == 0
    os._exit(0)
leave.set()
query.join()
assert os.waitpid(pid, 0)[1] == 0
print("done")
""",
    "interrupts": """
sandbox = wasi_udf.Sandbox()
con = opened(sandbox)
total(con, 30000)
for _ in range(5):
    threading.Timer(0.1, con.interrupt).start()
    try:
        con.execute("SELECT sum(f(i)) FROM range(10000000000) r(i)").fetchall()
    except duckdb.InterruptException:
        pass
    total(con, 30000)
print("done")
""",
}


def run(program, **environment):
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_process_ends_as_it_should(name):
    if "fork" in name and not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    if "Ctrl-C" in name and sys.platform == "win32":
        pytest.skip("os.kill ends the process here")
    first = "import duckdb\nbefore = duckdb.connect()\n" if "before" in name else ""
    assert run(first + BEGIN + PROGRAMS[name]) == ["done"]


def test_two_copies_of_the_package_dont_disturb_each_other(tmp_path):
    """The second has a library of its own, or none if it finds the first's in use."""
    shutil.copytree(PACKAGE, tmp_path / "copy" / "duckdb_wasi_udf")
    program = f"""
{BEGIN}
first = wasi_udf
for name in [name for name in sys.modules if name.partition(".")[0] == "duckdb_wasi_udf"]:
    del sys.modules[name]
sys.path.insert(0, {str(tmp_path / "copy")!r})
import duckdb_wasi_udf as second
assert second is not first and "copy" in second.__file__
for package in (first, second, first):
    sandbox = package.Sandbox()
    con = opened(sandbox)
    total(con, 30000)
    assert sandbox.usage().native_rows > 0
    con.close()
for name in [name for name in sys.modules if name.partition(".")[0] == "duckdb_wasi_udf"]:
    del sys.modules[name]
import duckdb_wasi_udf as third
sandbox = third.Sandbox()
con = opened(sandbox)
total(con, 30000)
assert sandbox.usage().native_rows == 0  # the second's library is taken
print("done")
"""
    assert run(program) == ["done"]


@pytest.mark.parametrize("value", ["0", "1"])
def test_an_environment_variable_turns_it_off(value):
    program = f"""
{BEGIN}
sandbox = wasi_udf.Sandbox()
con = opened(sandbox)
total(con, 30000)
print(sandbox.usage().native_rows > 0)
print(con.execute("SELECT count(*) FROM duckdb_extensions() WHERE extension_name ^@ 'wasi_udf'").fetchall()[0][0])
"""
    expected = ["True", "1"] if value == "1" else ["False", "0"]
    assert run(program, DUCKDB_WASI_UDF_NATIVE=value) == expected
