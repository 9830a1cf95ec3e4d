"""Libraries that talk to DuckDB through its Python client, as docs/guide/ibis-and-sqlalchemy.md says."""

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

MISSING = "pip install {}, or run make test-engines"
pytestmark = pytest.mark.filterwarnings("ignore")


def test_ibis():
    ibis = pytest.importorskip("ibis", reason=MISSING.format("'ibis-framework[duckdb]'"))
    con = duckdb.connect()
    sandbox = wasi_udf.install(con)
    con.execute("CREATE TABLE sales AS SELECT i::DOUBLE AS net FROM range(5000) r(i)")
    sandbox.create_function(con, "gross", "def gross(net: float) -> float: return round(net * 1.19, 2)")

    @ibis.udf.scalar.builtin
    def gross(net: float) -> float: ...

    @ibis.udf.scalar.builtin(name="py_udf_varchar")
    def py_text(code: str, value: float) -> str: ...

    sales = ibis.duckdb.from_connection(con).table("sales")
    made = sales.mutate(gross=gross(sales.net), shown=py_text("lambda x: f'<{x}>'", sales.net)).filter(
        gross(sales.net) > 100
    )
    rows = made.to_pyarrow().to_pylist()
    expected = [round(i * 1.19, 2) for i in range(5000)]
    assert [row["gross"] for row in rows] == [value for value in expected if value > 100]
    assert all(row["shown"] == f"<{row['net']}>" for row in rows)
    failing = sales.mutate(x=py_text("lambda x: 1 / 0", sales.net))
    with pytest.raises(Exception, match="ZeroDivisionError"):
        failing.to_pyarrow()
    assert sales.count().execute() == 5000


def test_sqlalchemy(tmp_path):
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("duckdb_engine", reason=MISSING.format("duckdb-engine"))
    engine = sqlalchemy.create_engine(f"duckdb:///{tmp_path / 'shop.duckdb'}")
    sandbox = wasi_udf.Sandbox()
    sqlalchemy.event.listen(engine, "connect", lambda connection, record: sandbox.install(connection))
    query = sqlalchemy.text("SELECT py_udf_varchar('lambda s: s.title()', :name)")
    for name in ("ada lovelace", "grace hopper"):
        with engine.connect() as connection:
            assert connection.execute(query, {"name": name}).scalar() == name.title()
    with engine.connect() as connection, pytest.raises(Exception, match="ZeroDivisionError"):
        connection.execute(sqlalchemy.text("SELECT py_udf_bigint('lambda x: x // 0', 1)"))
    sandbox.install(engine.raw_connection())
    with engine.connect() as connection:
        assert connection.execute(query, {"name": "alan"}).scalar() == "Alan"
    engine.dispose()
