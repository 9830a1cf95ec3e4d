"""What functions can import from the package they were registered with."""

from duckdb_wasi_udf._column import Column
from duckdb_wasi_udf._columns import Columns
from duckdb_wasi_udf._interval import Interval

__all__ = ["Column", "Columns", "Interval"]
