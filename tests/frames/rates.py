"""A host function that other processes import."""

import os

import duckdb_wasi_udf as wasi_udf
import hostfuncs


@wasi_udf.host_function
def rate(country: list[str]) -> list[float]:
    return [{"DE": 0.19, "FR": 0.2}.get(code) for code in country]


@wasi_udf.host_function
def closed(key: str) -> str:
    raise PermissionError(key)


STATUS = 9  # of a process that dies


@wasi_udf.host_function
def die(value: int) -> int:
    """End the process, as one that is killed ends."""
    os._exit(STATUS + 0 * value)


remembered = hostfuncs.cached(rate, name="remembered")
