"""What a process keeps between the tasks of an engine."""

import os
import sys
import threading

import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import ResourceLimits, SignatureError
from duckdb_wasi_udf._frames import running
from duckdb_wasi_udf._frames.workers import Kept


def test_something_is_made_once_and_closed_when_nobody_uses_it():
    made, closed = [], []

    def make():
        made.append(object())
        return made[-1]

    kept = Kept(closed.append, idle_seconds=3600)
    with kept.use("a", make) as first, kept.use("a", make) as second:
        assert first is second
        kept.close_idle()
        assert closed == []
    kept.close_idle(3600)
    assert len(kept) == 1
    kept.close_idle()
    assert (len(kept), closed) == (0, [first])
    with kept.use("a", make) as third:
        assert third is not first


def test_what_cant_be_made_leaves_nothing_and_can_be_tried_again():
    def fail():
        raise OSError

    kept = Kept(lambda made: None, idle_seconds=3600)
    with pytest.raises(OSError), kept.use("a", fail):  # noqa: PT011 - there is no text
        pass
    assert len(kept) == 0
    with kept.use("a", lambda: 42) as made:
        assert made == 42


def test_threads_that_come_at_once_get_the_same():
    made = []
    kept = Kept(lambda made: None, idle_seconds=3600)
    barrier = threading.Barrier(8)
    seen = []

    def work():
        barrier.wait()
        with kept.use("a", lambda: made.append(1) or object()) as got:
            seen.append(got)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(set(map(id, seen))) == 1


def test_it_is_closed_by_itself():
    closed = threading.Event()
    kept = Kept(lambda made: closed.set(), idle_seconds=0.01)
    with kept.use("a", object):
        pass
    assert closed.wait(10)


def test_functions_with_the_same_settings_share_a_sandbox():
    running.functions.close_idle()
    running.domains.close_idle()
    table = pa.table({"x": [1]})
    for code in ("lambda x: x + 1", "lambda x: x + 2"):
        assert wasi_udf.apply(code, table, {"y": "BIGINT"})["y"].to_pylist() == [eval(code)(1)]
    assert (len(running.functions), len(running.domains)) == (2, 1)
    wasi_udf.apply("lambda x: x", table, {"y": "BIGINT"}, limits=ResourceLimits(timeout_seconds=1.0))
    assert (len(running.functions), len(running.domains)) == (3, 2)
    running.domains.close_idle()
    assert len(running.domains) == 2  # functions use them
    running.functions.close_idle()
    running.domains.close_idle()
    assert (len(running.functions), len(running.domains)) == (0, 0)


def test_a_function_that_cant_be_defined_keeps_no_sandbox():
    running.functions.close_idle()
    running.domains.close_idle()
    with pytest.raises(SignatureError):
        wasi_udf.batch_function("lambda x: x")
    running.functions.close_idle()
    running.domains.close_idle()
    assert (len(running.functions), len(running.domains)) == (0, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_begins_anew():
    double = wasi_udf.batch_function("lambda x: 2 * x", {"y": "BIGINT"})
    table = pa.table({"x": [1, 2]})
    assert double(table)["y"].to_pylist() == [2, 4]
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if double(table)["y"].to_pylist() == [2, 4] else 2
        finally:
            sys.stderr.flush()
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
