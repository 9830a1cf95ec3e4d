"""The ready-made host functions in queries, from guests."""

import contextlib
import http.server
import json
import sqlite3
import threading

import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from hostfuncs import http as hostfuncs_http
from hostfuncs import lookup, serialization

# The three ways in which a guest calls one.
SHAPES = {
    "row": "import host\ndef f(k: str | None) -> float:\n    return host.rate(k)",
    "batch": "import host\ndef f(ks: Column[str | None]) -> list[float]:\n    return host.rate.batch(ks)",
    "async": "import host\nasync def f(k: str | None) -> float:\n    return await host.rate(k)",
}


@pytest.fixture
def grant(con):
    with contextlib.ExitStack() as stack:
        yield lambda *functions: stack.enter_context(wasi_udf.Sandbox(host_functions=functions).install(con))


def table_source(con):
    return lookup.from_table(con.sql("FROM rates").to_arrow_table(), "k", "v", name="rate")


def dict_source(con):
    return lookup.from_dict(dict(con.sql("FROM rates").fetchall()), name="rate")


def duckdb_source(con):
    return lookup.from_duckdb(con, "FROM rates", "k", "v", name="rate")


def refreshing_source(con):
    return lookup.from_duckdb(con, "FROM rates", "k", "v", name="rate", refresh_seconds=0)


@pytest.mark.parametrize("source", [table_source, dict_source, duckdb_source, refreshing_source])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("threads", [1, 16])
def test_a_look_up_gives_what_a_join_gives(con, grant, source, shape, threads):
    con.execute(f"SET threads = {threads}")
    con.execute("CREATE TABLE rates AS SELECT 'k' || i AS k, i * 0.5::DOUBLE AS v FROM range(3000) t(i)")
    size = 20 if shape == "row" else 5000
    con.execute(
        f"CREATE TABLE q AS SELECT i, CASE WHEN i % 9 > 0 THEN 'k' || (i * 7 % 4000) END AS k FROM range({size}) t(i)"
    )
    grant(source(con))
    ours = con.execute("SELECT i, py_udf_double($1, k) FROM q ORDER BY i", [SHAPES[shape]]).fetchall()
    assert ours == con.execute("SELECT i, v FROM q LEFT JOIN rates USING (k) ORDER BY i").fetchall()


def test_a_batch_of_coroutines_asks_a_database_once(con, grant, tmp_path):
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (k TEXT, v REAL)")
        database.executemany("INSERT INTO t VALUES (?, ?)", [(f"k{i}", i / 4) for i in range(100)])
    database.close()
    sandbox = grant(
        lookup.from_sql(f"sqlite:///{path}", "t", "k", "v", {"k": "VARCHAR", "v": "DOUBLE"}, name="rate", default=-1.0)
    )
    query = "SELECT sum(py_udf_double($1, 'k' || (i % 150))) FROM range(2000) t(i)"
    expected = sum(i % 150 / 4 if i % 150 < 100 else -1.0 for i in range(2000))
    assert con.execute(query, [SHAPES["async"]]).fetchall() == [(expected,)]
    assert [record.rows for record in sandbox.audit()] == [150]


def test_structs_and_composite_keys_cross(con, grant):
    table = pa.table({"c": ["DE", "FR"], "y": [1, 2], "name": ["Germany", "France"], "eu": [True, None]})
    grant(lookup.from_table(table, ["c", "y"], ["name", "eu"], name="country"))
    code = "import host\ndef f(c, y): return str(host.country(c, y))"
    rows = con.execute(
        "SELECT py_udf($1, c, y) FROM (VALUES ('DE', 1), ('FR', 2), ('DE', 2)) t(c, y)", [code]
    ).fetchall()
    assert rows == [("{'name': 'Germany', 'eu': True}",), ("{'name': 'France', 'eu': None}",), ("None",)]


