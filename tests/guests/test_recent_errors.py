"""Which error is behind an exception of DuckDB's, and that errors travel between processes."""

import concurrent.futures
import contextlib
import copy
import gc
import pickle
import threading
import weakref

import duckdb
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf._guests.recent_errors import RecentErrors

BOOM = "def boom(x):\n    print('before', x)\n    raise ValueError(f'boom {x}')"


def test_an_error_of_duckdbs_own_is_none_of_ours(con, sandbox):
    with pytest.raises(duckdb.InvalidInputException) as raised:
        con.execute("SELECT py_udf($1, 7)", [BOOM])
    handled = []
    try:
        con.execute("SELECT no_such_function(1)")
    except duckdb.CatalogException as error:
        handled += [sandbox.last_error, wasi_udf.error_of(error)]
    assert handled == [None, None]
    error = wasi_udf.error_of(raised.value)
    assert (error.type_name, error.row, error.arguments) == ("ValueError", 0, ("7",))
    assert wasi_udf.error_of(error) is error
    assert wasi_udf.error_of(ValueError("boom 7")) is None


def test_a_query_that_succeeds_resets_the_last_error(con, sandbox):
    con.execute("SET threads = 1")
    for _ in range(3):
        with pytest.raises(duckdb.InvalidInputException):
            con.execute("SELECT py_udf($1, i) FROM range(3) t(i)", [BOOM]).fetchall()
        assert isinstance(sandbox.last_error, wasi_udf.GuestError)
        con.execute("SELECT py_udf('lambda x: x', 1)").fetchall()
        assert sandbox.last_error is None


class Data:
    """What the caller of a query has at hand."""


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT py_udf($${BOOM}$$, i) FROM range(3) t(i)",
        f"SELECT py_udf_bigint($${BOOM}$$, i) FROM range(3) t(i)",
        "SELECT py_udf('lambda x:', i) FROM range(3) t(i)",
        f"SELECT py_agg($${BOOM}$$, list(i)) FROM range(3) t(i)",
        "FROM py_table('def f() -> Iterator[int]: yield 1 // 0')",
    ],
)
def test_a_kept_error_keeps_nothing_of_its_caller(con, sandbox, query):
    con.execute("SET threads = 1")

    def call():
        data = Data()
        with contextlib.suppress(duckdb.InvalidInputException):
            con.execute(query).fetchall()
            pytest.fail("it raises")
        return weakref.ref(data)

    data = call()
    gc.collect()
    assert data() is None
    assert isinstance(sandbox.last_error, wasi_udf.GuestError)


def test_an_error_that_its_caller_has_tells_where_it_was_raised():
    function = wasi_udf.batch_function("def f(x: int) -> float: return 1 / x")
    with pytest.raises(wasi_udf.GuestError) as raised:
        function(pa.table({"x": [0]}))
    assert raised.traceback[0].path.samefile(__file__)


def test_inside_another_exceptions_handler_the_own_query_counts(con, sandbox):
    try:
        {}["missing"]
    except KeyError:
        with pytest.raises(duckdb.InvalidInputException):
            con.execute("SELECT py_udf($1, 7)", [BOOM])
        assert isinstance(sandbox.last_error, wasi_udf.GuestError)


def test_what_was_raised_from_duckdbs_exception_has_its_error(con, sandbox):
    def wrapped():
        try:
            con.execute("SELECT py_udf($1, 9)", [BOOM])
        except duckdb.Error as error:
            raise RuntimeError("the database failed") from error

    with pytest.raises(RuntimeError) as raised:
        wrapped()
    assert wasi_udf.error_of(raised.value).arguments == ("9",)


def test_forty_threads_each_find_their_own_error():
    start = threading.Barrier(40)

    def run(number):
        with duckdb.connect(config={"threads": 2}) as con:
            sandbox = sandboxes[number % 2].install(con)
            start.wait()
            try:
                con.execute("SELECT py_udf($1, i) FROM range($2, $3) t(i)", [BOOM, number, number + 3]).fetchall()
            except duckdb.Error as error:
                return error, wasi_udf.error_of(error), sandbox.last_error
            raise AssertionError

    with wasi_udf.Sandbox() as one, wasi_udf.Sandbox() as other:
        sandboxes = [one, other]
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            results = list(pool.map(run, range(40)))
    for number, (raised, error, last) in enumerate(results):
        assert error is last is wasi_udf.error_of(raised)
        assert (error.type_name, error.arguments) == ("ValueError", (str(number),))
        assert error.output == f"before {number}\n"
    assert len({id(error) for _, error, _ in results}) == 40


def test_errors_with_the_same_text_are_found_apart(con, sandbox):
    def fail():
        with pytest.raises(duckdb.InvalidInputException) as raised:
            con.execute("SELECT py_udf($1, i) FROM range(1) t(i)", [BOOM]).fetchall()
        return raised.value

    first, second = fail(), fail()
    assert str(first) == str(second)
    found = [wasi_udf.error_of(error) for error in (second, first, second, first)]
    assert found[0] is found[2]
    assert found[1] is found[3]
    assert found[0] is not found[1]


def test_a_late_batch_of_the_failed_query_resets_nothing():
    errors = RecentErrors()
    threads = [threading.Thread(target=errors.report, args=(wasi_udf.SignatureError("of another thread"),))]
    errors.report(wasi_udf.SignatureError("of this thread"))
    threads[0].start()
    threads[0].join()
    assert str(errors.last()) == "of this thread"
    errors.succeeded(0, began=float("inf"))  # it began before both
    assert str(errors.last()) == "of this thread"
    errors.succeeded(errors.number, began=0.0)
    assert errors.last() is None
    assert errors.number == 2


def test_the_error_of_a_closed_sandbox_is_found(con):
    with wasi_udf.Sandbox().install(con):
        pass
    with pytest.raises(duckdb.InvalidInputException) as raised:
        con.execute("SELECT py_udf('lambda x: x', 1)")
    assert isinstance(wasi_udf.error_of(raised.value), wasi_udf.ClosedError)


@pytest.mark.parametrize("travel", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
@pytest.mark.parametrize(
    "error",
    [
        wasi_udf.GuestError("text", type_name="ValueError", guest_traceback="...", row=3, arguments=("1",)),
        wasi_udf.LimitExceeded("text", limit="fuel", allowed=10, requested=20, row=1, line=2),
        *[
            kind("text")
            for kind in vars(wasi_udf).values()
            if isinstance(kind, type)
            and issubclass(kind, wasi_udf.WasiUdfError)
            and kind not in (wasi_udf.GuestError, wasi_udf.LimitExceeded)
        ],
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_travel_with_all_they_carry(error, travel):
    error.output = "printed"
    error.add_note("a note")
    travelled = travel(error)
    assert type(travelled) is type(error)
    assert (str(travelled), travelled.args, vars(travelled)) == (str(error), error.args, vars(error))
