"""What a guest may use and what it may hand back: always bounded, never by default unlimited."""

from __future__ import annotations

from dataclasses import dataclass, fields

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """What an instance may use of the machine.

    Attributes:
        memory_bytes: the instance's linear memory, code and interpreter state included (some 20 MiB before the first
            row). 256 MiB holds any batch of 2048 rows with room for what a function builds from it.
        timeout_seconds: wall-clock time of one batch of at most 2048 rows, or of defining a function. 10 seconds is
            5 ms a row: beyond any honest function, and short enough to wait for.

    Raises:
        ValueError: a limit is not a positive number.
    """

    memory_bytes: int = 256 * MIB
    timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        _check_positive(self)
        if self.memory_bytes > 2**32:
            msg = f"memory_bytes is {self.memory_bytes}; a 32-bit guest can't have more than {2**32} (4 GiB)"
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


def _check_positive(limits: ResourceLimits | DataLimits) -> None:
    for field in fields(limits):
        value = getattr(limits, field.name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            msg = f"{field.name} must be a positive number, got {value!r}"
            raise ValueError(msg)
