"""What functions can import from the package they were registered with."""

from duckdb_wasi_udf._shared.column import Column
from duckdb_wasi_udf._shared.columns import Columns, wanted_columns
from duckdb_wasi_udf._shared.interval import Interval

__all__ = ["Column", "Columns", "Interval", "wanted_columns"]
