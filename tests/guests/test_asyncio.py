"""asyncio inside the guest: an event loop without sockets."""

import asyncio
import json

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

# Each defines `main()`, whose result is the same on the host.
PROGRAMS = {
    "gather in order": """
async def work(n):
    await asyncio.sleep(n / 1000)
    return n
async def main(): return await asyncio.gather(*[work(n) for n in (3, 1, 2)])
""",
    "as_completed": """
async def work(n):
    await asyncio.sleep(n / 100)
    return n
async def main(): return [await each for each in asyncio.as_completed([work(3), work(1), work(2)])]
""",
    "time-outs": """
async def main():
    found = []
    try: await asyncio.wait_for(asyncio.sleep(60), 0.005)
    except TimeoutError: found.append("wait_for")
    try:
        async with asyncio.timeout(0.005): await asyncio.Event().wait()
    except TimeoutError: found.append("timeout")
    return found
""",
    "queue": """
async def main():
    queue, got = asyncio.Queue(maxsize=2), []
    async def produce():
        for i in range(5): await queue.put(i)
        await queue.put(None)
    async def consume():
        while (item := await queue.get()) is not None: got.append(item)
    await asyncio.gather(produce(), consume())
    return got
""",
    "locks, events, semaphores, conditions": """
async def main():
    lock, event, semaphore, condition, seen = (
        asyncio.Lock(), asyncio.Event(), asyncio.Semaphore(2), asyncio.Condition(), [])
    async def one(i):
        async with semaphore, lock: seen.append(i)
        await event.wait()
        async with condition: condition.notify_all()
    async def two():
        async with condition: await condition.wait()
        seen.append("woken")
    tasks = [asyncio.create_task(two()), *[asyncio.create_task(one(i)) for i in range(3)]]
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.001, event.set)
    await asyncio.wait(tasks)
    return seen
""",
    "task groups and errors": """
async def fail(): raise ValueError("x")
async def main():
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(asyncio.sleep(60))
    except* ValueError as errors: found = [str(each) for each in errors.exceptions]
    return found
""",
    "cancellation": """
async def main():
    task = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    try: await task
    except asyncio.CancelledError: return task.cancelled()
""",
    "async generators and contexts": """
import contextlib, contextvars
var = contextvars.ContextVar("var", default=0)
async def numbers():
    for i in range(3):
        await asyncio.sleep(0)
        yield i
@contextlib.asynccontextmanager
async def opened(): yield 7
async def main():
    var.set(5)
    async with opened() as value: return [i async for i in numbers()], value, var.get()
""",
    "call_soon and futures": """
async def main():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon(future.set_result, 4)
    loop.call_soon_threadsafe(lambda: None)
    return await future, await asyncio.shield(asyncio.sleep(0, 3)), loop.is_running()
""",
}


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def own():
    """A connection for a test that has another sandbox."""
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def sandbox(con):
    """One for all tests of this module, which leave nothing behind."""
    limits = wasi_udf.ResourceLimits(timeout_seconds=30.0)
    with wasi_udf.Sandbox(limits=limits).install(con) as installed:
        yield installed


@pytest.fixture
def run(con, sandbox):
    def run(program, body="return json.dumps(asyncio.run(main()))"):
        code = f"import asyncio, json\n{program}\ndef f(x):\n    {body}"
        return con.execute("SELECT py_udf_varchar($1, x) FROM range(2) t(x)", [code]).fetchall()

    return run


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_give_what_they_give_on_the_host(run, name):
    namespace = {"asyncio": asyncio}
    exec(PROGRAMS[name], namespace)
    expected = json.dumps(asyncio.run(namespace["main"]()))
    assert run(PROGRAMS[name]) == [(expected,)] * 2


def test_loops_made_by_hand_work(run):
    body = "loop = asyncio.new_event_loop(); made = loop.run_until_complete(main()); loop.close(); return str(made)"
    assert run("async def main(): return await asyncio.sleep(0, 1)", body) == [("1",)] * 2
    body = "return str(asyncio.Runner(loop_factory=asyncio.SelectorEventLoop).run(main()))"
    assert run("async def main(): return await asyncio.sleep(0, 1)", body) == [("1",)] * 2


@pytest.mark.parametrize(
    ("statement", "error", "message"),
    [
        ("await asyncio.to_thread(print)", "RuntimeError", "there is one thread in the sandbox"),
        ("await asyncio.get_running_loop().run_in_executor(None, print)", "RuntimeError", "there is one thread"),
        ("await asyncio.Event().wait()", "RuntimeError", "the event loop would never go on"),
        ("await asyncio.open_connection('example.org', 80)", "gaierror", "the sandbox has no network"),
        ("await asyncio.start_server(print, 'example.org', 80)", "gaierror", "the sandbox has no network"),
        ("await asyncio.start_server(print, '127.0.0.1', 80)", "OSError", ""),
        ("await asyncio.create_subprocess_exec('ls')", "OSError", ""),
        ("raise KeyError('own')", "KeyError", "own"),
    ],
)
def test_what_cannot_work_is_a_clear_error(failing, statement, error, message):
    code = f"import asyncio\nasync def main():\n    {statement}\nlambda x: asyncio.run(main())"
    failed = failing("SELECT py_udf($1, 1)", [code])
    assert failed.type_name == error
    assert message in str(failed)


def test_the_deadline_ends_a_loop_that_sleeps(own):
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.3)
    with wasi_udf.Sandbox(limits=limits).install(own) as sandbox:
        for body in ("await asyncio.sleep(600)", "while True: await asyncio.sleep(0)"):
            code = f"import asyncio\nasync def main():\n    {body}\nlambda x: asyncio.run(main())"
            with pytest.raises(Exception, match="timeout_seconds"):
                own.execute("SELECT py_udf($1, 1)", [code])
            assert isinstance(sandbox.last_error, wasi_udf.LimitExceeded)


def test_sleeping_takes_no_time_where_the_clock_stands_still(own):
    with wasi_udf.Sandbox(deterministic=True).install(own):
        code = "import asyncio\nasync def main():\n    loop = asyncio.get_running_loop()\n    began = loop.time()\n"
        code += "    await asyncio.gather(asyncio.sleep(300), asyncio.sleep(3600))\n    return loop.time() - began\n"
        assert own.execute("SELECT py_udf($1 || 'lambda x: asyncio.run(main())', 1)", [code]).fetchall() == [
            (pytest.approx(3600),)
        ]


def test_async_functions_of_the_host_work_beside_it(own):
    @wasi_udf.host_function
    def double(n: int) -> int:
        return n * 2

    with wasi_udf.Sandbox(host_functions=[double]).install(own):
        code = "import asyncio, host\nasync def main(x): return host.double(x) + 1\nlambda x: asyncio.run(main(x))"
        assert own.execute("SELECT py_udf($1, x) FROM range(3) t(x)", [code]).fetchall() == [(1,), (3,), (5,)]
        code = "import asyncio, host\nasync def f(x): return await host.double(x) + 1"
        assert own.execute("SELECT py_udf($1, x) FROM range(3) t(x)", [code]).fetchall() == [(1,), (3,), (5,)]
