"""Host functions: the same look-up in a dict, asked for in each way a guest can ask, beside DuckDB's own."""

from __future__ import annotations

import duckdb

import duckdb_wasi_udf as wasi_udf
from benchmarks.timing import best, table
from duckdb_wasi_udf import HostQuota, ResourceLimits

KEYS = 200
VALUES = {f"K{i:03d}": i * 1.5 for i in range(KEYS)}

# What is measured is no flood.
_ANY = HostQuota(calls=10**9, bytes=2**40, seconds=1e6)
_LIMITS = ResourceLimits(host_batch=_ANY, host_query=_ANY, host_function_batch=_ANY, host_function_query=_ANY)

_WAYS = {
    "a call a row: `host.f(k)`": "def f(k: str) -> float: return host.look_up(k)",
    "a call a batch: `host.f.batch(column)`": "def f(k: Column[str]) -> list[float]: return host.look_up.batch(k)",
    "an async row: `await host.f(k)`": "async def f(k: str) -> float: return await host.look_up(k)",
}
_IN_TURN = "def f(k: str) -> float:\n    for _ in range(1000): host.look_up(k)\n    return 1.0"


@wasi_udf.host_function
def look_up(key: list[str]) -> list[float | None]:
    """Return the value of a key."""
    return [VALUES.get(k) for k in key]


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    rows, repetitions = (50_000, 2) if quick else (500_000, 5)
    con = duckdb.connect()
    con.execute("SET threads = 1")
    few = rows // 20  # for what takes long; not by LIMIT, which makes DuckDB copy the rows first, for 100 ns each
    for name, length in (("facts", rows), ("few_facts", few)):
        keys = f"SELECT printf('K%03d', i * 7919 % {KEYS}) AS k FROM range({length}) r(i)"
        con.execute(f"CREATE TABLE {name} AS {keys}")
    con.execute("CREATE TABLE dimension (k VARCHAR, v DOUBLE)")
    con.executemany("INSERT INTO dimension VALUES (?, ?)", list(VALUES.items()))
    con.create_function("own", lambda k: VALUES.get(k), ["VARCHAR"], "DOUBLE")  # noqa: PLW0108 - it takes no builtin
    sandbox = wasi_udf.Sandbox(host_functions=[look_up], limits=_LIMITS)
    for i, code in enumerate((*_WAYS.values(), _IN_TURN)):
        sandbox.create_function(con, f"way_{i}", f"import host\n{code}", side_effects=True)

    def seconds(query: str) -> float:
        con.execute(query).fetchall()
        return best(lambda: con.execute(query).fetchall(), repetitions)

    own = seconds("SELECT sum(own(k)) FROM facts") / rows
    join = seconds("SELECT sum(v) FROM facts JOIN dimension USING (k)") / rows
    found = {"DuckDB's JOIN": join, "DuckDB's own UDF": own}
    for i, way in enumerate(_WAYS):
        name, length = ("few_facts", few) if i == 0 else ("facts", rows)
        found[way] = seconds(f"SELECT sum(way_{i}(k)) FROM {name}") / length
    one = seconds(f"SELECT way_{len(_WAYS)}('K001')") / 1000
    con.close()
    lines = [[way, f"{took * 1e9:,.0f}", f"{took / own:.2f}"] for way, took in found.items()]
    return f"## Host functions: a dict look-up, ns a row ({rows:,} rows, {KEYS} keys, threads = 1)\n\n" + "\n".join(
        [
            table(["", "ns a row", "DuckDB's own UDF = 1"], lines),
            f"One host call of one row, 1000 in turn: {one * 1e6:.1f} µs.\n",
        ]
    )
