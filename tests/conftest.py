import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf


@pytest.fixture
def con():
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def sandbox(con):
    """A sandbox whose SQL functions are installed in `con`; stops runaway guests soon."""
    limits = wasi_udf.ResourceLimits(timeout_seconds=5.0)
    with wasi_udf.Sandbox(limits=limits).install(con) as installed:
        yield installed


@pytest.fixture
def failing(con, sandbox):
    """Runs a query that has to fail; the error behind it, after checking that the next query works."""

    def run(query, parameters=None, *, error=wasi_udf.WasiUdfError):
        with pytest.raises(duckdb.InvalidInputException) as raised:
            con.execute(query, parameters).fetchall()
        behind = sandbox.last_error
        assert isinstance(behind, error)
        assert str(behind) in str(raised.value)
        assert wasi_udf.error_of(raised.value) is behind
        assert con.execute("SELECT py_udf('lambda x: x + 1', 41)").fetchall() == [(42,)]
        assert sandbox.last_error is None
        return behind

    return run
