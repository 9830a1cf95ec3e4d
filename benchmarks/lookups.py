"""Look-ups that wait: rows that each ask a service on the loopback address with a latency, several at once."""

from __future__ import annotations

import asyncio
import contextlib
import math
import queue
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import duckdb
import httpx

import duckdb_wasi_udf as wasi_udf
import hostfuncs
from benchmarks.timing import table
from hostfuncs import http as hostfuncs_http

if TYPE_CHECKING:
    from collections.abc import Iterator

LATENCY_SECONDS = 0.05
AT_ONCE = 32

_QUOTA = wasi_udf.HostQuota(calls=10**9, bytes=2**40, seconds=1e6)
_LIMITS = wasi_udf.ResourceLimits(
    host_batch=_QUOTA, host_query=_QUOTA, host_function_batch=_QUOTA, host_function_query=_QUOTA
)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection, each after the latency, with the length of its path."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(LATENCY_SECONDS)
            body = b"%d" % len(head.split(b" ", 2)[1])
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    writer.close()


async def _serve() -> None:
    """Serve until the process is ended, after writing the port."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def _service() -> Iterator[str]:
    """Run the service in a process of its own; its address."""
    command = [sys.executable, "-c", "import asyncio, benchmarks.lookups as b; asyncio.run(b._serve())"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def _functions(origin: str) -> dict[str, tuple[wasi_udf.HostFunction, str]]:
    """Return the ways to ask, each with the expression that a guest makes of a key."""
    # A connection each: httpx's time for a request grows with the square of a client's connections.
    clients: queue.SimpleQueue[httpx.AsyncClient] = queue.SimpleQueue()
    for _ in range(AT_ONCE):
        clients.put(httpx.AsyncClient(trust_env=False))

    async def coroutine(key: str) -> int:
        client = clients.get_nowait()
        try:
            return int((await client.get(f"{origin}/{key}")).text)
        finally:
            clients.put(client)

    client = httpx.Client(limits=httpx.Limits(max_connections=AT_ONCE), trust_env=False)

    def plain(key: str) -> int:
        return int(client.get(f"{origin}/{key}").text)

    async def ready(key: str) -> int:
        await asyncio.sleep(LATENCY_SECONDS)
        return len(key) + 1

    fetch = hostfuncs_http.fetch([origin], body_type="VARCHAR", concurrency=AT_ONCE, batch_seconds=1e6)
    once = hostfuncs.cached(hostfuncs.concurrent(coroutine, AT_ONCE), name="cached")
    return {
        "`concurrent`, no service: `asyncio.sleep`": (hostfuncs.concurrent(ready, AT_ONCE), "await host.ready(key)"),
        "`concurrent`, an `async def` with httpx": (
            hostfuncs.concurrent(coroutine, AT_ONCE),
            "await host.coroutine(key)",
        ),
        "`concurrent`, a def with httpx": (hostfuncs.concurrent(plain, AT_ONCE), "await host.plain(key)"),
        "`http.fetch`": (fetch, f"int((await host.fetch(f'{origin}/{{key}}'))['body'])"),
        "`cached`, 100 keys": (once, "await host.cached(key[-2:])"),
    }


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    rows = 2_000 if quick else 10_000
    con = duckdb.connect()
    con.execute("SET threads = 1; SET enable_progress_bar = false")
    con.execute(f"CREATE TABLE keys AS SELECT 'k' || lpad(i::VARCHAR, 6, '0') AS key FROM range({rows}) t(i)")
    lines = []
    with _service() as origin:
        for way, (function, expression) in _functions(origin).items():
            with wasi_udf.Sandbox(host_functions=[function], limits=_LIMITS) as sandbox:
                code = f"import host\nasync def f(key: str) -> int: return {expression}"
                sandbox.create_function(con, "f", code, side_effects=True)
                distinct = 100 if "cached" in way else rows
                ideal = math.ceil(distinct / AT_ONCE) * LATENCY_SECONDS
                began = time.perf_counter()
                (found,) = con.execute("SELECT sum(f(key)) FROM keys").fetchall()
                took = time.perf_counter() - began
                assert found == ((3 if "cached" in way else 8) * rows,), (way, found)
                con.remove_function("f")
            lines.append([way, f"{took:.1f}", f"{ideal:.1f}", f"{took / ideal:.2f}"])
    con.close()
    return (
        f"## Look-ups: {rows:,} rows, a service of {1000 * LATENCY_SECONDS:.0f} ms, {AT_ONCE} requests at once\n\n"
        + table(["", "seconds", "ideal", "times the ideal"], lines)
    )
