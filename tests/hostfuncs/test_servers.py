"""Look-ups in SQLite, PostgreSQL and Redis: real servers on the loopback address."""

import datetime as dt
import gc
import sqlite3
import threading
import uuid
from decimal import Decimal

import psycopg
import pyarrow as pa
import pytest
import redis
import sqlalchemy
from redis.backoff import NoBackoff
from redis.retry import Retry

from hostfuncs import lookup
from tests.support import servers


@pytest.fixture
def sqlite_url(tmp_path):
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE rates (code TEXT, year INT, rate REAL)")
        con.executemany("INSERT INTO rates VALUES (?, ?, ?)", [(f"C{i}", i % 2, i / 2) for i in range(3000)])
        con.execute('CREATE TABLE "odd ""table" ("a b" TEXT, "select" TEXT)')
        con.execute("""INSERT INTO "odd ""table" VALUES ('x'' OR 1=1 --', 'safe'), (NULL, 'null')""")
    con.close()
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def postgres():
    with servers.postgres_server() as server:
        server.url = f"postgresql+psycopg://postgres@127.0.0.1:{server.port}/postgres"
        yield server


@pytest.fixture(scope="module")
def redis_url():
    with servers.redis_server() as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
def queries(monkeypatch):
    """The statements that SQLAlchemy sends."""
    sent = []

    def listen(engine):
        def note(_connection, _cursor, statement, *_):
            sent.append(statement)

        sqlalchemy.event.listen(engine, "before_cursor_execute", note)
        return engine

    create = sqlalchemy.create_engine
    monkeypatch.setattr(sqlalchemy, "create_engine", lambda *args, **options: listen(create(*args, **options)))
    return sent


TYPES = {"code": "VARCHAR", "year": "BIGINT", "rate": "DOUBLE"}


def ask(function, *columns):
    return function(*map(pa.array, columns)).to_pylist()


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 2049])
def test_sqlite_gives_what_a_join_gives(sqlite_url, size):
    rate = lookup.from_sql(sqlite_url, "rates", "code", "rate", TYPES)
    assert (list(rate.parameters), rate.return_type, rate.batched) == (["VARCHAR"], "DOUBLE", True)
    keys = [None if i % 10 == 9 else f"C{i * 2}" for i in range(size)]
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as con:
        known = dict(con.execute("SELECT code, rate FROM rates"))
    con.close()
    assert rate(pa.array(keys, pa.string())).to_pylist() == [known.get(key) for key in keys]


def test_each_key_is_asked_for_once_and_then_cached(sqlite_url, queries):
    rate = lookup.from_sql(sqlite_url, "rates", "code", "rate", TYPES, query_keys=500)
    keys = [f"C{i % 1200}" for i in range(2048)]
    assert ask(rate, keys)[:3] == [0.0, 0.5, 1.0]
    assert len(queries) == 3
    assert ask(rate, [*keys, "none"])[-1] is None
    assert len(queries) == 4
    ask(rate, ["none", *keys])
    assert len(queries) == 4


def test_what_is_remembered_is_bounded_and_can_be_nothing(sqlite_url, queries):
    few = lookup.from_sql(sqlite_url, "rates", "code", "rate", TYPES, cache_rows=2)
    assert ask(few, ["C1", "C2", "C3"]) == ask(few, ["C1", "C2", "C3"]) == [0.5, 1.0, 1.5]
    assert len(queries) == 2
    none = lookup.from_sql(sqlite_url, "rates", "code", "rate", TYPES, cache_rows=0)
    assert ask(none, ["C1"]) == ask(none, ["C1"]) == [0.5]
    assert len(queries) == 4


def test_what_is_remembered_is_forgotten_in_time(sqlite_url, queries):
    rate = lookup.from_sql(sqlite_url, "rates", "code", "rate", TYPES, cache_seconds=0)
    ask(rate, ["C1"])
    ask(rate, ["C1"])
    assert len(queries) == 2


def test_names_are_quoted_and_values_never_part_of_the_query(sqlite_url, queries):
    types = {"a b": "VARCHAR", "select": "VARCHAR"}
    odd = lookup.from_sql(sqlite_url, 'odd "table', "a b", "select", types, default="-")
    assert ask(odd, ["x' OR 1=1 --", "x' OR 'a'='a", None]) == ["safe", "-", "-"]
    assert "OR 1=1" not in queries[0]


