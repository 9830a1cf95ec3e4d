"""Fixtures for functions over arrays."""

import pytest

HEADER = "import numpy as np\nfrom numpy.typing import NDArray\n"


@pytest.fixture
def run(con, sandbox):
    """Returns the results of code over a query with one column x, and optionally y."""

    def run(code, query="FROM t", columns="x", function="py_udf"):
        rows = con.execute(f"SELECT {function}($1, {columns}) FROM ({query})", [HEADER + code]).fetchall()
        return [row[0] for row in rows]

    return run


@pytest.fixture
def table(con, sandbox):
    con.execute("""
        CREATE TABLE t AS SELECT i::BIGINT AS x, CASE WHEN i % 7 > 0 THEN i END AS n, i / 8 AS d, i % 3 = 0 AS b,
            DATE '2000-01-01' + i::INTEGER AS day, TIMESTAMP '2000-01-01 00:00:00.000001' + INTERVAL (i) HOUR AS t,
            'ä' || i AS s, [i, i + 1] AS l FROM range(5000) r(i)
    """)
    return con
