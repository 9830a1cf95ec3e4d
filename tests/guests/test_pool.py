import threading

import pytest

from duckdb_wasi_udf import ResourceLimits
from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._errors import GuestError, GuestTrap, LimitExceeded, ProtocolError
from duckdb_wasi_udf._guests.budget import Budget
from duckdb_wasi_udf._guests.instance_registry import InstanceRegistry
from duckdb_wasi_udf._guests.pool import Pool


class FakeInstance:
    lent = None  # the native library has none
    grown_bytes = memory_bytes = 0
    guest_seconds = 0.0

    def __init__(self, outcomes):
        self.outcomes = outcomes
        self.broken = False
        self.calls = 0

    def close(self):
        self.broken = True

    def call(self, context, columns, length):
        assert not self.broken
        self.calls += 1
        outcome = self.outcomes.pop(0) if self.outcomes else "fine"
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome, 0


def make_pool(*outcomes, kind=FakeInstance, reuse=True):
    started = []
    registry = InstanceRegistry(ResourceLimits())

    class Factory:
        def start(self, context, arguments, result_type):
            registry.reserve()
            started.append(kind(list(outcomes) if not started else []))
            registry.started(started[-1])
            return started[-1]

    return Pool(Factory(), [], None, registry, Budget("f", 60), reuse=reuse), started


def guest_error():
    return GuestError("x", type_name="E", guest_traceback="", row=None, arguments=())


def test_an_instance_serves_call_after_call():
    pool, started = make_pool()
    for _ in range(3):
        assert pool.run(CallContext(None), [], 1) == ("fine", 0)
    assert [instance.calls for instance in started] == [3]


def test_an_instance_whose_code_raised_is_used_again():
    pool, started = make_pool(guest_error())
    with pytest.raises(GuestError):
        pool.run(CallContext(None), [], 1)
    pool.run(CallContext(None), [], 1)
    assert len(started) == 1


@pytest.mark.parametrize(
    "error",
    [GuestTrap("x"), ProtocolError("x"), LimitExceeded("x", limit="y", allowed=1), KeyboardInterrupt(), OSError()],
    ids=lambda error: type(error).__name__,
)
def test_an_instance_is_discarded_after_anything_else(error):
    pool, started = make_pool(error)
    with pytest.raises(type(error)):
        pool.run(CallContext(None), [], 1)
    pool.run(CallContext(None), [], 1)
    assert [instance.calls for instance in started] == [1, 1]


def test_calls_at_the_same_time_get_instances_of_their_own():
    barrier = threading.Barrier(4, timeout=30)

    class Meeting(FakeInstance):
        def call(self, context, columns, length):
            barrier.wait()
            return super().call(context, columns, length)

    pool, started = make_pool(kind=Meeting)
    threads = [threading.Thread(target=pool.run, args=(CallContext(None), [], 1)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert [instance.calls for instance in started] == [1, 1, 1, 1]


def test_a_closed_pool_keeps_nothing():
    pool, started = make_pool()
    pool.run(CallContext(None), [], 1)
    pool.close()
    for _ in range(2):  # calls that were under way
        pool.run(CallContext(None), [], 1)
    assert [instance.calls for instance in started] == [1, 1, 1]


def test_without_reuse_each_call_has_an_instance_of_its_own():
    pool, started = make_pool(reuse=False)
    for _ in range(3):
        pool.run(CallContext(None), [], 1)
    assert [instance.calls for instance in started] == [1, 1, 1]
    assert all(instance.broken for instance in started)


def test_a_functions_budget_ends_with_its_batch():
    seen = []

    class Noting(FakeInstance):
        def call(self, context, columns, length):
            seen.append(context.budget_seconds)
            return super().call(context, columns, length)

    pool, _ = make_pool(kind=Noting)
    context = CallContext(None)
    pool.run(context, [], 1)
    assert 0 < seen[0] <= 60
    assert context.budget_seconds == float("inf")
