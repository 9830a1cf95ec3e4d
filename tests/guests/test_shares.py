import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckdb_wasi_udf._guests.shares import Shares

STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(-20, 20)), max_size=60)


def test_half_is_divided_and_half_is_for_whoever_needs_it():
    shares = Shares(100, 5)
    assert (shares.own, shares.common) == (10, 50)
    assert shares.left("a") == 60
    shares.add("a", 60)
    assert (shares.left("a"), shares.left("b")) == (0, 10)
    shares.add("a", -20)
    assert (shares.left("a"), shares.left("b")) == (20, 30)


@pytest.mark.parametrize(("limit", "sandboxes"), [(7, 3), (6, 3), (1000, 1), (5, 2)])
def test_whole_numbers_are_divided_into_whole_numbers(limit, sandboxes):
    shares = Shares(limit, sandboxes)
    assert shares.own * sandboxes + shares.common == limit
    assert shares.own == int(shares.own) >= 1


@given(STEPS)
def test_nobody_gets_more_than_there_is_or_less_than_its_share(steps):
    """Against sums over all that was taken: four sandboxes share 80, so 10 are each one's own."""
    shares, has = Shares(80, 4), dict.fromkeys("abcd", 0)
    for number, amount in steps:
        name = "abcd"[number]
        taken = min(amount, shares.left(name)) if amount > 0 else -min(-amount, has[name])
        shares.add(name, taken)
        has[name] += taken
        assert {other: shares.used(other) for other in has} == has
        assert sum(has.values()) <= 80
        assert all(shares.left(other) >= 10 - used for other, used in has.items())
        beyond = sum(max(used - 10, 0) for used in has.values())
        assert all(shares.left(other) == max(10 - used, 0) + 40 - beyond for other, used in has.items())
    assert shares.names == [name for name in shares.names if has[name]]


def test_more_names_than_shares_get_no_more_than_all():
    """Sandboxes that are opened and closed in one period may be more than are open at once."""
    shares = Shares(80.0, 4)
    taken = 0
    for number in range(100):
        left = shares.left(f"s{number}")
        shares.add(f"s{number}", left)
        taken += left
    assert taken == 80


def test_nothing_is_used_after_a_period():
    shares = Shares(80.0, 4)
    shares.add("a", 50)
    shares.clear()
    assert (shares.left("a"), shares.names) == (50, [])
