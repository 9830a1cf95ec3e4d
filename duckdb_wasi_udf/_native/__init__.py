"""Batches through DuckDB's C API: the library in wasm/native/, and what Python shares with it."""
