import dataclasses

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import DataLimits, ResourceLimits, Sandbox


def test_every_limit_but_fuel_is_on_by_default():
    for limits in (ResourceLimits(), DataLimits()):
        for field in dataclasses.fields(limits):
            value = getattr(limits, field.name)
            if field.name == "fuel":  # the clock stops the same code, without slowing any
                assert value is None
            else:
                amounts = dataclasses.astuple(value) if dataclasses.is_dataclass(value) else (value,)
                assert all(0 < amount < float("inf") for amount in amounts)


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


@pytest.mark.parametrize("fuel", [0, -1, 1.5, True, "10", 2**64])
def test_fuel_that_wasmtime_can_not_count_is_refused(fuel):
    with pytest.raises(ValueError, match="fuel must be"):
        ResourceLimits(fuel=fuel)


def test_fuel_cuts_off_at_the_same_step_every_time():
    limits = ResourceLimits(fuel=20_000_000)
    code = "def f(n):\n    total = 0\n    for i in range(n): total += i\n    return total"

    def most_steps():
        """The most steps a batch can take."""
        enough, too_many = 0, 1_000_000
        with Sandbox(limits=limits, deterministic=True) as sandbox, duckdb.connect() as con:
            sandbox.create_function(con, "f", code, ["BIGINT"], "BIGINT")
            while too_many - enough > 1:
                steps = (enough + too_many) // 2
                try:
                    assert con.execute(f"SELECT f({steps})").fetchall() == [(sum(range(steps)),)]
                    enough = steps
                except duckdb.InvalidInputException:
                    assert (sandbox.last_error.limit, sandbox.last_error.allowed) == ("fuel", 20_000_000)
                    too_many = steps
        return enough

    first = most_steps()
    assert 1000 < first < 999_999
    assert most_steps() == first


def test_code_that_runs_out_of_fuel_says_what_to_raise():
    with Sandbox(limits=ResourceLimits(fuel=20_000_000)) as sandbox, duckdb.connect() as con:
        sandbox.create_function(con, "f", "def f(n: int) -> int:\n    while True: pass")
        with pytest.raises(
            duckdb.InvalidInputException, match=r"f: stopped after fuel=20,000,000; .* ResourceLimits.fuel"
        ):
            con.execute("SELECT f(1)")


def test_limits_that_are_no_limits_are_refused():
    message = r"limits is a ResourceLimits, such as ResourceLimits\(memory_bytes=...\), got {'timeout_seconds': 1}"
    given = {"timeout_seconds": 1}
    with pytest.raises(TypeError, match=message):
        Sandbox(limits=given)
    with pytest.raises(TypeError, match=message):
        wasi_udf.batch_function("def f(x: int) -> int: return x", limits=given)
    with Sandbox() as sandbox, pytest.raises(TypeError, match=message):
        sandbox.try_function("def f(x: int) -> int: return x", [{"x": 1}], limits=given)
    with pytest.raises(TypeError, match=r"data_limits is a DataLimits, such as DataLimits\(.*\), got ResourceLimits"):
        Sandbox(data_limits=ResourceLimits())
