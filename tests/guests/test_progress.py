"""Where a call was when its time was up."""

import contextlib
import ctypes
import dis
import random

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf._arrow.linear_memory import LinearMemory
from duckdb_wasi_udf._guests.progress import Progress, line_of, read_progress

SLOW = """def f(x: int) -> int:
    if x < 40:
        return x

    total = 0
    while True:
        total += 1
"""


@pytest.fixture(scope="module", params=["never", "always"])
def impatient(request):
    """A sandbox with a short timeout, whose functions are interpreted, or compiled where they can be."""
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.2)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("DUCKDB_WASI_UDF_COMPILED", request.param)
        con = stack.enter_context(duckdb.connect())
        yield con, stack.enter_context(wasi_udf.Sandbox(limits=limits).install(con))


def failure(con, query, *parameters):
    with pytest.raises(duckdb.InvalidInputException) as raised:
        con.execute(query, parameters).fetchall()
    return wasi_udf.error_of(raised.value)


@pytest.mark.parametrize("function", ["py_udf", "py_udf_bigint"])  # whose results are appended one by one, or wait
@pytest.mark.parametrize(("first", "row"), [(0, 40), (30, 10), (40, 0)])
def test_a_timeout_names_line_row_and_time_a_row(impatient, function, first, row):
    error = failure(impatient[0], f"SELECT {function}($1, i) FROM range($2, 2000) t(i)", SLOW, first)
    assert isinstance(error, wasi_udf.LimitExceeded)
    assert (error.limit, error.row) == ("timeout_seconds", row)
    assert error.line in (6, 7)
    assert f"in line {error.line} of the code ({SLOW.splitlines()[error.line - 1].strip()})" in str(error)
    assert f"in row {row} of the batch" in str(error)
    assert (f"after {row} rows of " in str(error)) == (row > 0)


CALLS = {
    "a library's frames": ("import re\ndef f(x):\n    y = 1\n    return re.match('(a*)*b', 'a' * 40)", 4),
    "another function": ("def f(x):\n    return g(x)\ndef g(x):\n    while True: x += 1", 4),
    "while it is loaded": ("x = 1\nwhile True:\n    x += 1\ndef f(x): return x", 2, 3),
    "a comprehension": ("def f(x):\n    return [y for y in iter(int, 1)]", 2),
    "a generator": ("def f(x):\n    return sum(y\n        for y in iter(int, 1))", 2, 3),
    "a name that isn't ASCII": ("def größe(x):\n    while x > 0: pass", 2),
    "a builtin": ("def f(x):\n    x = 3\n    return sum(iter(int, 1))", 3),
}


@pytest.mark.parametrize("case", CALLS)
def test_the_line_is_the_users(impatient, case):
    code, *lines = CALLS[case]
    error = failure(impatient[0], "SELECT py_udf($1, i) FROM range(1, 2) t(i)", code)
    assert error.line in lines


def test_tables_batches_and_maps_say_what_is_known(impatient):
    con, _ = impatient
    error = failure(con, "FROM py_table('def f() -> Iterator[int]:\n    yield 1\n    while True: pass')")
    assert (error.line, error.row) == (3, None)
    error = failure(con, "SELECT py_udf('def f(xs: Column[int]):\n    while True: pass', i) FROM range(2) t(i)")
    assert (error.line, error.row) == (2, None)
    error = failure(con, "FROM py_map_batches('def f(x) -> Iterator[int]:\n    while x == 3: pass', 'FROM range(9)')")
    assert (error.line, error.row) == (2, 3)


def test_shipped_functions_have_a_line_of_their_own_text(impatient):
    con, sandbox = impatient

    def shipped(x: int) -> int:
        while x < 5:
            pass
        return x

    for name in ("shipped", "größe", "名前"):
        sandbox.create_function(con, name, shipped)
        error = failure(con, f"SELECT {name}(i) FROM range(10) t(i)")
        assert (error.line, error.row) in ((2, 0), (3, 0))


@pytest.mark.parametrize("compiled", [False, True])
def test_fuel_has_a_line_too(con, compiled):
    limits = wasi_udf.ResourceLimits(fuel=50_000_000)
    with wasi_udf.Sandbox(limits=limits, compiled=compiled).install(con):
        error = failure(con, "SELECT py_udf($1, i) FROM range(50) t(i)", SLOW)
    assert (error.limit, error.row) == ("fuel", 40)
    assert error.line in (6, 7)


COMPILED = {
    "a kernel": (
        "def f(x: int) -> int:\n    t = 'ab' * 9\n    while x >= 3:\n        t = t.upper()\n    return x",
        (3, 4),
        3,
    ),
    "a function": (
        "def f(x: int) -> int:\n    return g(x)\ndef g(x):\n    while x >= 3: x += 1\n    return x",
        (4,),
        3,
    ),
    "after a row of the interpreter's": (
        "def f(x: int) -> int:\n    if x == 2: return int('٣')\n    while x > 2:\n        x = x\n    return x",
        (3, 4),
        3,
    ),
    "one row": ("lambda x: sum(y for y in range(10**12)) if x == 3 else x", (1,), 3),
}


@pytest.mark.parametrize("case", COMPILED)
def test_compiled_code_knows_where_it_was(case):
    code, lines, row = COMPILED[case]
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.2)
    with pytest.MonkeyPatch.context() as patch, duckdb.connect() as con:
        patch.setenv("DUCKDB_WASI_UDF_COMPILED", "always")
        with wasi_udf.Sandbox(limits=limits).install(con) as sandbox:
            sandbox.create_function(con, "f", code, ["BIGINT"], "BIGINT")
            assert con.execute("SELECT f(1)").fetchone() == (1,)
            assert con.execute("SELECT compiled FROM py_functions() WHERE name = 'f'").fetchone() == (True,)
            error = failure(con, "SELECT f(i) FROM range(9) t(i)")
            assert (error.line in lines, error.row) == (True, row)
            assert con.execute("SELECT f(1)").fetchone() == (1,)  # by code that was kept
            error = failure(con, "SELECT f(i) FROM range(1, 9) t(i)")
            assert (error.line in lines, error.row) == (True, row - 1)


def test_lines_are_those_that_dis_has():
    for function in (failure, test_the_line_is_the_users, dis.findlabels, random.Random.shuffle, pytest.raises):
        code = function.__code__
        found = [(offset, line) for start, stop, line in code.co_lines() for offset in range(start, stop, 2)]
        assert [(at, line_of(code.co_linetable, code.co_firstlineno, at)) for at, _ in found] == found


def test_memory_that_lies_gives_no_more_than_a_wrong_number():
    chance = random.Random(3)
    for _ in range(2000):
        data = bytearray(chance.randbytes(4096))
        data[64:72] = b"xdebugpy"
        data[72:80] = (0x030D05F0).to_bytes(8, "little")
        for word in range(2, 71):
            data[64 + 8 * word : 72 + 8 * word] = chance.randrange(600).to_bytes(8, "little")
        for place in range(1024, 4096, 4):
            data[place : place + 4] = chance.randrange(5000).to_bytes(4, "little")
        data[0:8] = chance.randrange(5000).to_bytes(4, "little") + (64).to_bytes(4, "little")
        buffer = (ctypes.c_char * len(data)).from_buffer(data)
        found = read_progress(LinearMemory(ctypes.addressof(buffer), len(data)), 0, 10)
        assert isinstance(found, Progress)
        assert found.row is None or 0 <= found.row < 10
        assert found.line is None or 0 < found.line <= 10_000_000
        assert read_progress(LinearMemory(ctypes.addressof(buffer), len(data)), 5000, 10) == Progress(None, None)
