"""Host functions around others: what they ask for, how often and when, compared with a plain call of the function."""

import asyncio
import contextlib
import datetime as dt
import itertools
import random
import threading
import uuid
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
import hostfuncs
from hostfuncs.scaling import _rate_limited, _retried
from hostfuncs.scaling._rate_limited import RateLimit
from hostfuncs.scaling._waiting import AbandonedError

ASYNC = "import host\nasync def f(k: str | None) -> float | None:\n    return await host.rate(k)"


@pytest.fixture
def grant(con):
    with contextlib.ExitStack() as stack:
        yield lambda *functions: stack.enter_context(wasi_udf.Sandbox(host_functions=functions).install(con))


class Service:
    """A look-up that remembers what it was asked, and may wait or fail."""

    def __init__(self):
        self.asked = []
        self.lock = threading.Lock()
        self.running = self.most_running = 0
        self.failures = {}
        self.gate = None  # an event that answers wait for

    def answer(self, key):
        with self.lock:
            self.asked.append(key)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            fails = self.failures.get(key, 0)
            self.failures[key] = fails - 1
        try:
            if self.gate is not None:
                assert self.gate.wait(30)
            if fails > 0:
                raise ConnectionError(f"no answer for {key}")
            return None if key is None else len(key) / 2
        finally:
            with self.lock:
                self.running -= 1

    @property
    def by_row(self):
        def rate(key: str | None) -> float | None:
            return self.answer(key)

        return wasi_udf.HostFunction(rate)

    @property
    def batched(self):
        def rate(key: list[str | None]) -> list[float | None]:
            return [self.answer(one) for one in key]

        return wasi_udf.HostFunction(rate)

    @property
    def arrays(self):
        def rate(key):
            return pa.array([self.answer(one) for one in key.to_pylist()])

        return wasi_udf.HostFunction(rate, parameters=["VARCHAR"], return_type="DOUBLE", batched=True)

    @property
    def coroutine(self):
        async def rate(key: str | None) -> float | None:
            await asyncio.sleep(0)
            return self.answer(key)

        return wasi_udf.HostFunction(rate)


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def pauses(monkeypatch):
    seconds = []
    monkeypatch.setattr(_retried, "pause", seconds.append)
    return seconds


KINDS = ["by_row", "batched", "arrays", "coroutine"]
AROUND = {
    "cached": hostfuncs.cached,
    "concurrent": lambda function: hostfuncs.concurrent(function, 4, rows=100),
    "rate_limited": lambda function: hostfuncs.rate_limited(function, 1_000_000),
    "retried": hostfuncs.retried,
    "all": lambda function: hostfuncs.cached(
        hostfuncs.concurrent(hostfuncs.retried(hostfuncs.rate_limited(function, 1_000_000)), 4, rows=100)
    ),
}


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("around", AROUND)
def test_results_are_those_of_the_function_inside(service, around, kind, rows):
    if rows > 2000 and kind in {"by_row", "coroutine"} and around != "concurrent":
        rows //= 10  # each is a call
    keys = [None if i % 7 == 0 else "ü🦆x"[: i % 4] * (i % 5) for i in range(rows)]
    function = AROUND[around](getattr(service, kind))
    assert function.name == "rate"
    expected = [None if key is None else len(key) / 2 for key in keys]
    assert function(keys).to_pylist() == expected
    assert function(pa.array(keys, pa.string())).to_pylist() == expected


