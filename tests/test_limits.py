import dataclasses

import pytest

from duckdb_wasi_udf import DataLimits, ResourceLimits


def test_every_limit_is_on_by_default():
    limits = ResourceLimits()
    quotas = [limits.host_batch, limits.host_query, limits.host_function_batch, limits.host_function_query]
    for kind in (limits, DataLimits(), *quotas):
        for field in dataclasses.fields(kind):
            value = getattr(kind, field.name)
            assert value in quotas if field.name.startswith("host_") else 0 < value < float("inf")


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), None, True, "10"])
@pytest.mark.parametrize(
    ("kind", "field"),
    [(ResourceLimits, "memory_bytes"), (ResourceLimits, "timeout_seconds"), (DataLimits, "result_bytes")],
)
def test_a_limit_that_limits_nothing_is_refused_by_name(kind, field, value):
    with pytest.raises(ValueError, match=f"{field} must be a positive number"):
        kind(**{field: value})


def test_more_memory_than_a_guest_can_address_is_refused():
    with pytest.raises(ValueError, match="4 GiB"):
        ResourceLimits(memory_bytes=2**32 + 1)


def test_limits_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ResourceLimits().memory_bytes = 1
