"""The group of sandboxes without guests: who may have what, and who comes first."""

import threading

import pytest

from duckdb_wasi_udf import ClosedError, GroupLimits, LimitExceeded, ResourceLimits
from duckdb_wasi_udf._guests.group import Group
from duckdb_wasi_udf._guests.instance_registry import InstanceRegistry
from tests.guests.test_instance_registry import start


class Tenant:
    def __init__(self, group, name, timeout_seconds=60):
        self.member = group.join(name)
        self.registry = InstanceRegistry(ResourceLimits(timeout_seconds=timeout_seconds), member=self.member)
        self.idle = []

    def start(self, grown_bytes=0):
        return start(self.registry, grown_bytes)


def waiting(group, number):
    """Return when a number of calls wait: each notifies nobody, so the queue itself is looked at."""
    while len(group.waiting) < number:
        with group.changed:
            group.changed.wait(0.001)


@pytest.fixture
def group():
    return Group(GroupLimits(sandboxes=2, shared_instances=8))


def test_one_that_takes_all_it_can_leaves_the_others_their_share(group):
    flooder, other = Tenant(group, "flooder", timeout_seconds=0.01), Tenant(group, "other")
    for _ in range(6):  # 2 of its own and 4 for all
        flooder.start()
    with pytest.raises(LimitExceeded, match="'flooder' got no instance.*shared_instances=8.* 2 are its own") as raised:
        flooder.start()
    error = raised.value
    assert (error.limit, error.allowed, error.sandbox) == ("shared_instances", 8, "flooder")
    other.start()
    other.start()
    assert {name: used.instances for name, used in group.usage().items()} == {"flooder": 6, "other": 2}
    assert group.usage()["flooder"].refused == {"shared_instances": 1}


def test_idle_instances_of_others_make_room(group):
    flooder, other = Tenant(group, "flooder"), Tenant(group, "other")
    started = [flooder.start() for _ in range(6)]
    for instance in started:
        flooder.registry.release(flooder.idle, instance)
    for _ in range(6):
        other.start()
    assert (len(flooder.registry), len(other.registry)) == (2, 6)
    assert [instance.discarded for instance in started] == [True] * 4 + [False] * 2


def test_an_idle_instance_within_a_share_is_not_evicted():
    group = Group(GroupLimits(sandboxes=2, shared_instances=4))
    one, other = Tenant(group, "one"), Tenant(group, "other", timeout_seconds=0.01)
    kept = one.start()
    one.registry.release(one.idle, kept)
    for _ in range(3):
        other.start()
    with pytest.raises(LimitExceeded, match="shared_instances"):
        other.start()
    assert not kept.discarded


def test_those_who_wait_are_served_the_one_with_least_first(group):
    flooder, other = Tenant(group, "flooder"), Tenant(group, "other")
    busy = [flooder.start() for _ in range(6)]
    threads = [threading.Thread(target=flooder.start, daemon=True) for _ in range(5)]
    for thread in threads:
        thread.start()
    waiting(group, 5)
    for _ in range(2):
        other.start()
    late = threading.Thread(target=other.start, daemon=True)
    late.start()
    waiting(group, 6)  # it came last, and has 2 where the flooder has 6
    flooder.registry.release(flooder.idle, busy[0])
    late.join(30)
    assert not late.is_alive()
    assert (len(flooder.registry), len(other.registry), len(group.waiting)) == (5, 3, 5)
    for instance in busy[1:]:
        flooder.registry.drop(instance)
    for thread in threads:
        thread.join(30)
    assert (len(flooder.registry), len(group.waiting)) == (5, 0)


def test_a_flooder_that_releases_and_takes_again_gives_way(group):
    """Its next batch would take the idle instance before the other wakes: so it is dropped at once."""
    flooder, other = Tenant(group, "flooder"), Tenant(group, "other")
    busy = [flooder.start() for _ in range(6)]
    for _ in range(2):
        other.start()
    late = threading.Thread(target=other.start, daemon=True)
    late.start()
    waiting(group, 1)
    flooder.registry.release(flooder.idle, busy[0])
    assert busy[0].discarded
    assert flooder.registry.take(flooder.idle) is None
    late.join(30)
    flooder.registry.release(flooder.idle, busy[1])
    assert flooder.registry.take(flooder.idle) is busy[1]  # nobody waits any more


def test_memory_is_shared_as_instances_are():
    group = Group(GroupLimits(sandboxes=2, shared_memory_bytes=800))
    flooder, other = Tenant(group, "flooder", timeout_seconds=0.01), Tenant(group, "other")
    large = flooder.start(900)  # as of the end of its call
    flooder.registry.release(flooder.idle, large)
    assert large.discarded
    half = [flooder.start(300) for _ in range(2)]
    for instance in half:
        flooder.registry.release(flooder.idle, instance)
    assert (group.memory.used("flooder"), group.memory.left("flooder")) == (600, 0)
    assert flooder.registry.take(flooder.idle) is half[1]
    flooder.start()  # the other one is evicted for it
    assert (half[0].discarded, group.memory.used("flooder")) == (True, 300)
    rest = other.start(200)
    other.registry.release(other.idle, rest)
    assert not rest.discarded
    flooder.registry.drop(half[1])
    assert {name: used.memory_bytes for name, used in group.usage().items()} == {"flooder": 0, "other": 200}


