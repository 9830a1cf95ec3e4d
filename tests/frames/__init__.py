"""Tests of `_frames` and `engines`: functions over tables without DuckDB."""