@pytest.mark.parametrize("kind", ["by_row", "batched", "coroutine"])
@pytest.mark.parametrize("order", list(itertools.permutations(sorted(AROUND.keys() - {"all"}))), ids="-".join)
def test_they_go_around_each_other_in_any_order(service, pauses, order, kind):
    keys = [None if i % 7 == 0 else "abcdefg"[: i % 5] * (i % 3) for i in range(60)]
    service.failures = {"ab": 1, "": 1}
    function = getattr(service, kind)
    for name in order:
        function = AROUND[name](function)
    expected = [None if key is None else len(key) / 2 for key in keys]
    assert function(keys).to_pylist() == expected
    assert sum(fails < 0 for fails in service.failures.values()) == len(set(keys))
    assert service.most_running <= 4
    asked = len(service.asked)
    assert function(keys[::-1]).to_pylist() == expected[::-1]
    assert len(service.asked) == asked


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 8])
def test_a_query_gets_what_a_join_gives(con, grant, service, kind, threads):
    con.execute(f"SET threads = {threads}")
    con.execute("CREATE TABLE q AS SELECT CASE WHEN i % 9 > 0 THEN repeat('k', i % 50) END AS k FROM range(6000) t(i)")
    sandbox = grant(AROUND["all"](getattr(service, kind)))
    ours = con.execute("SELECT k, py_udf_double($1, k) FROM q ORDER BY rowid", [ASYNC]).fetchall()
    assert ours == con.execute("SELECT k, length(k) / 2 FROM q ORDER BY rowid").fetchall()
    assert sorted(map(str, service.asked)) == sorted(map(str, {k for k, _ in ours}))
    assert {record.outcome for record in sandbox.audit()} == {"ok"}


@pytest.mark.parametrize("around", AROUND)
def test_settings_are_those_of_the_function_inside(around):
    def ask(call):
        return False

    def rate(key: list[str], scale: list[float]) -> list[float]:
        """The rate."""

    inner = wasi_udf.HostFunction(rate, name="fx", gate=ask, timeout_seconds=3)
    outer = AROUND[around](inner)
    assert (outer.name, outer.doc, outer.gate, outer.timeout_seconds) == ("fx", "The rate.", ask, 3)
    assert [argument.name for argument in outer.arguments] == ["key", "scale"]
    assert (outer.parameters, outer.return_type) == (inner.parameters, inner.return_type)
    changed = hostfuncs.cached(outer, name="other", gate=None, timeout_seconds=1, doc="x")
    assert (changed.name, changed.doc, changed.gate, changed.timeout_seconds) == ("other", "x", None, 1)


@pytest.mark.parametrize("around", AROUND)
def test_functions_that_cant_be_wrapped_are_refused(around):
    def without_parameters() -> int:
        return 1

    with pytest.raises(ValueError, match="has no parameters"):
        AROUND[around](without_parameters)

    def without_annotations(x):
        return x

    with pytest.raises(wasi_udf.SignatureError, match="no annotation"):
        AROUND[around](without_annotations)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: hostfuncs.concurrent(f, 0), "at_once must be"),
        (lambda f: hostfuncs.concurrent(f, 1.5), "at_once must be a whole number, got 1.5"),
        (lambda f: hostfuncs.concurrent(f, None), "at_once must be a positive number, got None"),
        (lambda f: hostfuncs.concurrent(f, rows=0), "rows must be"),
        (lambda f: hostfuncs.cached(f, seconds="5"), "seconds must be a positive number, got '5'"),
        (lambda f: hostfuncs.cached(f, seconds=0), "seconds must be"),
        (lambda f: hostfuncs.cached(f, memory_bytes=-1), "memory_bytes must be"),
        (lambda f: hostfuncs.cached(f, table="t"), "needs a database"),
        (lambda f: hostfuncs.retried(f, 0), "attempts must be"),
        (lambda f: hostfuncs.retried(f, backoff_seconds=-1), "backoff_seconds"),
        (lambda f: hostfuncs.retried(f, errors="ignore"), "errors must be"),
        (lambda f: hostfuncs.rate_limited(f), "calls_per_minute or tokens_per_minute"),
        (lambda f: hostfuncs.rate_limited(f, float("inf")), "positive"),
        (lambda f: hostfuncs.rate_limited(f, 0.5), "1 or more"),
        (lambda f: hostfuncs.rate_limited(f, 5, limit=RateLimit(5)), "either"),
    ],
)
def test_settings_that_mean_nothing_are_refused(service, make, message):
    with pytest.raises(ValueError, match=message):
        make(service.by_row)