def test_memory_that_busy_instances_hold_is_waited_for():
    group = Group(GroupLimits(sandboxes=2, shared_memory_bytes=800))
    flooder, other = Tenant(group, "flooder", timeout_seconds=0.01), Tenant(group, "other")
    instance = flooder.start(600)
    flooder.registry.release(flooder.idle, instance)
    assert flooder.registry.take(flooder.idle) is instance
    with pytest.raises(LimitExceeded, match="it uses 600 of shared_memory_bytes=800, 200 are its own"):
        flooder.start()
    other.start()


def test_calls_that_outlive_their_sandbox_are_counted(group):
    tenant = Tenant(group, "a")
    tenant.registry.reserve()
    tenant.registry.start_failed()
    assert group.usage()["a"].instances == 0
    busy = tenant.start()
    tenant.registry.close()
    tenant.member.leave()
    again = Tenant(group, "a")
    assert group.usage()["a"].instances == 1
    again.start()
    tenant.registry.release(tenant.idle, busy)
    assert (busy.discarded, group.usage()["a"].instances) == (True, 1)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_the_processors_time_is_shared_in_each_period():
    clock = Clock()
    group = Group(GroupLimits(sandboxes=2, shared_cpu_seconds=80, cpu_period_seconds=60), clock)
    flooder, other = group.join("flooder"), group.join("other")
    meter = flooder.enter()
    assert 59 < meter.left <= 60
    flooder.exit(meter)
    group.cpu.add("flooder", 60)
    with pytest.raises(LimitExceeded, match="'flooder' has no time .* next 60 seconds.*=80 is 20") as raised:
        flooder.enter()
    assert (raised.value.limit, raised.value.sandbox) == ("shared_cpu_seconds", "flooder")
    assert group.usage()["flooder"].refused == {"shared_cpu_seconds": 1}
    meter = other.enter()
    assert 19 < meter.left <= 20
    other.exit(meter)
    clock.now = 59.9
    with pytest.raises(LimitExceeded):
        flooder.enter()
    clock.now = 60.0
    flooder.exit(flooder.enter())
    assert group.usage()["flooder"].cpu_seconds < 1


def test_closing_and_opening_again_gives_no_more_time():
    group = Group(GroupLimits(sandboxes=2, shared_cpu_seconds=80))
    member = group.join("a")
    group.cpu.add("a", 60)
    member.leave()
    with pytest.raises(LimitExceeded, match="no time"):
        group.join("a").enter()


def test_a_call_inside_another_one_of_the_thread_counts_once():
    group = Group(GroupLimits(sandboxes=2))
    member = group.join("a")
    outer = member.enter()
    inner = member.enter()
    assert inner is outer
    member.exit(inner)
    assert group.usage()["a"].cpu_seconds == 0
    member.exit(outer)
    assert 0 < group.usage()["a"].cpu_seconds < 1


def test_only_so_many_sandboxes_with_names_of_their_own(group):
    first, _ = group.join("a"), group.join("b")
    with pytest.raises(LimitExceeded, match="'c' can't be opened: .*sandboxes=2 allows no more") as raised:
        group.join("c")
    assert (raised.value.limit, raised.value.sandbox) == ("sandboxes", "c")
    with pytest.raises(ValueError, match="an open sandbox 'a'"):
        group.join("a")
    first.leave()
    first.leave()
    group.join("c")


@pytest.mark.parametrize("name", [None, "", 7])
def test_a_sandbox_of_a_group_needs_a_name(group, name):
    with pytest.raises(TypeError, match="needs a name"):
        group.join(name)


def test_a_closed_group_takes_no_sandboxes(group):
    group.close()
    with pytest.raises(ClosedError, match="group"):
        group.join("a")


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"sandboxes": 0}, "sandboxes must be a positive number, got 0"),
        ({"sandboxes": 1.5}, "sandboxes must be a whole number"),
        ({"shared_instances": True}, "shared_instances must be a positive number, got True"),
        ({"sandboxes": 100, "shared_instances": 199}, "set it to 200 or more"),
        ({"shared_memory_bytes": 10}, "set it to 200 or more"),
        ({"shared_cpu_seconds": float("inf")}, "shared_cpu_seconds must be a positive number"),
        ({"cpu_period_seconds": -1}, "cpu_period_seconds must be a positive number"),
        ({"shared_cpu_seconds": "1"}, "shared_cpu_seconds must be a positive number"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits, text):
    with pytest.raises(ValueError, match=text):
        GroupLimits(**limits)
