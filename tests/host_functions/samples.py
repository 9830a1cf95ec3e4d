"""Host functions that tests grant, and how they fail."""

import duckdb
import pytest

from duckdb_wasi_udf import GuestError, HostFunction, host_function

RATES = {"EUR": 1.0, "USD": 1.08, "häß": 3.0}


@host_function
def fx_rate(currency: list[str]) -> list[float]:
    """The value of one unit, in euros."""
    return [RATES.get(code) for code in currency]


@host_function
def plus(a: int, b: int = 3) -> int:
    """The sum."""
    return a + b


def fails(sandbox, run, error=GuestError):
    with pytest.raises(duckdb.InvalidInputException):
        run()
    assert type(sandbox.last_error) is error, sandbox.last_error
    return sandbox.last_error


def raising(error):
    def fail(x: int) -> int:
        raise error

    return HostFunction(fail)
