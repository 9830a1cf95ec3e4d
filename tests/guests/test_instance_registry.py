import threading

import pytest

from duckdb_wasi_udf import LimitExceeded, ResourceLimits
from duckdb_wasi_udf._guests.instance_registry import Roster


class FakeInstance:
    def __init__(self, grown_bytes=0):
        self.grown_bytes = grown_bytes
        self.discarded = False

    def discard(self):
        self.discarded = True


def start(roster, grown_bytes=0):
    roster.admit()
    instance = FakeInstance(grown_bytes)
    roster.add(instance)
    return instance


def test_an_idle_instance_is_taken_again_the_last_used_first():
    roster, shelf = Roster(ResourceLimits()), []
    first, second = start(roster), start(roster)
    roster.put_back(shelf, first)
    roster.put_back(shelf, second)
    assert (roster.take(shelf), roster.take(shelf), roster.take(shelf)) == (second, first, None)


def test_the_least_recently_used_idle_instance_of_any_function_gives_way():
    roster, shelf, other = Roster(ResourceLimits(instances=2)), [], []
    old, new = start(roster), start(roster)
    roster.put_back(shelf, old)
    roster.put_back(other, new)
    start(roster)
    assert (old.discarded, new.discarded, len(roster)) == (True, False, 2)
    assert roster.take(shelf) is None
    assert roster.take(other) is new


def test_a_start_waits_while_all_are_busy_and_goes_on_when_one_is_not():
    roster, shelf = Roster(ResourceLimits(instances=1, timeout_seconds=30)), []
    busy = start(roster)
    started = threading.Event()
    thread = threading.Thread(target=lambda: (start(roster), started.set()), daemon=True)
    thread.start()
    assert not started.wait(0.05)
    roster.put_back(shelf, busy)
    assert started.wait(30)
    assert busy.discarded


@pytest.mark.parametrize("failed", [True, False])
def test_what_ends_or_does_not_start_makes_room(failed):
    roster = Roster(ResourceLimits(instances=1, timeout_seconds=0.05))
    if failed:
        roster.admit()
        roster.give_up()
    else:
        roster.drop(start(roster))
    start(roster)


def test_waiting_ends_in_the_limit():
    roster = Roster(ResourceLimits(instances=1, timeout_seconds=0.05))
    start(roster)
    with pytest.raises(LimitExceeded, match="instances=1 allows no more") as raised:
        roster.admit()
    assert (raised.value.limit, raised.value.allowed) == ("instances", 1)


def test_idle_instances_give_way_when_they_hold_too_much_together():
    roster, shelf = Roster(ResourceLimits(total_memory_bytes=100)), []
    old, new = start(roster, 60), start(roster, 60)
    roster.put_back(shelf, old)
    assert roster.held_bytes == 60
    roster.put_back(shelf, new)
    assert (old.discarded, new.discarded, roster.held_bytes) == (True, False, 60)


def test_a_start_waits_for_memory_that_busy_instances_hold():
    roster, shelf = Roster(ResourceLimits(total_memory_bytes=100, timeout_seconds=0.05)), []
    large = start(roster, 100)
    roster.put_back(shelf, large)
    assert roster.take(shelf) is large
    with pytest.raises(LimitExceeded, match="total_memory_bytes=100 allows no more"):
        roster.admit()
    roster.drop(large)
    start(roster)


def test_an_instance_that_has_grown_too_much_is_not_used_again():
    roster, shelf = Roster(ResourceLimits(recycle_memory_bytes=100)), []
    small, large = start(roster, 100), start(roster, 101)
    roster.put_back(shelf, small)
    roster.put_back(shelf, large)
    assert (small.discarded, large.discarded, shelf) == (False, True, [small])


def test_closing_ends_idle_instances_now_and_busy_ones_later():
    roster, shelf = Roster(ResourceLimits()), []
    idle, busy = start(roster), start(roster)
    roster.put_back(shelf, idle)
    roster.close()
    assert (idle.discarded, busy.discarded) == (True, False)
    roster.put_back(shelf, busy)
    assert (busy.discarded, len(roster), shelf) == (True, 0, [])
