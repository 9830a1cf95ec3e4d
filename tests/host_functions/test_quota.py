"""Quotas of host functions."""

import time

import pytest

from duckdb_wasi_udf import (
    HostFunction,
    HostQuota,
    LimitExceeded,
    ResourceLimits,
)
from tests.host_functions.samples import fails, plus

LARGE = {"calls": 10**6, "bytes": 10**9, "seconds": 100.0}
FIELDS = ("host_batch", "host_query", "host_function_batch", "host_function_query")
FLOODS = {
    "calls": (20, "while True: host.plus(x)"),
    "bytes": (20_000, "host.echo('x' * 30_000)"),
    "seconds": (0.05, "while True: host.nap(x)"),
}


def echo(text: str) -> str:
    return text


def nap(x: int) -> int:
    time.sleep(0.02)
    return x


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("what", FLOODS)
def test_quotas_end_floods_that_nothing_in_the_guest_can_catch(con, grant, field, what):
    allowed, flood = FLOODS[what]
    limits = ResourceLimits(**{field: HostQuota(**LARGE | {what: allowed})})
    sandbox = grant(plus, HostFunction(echo), HostFunction(nap), limits=limits)
    code = f"""
        import host
        def f(x):
            while x:
                try:
                    {flood}
                except BaseException:
                    pass
                finally:
                    continue
            return 7
    """
    error = fails(sandbox, lambda: con.execute("SELECT py_udf($1, 1)", [code]).fetchall(), LimitExceeded)
    assert error.limit == f"{field}.{what}"
    assert error.allowed == allowed
    assert error.requested > allowed
    assert f"raise ResourceLimits.{field}.{what}" in str(error)
    assert ("host functions" in str(error)) != ("function" in field)
    assert con.execute("SELECT py_udf($1, 0)", [code]).fetchall() == [(7,)]
    assert sandbox.audit()[-1].outcome in ("over quota", "ok")


def test_a_large_argument_is_not_read_beyond_the_quota(grant, evaluate):
    sandbox = grant(HostFunction(echo), limits=ResourceLimits(host_batch=HostQuota(**LARGE | {"bytes": 1_000_000})))
    error = fails(sandbox, lambda: evaluate("host.echo('x' * 50_000_000)"), LimitExceeded)
    assert error.limit == "host_batch.bytes"
    assert error.requested >= 50_000_000
    assert sandbox.audit()[-1].outcome == "over quota"


def test_a_batch_starts_with_nothing_used(con, grant):
    grant(plus, limits=ResourceLimits(host_batch=HostQuota(**LARGE | {"calls": 2048})))
    code = "import host\nlambda x: host.plus(x)"
    query = "SELECT sum(py_udf_bigint($1, i)) FROM range(10_000) t(i)"
    assert con.execute(query, [code]).fetchall() == [(sum(range(10_000)) + 30_000,)]


def test_a_query_ends_when_nothing_has_run_for_a_second(con, grant):
    sandbox = grant(plus, limits=ResourceLimits(host_query=HostQuota(**LARGE | {"calls": 3000})))
    query = "SELECT sum(py_udf_bigint('import host\nlambda x: host.plus(x)', i)) FROM range(2000) t(i)"
    assert con.execute(query).fetchall()
    assert fails(sandbox, lambda: con.execute(query).fetchall(), LimitExceeded).limit == "host_query.calls"
    time.sleep(1.1)
    assert con.execute(query).fetchall()


@pytest.mark.parametrize("quota", [{"calls": 0}, {"bytes": -1}, {"seconds": float("inf")}, {"calls": True}])
def test_quotas_are_positive_numbers(quota):
    with pytest.raises(ValueError, match="must be a positive number"):
        HostQuota(**LARGE | quota)
    with pytest.raises(ValueError, match="host_batch must be a HostQuota"):
        ResourceLimits(host_batch=quota)
