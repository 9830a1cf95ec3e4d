"""Coroutines over rows: what they await in one round is one call of the host."""

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import GuestError, HostFunction, HostQuota, LimitExceeded, ResourceLimits, host_function

CALLS = []


@host_function
def double(x: list[int]) -> list[int]:
    CALLS.append(("double", x))
    return [None if value is None else 2 * value for value in x]


@host_function
def negative(x: list[int]) -> list[int]:
    CALLS.append(("negative", x))
    return [-value for value in x]


@host_function
def total(x: list[int], y: list[int]) -> list[int]:
    CALLS.append(("total", x, y))
    return [a + b for a, b in zip(x, y, strict=True)]


@host_function
def positive(x: list[int]) -> list[int]:
    if min(x) < 0:
        raise ValueError("s3cret")
    return x


@host_function
def listed(x: list[int]) -> list[list[int]]:
    CALLS.append(("listed", x))
    return [[value] for value in x]


@pytest.fixture
def sandbox(con):
    CALLS.clear()
    con.execute("SET threads = 1")
    functions = [double, negative, total, positive, listed]
    with wasi_udf.Sandbox(host_functions=functions).install(con) as made:
        yield made


@pytest.fixture
def define(con, sandbox):
    """Creates `f` of source, and runs it over the numbers below n."""

    def create(source, **options):
        if "f" in sandbox._registry.functions:
            con.remove_function("f")
        sandbox.create_function(con, "f", f"import host\n{source}", ["BIGINT"], "BIGINT", **options)
        CALLS.clear()
        return lambda rows: [row for (row,) in con.execute(f"SELECT f(i) FROM range({rows}) t(i)").fetchall()]

    return create


def fails(sandbox, run, error=GuestError):
    with pytest.raises(duckdb.InvalidInputException):
        run()
    assert type(sandbox.last_error) is error, sandbox.last_error
    return sandbox.last_error


# ---- rounds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2047, 2048])
def test_one_round_over_a_batch_is_one_host_call_in_row_order(define, rows):
    run = define("async def f(x):\n  return await host.double(x) + 1")
    assert run(rows) == [2 * x + 1 for x in range(rows)]
    assert [("double", list(range(rows)))] == CALLS


def test_each_batch_has_rounds_of_its_own(define):
    run = define("async def f(x):\n  return await host.double(x)")
    assert run(2049) == [2 * x for x in range(2049)]
    assert [len(call[1]) for call in CALLS] == [2048, 1]


def test_equal_arguments_are_sent_once(define):
    run = define("async def f(x):\n  return await host.double(x % 7)")
    assert run(2000) == [2 * (x % 7) for x in range(2000)]
    assert [("double", list(range(7)))] == CALLS


def test_arguments_that_are_equal_only_in_python_are_sent_apart(con):
    seen = []

    def kinds(x: list[float]) -> list[str]:
        seen.append(x)
        return [repr(value) for value in x]

    def flags(x: list[bool], y: list[int]) -> list[str]:
        return [f"{a} {b}" for a, b in zip(x, y, strict=True)]

    with wasi_udf.Sandbox(host_functions=[HostFunction(kinds), HostFunction(flags)]).install(con):
        code = """
            import host
            async def f(x):
                zeros = await host.gather(host.kinds(0.0), host.kinds(-0.0), host.kinds(0.0))
                return zeros + await host.gather(host.flags(True, 1), host.flags(False, 0), host.flags(True, 1))
        """
        expected = ["0.0", "-0.0", "0.0", "True 1", "False 0", "True 1"]
        assert con.execute("SELECT py_udf($1, 1)", [code]).fetchall() == [(expected,)]


def test_code_that_awaits_several_times_takes_several_rounds(define):
    run = define("""
async def f(x):
    for _ in range(x % 3):
        x = await host.double(x)
    return x
""")
    assert run(300) == [x * 2 ** (x % 3) for x in range(300)]
    assert [len(call[1]) for call in CALLS] == [200, 100]


def test_different_functions_are_served_in_one_call_each(define):
    run = define("""
async def f(x):
    return await (host.double(x) if x % 2 else host.negative(x)) + await host.total(x, 1)
""")
    assert run(100) == [(2 * x if x % 2 else -x) + x + 1 for x in range(100)]
    assert [(call[0], len(call[1])) for call in CALLS] == [("negative", 50), ("double", 50), ("total", 100)]


def test_rows_with_a_null_that_is_not_wanted_are_left_out(con, define):
    define("async def f(x):\n  return await host.double(x)")
    query = "SELECT f(CASE WHEN i % 2 = 0 THEN i END) FROM range(10) t(i)"
    assert [row for (row,) in con.execute(query).fetchall()] == [2 * x if x % 2 == 0 else None for x in range(10)]
    assert CALLS == [("double", [0, 2, 4, 6, 8])]


