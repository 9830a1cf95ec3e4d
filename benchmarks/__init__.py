"""Measurements of duckdb_wasi_udf against DuckDB's own Python functions: `make bench`."""