def test_settings_of_another_kind_are_refused(service):
    with pytest.raises(TypeError, match="limit is a RateLimit, got 5"):
        hostfuncs.rate_limited(service.by_row, limit=5)
    for on in ("error", int, [OSError], (OSError, 5), KeyboardInterrupt):
        with pytest.raises(TypeError, match="on is a class of exceptions, or a tuple of such, got"):
            hostfuncs.retried(service.by_row, on=on)


@pytest.mark.parametrize("around", AROUND)
def test_columns_that_are_none_are_refused(service, around):
    function = AROUND[around](service.by_row)
    assert function(pa.chunked_array([["a"], [None]])).to_pylist() == [0.5, None]
    for columns, message in (
        (([],) * 2, "rate takes a column for each of its parameters .key., all of one length; got"),
        (("a",), "rate takes a column .*: a list or an array, got 'a'"),
        ((5,), "rate takes a column .*: a list or an array, got 5"),
        (([1, "a"],), "rate: the column 'key' has values that are no string"),
    ):
        with pytest.raises(wasi_udf.SignatureError, match=message):
            function(*columns)


# ---- cached ----------------------------------------------------------------------------------------------------------


def test_what_is_remembered_is_not_asked_for_again(service):
    function = hostfuncs.cached(service.batched)
    assert function(["a", "bb", "a", None]).to_pylist() == [0.5, 1.0, 0.5, None]
    assert function(["bb", "ccc", None]).to_pylist() == [1.0, 1.5, None]
    assert service.asked == ["a", "bb", None, "ccc"]


def test_results_are_good_for_some_seconds(service):
    function = hostfuncs.cached(service.batched, seconds=1e-9)
    function(["a"])
    function(["a"])
    assert service.asked == ["a", "a"]


def test_memory_has_a_limit_and_the_oldest_go_first(service):
    function = hostfuncs.cached(service.batched, memory_bytes=20_000)
    keys = [f"{i:0100}" for i in range(200)]
    function(keys)
    service.asked.clear()
    function(keys[-10:])
    assert service.asked == []
    function(keys[:10])
    assert service.asked == keys[:10]
    large = "x" * 50_000
    assert function([large, large]).to_pylist() == [25_000.0] * 2


def test_errors_are_not_remembered(service):
    service.failures["a"] = 1
    function = hostfuncs.cached(service.batched)
    with pytest.raises(ConnectionError):
        function(["a"])
    assert function(["a"]).to_pylist() == [0.5]


def test_a_key_asked_for_twice_at_once_is_fetched_once(service):
    service.gate = threading.Event()
    function = hostfuncs.cached(service.by_row)
    results = []
    threads = [threading.Thread(target=lambda: results.append(function(["a", "b"]).to_pylist())) for _ in range(8)]
    for thread in threads:
        thread.start()
    service.gate.set()
    for thread in threads:
        thread.join()
    assert results == [[0.5, 0.5]] * 8
    assert sorted(service.asked) == ["a", "b"]


