"""Functions over tables without DuckDB: pyarrow, Polars and pandas, and the engines that hand out such tables."""
