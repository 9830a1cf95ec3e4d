"""Forked and spawned children, and the end of the process."""

import os
import subprocess
import sys

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes don't fork here")


def answer(n):
    with duckdb.connect() as con, wasi_udf.Sandbox(limits=wasi_udf.ResourceLimits(timeout_seconds=0.5)) as sandbox:
        sandbox.install(con)
        con.execute("SET enable_progress_bar = false")  # which comes after two seconds, on a busy machine
        result = con.execute("SELECT sum(py_udf_bigint('lambda x: x + 1', i)) FROM range($1) r(i)", [n]).fetchall()
        try:
            con.execute("SELECT py_udf('def f(x):\n  while True: pass', i) FROM range(1) r(i)").fetchall()
        except duckdb.InvalidInputException:
            return result[0][0], type(sandbox.last_error).__name__
    return None


# In a process of its own: pytest's has many threads. The parent has used a sandbox, and one of its threads is inside a
# guest when the children begin.
CHILDREN = """
import multiprocessing, sys, threading
import duckdb, duckdb_wasi_udf as wasi_udf
from tests.guests.test_cancel import ENDLESS, LIMITS
from tests.process.test_processes import answer
from duckdb_wasi_udf._process.state import ticker

if __name__ == "__main__":
    con = duckdb.connect()
    con.execute("SET enable_progress_bar = false")
    sandbox = wasi_udf.Sandbox(limits=LIMITS).install(con)
    assert con.execute("SELECT py_udf('lambda x: x + 1', 41)").fetchall() == [(42,)]

    def stay_inside():
        try:
            con.cursor().execute("SELECT py_udf($1, i) FROM range(1) r(i)", [ENDLESS]).fetchall()
        except duckdb.InvalidInputException:
            pass

    thread = threading.Thread(target=stay_inside)
    thread.start()
    while not ticker.running:
        pass
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        print(pool.map(answer, [10, 5000, 10, 5000]))
    sandbox.cancel()
    thread.join()
    assert con.execute("SELECT py_udf('lambda x: x + 1', 41)").fetchall() == [(42,)]
"""


@pytest.mark.parametrize("method", [pytest.param("fork", marks=FORKS), "spawn"])
def test_children_run_sandboxes_of_their_own(method, tmp_path):
    script = tmp_path / "children.py"
    script.write_text("import sys\nsys.path.insert(0, sys.argv[2])\n" + CHILDREN)
    here = __file__.rpartition("tests")[0]
    command = [sys.executable, "-W", "error", str(script), method, here]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    expected = [(55, "LimitExceeded"), (12502500, "LimitExceeded")] * 2
    assert (done.stdout, done.returncode) == (f"{expected}\n", 0), done.stderr


IN_A_CHILD = """
import os
import duckdb, duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import ClosedError

con = duckdb.connect()
con.execute("SET threads = 1")
sandbox = wasi_udf.Sandbox().install(con)
sandbox.create_function(con, "f", "lambda x: x", ["BIGINT"], "BIGINT")
assert con.execute("SELECT f(1)").fetchall() == [(1,)]
child = os.fork()
if not child:
    try:
        sandbox.create_function(duckdb.connect(), "g", "lambda x: x")
    except ClosedError as error:
        os._exit(42 if "made before this process was forked" in str(error) else 1)
    os._exit(2)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
assert con.execute("SELECT f(1)").fetchall() == [(1,)]
"""


@FORKS
def test_a_sandbox_from_before_a_fork_says_so_in_the_child():
    done = subprocess.run([sys.executable, "-c", IN_A_CHILD], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


LEAVING = """
import sys, threading, time
import duckdb, duckdb_wasi_udf as wasi_udf
from tests.guests.test_cancel import LIMITS
from duckdb_wasi_udf._process.state import ticker

con = duckdb.connect()
con.execute("SET threads = 4")
sandbox = wasi_udf.Sandbox(limits=LIMITS).install(con)
QUERY = "SELECT count(py_udf_bigint($1, i)) FROM range(1000000000) r(i)"
threading.Thread(target=lambda: con.execute(QUERY, [sys.argv[1]]).fetchall(), daemon=True).start()
while not ticker.running:
    time.sleep(0.01)
time.sleep(0.1)
print("leaving", flush=True)
"""


@pytest.mark.parametrize(
    "code", ["def f(x):\n    while True: pass", "lambda x: x"], ids=["endless", "batch after batch"]
)
def test_a_process_ends_while_queries_are_running(code):
    done = subprocess.run(
        [sys.executable, "-c", LEAVING, code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("leaving\n", 0), done.stderr


# A connection that is freed last, after the modules.
KEPT = """
import sys
import duckdb, duckdb_wasi_udf as wasi_udf
sys.connection = duckdb.connect()
wasi_udf.install(sys.connection)
"""


def test_the_end_of_a_process_leaves_nothing_open():
    command = [sys.executable, "-W", "default::ResourceWarning", "-c", KEPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
