import pytest

import duckdb_wasi_udf as wasi_udf


@pytest.fixture
def grant(con):
    """Installs a sandbox with host functions."""
    made = []

    def install(*functions, **options):
        made.append(wasi_udf.Sandbox(host_functions=functions, **options).install(con))
        return made[-1]

    yield install
    for sandbox in made:
        sandbox.close()


@pytest.fixture
def evaluate(con):
    """What an expression with `host` gives for one row."""

    def run(expression, argument=1):
        return con.execute("SELECT py_udf($1, $2)", [f"import host\nlambda x: {expression}", argument]).fetchall()[0][0]

    return run