def test_those_who_wait_fail_as_the_one_that_asks():
    entered, leave = threading.Event(), threading.Event()

    @hostfuncs.cached
    @wasi_udf.host_function
    def rate(key: list[str]) -> list[float]:
        entered.set()
        assert leave.wait(30)
        raise ConnectionError("down")

    errors = []

    def ask():
        with contextlib.suppress(ConnectionError):
            rate(["a"])
            return
        errors.append("down")

    threads = [threading.Thread(target=ask)]
    threads[0].start()
    assert entered.wait(30)
    threads += [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads[1:]:
        thread.start()
    leave.set()
    for thread in threads:
        thread.join()
    assert errors == ["down"] * 4


def test_a_call_that_is_given_up_is_made_by_one_that_waits():
    entered, leave = threading.Event(), threading.Event()
    asked = []

    @hostfuncs.cached
    @wasi_udf.host_function
    def rate(key: list[str]) -> list[float]:
        asked.append(key)
        if len(asked) > 1:
            return [1.0] * len(key)
        entered.set()
        assert leave.wait(30)
        raise AbandonedError

    def give_up():
        with pytest.raises(AbandonedError):
            rate(["a"])

    first = threading.Thread(target=give_up)
    first.start()
    assert entered.wait(30)
    results = []
    second = threading.Thread(target=lambda: results.append(rate(["a", "b"]).to_pylist()))
    second.start()
    leave.set()
    first.join()
    second.join()
    assert results == [[1.0, 1.0]]


TYPED = {
    "BIGINT": [1, -(2**63), None],
    "DOUBLE": [1.5, float("nan"), -0.0, 0.0, None],
    "FLOAT": [1.5, float("inf"), None],
    "VARCHAR": ["", "ü🦆", None],
    "BLOB": [b"\0\xff", b"", None],
    "BOOLEAN": [True, False, None],
    "DATE": [dt.date(1, 1, 1), None],
    "TIME": [dt.time(1, 2, 3, 4), None],
    "TIMESTAMP": [dt.datetime(2020, 1, 1, 1, 2, 3, 4), None],
    "TIMESTAMPTZ": [dt.datetime(2020, 1, 1, tzinfo=dt.UTC), None],
    "DECIMAL(38,3)": [Decimal("1.500"), None],
    "UUID": [uuid.UUID(int=5), None],
    "ENUM('a', 'b')": ["a", None],
    "BIGINT[]": [[], [1, None], None],
    "DOUBLE[2]": [[-0.0, 1.0], [0.0, 1.0], None],
    "STRUCT(a BIGINT, b VARCHAR[])": [{"a": 1, "b": ["x", None]}, {"a": None, "b": None}, None],
    "MAP(VARCHAR, BIGINT)": [{"a": 1}, {}, None],
    "INTERVAL": [dt.timedelta(1, 2), None],
}


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("sql_type", TYPED)
def test_each_type_is_remembered_as_it_was(con, sql_type, stored):
    asked = []

    def same(value):
        asked.append(len(value))
        return value

    inner = wasi_udf.HostFunction(same, parameters=[sql_type], return_type=sql_type, batched=True)
    con.execute("SET arrow_lossless_conversion = true")
    con.execute(f"CREATE TABLE t (x {sql_type})")
    con.executemany("INSERT INTO t VALUES (?)", [[value] for value in TYPED[sql_type]])
    call = wasi_udf.ColumnFunction(inner)
    column = con.sql("FROM t").to_arrow_table().column(0).combine_chunks()
    plain = call(column)
    asked.clear()
    made = hostfuncs.cached(inner, database=con if stored else None)
    again = hostfuncs.cached(inner, database=con) if stored else made
    for function in (made, made, again):
        result = wasi_udf.ColumnFunction(function)(column)
        assert repr(result.to_pylist()) == repr(plain.to_pylist())
    assert asked == [len(TYPED[sql_type])]


def test_results_outlive_the_process_in_a_table(service, tmp_path):
    path = tmp_path / "cache.duckdb"
    function = hostfuncs.cached(service.batched, database=path)
    function(["a", None, "b'"])
    del function
    with duckdb.connect(path) as con:
        rows = con.execute("SELECT key, result FROM rate_cache ORDER BY key NULLS LAST").fetchall()
        assert rows == [("a", 0.5), ("b'", 1.0), (None, None)]
        con.execute("UPDATE rate_cache SET result = 7 WHERE key = 'a'")
    assert hostfuncs.cached(service.batched, database=str(path))(["a", "b'"]).to_pylist() == [7, 1]
    assert service.asked == ["a", None, "b'"]


def test_old_rows_of_a_table_are_neither_used_nor_kept(service, con):
    function = hostfuncs.cached(service.batched, database=con, table='odd "name"', seconds=1e-9)
    function(["a"])
    function(["a"])
    assert service.asked == ["a", "a"]
    function = hostfuncs.cached(service.batched, database=con, table='odd "name"', table_rows=3)
    function([str(i) for i in range(10)])
    assert con.execute('SELECT count(*) FROM "odd ""name"""').fetchall() == [(3,)]


def test_a_table_of_other_columns_is_refused(service, con):
    con.execute("CREATE TABLE rate_cache (key BIGINT, result DOUBLE, fetched_at TIMESTAMPTZ)")
    with pytest.raises(ValueError, match=r"has the columns key BIGINT.* need key VARCHAR"):
        hostfuncs.cached(service.batched, database=con)

    def other(result: list[str]) -> list[str]:
        return result

    with pytest.raises(ValueError, match="can't be called result"):
        hostfuncs.cached(other, database=con)

    def nested(key: list[list[uuid.UUID]]) -> list[str]:
        return key

    with pytest.raises(ValueError, match="UUID or JSON inside"):
        hostfuncs.cached(nested, database=con)


def test_the_gate_sees_calls_that_are_remembered(con, grant, service):
    seen = []
    function = wasi_udf.HostFunction(service.batched.function, name="rate", gate=lambda call: seen.append(call.rows))
    sandbox = grant(hostfuncs.cached(function))
    for _ in range(2):
        con.execute("SELECT py_udf_double($1, 'k' || i) FROM range(10) t(i)", [ASYNC]).fetchall()
    assert seen == [10, 10]
    assert [(record.rows, record.outcome) for record in sandbox.audit()] == [(10, "ok")] * 2
    assert len(service.asked) == 10


# ---- concurrent ------------------------------------------------------------------------------------------------------


def test_as_many_calls_run_at_once_as_are_allowed():
    together = threading.Barrier(4, timeout=30)
    service = Service()

    def rate(key: str) -> float:
        together.wait()
        return service.answer(key)

    function = hostfuncs.concurrent(rate, 4)
    assert function(["a"] * 20).to_pylist() == [0.5] * 20


@pytest.mark.parametrize("kind", ["by_row", "coroutine"])
def test_no_more_calls_run_at_once_than_allowed_of_all_queries(con, grant, service, kind):
    grant(hostfuncs.concurrent(getattr(service, kind), 3, rows=2))
    con.execute("SET threads = 8")
    con.execute("CREATE TABLE q AS SELECT 'k' || i AS k FROM range(300000) t(i)")
    con.execute("SELECT count(py_udf_double($1, k)) FROM q WHERE random() < 0.003", [ASYNC]).fetchall()
    assert 1 <= service.most_running <= 3


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_calls_have_few_rows(rows):
    sizes = []

    def size(key: list[int]) -> list[int]:
        sizes.append(len(key))
        return key

    function = hostfuncs.concurrent(size, 2, rows=rows)
    assert function(range_ := list(range(20))).to_pylist() == range_
    assert sum(sizes) == 20
    assert max(sizes) == rows


def test_after_a_failure_no_more_calls_are_made(service):
    service.failures["3"] = 1
    function = hostfuncs.concurrent(service.by_row, 2)
    with pytest.raises(ConnectionError, match="no answer for 3"):
        function([str(i) for i in range(1000)])
    assert len(service.asked) < 100
    assert function(["3"]).to_pylist() == [0.5]


def test_a_coroutine_that_fails_cancels_those_that_run():
    begun, cancelled, all_begun = [], [], asyncio.Event()

    async def rate(key: str) -> float:
        begun.append(key)
        if len(begun) == 4:
            all_begun.set()
        try:
            if key == "bad":
                await all_begun.wait()
                raise ConnectionError(key)
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(key)
            raise
        return 0.0

    limited = hostfuncs.concurrent(rate, 4)
    with pytest.raises(ConnectionError, match="bad"):
        limited(["a", "b", "bad", "c", *"defgh"])
    assert sorted(cancelled) == ["a", "b", "c"]
    assert sorted(begun) == ["a", "b", "bad", "c"]


@pytest.mark.parametrize("length", [0, 1, 7, 100])
@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_rows_of_one_coroutine_follow_each_other(length, rows):
    running, most = set(), []

    async def rate(key: int, extra: float = 0.5) -> float:
        running.add(key // rows)
        most.append(len(running))
        await asyncio.sleep(0)
        if key % rows == rows - 1 or key == length - 1:
            running.discard(key // rows)
        return key + extra

    made = hostfuncs.concurrent(rate, 5, rows=rows)(pa.array(range(length), pa.int64()), [0.5] * length)
    assert made.to_pylist() == [i + 0.5 for i in range(length)]
    assert max(most, default=0) == min(5, -(-length // rows))


def test_results_that_are_none_are_the_functions_fault(service):
    @wasi_udf.host_function
    def wrong(key: str) -> int:
        return 2.5

    with pytest.raises(ValueError, match="2.5"):
        hostfuncs.concurrent(wrong, 2)(["a", "b"])


def test_coroutines_are_cancelled_when_the_query_is(con):
    entered, cancelled = threading.Event(), threading.Event()

    @wasi_udf.host_function
    async def rate(key: str) -> float:
        entered.set()
        try:
            await asyncio.sleep(600)
        finally:
            cancelled.set()

    with wasi_udf.Sandbox(host_functions=[hostfuncs.concurrent(rate, 4)]).install(con) as sandbox:
        stopper = threading.Thread(target=lambda: entered.wait(30) and sandbox.cancel())
        stopper.start()
        with pytest.raises(duckdb.Error):
            con.execute("SELECT py_udf_double($1, 'k' || i) FROM range(10) t(i)", [ASYNC]).fetchall()
        stopper.join()
        assert isinstance(sandbox.last_error, wasi_udf.Cancelled)
        assert cancelled.wait(30)
        assert [record.outcome for record in sandbox.audit()] == ["cancelled"]
        assert con.execute("SELECT py_udf('lambda x: x + 1', 41)").fetchall() == [(42,)]


def test_a_timeout_ends_the_wait_and_what_is_waited_for(con):
    cancelled = threading.Event()

    async def rate(key: str) -> float:
        try:
            await asyncio.sleep(600)
        finally:
            cancelled.set()

    function = hostfuncs.cached(hostfuncs.concurrent(rate, 4), timeout_seconds=0.1)
    with wasi_udf.Sandbox(host_functions=[function]).install(con) as sandbox:
        with pytest.raises(duckdb.Error, match="rate took too long"):
            con.execute("SELECT py_udf_double($1, 'a' || i) FROM range(1) t(i)", [ASYNC]).fetchall()
        assert cancelled.wait(30)
        assert [record.outcome for record in sandbox.audit()] == ["timed out"]


def test_no_guest_starts_inside_of_a_call(con):
    con.execute("SET threads = 1")  # on DuckDB's other threads a guest may start
    with wasi_udf.Sandbox() as other:
        cursor = con.cursor()
        other.create_function(con, "inner", "def inner(x: int) -> int: return x")

        @wasi_udf.host_function
        def rate(key: str) -> float:
            return cursor.execute("SELECT inner(1)").fetchone()[0]

        with wasi_udf.Sandbox(host_functions=[hostfuncs.concurrent(rate, 2)]).install(con) as sandbox:
            with pytest.raises(duckdb.Error):
                con.execute("SELECT py_udf_double($1, 'a' || i) FROM range(1) t(i)", [ASYNC]).fetchall()
            assert "can't run inside the host function" in sandbox.audit()[0].detail


# ---- retried ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["by_row", "coroutine"])
def test_a_row_that_failed_is_asked_for_again_alone(service, pauses, kind):
    service.failures = {"b": 2, "c": 1}
    assert hostfuncs.retried(getattr(service, kind))(["a", "b", "c"]).to_pylist() == [0.5] * 3
    assert service.asked == ["a", "b", "b", "b", "c", "c"]
    assert len(pauses) == 3


def test_a_batch_that_failed_is_asked_for_again(service, pauses):
    service.failures = {"b": 1}
    assert hostfuncs.retried(service.batched)(["a", "b"]).to_pylist() == [0.5] * 2
    assert service.asked == ["a", "b", "a", "b"]


def test_pauses_double_and_have_an_end(service, pauses):
    service.failures = {"a": 6}
    hostfuncs.retried(service.by_row, 7, backoff_seconds=1, most_backoff_seconds=8)(["a"])
    for seconds, least in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True):
        assert least <= seconds <= least + 1


@pytest.mark.parametrize("errors", ["raise", "null"])
def test_a_failure_remains_or_is_null(service, pauses, errors):
    service.failures = {"b": 99}
    function = hostfuncs.retried(service.by_row, 4, errors=errors)
    if errors == "raise":
        with pytest.raises(ConnectionError, match="no answer for b"):
            function(["a", "b", "c"])
    else:
        assert function(["a", "b", "c"]).to_pylist() == [0.5, None, 0.5]
    assert service.asked.count("b") == 4


def test_other_exceptions_are_not_repeated(service, pauses):
    service.failures = {"a": 1}
    with pytest.raises(ConnectionError):
        hostfuncs.retried(service.by_row, on=ValueError, errors="null")(["a"])
    assert pauses == []


def test_an_error_may_say_when_to_come_again(pauses):
    class BusyError(Exception):
        retry_after = 25.0

    asked = itertools.count()

    def rate(key: str) -> float:
        if next(asked) == 0:
            raise BusyError
        return 1.0

    assert hostfuncs.retried(rate)(["a"]).to_pylist() == [1.0]
    assert pauses == [25.0]
    asked = itertools.repeat(0)
    with pytest.raises(BusyError):
        hostfuncs.retried(rate, most_seconds=20)(["a"])
    assert pauses == [25.0]


# ---- rate_limited ----------------------------------------------------------------------------------------------------


class _Clock:
    """Time that passes by waiting alone."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(_rate_limited, "pause", self.pause)
        monkeypatch.setattr(_rate_limited.time, "monotonic", lambda: self.now)

    def pause(self, seconds):
        assert seconds > 0
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = _Clock(monkeypatch)
    yield clock
    monkeypatch.undo()


@pytest.mark.parametrize("seed", range(5))
def test_in_no_period_are_there_more_than_allowed(clock, seed):
    chance = random.Random(seed)
    limit = RateLimit(7, 100, period_seconds=60)
    made = []
    for _ in range(200):
        clock.now += chance.choice([0, 0, 0.5, 3, 20])
        tokens = chance.randint(1, 60)
        limit.acquire(tokens)
        made.append((clock.now, tokens))
    for start, _ in made:
        inside = [tokens for at, tokens in made if start <= at < start + 60]
        assert len(inside) <= 7
        assert sum(inside) <= 100
    # And none waits longer than it has to: by one more call, a limit would be exceeded.
    for i, (at, tokens) in enumerate(made[1:], 1):
        if at > made[i - 1][0] + 20:
            inside = [used for other, used in made[:i] if other > at - 60.001]
            assert len(inside) + 1 > 7 or sum(inside) + tokens > 100


def test_calls_of_rows_and_batches_are_counted(clock, service):
    hostfuncs.rate_limited(service.by_row, 10)(["a"] * 25)
    assert clock.now == 120
    hostfuncs.rate_limited(service.batched, 10)(["a"] * 25)
    assert clock.now == 120


def test_tokens_are_counted_or_estimated(clock, service):
    function = hostfuncs.rate_limited(service.by_row, tokens_per_minute=10, tokens=lambda key: len(key))
    function(["aaaaa", "bbbbb"])
    assert clock.now == 0
    function(["c"])
    assert clock.now == 60
    with pytest.raises(ValueError, match="11 tokens can't be made: 10 a minute"):
        function(["x" * 11])
    hostfuncs.rate_limited(service.by_row, tokens_per_minute=10)(["x" * 20, "y" * 20])
    assert clock.now == 120


@pytest.mark.parametrize("tokens", [-1, "5", None, float("nan")])
def test_tokens_are_numbers(service, tokens):
    limited = hostfuncs.rate_limited(service.by_row, tokens_per_minute=10, tokens=lambda key: tokens)
    with pytest.raises(ValueError, match=f"tokens returned {tokens!r}, which is no number of tokens"):
        limited(["a"])
    assert hostfuncs.rate_limited(service.by_row, tokens_per_minute=10)(["a"]).to_pylist() == [0.5]


def test_a_limit_can_be_shared(clock, service):
    limit = RateLimit(2)
    one, two = (hostfuncs.rate_limited(service.by_row, limit=limit) for _ in range(2))
    one(["a"])
    two(["a"])
    one(["a"])
    assert clock.now == 60


def test_a_wait_ends_when_the_query_is_stopped(con, service, monkeypatch):
    waiting = threading.Event()
    pause = _rate_limited.pause
    monkeypatch.setattr(_rate_limited, "pause", lambda seconds: (waiting.set(), pause(seconds)))
    function = hostfuncs.rate_limited(service.by_row, 1)
    with wasi_udf.Sandbox(host_functions=[function]).install(con) as sandbox:
        con.execute("SELECT py_udf_double($1, 'a' || i) FROM range(1) t(i)", [ASYNC]).fetchall()
        stopper = threading.Thread(target=lambda: waiting.wait(30) and sandbox.cancel())
        stopper.start()
        with pytest.raises(duckdb.Error):
            con.execute("SELECT py_udf_double($1, 'b' || i) FROM range(1) t(i)", [ASYNC]).fetchall()
        stopper.join()
        assert isinstance(sandbox.last_error, wasi_udf.Cancelled)
        assert [record.outcome for record in sandbox.audit()] == ["ok", "cancelled"]
    assert service.asked == ["a0"]


def test_a_wait_counts_for_the_quota_of_seconds(con, service):
    function = hostfuncs.rate_limited(service.by_row, 1, period_seconds=0.2)
    limits = wasi_udf.ResourceLimits(host_batch=wasi_udf.HostQuota(calls=9, bytes=10**6, seconds=0.1))
    with wasi_udf.Sandbox(host_functions=[function], limits=limits).install(con) as sandbox:
        with pytest.raises(duckdb.Error):
            con.execute("SELECT py_udf_double($1, 'k' || i) FROM range(3) t(i)", [ASYNC]).fetchall()
        assert sandbox.last_error.limit == "host_batch.seconds"
        assert [record.outcome for record in sandbox.audit()] == ["over quota"]


# ---- the public functions that these are made of ---------------------------------------------------------------------


def test_column_functions_check_what_they_are_called_with(service):
    call = wasi_udf.ColumnFunction(service.by_row)
    assert call(["a", None]).to_pylist() == [0.5, None]
    assert (call.names, call.parameter_types, call.result_type) == (["key"], [pa.string()], pa.float64())
    for columns in ([], [["a"], ["b"]]):
        with pytest.raises(wasi_udf.SignatureError, match="rate takes a column for each of its parameters"):
            call(*columns)
    assert "rate" in repr(call)


def test_an_async_def_alone_cant_be_granted(service):
    with pytest.raises(wasi_udf.SignatureError, match="rate is an async def"):
        wasi_udf.Sandbox(host_functions=[service.coroutine])


def test_nothing_is_abandoned_outside_of_host_functions():
    assert wasi_udf.host_call_abandoned() is False


def test_a_host_function_can_ask_whether_it_is_wanted(con):
    noticed = threading.Event()

    @wasi_udf.host_function(timeout_seconds=0.05)
    def rate(key: str) -> float:
        assert not wasi_udf.host_call_abandoned()
        pause = threading.Event()
        while not wasi_udf.host_call_abandoned():
            pause.wait(0.01)
        noticed.set()

    with wasi_udf.Sandbox(host_functions=[rate]).install(con):
        with pytest.raises(duckdb.Error, match="rate took too long"):
            con.execute("SELECT py_udf_double($1, 'a' || i) FROM range(1) t(i)", [ASYNC]).fetchall()
        assert noticed.wait(30)
