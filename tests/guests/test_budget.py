import pytest

from duckdb_wasi_udf import LimitExceeded
from duckdb_wasi_udf._guests.budget import Budget, Usage


def spend(budget, began, seconds):
    left = budget.begin(began)
    budget.end(began, began + seconds, 1, 0.0, 0)
    return left


def test_batches_add_up_until_the_budget_is_used():
    budget = Budget("f", 10)
    assert [spend(budget, now, 4) for now in (100, 104.5, 109)] == [10, 6, 2]
    with pytest.raises(LimitExceeded, match="f: its batches together took more than budget_seconds=10") as raised:
        budget.begin(113)
    assert (raised.value.limit, raised.value.allowed) == ("budget_seconds", 10)


def test_threads_share_it():
    budget = Budget("f", 10)
    budget.begin(100)
    assert budget.begin(101) == 9
    budget.end(101, 103, 1, 0.0, 0)
    assert budget.begin(104) == 6
    budget.end(100, 105, 1, 0.0, 0)
    budget.end(104, 106, 1, 0.0, 0)
    assert budget.begin(106) == 4


def test_more_threads_do_not_use_it_up_sooner():
    budget = Budget("f", 10)
    for _ in range(64):
        budget.begin(100)
    for _ in range(64):
        budget.end(100, 101, 1, 0.0, 0)
    assert budget.begin(101) == 9


def test_a_query_that_never_rests_is_refused_once():
    budget = Budget("f", 10)
    budget.begin(100)
    for now in (102, 104, 106, 108):
        spend(budget, now, 3)
    with pytest.raises(LimitExceeded):
        budget.begin(110)
    assert budget.begin(110) == 10


def test_a_function_that_rested_or_was_refused_starts_anew():
    budget = Budget("f", 10)
    assert [spend(budget, 100, 10), spend(budget, 111, 10)] == [10, 10]
    with pytest.raises(LimitExceeded):
        budget.begin(121.5)
    assert budget.begin(121.6) == 10


def test_a_long_call_is_no_rest():
    budget = Budget("f", 10)
    budget.begin(100)
    spend(budget, 101, 1)
    assert budget.begin(105) == 5


def test_what_calls_did_is_counted():
    budget = Budget("f", 10)
    for rows, memory_bytes in ((100, 7), (None, 0), (50, 5)):
        budget.begin(100)
        assert budget.running == 1
        budget.end(100, 102, rows, 1.5, memory_bytes)
    assert budget.running == 0
    assert budget.usage == Usage(calls=3, rows=150, errors=1, seconds=6.0, guest_seconds=4.5, peak_memory_bytes=7)
