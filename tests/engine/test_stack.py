"""Recursion in guests, on threads with stacks of every size: an error of the guest, never the end of the process."""

import json
import subprocess
import sys
import threading

import duckdb
import pyarrow as pa
import pytest

from duckdb_wasi_udf import GuestError, GuestTrap, Sandbox, WasiUdfError, host_function
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


# What CPython 3.13 does on Linux, too: nearly the greatest n where its limit of 1000 Python calls comes first, and one
# near our own limit where only C code recurses.
AS_DEEP_AS_ELSEWHERE = {
    "cached function": ("import functools\n@functools.cache\ndef f(n): return n and 1 + f(n - 1)", 990),
    "__eq__": (
        (
            "class A:\n    def __init__(self, x): self.x = x\n    def __eq__(self, other): return self.x == other.x\n"
            "def f(n):\n    a = b = 0\n    for _ in range(n): a, b = A(a), A(b)\n    return a == b"
        ),
        990,
    ),
    "sorted with a key": ("def f(n): return n and sorted([n], key=lambda n: f(n - 1))[0]", 490),
    "nested format": (
        (
            "class A:\n    def __init__(self, x): self.x = x\n    def __format__(self, _): return f'{self.x}'\n"
            "def f(n):\n    a = 0\n    for _ in range(n): a = A(a)\n    return len(f'{a}')"
        ),
        990,
    ),
    "elif": ("def f(n): return len(compile('if a: pass\\n' + 'elif a: pass\\n' * n, 'a', 'exec').co_code)", 3000),
    "sum": ("def f(n): return len(compile('+'.join('a' * n), 'a', 'exec').co_code)", 3000),
    "calls of results": ("def f(n): return len(compile('a' + '.b()' * n, 'a', 'exec').co_code)", 1900),
    "brackets": ("def f(n): return len(compile('(' * n + ')' * n, 'a', 'eval').co_code)", 199),
    "JSON": ("import json\ndef f(n): return len(json.dumps(json.loads('[' * n + ']' * n)))", 3900),
    "pickle": (
        (
            "import pickle\ndef f(n):\n    a = []\n    for _ in range(n): a = [a]\n"
            "    return len(pickle.loads(pickle.dumps(a)))"
        ),
        1900,
    ),
    "repr": ("def f(n):\n    a = []\n    for _ in range(n): a = [a]\n    return len(repr(a))", 3900),
}


def error_of(source, n=200_000):
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


@pytest.mark.parametrize("what", AS_DEEP_AS_ELSEWHERE)
def test_recursion_reaches_as_deep_as_elsewhere(what):
    source, depth = AS_DEEP_AS_ELSEWHERE[what]
    error = error_of(source, depth)
    assert error is None, error


def test_a_host_function_has_room_on_the_guests_stack(con):
    @host_function
    def nested(n: int) -> int:
        def dig(n):
            return max([n], key=lambda n: dig(n - 1)) if n else len(json.loads("[" * 300 + "]" * 300))

        return dig(n)

    with Sandbox(host_functions=[nested]).install(con):
        assert con.execute("SELECT py_udf('import host\nlambda n: host.nested(n)', 100)").fetchall() == [(100,)]


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
from tests.engine.test_stack import COUNTED, RAISE_THE_LIMIT, UNCOUNTED, error_of, on_a_thread

def run():
    recursions = COUNTED["attribute"], UNCOUNTED["hash of a tuple"]
    return [type(error_of(RAISE_THE_LIMIT + source)).__name__ for source in recursions]

for kib in (64, 128, 256, 512, 1024, 1536, 2048, 8192):
    errors = on_a_thread(kib * 1024, run)
    assert errors == ["GuestError", "GuestTrap"], (kib, errors)
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