def test_several_keys_and_values(sqlite_url):
    rate = lookup.from_sql(
        sqlite_url, "rates", ["code", "year"], ["rate", "code"], TYPES, default={"rate": -1.0, "code": None}
    )
    assert list(rate.parameters) == ["VARCHAR", "BIGINT"]
    missing = {"rate": -1.0, "code": None}
    assert ask(rate, ["C3", "C3", None], [1, 0, 1]) == [{"rate": 1.5, "code": "C3"}, missing, missing]


def test_a_key_that_occurs_twice_is_an_error(sqlite_url):
    rate = lookup.from_sql(sqlite_url, "rates", "year", "rate", TYPES)
    with pytest.raises(ValueError, match="the key 1 of year occurs more than once"):
        ask(rate, [1])


def test_a_function_that_connects_and_an_engine_are_sources(sqlite_url):
    path = sqlite_url.removeprefix("sqlite:///")
    made = lookup.from_sql(
        lambda: sqlite3.connect(path, check_same_thread=False), "rates", "code", "rate", TYPES, dialect="sqlite"
    )
    engine = sqlalchemy.create_engine(sqlite_url)
    assert ask(made, ["C4"]) == ask(lookup.from_sql(engine, "rates", "code", "rate", TYPES), ["C4"]) == [2.0]
    engine.dispose()
    with pytest.raises(ValueError, match="needs the dialect"):
        lookup.from_sql(lambda: None, "rates", "code", "rate", TYPES)


def test_values_are_never_cut_down(sqlite_url):
    rate = lookup.from_sql(sqlite_url, "rates", "code", "rate", TYPES | {"rate": "BIGINT"})
    assert ask(rate, ["C2", "C4", "none"]) == [1, 2, None]
    with pytest.raises(pa.ArrowInvalid, match=r"0\.5"):
        ask(rate, ["C1"])


def test_mistakes_are_named(sqlite_url):
    with pytest.raises(TypeError, match="a key can't be of the type DOUBLE, as 'rate' is"):
        lookup.from_sql(sqlite_url, "rates", "rate", "code", TYPES)
    with pytest.raises(ValueError, match="there is no column 'rate'; the columns are code"):
        lookup.from_sql(sqlite_url, "rates", "code", "rate", {"code": "VARCHAR"})
    with pytest.raises(ValueError, match="'TEXTUAL' is not a type"):
        lookup.from_sql(sqlite_url, "rates", "code", "rate", {"code": "TEXTUAL", "rate": "DOUBLE"})
    absent = lookup.from_sql(sqlite_url, "absent", "code", "rate", TYPES)
    with pytest.raises(sqlalchemy.exc.OperationalError, match="absent"):
        ask(absent, ["C1"])


def test_connections_close_with_the_function_that_opened_them(sqlite_url):
    path = sqlite_url.removeprefix("sqlite:///")
    closed = []

    class Connection(sqlite3.Connection):
        def close(self):
            closed.append(self)
            super().close()

    def connect():
        return sqlite3.connect(path, factory=Connection, check_same_thread=False)

    function = lookup.from_sql(connect, "rates", "code", "rate", TYPES, dialect="sqlite")
    assert ask(function, ["C4"]) == [2.0]
    assert not closed
    del function
    gc.collect()
    assert len(closed) == 1
    engine = sqlalchemy.create_engine(sqlite_url)
    assert ask(lookup.from_sql(engine, "rates", "code", "rate", TYPES), ["C4"]) == [2.0]
    gc.collect()
    assert engine.pool.checkedin() == 1  # yours stay open
    engine.dispose()