def test_null_is_passed_and_returned_where_it_is_wanted(con, define):
    define("async def f(x):\n  return await host.double(x)", null_handling="special")
    query = "SELECT f(CASE WHEN i % 2 = 0 THEN i END) FROM range(4) t(i)"
    assert [row for (row,) in con.execute(query).fetchall()] == [0, None, 4, None]
    assert CALLS == [("double", [0, None, 2])]


def test_coroutines_may_await_coroutines_and_await_nothing(define):
    run = define("""
async def inner(x):
    return await host.double(x)

async def f(x):
    return await inner(x) + await inner(x + 1) if x % 2 else x
""")
    assert run(50) == [4 * x + 2 if x % 2 else x for x in range(50)]
    assert len(CALLS) == 2


def test_a_coroutine_without_host_calls_returns_its_value(define):
    assert define("async def f(x):\n  return x + 1")(3000) == list(range(1, 3001))
    assert CALLS == []


def test_several_arguments_and_results_of_inferred_type(con, sandbox):
    code = "import host\nasync def f(x, y): return {'sum': await host.total(x, y)}"
    rows = con.execute("SELECT py_udf($1, i, i * 10) FROM range(3) t(i)", [code]).fetchall()
    assert rows == [({"sum": 0},), ({"sum": 11},), ({"sum": 22},)]


def test_arguments_become_what_their_annotations_name(con, sandbox):
    code = """
        import host
        class Pair(typing.NamedTuple):
            a: int
            b: int
        async def f(pair: Pair) -> int:
            return await host.total(pair.a, pair.b)
    """
    query = "SELECT sum(py_udf_bigint($1, {'a': i, 'b': 1})) FROM range(100) t(i)"
    assert con.execute(query, ["import typing\n" + code.replace("\n        ", "\n")]).fetchall() == [(5050,)]


def test_calls_in_plain_code_are_made_at_once(define):
    run = define("def f(x):\n  return host.double(x) + host.double(x)")
    assert run(3) == [0, 4, 8]
    assert len(CALLS) == 6


def test_batches_inside_coroutines_are_calls_of_their_own(define):
    run = define("async def f(x):\n  return sum(host.double.batch([x, 1])) + await host.double(x)")
    assert run(3) == [2, 6, 10]
    assert len(CALLS) == 4


@pytest.mark.parametrize("threads", [1, 16])
def test_threads_make_no_difference(con, define, threads):
    define("async def f(x):\n  return await host.double(await host.double(x % 100))")
    con.execute(f"SET threads = {threads}")
    con.execute("CREATE TABLE t AS SELECT i FROM range(200_000) r(i)")
    assert (
        con.execute("SELECT sum(f(i)) FROM t").fetchall() == con.execute("SELECT sum(4 * (i % 100)) FROM t").fetchall()
    )


def test_table_functions_may_be_coroutines(con, sandbox):
    code = "import host\nasync def f(n: int) -> list[int]: return await host.gather(*map(host.double, range(n)))"
    assert con.execute("FROM py_table($1, args := {'n': 4})", [code]).fetchall() == [(0,), (2,), (4,), (6,)]
    assert ("double", [0, 1, 2, 3]) in CALLS


# ---- gather ------------------------------------------------------------------------------------------------------


def test_gather_joins_the_round_of_all_rows(define):
    run = define("""
async def twice(x):
    return await host.double(await host.double(x))

async def f(x):
    two = host.gather(host.negative(x), host.double(1))
    a, b, (c, d), none = await host.gather(host.double(x), twice(x), two, host.gather())
    return a + b + c + d + len(none)
""")
    assert run(100) == [2 * x + 4 * x - x + 2 for x in range(100)]
    assert [call[0] for call in CALLS] == ["double", "negative", "double"]
    assert len(CALLS[0][1]) == 100


def test_gather_raises_the_first_exception_or_returns_all(define):
    run = define("""
async def fail(x):
    await host.double(x)
    raise ValueError(x)

async def f(x):
    got = await host.gather(host.double(x), fail(x), return_exceptions=True)
    try:
        await host.gather(host.double(x), fail(x + 1), host.double(x))
    except ValueError as error:
        return got[0] * 100 + got[1].args[0] * 10 + error.args[0]
""")
    assert run(3) == [200 * x + 10 * x + x + 1 for x in range(3)]


# ---- errors of rows ----------------------------------------------------------------------------------------------

SOMETIMES = """
async def f(x):
    y = await host.double(x)
    if x % 3 == 1:
        raise ValueError(x)
    return y + await host.double(1)
"""


def test_the_row_that_raised_is_named(sandbox, define):
    run = define(SOMETIMES)
    error = fails(sandbox, lambda: run(10))
    assert (error.row, error.arguments, error.type_name) == (1, ("1",), "ValueError")
    assert "raise ValueError(x)" in error.guest_traceback


def test_rows_that_are_left_out_count(con, sandbox, define):
    define(SOMETIMES)
    query = "SELECT f(CASE WHEN i > 5 THEN i END) FROM range(10) t(i)"
    error = fails(sandbox, lambda: con.execute(query).fetchall())
    assert (error.row, error.arguments) == (7, ("7",))


