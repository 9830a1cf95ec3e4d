import pytest

from duckdb_wasi_udf._sql import native_path


@pytest.fixture(autouse=True)
def usable():
    """Without the library there is one path only."""
    status = native_path.status()
    if not status.startswith("used"):
        pytest.skip(f"batches through DuckDB's C API: {status}")