def test_threads_share_a_look_up(sqlite_url):
    rate = lookup.from_sql(sqlite_url, "rates", "code", "rate", TYPES)
    wrong = []

    def run(first):
        for i in range(first, 1500, 50):
            wrong.extend(value for value in [ask(rate, [f"C{i}", "none"])] if value != [i / 2, None])

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_postgres_gives_its_types(postgres):
    row = {"u": uuid.UUID(int=7), "n": Decimal("1.50"), "t": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "a": ["x", None]}
    with psycopg.connect(host="127.0.0.1", port=postgres.port, user="postgres") as con:
        con.execute("CREATE SCHEMA s")
        con.execute("CREATE TABLE s.things (id bigint, u uuid, n numeric, t timestamptz, a text[])")
        con.execute("INSERT INTO s.things VALUES (1, %(u)s, %(n)s, %(t)s, %(a)s)", row)
    types = {"id": "BIGINT", "u": "UUID", "n": "DECIMAL(9,2)", "t": "TIMESTAMPTZ", "a": "VARCHAR[]"}
    thing = lookup.from_sql(postgres.url, "things", "id", ["u", "n", "t", "a"], types, schema="s")
    assert ask(thing, [2, 1, None]) == [None, row, None]
    by_uuid = lookup.from_sql(postgres.url, "things", "u", "id", types, schema="s")
    assert by_uuid(pa.array([uuid.UUID(int=7), uuid.UUID(int=8)], pa.uuid())).to_pylist() == [1, None]
    pair = lookup.from_sql(postgres.url, "things", ["id", "u"], "n", types, schema="s")
    ids = pa.array([uuid.UUID(int=7)] * 2, pa.uuid())
    assert pair(pa.array([1, 2]), ids).to_pylist() == [Decimal("1.50"), None]


def test_postgres_that_dies_is_an_error_until_it_is_back(postgres):
    with psycopg.connect(host="127.0.0.1", port=postgres.port, user="postgres") as con:
        con.execute("CREATE TABLE t AS SELECT 1::bigint AS k, 2::bigint AS v")
    types = {"k": "BIGINT", "v": "BIGINT"}
    function = lookup.from_sql(f"{postgres.url}?connect_timeout=5", "t", "k", "v", types, cache_rows=0)
    assert ask(function, [1]) == [2]
    postgres.kill()
    with pytest.raises(sqlalchemy.exc.OperationalError, match=rf"\b{postgres.port}\b"):
        ask(function, [1])
    postgres.start()
    assert ask(function, [1]) == [2]


def test_redis_gives_values_and_null_for_what_it_lacks(redis_url):
    client = redis.Redis.from_url(redis_url)
    client.mset({"rate:EUR": "1.0", "rate:USD": "1.1", "rate:ä": "日本", "raw": b"\x00\xff"})
    client.rpush("rate:list", "x")
    client.close()
    text = lookup.from_redis(redis_url, prefix="rate:")
    assert (list(text.parameters), text.return_type, text.batched) == (["VARCHAR"], "VARCHAR", True)
    assert ask(text, ["EUR", "XXX", None, "EUR", "ä", "list"]) == ["1.0", None, None, "1.0", "日本", None]
    number = lookup.from_redis(redis_url, prefix="rate:", value_type="DOUBLE", default=0.0)
    assert ask(number, ["USD", "XXX"]) == [1.1, 0.0]
    assert ask(lookup.from_redis(redis_url, value_type="BLOB"), ["raw"]) == [b"\x00\xff"]
    with pytest.raises(ValueError, match="日本"):
        ask(number, ["ä"])
    with pytest.raises(pa.ArrowInvalid):
        ask(lookup.from_redis(redis_url), ["raw"])


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 2049])
def test_redis_is_asked_once_for_a_batch(redis_url, size):
    client = redis.Redis.from_url(redis_url)
    client.mset({f"n:{i}": str(i * i) for i in range(0, 3000, 2)})
    before = client.info("commandstats").get("cmdstat_mget", {}).get("calls", 0)
    square = lookup.from_redis(client, prefix="n:", key_type="BIGINT", value_type="BIGINT")
    assert square(pa.array(range(size), pa.int64())).to_pylist() == [i * i if i % 2 == 0 else None for i in range(size)]
    assert client.info("commandstats").get("cmdstat_mget", {}).get("calls", 0) - before == (size > 0)
    client.close()


def test_redis_that_dies_is_a_clear_error():
    with servers.redis_server() as server:
        client = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0))
        client.set("k", "v")
        function = lookup.from_redis(client)
        assert ask(function, ["k"]) == ["v"]
        server.kill()
        with pytest.raises(redis.ConnectionError):
            ask(function, ["k"])
        client.close()


def test_redis_clients_that_decode_are_refused():
    with pytest.raises(ValueError, match="without decode_responses"):
        lookup.from_redis(redis.Redis(decode_responses=True))