def test_the_guest_sees_names_and_help_but_no_detail_of_errors(con, grant):
    function = serialization.decode("json", "BIGINT", doc="A number of a document.")
    sandbox = grant(function, lookup.from_dict({("a", 1): 2}, name="two_keys"))
    code = """
import host, inspect
def f(x):
    try:
        host.decode_json("no secret")
    except host.HostError as error:
        return f"{error} {host.decode_json.__doc__} {inspect.signature(host.two_keys)} {host.decode_json(x)}"
"""
    ((text,),) = con.execute("SELECT py_udf($1, '41')", [code]).fetchall()
    assert text.startswith("decode_json failed A number of a document. (key_1: ")
    assert text.endswith(" 41")
    with pytest.raises(Exception, match="decode_json failed"):
        con.execute("SELECT py_udf('import host\ndef f(x): return host.decode_json(x)', '{')").fetchall()
    causes = []
    error = sandbox.last_error
    while error is not None:
        causes.append(error)
        error = error.__cause__
    assert any(isinstance(cause, serialization.DocumentError) and cause.row == 0 for cause in causes)


def test_documents_are_decoded_and_encoded_for_guests(con, grant):
    sql_type = "STRUCT(id BIGINT, ok BOOLEAN, tags VARCHAR[])"
    grant(
        *(
            make(name, sql_type)
            for name in ("json", "yaml", "msgpack", "cbor")
            for make in (serialization.encode, serialization.decode)
        ),
        *(
            make(name, "STRUCT(a BIGINT, b BOOLEAN)[]")
            for name in ("arrow", "parquet")
            for make in (serialization.encode, serialization.decode)
        ),
    )
    code = """
import host
VALUE = {"id": 2**40, "ok": True, "tags": ["ä", None]}
ROWS = [{"a": 1, "b": None}, {"a": None, "b": False}]
def f(name: str) -> bool:
    value = ROWS if name in ("arrow", "parquet") else VALUE
    return getattr(host, "decode_" + name)(getattr(host, "encode_" + name)(value)) == value
"""
    query = "SELECT py_udf_boolean($1, unnest(['json', 'yaml', 'msgpack', 'cbor', 'arrow', 'parquet']))"
    assert con.execute(query, [code]).fetchall() == [(True,)] * 6


def test_a_batch_of_documents_is_decoded_at_once(con, grant):
    sandbox = grant(serialization.decode("json", "STRUCT(a BIGINT)", errors="null"))
    con.execute(
        "CREATE TABLE t AS "
        "SELECT CASE WHEN i % 3 = 0 THEN 'bad' ELSE '{\"a\":' || i || '}' END AS j FROM range(1000) t(i)"
    )
    code = """
import host
def f(js: Column[str]) -> list[int]:
    return [v and v["a"] for v in host.decode_json.batch(js)]
"""
    assert con.execute("SELECT sum(py_udf_bigint($1, j)) FROM t", [code]).fetchall() == [
        (sum(i for i in range(1000) if i % 3),)
    ]
    assert [record.rows for record in sandbox.audit()] == [1000]


class _Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.path).encode())

    def log_message(self, *_):
        pass


def test_requests_of_a_batch_are_made_at_once(con, grant):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        origin = f"http://127.0.0.1:{server.server_address[1]}"
        sandbox = grant(hostfuncs_http.fetch([origin], body_type="VARCHAR"))
        code = """
import host, json
async def f(url: str) -> str:
    answer = await host.fetch(url)
    return answer["error"] or json.loads(answer["body"])
"""
        query = "SELECT py_udf_varchar($1, url) FROM (VALUES ($2 || '/a'), ('http://localhost/'), ($2 || '/b')) t(url)"
        assert con.execute(query, [code, origin]).fetchall() == [
            ("/a",),
            ("the origin http://localhost:80 is not allowed",),
            ("/b",),
        ]
        assert [record.rows for record in sandbox.audit()] == [3]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
