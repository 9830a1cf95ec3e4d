"""`await sandbox.fetch(...)`."""

import asyncio
import gc
import threading
import time

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

ENDLESS = {
    "a constant call": "SELECT py_udf_bigint('def f(x):\n    while True: pass', 1)",
    "a function": "SELECT py_udf_bigint('def f(x):\n    while True: pass', i) FROM range(3) t(i)",
    "many batches": "SELECT sum(py_udf_bigint('lambda x: x + 1', i)) FROM range(10_000_000_000) t(i)",
    "no function": "SELECT count(*) FROM range(1_000_000) a(i), range(1_000_000) b(j) WHERE i * j % 7 = 3",
}


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049])
def test_rows_are_those_of_execute(con, sandbox, rows):
    query = "SELECT py_udf_varchar('lambda x: f\"ä{x}\"', nullif(i, 1)) FROM range($1) t(i)"
    fetched = asyncio.run(sandbox.fetch(con, query, [rows]))
    assert fetched == [(None if i == 1 else f"ä{i}",) for i in range(rows)]


def test_the_event_loop_runs_on_and_several_queries_at_once(con, sandbox):
    sandbox.create_function(con, "slow", "import time\ndef slow(x: int) -> int:\n    time.sleep(0.2)\n    return x")

    async def main():
        began, ticks = time.monotonic(), 0
        queries = [asyncio.ensure_future(sandbox.fetch(con, "SELECT slow($1)", [i])) for i in range(4)]
        while not all(query.done() for query in queries):
            await asyncio.sleep(0.005)
            ticks += 1
        return [query.result() for query in queries], ticks, time.monotonic() - began

    results, ticks, seconds = asyncio.run(main())
    assert results == [[(i,)] for i in range(4)]
    assert ticks > 5
    assert seconds < 0.75  # of 0.8 one after the other


@pytest.mark.parametrize("name", ENDLESS)
def test_a_query_ends_with_its_task(con, sandbox, name):
    async def main():
        other = asyncio.ensure_future(
            sandbox.fetch(
                con, "SELECT py_udf_bigint('def f(x):\n    import time\n    time.sleep(0.4)\n    return x', 7)"
            )
        )
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await sandbox.fetch(con, ENDLESS[name])
        seconds = time.monotonic() - began
        return seconds, await other, await sandbox.fetch(con, "SELECT 42")

    seconds, *results = asyncio.run(main())
    assert results == [[(7,)], [(42,)]]
    assert seconds < 2
    assert con.execute("SELECT 42").fetchall() == [(42,)]


def test_a_task_that_is_cancelled_before_it_begins_runs_nothing(con, sandbox):
    con.execute("CREATE TABLE t (i INTEGER)")

    async def main():
        loop, busy = asyncio.get_running_loop(), threading.Event()
        blockers = [loop.run_in_executor(None, busy.wait, 20) for _ in range(64)]
        task = asyncio.ensure_future(sandbox.fetch(con, "INSERT INTO t VALUES (1)"))
        await asyncio.sleep(0.01)
        task.cancel()
        loop.call_later(0.1, busy.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.gather(*blockers)

    asyncio.run(main())
    assert con.execute("SELECT count(*) FROM t").fetchall() == [(0,)]


def test_errors_are_those_of_the_query(con, sandbox):
    with pytest.raises(duckdb.InvalidInputException) as raised:
        asyncio.run(sandbox.fetch(con, "SELECT py_udf('lambda x: 1 // x', 0)"))
    assert wasi_udf.error_of(raised.value).type_name == "ZeroDivisionError"
    with pytest.raises(duckdb.CatalogException):
        asyncio.run(sandbox.fetch(con, "FROM gone"))
    with pytest.raises(wasi_udf.SignatureError, match=r"write sandbox\.fetch\(con, query\)"):
        asyncio.run(sandbox.fetch("con", "SELECT 1"))
    sandbox.close()
    with pytest.raises(wasi_udf.ClosedError):
        asyncio.run(sandbox.fetch(con, "SELECT 1"))


def test_sandboxes_that_are_closed_leave_nothing():
    def open_and_close(times):
        for _ in range(times):
            with duckdb.connect(config={"threads": 1}) as con, wasi_udf.Sandbox() as sandbox:
                sandbox.create_function(con, "f", "def f(x: int) -> int: return x")
                assert asyncio.run(sandbox.fetch(con, "SELECT f(1)")) == [(1,)]
        gc.collect()
        return threading.active_count()

    before = open_and_close(2)
    assert open_and_close(20) <= before + 1
