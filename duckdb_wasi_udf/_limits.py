"""What a guest may use and what it may hand back: always bounded, never by default unlimited."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._abi import OUTPUT_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


MIB = 2**20

# Batches that follow each other after a shorter pause than this count as one query: DuckDB doesn't say which query
# calls a function.
QUERY_GAP_SECONDS = 1.0


def _check_positive(limits: ResourceLimits | DataLimits | GroupLimits | HostQuota) -> None:
    for field in fields(limits):
        value = getattr(limits, field.name)
        if value is None and field.default is None:
            continue
        if field.name.startswith("host_"):
            if not isinstance(value, HostQuota):
                msg = f"{field.name} must be a HostQuota, got {value!r}"
                raise ValueError(msg)
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            msg = f"{field.name} must be a positive number, got {value!r}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostQuota:
    """How much guests may ask of host functions.

    Attributes:
        calls: how often; a call for a whole batch is one.
        bytes: of arguments and results together, each row counted as a byte at least.
        seconds: of the host's time.

    Raises:
        ValueError: one is not a positive number.
    """

    calls: int
    bytes: int
    seconds: float

    def __post_init__(self) -> None:
        _check_positive(self)


_HOST_BATCH = HostQuota(calls=100_000, bytes=64 * MIB, seconds=30.0)
_HOST_QUERY = HostQuota(calls=100_000_000, bytes=64 * 1024 * MIB, seconds=3600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """What an instance may use of the machine.

    Attributes:
        memory_bytes: the instance's linear memory, code and interpreter state included (some 20 MiB before the first
            row). 256 MiB holds any batch of 2048 rows with room for what a function builds from it.
        timeout_seconds: wall-clock time of one batch of at most 2048 rows, or of defining a function. 10 seconds is
            5 ms a row: beyond any honest function, and short enough to wait for.
        budget_seconds: the time one function's batches may take together, in which any thread runs one. DuckDB doesn't
            say which query calls a function: batches with pauses of less than a second between them count as one
            query. Six hours are longer than most loads take.
        instances: live instances of a sandbox. Idle ones are evicted, least recently used first; when all are busy, a
            call waits for `timeout_seconds`. 256 is more than most machines have threads.
        total_memory_bytes: what all instances of a sandbox may hold together beyond the snapshot they share, as of the
            end of the last call of each. Idle ones are evicted, as above. 4 GiB is 16 of the largest.
        recycle_memory_bytes: an instance that has grown by more than this is not used again, since linear memory never
            shrinks. 128 MiB is far more than a batch takes.
        output_bytes: what is kept of what one batch prints, at most 64 KiB: the newest. 8 KiB is four screens.
        fuel: what one batch, or defining a function, may use of wasmtime's fuel, about one unit an instruction:
            https://docs.wasmtime.dev/api/wasmtime/struct.Config.html#method.consume_fuel. With
            `Sandbox(deterministic=True)` a batch is cut off at the same instruction in every run. None: instructions
            aren't counted; counting slows code by up to a third.
        package_bytes: what the files of a sandbox's packages may take together, unpacked; they are held in the host's
            memory. 64 MiB holds the largest packages there are in pure Python.
        shipped_bytes: how large a Python callable may be with all the values it uses, pickled; each of its instances
            holds them. 16 MiB is a dictionary of some 300,000 entries.
        host_batch: what the code may ask of all host functions together in one batch, or while it is loaded. 100,000
            calls are 48 a row; 64 MiB and 30 seconds are what a batch may return, and more than it may take.
        host_query: the same for all batches of the sandbox, until none has run for a second, as for `budget_seconds`:
            some thousand batches at their limit.
        host_function_batch: the same of each host function in one batch.
        host_function_query: the same of each host function for all batches.

    Raises:
        ValueError: a limit is not a positive number, or more than a guest can have.
    """

    memory_bytes: int = 256 * MIB
    timeout_seconds: float = 10.0
    budget_seconds: float = 21_600.0
    instances: int = 256
    total_memory_bytes: int = 4096 * MIB
    recycle_memory_bytes: int = 128 * MIB
    output_bytes: int = 8 * 2**10
    fuel: int | None = None
    package_bytes: int = 64 * MIB
    shipped_bytes: int = 16 * MIB
    host_batch: HostQuota = _HOST_BATCH
    host_query: HostQuota = _HOST_QUERY
    host_function_batch: HostQuota = _HOST_BATCH
    host_function_query: HostQuota = _HOST_QUERY

    def __post_init__(self) -> None:
        _check_positive(self)
        if self.fuel is not None and (not isinstance(self.fuel, int) or self.fuel >= 2**64):
            msg = f"fuel must be None or a whole number below 2**64, got {self.fuel!r}"
            raise ValueError(msg)
        if self.memory_bytes > 2**32:
            msg = f"memory_bytes is {self.memory_bytes}; a 32-bit guest can't have more than {2**32} (4 GiB)"
            raise ValueError(msg)
        if self.output_bytes > OUTPUT_BYTES:
            msg = f"output_bytes is {self.output_bytes}; the guest keeps no more than {OUTPUT_BYTES}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataLimits:
    """What the guest may hand back.

    Attributes:
        result_bytes: the buffers of one batch's result. 64 MiB is 32 KiB for each of 2048 rows.

    Raises:
        ValueError: a limit is not a positive number.
    """

    result_bytes: int = 64 * MIB

    def __post_init__(self) -> None:
        _check_positive(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """What the sandboxes of a `SandboxGroup` may use together.

    Half of each limit is divided equally among `sandboxes`, open or not: that share is each one's own. The other half
    goes to whoever needs it.

    Attributes:
        sandboxes: sandboxes that are open at once. 100 take some 40 MiB, beside what DuckDB needs for their databases.
        shared_instances: live instances. Idle ones are evicted for other sandboxes; when all are busy, a call waits for
            the `timeout_seconds` of its sandbox. At least two for each sandbox, so that one is its own.
        shared_memory_bytes: what all instances may hold together beyond the snapshot, as `total_memory_bytes` of one
            sandbox. 4 GiB is 16 of the largest instances.
        shared_cpu_seconds: time of the processor that calls may take in a period, on all threads together. 14,400
            seconds in an hour are four processors that are never idle.
        cpu_period_seconds: a period. What was used in it is forgotten at its end.

    Raises:
        ValueError: a limit is not a positive number, or `shared_instances` are too few.
    """

    sandboxes: int = 100
    shared_instances: int = 256
    shared_memory_bytes: int = 4096 * MIB
    shared_cpu_seconds: float = 14_400.0
    cpu_period_seconds: float = 3_600.0

    def __post_init__(self) -> None:
        _check_positive(self)
        for name in ("sandboxes", "shared_instances", "shared_memory_bytes"):
            if not isinstance(getattr(self, name), int):
                msg = f"{name} must be a whole number, got {getattr(self, name)!r}"
                raise ValueError(msg)  # noqa: TRY004 - as for any value that isn't a limit
        for name in ("shared_instances", "shared_memory_bytes"):
            if getattr(self, name) < 2 * self.sandboxes:
                msg = (
                    f"{name}={getattr(self, name)} is too little for sandboxes={self.sandboxes}: half of it is divided "
                    f"among them; set it to {2 * self.sandboxes} or more"
                )
                raise ValueError(msg)


def check_kinds(limits: object, data_limits: object = None) -> None:
    """Check that limits are objects of their class, or None.

    Raises:
        TypeError: they are a dict, say.
    """
    for name, value, kind in (("limits", limits, ResourceLimits), ("data_limits", data_limits, DataLimits)):
        if value is not None and not isinstance(value, kind):
            msg = (
                f"{name} is a {kind.__name__}, such as {kind.__name__}({limit_names(kind)[0]}=...), got {value!r:.200}"
            )
            raise TypeError(msg)


def changed_limits(limits: ResourceLimits | DataLimits | GroupLimits) -> list[str]:
    """Return the limits that differ from the default, as they are passed."""
    values = [(field, getattr(limits, field.name)) for field in fields(limits)]
    return [f"{field.name}={value!r}" for field, value in values if value != field.default]


def limit_names(kind: type[ResourceLimits | DataLimits | HostQuota], *, quotas: bool = True) -> list[str]:
    """Return the names of the limits of a kind.

    Args:
        kind: the class.
        quotas: with those that are a `HostQuota`.
    """
    return [field.name for field in fields(kind) if quotas or not isinstance(field.default, HostQuota)]


def check_limit_name(name: object, known: Sequence[str]) -> None:
    """Raise ValueError, with what may have been meant, if a name isn't that of a limit.

    Args:
        name: the name.
        known: the names that there are.
    """
    if name not in known:
        close = difflib.get_close_matches(str(name), known, n=1)
        there = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
        msg = f"there is no limit {name!r}; {there}"
        raise ValueError(msg)


def limits_by_name(kind: type[ResourceLimits | DataLimits | HostQuota], values: Mapping[str, Any]) -> Any:
    """Return limits that are written as names and numbers, in a file of settings say.

    Args:
        kind: their class.
        values: numbers by name; a `HostQuota` as a mapping of its own.

    Raises:
        ValueError: there is no such limit, or it can't have the value.
    """
    if not hasattr(values, "items"):
        msg = f"limits are names and numbers, such as {limit_names(kind)[0]} and its number; got {values!r:.200}"
        raise ValueError(msg)
    for name in values:
        check_limit_name(name, limit_names(kind))
    given: dict[str, Any] = {}
    for name, value in values.items():
        given[name] = limits_by_name(HostQuota, value) if hasattr(value, "items") else value
    return kind(**given)
