"""Use an installed wheel as a user does, from outside the source tree: `python -I smoke.py`."""

import tempfile
from pathlib import Path

import duckdb

import duckdb_wasi_udf as wasi_udf
from hostfuncs import http, lookup, serialization


def main() -> None:
    """Run one function of each kind; an error where the result is another."""
    con = duckdb.connect()
    rates = lookup.from_dict({"EUR": 1.0, "USD": 1.08}, name="rate")
    with wasi_udf.Sandbox(host_functions=[rates]).install(con) as sandbox:
        _gives(con, "SELECT py_udf('lambda s: s.title()', 'ada lovelace')::VARCHAR", "Ada Lovelace")
        _gives(con, "SELECT py_agg('lambda xs: sum(xs)', list(i))::INT FROM range(10) t(i)", 45)
        _gives(con, "SELECT count(*) FROM py_table('def f() -> Iterator[int]: return range(3000)')", 3000)
        _gives(con, "SELECT py_udf_double('import host\nlambda code: host.rate(code)', 'USD')", 1.08)
        sandbox.create_function(con, "half", "lambda x: x / 2", ["DOUBLE"], "DOUBLE")
        _gives(con, "SELECT half(3)", 1.5)
    with tempfile.TemporaryDirectory() as folder:
        for query in (
            "SELECT py_create_function('twice', 'def f(x: int) -> int: return 2 * x', {'persist': true})",
            None,
        ):
            with duckdb.connect(Path(folder) / "file.duckdb") as file, wasi_udf.Sandbox().install(file):
                if query:
                    file.execute(query)
                _gives(file, "SELECT twice(21)", 42)
    if not serialization.decode("parquet", "STRUCT(a BIGINT)[]").batched:
        raise SystemExit("documents aren't decoded a batch at a time")
    try:
        http.fetch([])
    except ImportError as error:  # its libraries aren't dependencies
        print(error)
    print(f"duckdb_wasi_udf {wasi_udf.__version__} works from {Path(wasi_udf.__file__).parent}")


def _gives(con: duckdb.DuckDBPyConnection, query: str, expected: object) -> None:
    got = con.execute(query).fetchall()
    if got != [(expected,)]:
        raise SystemExit(f"{query}: {got}, not {expected!r}")


if __name__ == "__main__":
    main()
