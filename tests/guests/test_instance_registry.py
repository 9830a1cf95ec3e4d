import threading

import pytest

from duckdb_wasi_udf import LimitExceeded, ResourceLimits
from duckdb_wasi_udf._guests.instance_registry import InstanceRegistry


class FakeInstance:
    lent = None  # the native library has none

    def __init__(self, grown_bytes=0):
        self.grown_bytes = grown_bytes
        self.discarded = False

    def close(self):
        self.discarded = True


def start(registry, grown_bytes=0):
    registry.reserve()
    instance = FakeInstance(grown_bytes)
    registry.started(instance)
    return instance


def test_an_idle_instance_is_taken_again_the_last_used_first():
    registry, idle = InstanceRegistry(ResourceLimits()), []
    first, second = start(registry), start(registry)
    registry.release(idle, first)
    registry.release(idle, second)
    assert (registry.take(idle), registry.take(idle), registry.take(idle)) == (second, first, None)


def test_the_least_recently_used_idle_instance_is_evicted():
    registry, idle, other = InstanceRegistry(ResourceLimits(instances=2)), [], []
    old, new = start(registry), start(registry)
    registry.release(idle, old)
    registry.release(other, new)
    start(registry)
    assert (old.discarded, new.discarded, len(registry)) == (True, False, 2)
    assert registry.take(idle) is None
    assert registry.take(other) is new


def test_a_start_waits_while_all_instances_are_busy():
    registry, idle = InstanceRegistry(ResourceLimits(instances=1, timeout_seconds=30)), []
    busy = start(registry)
    started = threading.Event()
    thread = threading.Thread(target=lambda: (start(registry), started.set()), daemon=True)
    thread.start()
    assert not started.wait(0.05)
    registry.release(idle, busy)
    assert started.wait(30)
    assert busy.discarded


@pytest.mark.parametrize("failed", [True, False])
def test_what_ends_or_does_not_start_makes_room(failed):
    registry = InstanceRegistry(ResourceLimits(instances=1, timeout_seconds=0.05))
    if failed:
        registry.reserve()
        registry.start_failed()
    else:
        registry.drop(start(registry))
    start(registry)


def test_waiting_ends_in_the_limit():
    registry = InstanceRegistry(ResourceLimits(instances=1, timeout_seconds=0.05))
    start(registry)
    with pytest.raises(LimitExceeded, match="instances=1 allows no more") as raised:
        registry.reserve()
    assert (raised.value.limit, raised.value.allowed) == ("instances", 1)


def test_idle_instances_are_evicted_when_they_hold_too_much():
    registry, idle = InstanceRegistry(ResourceLimits(total_memory_bytes=100)), []
    old, new = start(registry, 60), start(registry, 60)
    registry.release(idle, old)
    assert registry.held_bytes == 60
    registry.release(idle, new)
    assert (old.discarded, new.discarded, registry.held_bytes) == (True, False, 60)


def test_a_start_waits_for_memory_that_busy_instances_hold():
    registry, idle = InstanceRegistry(ResourceLimits(total_memory_bytes=100, timeout_seconds=0.05)), []
    large = start(registry, 100)
    registry.release(idle, large)
    assert registry.take(idle) is large
    with pytest.raises(LimitExceeded, match="total_memory_bytes=100 allows no more"):
        registry.reserve()
    registry.drop(large)
    start(registry)


def test_an_instance_that_has_grown_too_much_is_not_used_again():
    registry, idle = InstanceRegistry(ResourceLimits(recycle_memory_bytes=100)), []
    small, large = start(registry, 100), start(registry, 101)
    registry.release(idle, small)
    registry.release(idle, large)
    assert (small.discarded, large.discarded, idle) == (False, True, [small])


def test_closing_ends_idle_instances_now_and_busy_ones_later():
    registry, idle = InstanceRegistry(ResourceLimits()), []
    resting, busy = start(registry), start(registry)
    registry.release(idle, resting)
    registry.close()
    assert (resting.discarded, busy.discarded) == (True, False)
    registry.release(idle, busy)
    assert (busy.discarded, len(registry), idle) == (True, 0, [])
