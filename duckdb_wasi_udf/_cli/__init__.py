"""The command line, for which `duckdb-wasi-udf[cli]` is installed: each command is a module, what they share others."""