def test_only_the_row_that_raised_becomes_null(sandbox, define):
    run = define(SOMETIMES, exception_handling="return_null")
    assert run(3000) == [None if x % 3 == 1 else 2 * x + 2 for x in range(3000)]
    assert sandbox.failed_rows("f") == 1000


def test_an_argument_that_does_not_fit_is_its_rows_mistake(sandbox, define):
    source = "async def f(x):\n  return await host.double('bad' if x % 4 == 2 else x)"
    run = define(source, exception_handling="return_null")
    assert run(100) == [None if x % 4 == 2 else 2 * x for x in range(100)]
    assert sandbox.failed_rows("f") == 25
    caught = source.replace("\n  return", "\n  try: return").replace(
        "else x)", "else x)\n  except TypeError: return -1"
    )
    assert define(caught)(4) == [0, 2, -1, 6]
    error = fails(sandbox, lambda: define(source)(10))
    assert error.row == 2
    assert "TypeError: double() takes BIGINT as 'x', got str 'bad'" in str(error)


def test_a_host_error_is_raised_in_the_rows_that_await_it(sandbox, define):
    source = """
async def f(x):
    try:
        return await host.positive(x - 5) if x % 2 else await host.double(x)
    except host.HostError as error:
        return -len(str(error))
"""
    assert define(source)(10) == [-len("positive failed") if x % 2 else 2 * x for x in range(10)]
    plain = "async def f(x):\n  return await host.positive(x - 5) if x % 2 else await host.double(x)"
    assert define(plain, exception_handling="return_null")(10) == [None if x % 2 else 2 * x for x in range(10)]
    error = fails(sandbox, lambda: define(plain)(10))
    assert (error.row, error.type_name) == (1, "HostError")
    assert isinstance(error.__cause__, ValueError)
    assert "s3cret" not in str(error)


def test_results_that_can_change_are_each_rows_own(define):
    run = define("""
async def f(x):
    got = await host.listed(7)
    got.append(x)
    return len(got)
""")
    assert run(100) == [2] * 100
    assert CALLS == [("listed", [7])]


def test_a_call_may_be_awaited_again_and_by_others(define):
    run = define("""
shared = []
async def f(x):
    if not shared:
        shared.append(host.double(21))
    return await shared[0] + await shared[0] + x
""")
    assert run(100) == [84 + x for x in range(100)]
    assert CALLS == [("double", [21])]


def test_finally_runs_when_another_row_fails(sandbox, con, define):
    run = define("""
async def f(x):
    try:
        if x == 3:
            raise ValueError
        return await host.double(x)
    finally:
        host.negative(x)  # made at once: the coroutine is being closed
""")
    fails(sandbox, lambda: run(5))
    assert {call[1][0] for call in CALLS if call[0] == "negative"} >= {0, 1, 2}


# ---- what never comes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "awaited",
    [
        "__import__('types').coroutine(lambda: (yield))()",
        "__import__('types').coroutine(lambda: (yield 3))()",
        "__import__('types').coroutine(lambda: (yield []))()",
        "__import__('types').coroutine(lambda: (yield [host.double(1), None]))()",
        "host.gather(host.double(1), __import__('types').coroutine(lambda: (yield 3))())",
    ],
)
def test_awaiting_something_foreign_is_an_error(sandbox, define, awaited):
    error = fails(sandbox, lambda: define(f"async def f(x):\n  await {awaited}")(3))
    assert "the function awaits something that never comes" in str(error)
    assert error.row == 0


@pytest.mark.parametrize(("awaited", "kind"), [("3", "int"), ("None", "NoneType"), ("[]", "list")])
def test_awaiting_what_is_no_awaitable_is_pythons_error(sandbox, define, awaited, kind):
    error = fails(sandbox, lambda: define(f"async def f(x):\n  await {awaited}")(3))
    assert f"TypeError: object {kind} can't be used in 'await' expression" in str(error)


def test_a_coroutine_that_never_ends_meets_a_quota(con):
    limits = ResourceLimits(host_batch=HostQuota(calls=100, bytes=10**9, seconds=100.0))
    code = "import host\nasync def f(x):\n  while True:\n    await host.double(x)"
    with wasi_udf.Sandbox(host_functions=[double], limits=limits).install(con) as sandbox:
        error = fails(sandbox, lambda: con.execute("SELECT py_udf($1, 1)", [code]).fetchall(), LimitExceeded)
        assert error.limit == "host_batch.calls"


def test_a_coroutine_that_ignores_its_end_does_no_harm(sandbox, define):
    run = define("""
async def f(x):
    while x:
        try:
            await host.double(x)
            raise ValueError
        except GeneratorExit:
            pass
    raise KeyError(x)
""")
    assert fails(sandbox, lambda: run(3)).type_name == "KeyError"


def test_an_async_function_of_the_batch_shape_is_refused(con, sandbox):
    with pytest.raises(GuestError, match="a function of the batch shape can't be async"):
        sandbox.create_function(con, "g", "async def f(xs: Column[int]): return xs")
