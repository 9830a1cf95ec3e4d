"""CPython's own tests in the guest: the part that costs little. `make guest-test` runs all."""

import pytest

from tests.cpython import report
from tests.cpython.expectations import Expectations, belongs
from tests.cpython.guest_runner import GuestRunner, Results
from tests.cpython.modules import FAST, MODULES
from wasm.build.steps import StepError


@pytest.fixture(scope="module")
def runner():
    try:
        made = GuestRunner(timeout_seconds=100.0)
    except StepError as error:
        pytest.skip(f"CPython's tests are not there: {error}")
    yield made
    made.close()


@pytest.mark.parametrize("name", FAST)
def test_cpythons_tests_pass_but_those_listed(runner, name):
    results, expectations = runner.run(name), Expectations.load()
    assert expectations.surprises([results]) == []
    assert report.differences([results], expectations) == []


def test_fast_modules_are_among_all():
    assert set(FAST) <= set(MODULES)
    assert len(set(MODULES)) == len(MODULES)


def test_every_listed_test_belongs_to_a_module():
    for test in Expectations.load().causes:
        assert any(belongs(test, name) for name in MODULES), test


def finished(events):
    results = Results("test_some")
    for event in events:
        results.take(event)
    return results


ENDS = [["plan", 2], ["start", 0, "test.test_some.A.test_a"], ["end", 0, "test.test_some.A.test_a", "ok", ""]]
LISTED = Expectations({"files": "there are none"}, {"test_some.A.test_b": "files"})


@pytest.mark.parametrize("outcome", ["fail", "error", "unexpected success", "crash"])
def test_a_failure_that_is_not_listed_is_reported(outcome):
    results = finished([*ENDS, ["end", 1, "test.test_some.A.test_c", outcome, "Traceback\nOSError: no"]])
    missing, surprise = sorted(LISTED.surprises([results]), reverse=True)
    assert surprise == "fails: test_some.A.test_c\n    Traceback\n    OSError: no"
    assert "not failing (is gone)" in missing


@pytest.mark.parametrize("outcome", ["ok", "skip"])
def test_a_listed_test_that_does_not_fail_is_reported(outcome):
    results = finished([*ENDS, ["end", 1, "test.test_some.A.test_b", outcome, ""]])
    assert LISTED.surprises([results]) == [f"listed under 'files', but not failing ({outcome}): test_some.A.test_b"]


def test_a_listed_failure_is_none():
    assert LISTED.surprises([finished([*ENDS, ["end", 1, "test.test_some.A.test_b", "fail", "x"]])]) == []


def test_a_lost_instance_fails_the_test_that_ran():
    results = finished([*ENDS, ["start", 1, "test.test_some.A.test_b"]])
    assert results.lost(0, "crash", "a trap") is None
    assert results.failures() == {"test_some.A.test_b": "a trap"}
    results = finished([["plan", 2], ["start", 0, "test.test_some.A.test_a"]])
    assert results.lost(0, "crash", "a trap") == 1
    results = finished([])
    assert results.lost(0, "crash", "no import") is None
    assert results.failures() == {"test_some": "no import"}
