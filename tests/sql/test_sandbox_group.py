"""Sandboxes that share a budget, with real guests."""

import concurrent.futures
import gc
import pickle
import sys
import threading
from pathlib import Path

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

ADD = "SELECT sum(py_udf_bigint('lambda x: x + 1', i)) FROM range(3000) t(i)"
ENDLESS = "SELECT py_udf_bigint('def f(x):\n    while True: pass', i) FROM range(3) t(i)"


def tenant(group, name, **settings):
    con = duckdb.connect(config={"threads": 1})
    return con, wasi_udf.Sandbox(group=group, name=name, **settings).install(con)


def failure(con, query):
    with pytest.raises(duckdb.Error) as raised:
        con.execute(query).fetchall()
    return wasi_udf.error_of(raised.value)


def test_one_that_floods_leaves_the_others_their_instances():
    """Its calls all wait in a host function until the others are done, so who waits for whom isn't left to chance."""
    limits = wasi_udf.GroupLimits(sandboxes=3, shared_instances=6)
    go_on, entered = threading.Event(), threading.Semaphore(0)

    @wasi_udf.host_function
    def hold(x: int) -> int:
        entered.release()
        assert go_on.wait(60)
        return x

    with wasi_udf.SandboxGroup(limits=limits) as group, concurrent.futures.ThreadPoolExecutor(12) as threads:
        con, flooder = tenant(group, "flooder", host_functions=[hold])
        others = [tenant(group, name) for name in ("ada", "bob")]
        held = "SELECT py_udf_bigint('import host\nlambda x: host.hold(x)', i) FROM range(7, 8) t(i)"
        flood = [threads.submit(lambda: con.cursor().execute(held).fetchall()) for _ in range(10)]
        for _ in range(4):  # one of its own and three for all
            assert entered.acquire(timeout=60)
        assert not entered.acquire(blocking=False)
        answers = [other.execute(ADD).fetchall() for _ in range(5) for other, _ in others]
        assert answers == [[(3000 * 2999 // 2 + 3000,)]] * 10
        assert {name: used.instances for name, used in group.usage().items()} == {"flooder": 4, "ada": 1, "bob": 1}
        assert flooder.usage().instances == 4
        assert not any(call.done() for call in flood)
        go_on.set()
        assert [call.result(60) for call in flood] == [[(7,)]] * 10


def test_open_scans_of_one_leave_the_others_their_instances():
    limits = wasi_udf.GroupLimits(sandboxes=2, shared_instances=4)
    with wasi_udf.SandboxGroup(limits=limits) as group:
        con, _ = tenant(group, "flooder", limits=wasi_udf.ResourceLimits(timeout_seconds=0.2))
        other, _ = tenant(group, "other")
        scan = "FROM py_table('def f():\n    while True:\n        yield (1,)', schema := {'a': 'INTEGER'})"
        cursors = []
        for _ in range(3):
            cursors.append(con.cursor())
            cursors[-1].execute(scan)
            cursors[-1].fetchone()
        assert group.usage()["flooder"].instances == 3
        error = failure(con, "SELECT py_udf_bigint('lambda x: x', 1)")
        assert (error.limit, error.sandbox) == ("shared_instances", "flooder")
        assert other.execute(ADD).fetchall() == [(3000 * 2999 // 2 + 3000,)]
        for cursor in cursors:
            cursor.close()
        assert con.execute("SELECT py_udf_bigint('lambda x: x', 1)").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "endless",
    [
        ENDLESS,
        "SELECT py_udf_bigint('while True: pass\ndef f(x): return x', i) FROM range(3) t(i)",
        "FROM py_table('def f():\n    while True: pass\n    yield (1,)', schema := {'a': 'INTEGER'})",
        "SELECT py_agg('def f(xs):\n    while True: pass', list(i)) FROM range(3) t(i)",
        "FROM py_map_batches('def f(i):\n    while True: pass', 'FROM range(3) t(i)', schema := {'a': 'INTEGER'})",
        "SELECT py_create_function('f', 'while True: pass\ndef f(x: int) -> int: return x')",
    ],
)
def test_the_end_of_the_processors_time_names_the_sandbox(endless):
    limits = wasi_udf.GroupLimits(sandboxes=2, shared_cpu_seconds=1.0)
    with wasi_udf.SandboxGroup(limits=limits) as group:
        con, sandbox = tenant(group, "flooder", limits=wasi_udf.ResourceLimits(timeout_seconds=60))
        other, _ = tenant(group, "other")
        for _ in range(2):  # the second is refused before it runs
            error = failure(con, endless)
            assert isinstance(error, wasi_udf.LimitExceeded), error
            assert (error.limit, error.allowed, error.sandbox) == ("shared_cpu_seconds", 1.0, "flooder")
            assert "'flooder'" in str(error)
            assert "GroupLimits.shared_cpu_seconds" in str(error)
        assert con.execute("SELECT 42").fetchall() == [(42,)]
        assert sandbox.usage().limits_hit["shared_cpu_seconds"] >= 2  # DuckDB calls some again
        used = group.usage()["flooder"]
        assert used.refused["shared_cpu_seconds"] >= 2
        assert 0 < used.cpu_seconds < 10
        assert other.execute("SELECT py_udf_bigint('lambda x: x', 1)").fetchall() == [(1,)]


def test_calls_that_are_cut_off_are_charged():
    """Of a guest whose time was up nothing can be read, and still its time is counted."""
    with wasi_udf.SandboxGroup(limits=wasi_udf.GroupLimits(sandboxes=1, shared_cpu_seconds=1000)) as group:
        con, _ = tenant(group, "a", limits=wasi_udf.ResourceLimits(timeout_seconds=0.1))
        before = group.usage()["a"].cpu_seconds
        assert failure(con, ENDLESS).limit == "timeout_seconds"
        assert group.usage()["a"].cpu_seconds > before


def test_time_that_methods_take_is_charged():
    with wasi_udf.SandboxGroup(limits=wasi_udf.GroupLimits(sandboxes=1, shared_cpu_seconds=1.0)) as group:
        con, sandbox = tenant(group, "a", limits=wasi_udf.ResourceLimits(timeout_seconds=60))
        with pytest.raises(wasi_udf.LimitExceeded) as raised:
            sandbox.create_function(con, "f", "while True: pass\ndef f(x: int) -> int: return x")
        assert (raised.value.limit, raised.value.sandbox) == ("shared_cpu_seconds", "a")
        trial = sandbox.try_function("def f(x):\n    while True: pass", {"x": [1]})
        assert "shared_cpu_seconds" in trial.error.for_model()


def test_trials_use_instances_of_the_group_and_leave_none():
    with wasi_udf.SandboxGroup() as group, wasi_udf.Sandbox(group=group, name="a") as sandbox:
        seen = []

        @wasi_udf.host_function
        def look(x: int) -> int:
            seen.append(group.usage()["b"].instances)
            return x

        with wasi_udf.Sandbox(group=group, name="b", host_functions=[look]) as looking:
            assert looking.try_function("import host\nlambda x: host.look(x)", {"x": [1]}).rows == [(1, 1)]
            assert looking.try_function("lambda x: 1 // 0", {"x": [1]}).error is not None
            assert looking.describe("def f(x: int) -> int: return x").error is None
        assert seen == [1]
        assert sandbox.usage().instances == 0
        assert [(used.instances, used.memory_bytes) for used in group.usage().values()] == [(0, 0), (0, 0)]


def test_a_group_closes_its_sandboxes():
    with wasi_udf.SandboxGroup() as group:
        con, sandbox = tenant(group, "a")
        con.execute(ADD)
        assert repr(group) == "<SandboxGroup: open, 1 open sandbox(es)>"
        assert not group.closed
    assert (group.closed, sandbox.closed) == (True, True)
    assert isinstance(failure(con, ADD), wasi_udf.ClosedError)
    group.close()
    with pytest.raises(wasi_udf.ClosedError, match="group of sandboxes was closed"):
        wasi_udf.Sandbox(group=group, name="b")
    assert group.usage()["a"].instances == 0


def test_a_sandbox_that_nobody_refers_to_makes_room():
    with wasi_udf.SandboxGroup(limits=wasi_udf.GroupLimits(sandboxes=1)) as group:
        wasi_udf.Sandbox(group=group, name="a")
        gc.collect()
        wasi_udf.Sandbox(group=group, name="a").close()


def test_a_sandbox_that_cannot_be_made_takes_no_room():
    with wasi_udf.SandboxGroup(limits=wasi_udf.GroupLimits(sandboxes=1)) as group:
        for _ in range(2):
            with pytest.raises(ValueError, match="isolation"):
                wasi_udf.Sandbox(group=group, name="a", isolation="none")
        wasi_udf.Sandbox(group=group, name="a")


def test_errors_of_a_group_can_be_pickled():
    with wasi_udf.SandboxGroup(limits=wasi_udf.GroupLimits(sandboxes=1)) as group:
        kept = wasi_udf.Sandbox(group=group, name="a")
        with pytest.raises(wasi_udf.LimitExceeded) as raised:
            wasi_udf.Sandbox(group=group, name="b")
        again = pickle.loads(pickle.dumps(raised.value))
        assert (again.limit, again.allowed, again.sandbox) == ("sandboxes", 1, "b")
        assert str(again) == str(raised.value)
        assert not kept.closed


def test_a_notebook_shows_who_uses_what():
    with wasi_udf.SandboxGroup() as group:
        con, _ = tenant(group, "<ada>")
        con.execute(ADD)
        shown = group._repr_html_()
        assert "&lt;ada&gt;" in shown
        assert "<ada>" not in shown


def test_many_sandboxes_are_opened_and_closed_without_growth():
    """Each starts a guest. What remains of 150 is compared with what remains of 50."""
    pytest.importorskip("resource", reason="this platform doesn't report the number of descriptors")

    def open_and_close(numbers):
        for number in numbers:
            with wasi_udf.Sandbox(group=group, name=f"s{number}") as sandbox:
                assert sandbox.try_function("lambda x: x + 1", {"x": [number]}).rows == [(number, number + 1)]
        gc.collect()
        maps = len(Path("/proc/self/maps").read_text().splitlines()) if sys.platform == "linux" else 0
        descriptors = len(list(Path("/dev/fd").iterdir()))
        return descriptors, maps, threading.active_count(), len(group._group.members())

    with wasi_udf.SandboxGroup(limits=wasi_udf.GroupLimits(sandboxes=2, shared_instances=4)) as group:
        first = open_and_close(range(50))
        last = open_and_close(range(50, 200))
        assert last[0] <= first[0]
        assert last[1] <= first[1] + 20  # Python's own arenas
        assert last[2:] == (first[2], 0)
