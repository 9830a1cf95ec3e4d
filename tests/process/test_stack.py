"""Recursion in guests, on threads with stacks of every size: an error of the guest, never the end of the process."""

import subprocess
import sys
import threading

import duckdb
import pyarrow as pa
import pytest

from duckdb_wasi_udf import GuestError, GuestTrap, WasiUdfError
from duckdb_wasi_udf._process import stack
from tests.support import guests

KIB = 2**10

# Recursion through the interpreter's C code, which it counts itself.
COUNTED = {
    "repr of a list": "def f(n):\n    a = []\n    for _ in range(n): a = [a]\n    return len(repr(a))",
    "JSON read": "import json\ndef f(n): return len(json.loads('[' * n + ']' * n))",
    "JSON written": "import json\ndef f(n):\n    a = []\n    for _ in range(n): a = [a]\n    return len(json.dumps(a))",
    "pickle": "import pickle\ndef f(n):\n    a = []\n    for _ in range(n): a = [a]\n    return len(pickle.dumps(a))",
    "comparison": "def f(n):\n    a, b = [], []\n    for _ in range(n): a, b = [a], [b]\n    return a == b",
    "regular expression": "import re\ndef f(n): return len(re.compile('(' * n + ')' * n).pattern)",
    "deep copy": "import copy\ndef f(n):\n    a = []\n    for _ in range(n): a = [a]\n    return len(copy.deepcopy(a))",
    "attribute": "class A:\n    def __getattr__(self, k): return getattr(self, k + 'x')\ndef f(n): return A().a",
    "sort": "class A:\n    def __lt__(self, o): return sorted([A(), A()])\ndef f(n): return sorted([A(), A()])",
    "call": "class A: pass\nA.__call__ = A()\ndef f(n): return A()()",
    "Python": "def f(n): return f(n) + 1",
}
# And through C code that doesn't count.
UNCOUNTED = {
    "hash of a tuple": "def f(n):\n    a = ()\n    for _ in range(n): a = (a,)\n    return hash(a)",
    "chain of iterators": "def f(n):\n    m = iter([1])\n    for _ in range(n): m = map(int, m)\n    return sum(m)",
}
RAISE_THE_LIMIT = "import sys\nsys.setrecursionlimit(10**6)\n"


def error_of(source, n=20_000):
    try:
        guests.start(source, pa.int64(), result=pa.int64()).call([pa.array([n])], 1)
    except WasiUdfError as error:
        return error
    return None


def on_a_thread(stack_bytes, function, *arguments):
    """What a function returns on a thread with so much stack."""
    results = []
    previous = threading.stack_size(stack_bytes)
    try:
        thread = threading.Thread(target=lambda: results.append(function(*arguments)), daemon=True)
        thread.start()
    finally:
        threading.stack_size(previous)
    thread.join(timeout=60)
    return results[0]


@pytest.mark.parametrize("what", COUNTED)
def test_deep_recursion_is_an_error_and_the_instance_lives(what):
    instance = guests.start(COUNTED[what], pa.int64(), result=pa.int64())
    for _ in range(2):
        with pytest.raises(GuestError) as raised:
            instance.call([pa.array([20_000])], 1)
        assert raised.value.type_name == "RecursionError"
        assert not instance.broken


@pytest.mark.parametrize("what", UNCOUNTED)
def test_recursion_that_python_does_not_count_is_a_trap(what):
    error = error_of(UNCOUNTED[what])
    assert isinstance(error, GuestTrap)
    assert "its stack is exhausted" in str(error)


def test_structures_of_any_depth_can_be_built_and_dropped():
    source = "def f(n):\n    a = None\n    for _ in range(n): a = (a,)\n    del a\n    return n"
    instance = guests.start(source, pa.int64(), result=pa.int64())
    assert instance.call([pa.array([10**6])], 1)[0].to_pylist() == [10**6]


# In a process of its own and from small to large, because libc hands the stacks of ended threads to new ones that want
# no more.
EVERY_SIZE = """
import threading
from duckdb_wasi_udf import GuestError, GuestTrap
from duckdb_wasi_udf._process import stack
from tests.process.test_stack import COUNTED, RAISE_THE_LIMIT, UNCOUNTED, error_of, on_a_thread

def run():
    recursions = COUNTED["attribute"], UNCOUNTED["hash of a tuple"]
    errors = [error_of(RAISE_THE_LIMIT + source) for source in recursions]
    same_thread = stack.call_with_room(threading.get_ident) == threading.get_ident()
    return stack.stack_bytes() // 1024, same_thread, [type(error).__name__ for error in errors]

for kib in (64, 128, 256, 512, 1024, 1536, 2048, 8192):
    known, same_thread, errors = on_a_thread(kib * 1024, run)
    assert kib - 16 <= known, (kib, known)
    assert same_thread == (known >= 1536), kib
    assert errors == ["GuestError", "GuestTrap"], errors
print("survived")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows rounds stacks up to its own sizes")
def test_recursion_is_the_guests_error_on_stacks_of_any_size():
    done = subprocess.run([sys.executable, "-c", EVERY_SIZE], capture_output=True, text=True, timeout=100, check=False)
    assert (done.stdout, done.returncode) == ("survived\n", 0), done.stderr


def test_a_small_thread_and_duckdbs_threads_survive_recursion(con, sandbox):
    con.execute("SET threads = 4")

    def run():
        try:
            con.cursor().execute(
                "SELECT py_udf($1, i) FROM range(20000, 20100) r(i)", [UNCOUNTED["hash of a tuple"]]
            ).fetchall()
        except duckdb.InvalidInputException as error:
            return str(error)
        return None

    for stack_bytes in (256 * KIB, 0):
        message = on_a_thread(stack_bytes, run)
        assert message is None or "its stack is exhausted" in message
    assert con.execute("SELECT py_udf('lambda x: x + 1', 41)").fetchall() == [(42,)]


def test_an_error_comes_back_from_the_other_thread_as_it_is():
    def fail():
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        stack.call_on_own_thread(fail)
