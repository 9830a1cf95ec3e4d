"""Clocks that advance in large steps, so that a guest can't measure what the host does."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCK_MODULE = "wasi_snapshot_preview1"
# By name, the parameters: https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md#functions
CLOCK_IMPORTS = {"clock_time_get": ("i32", "i64", "i32"), "clock_res_get": ("i32", "i32")}

_SUCCESS, _INVALID = 0, 28  # errno
_NANOSECONDS = struct.Struct("<Q")

# By clockid.
_CLOCKS = (time.time_ns, time.monotonic_ns, time.process_time_ns, time.thread_time_ns)


class CoarseClock:
    """Answers WASI's clock functions."""

    def __init__(self, resolution_seconds: float) -> None:
        """Make clocks that advance every `resolution_seconds`.

        Raises:
            ValueError: that is no time from a nanosecond to an hour.
        """
        if isinstance(resolution_seconds, bool) or not 1e-9 <= resolution_seconds <= 3600:
            msg = f"clock_resolution_seconds must be between 1e-9 and 3600, got {resolution_seconds!r}"
            raise ValueError(msg)
        self._resolution = round(resolution_seconds * 1e9)

    def answer(self, write: Callable[[int, bytes], None], name: str, clock: int, *arguments: int) -> int:
        """Answer one of `CLOCK_IMPORTS`.

        Args:
            write: puts bytes into the guest's memory.
            name: the import.
            clock: which clock.
            arguments: where the guest wants the time or resolution, after the precision it asks for, if it does.

        Returns:
            An errno.
        """
        if not 0 <= clock < len(_CLOCKS):
            return _INVALID
        resolution = self._resolution
        nanoseconds = _CLOCKS[clock]() // resolution * resolution if name == "clock_time_get" else resolution
        write(arguments[-1] & 0xFFFF_FFFF, _NANOSECONDS.pack(nanoseconds))
        return _SUCCESS
