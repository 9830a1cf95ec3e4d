import dataclasses

import pytest

from duckdb_wasi_udf import DataLimits, ResourceLimits


def test_every_limit_is_on_by_default():
    for limits in (ResourceLimits(), DataLimits()):
        for field in dataclasses.fields(limits):
            assert 0 < getattr(limits, field.name) < float("inf")


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
