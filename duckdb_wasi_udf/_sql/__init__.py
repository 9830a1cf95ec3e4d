"""What knows DuckDB: registering, naming, listing and storing functions."""
