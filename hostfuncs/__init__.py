"""Ready-made host functions for duckdb_wasi_udf sandboxes: none yet."""
