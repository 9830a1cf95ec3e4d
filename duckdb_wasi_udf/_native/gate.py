"""What the functions of one sandbox share with C: whether calls may be C's, and those that run."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import TYPE_CHECKING

from duckdb_wasi_udf._native.layouts import Blocked, GateStruct, Running

if TYPE_CHECKING:
    from collections.abc import Collection

    from duckdb_wasi_udf._native.library import NativeLibrary

# The calls that room is made for at first.
_MOST_RUNNING = 64


class NativeGate:
    """The gate of a sandbox, as calls of its functions pass it.

    Attributes:
        library: The library.
        address: Where C has it. 0 in a child process that was forked, where nobody passes any more.
    """

    def __init__(
        self,
        library: NativeLibrary,
        *,
        tick_seconds: float,
        timeout_seconds: float,
        result_bytes: int,
        most_bytes: int,
    ) -> None:
        """Make a gate that is open.

        Args:
            library: the library.
            tick_seconds: how long an epoch of the sandbox's clock lasts at most.
            timeout_seconds: how long a batch may take.
            result_bytes: what the result of a batch may take.
            most_bytes: what the arguments of a batch may take, and its results, before it is cut in pieces.
        """
        self.library = library
        self._address = int(library.gate_new())
        self._process = os.getpid()
        struct = GateStruct.from_address(self._address)
        struct.tick_seconds = tick_seconds
        struct.timeout_seconds = timeout_seconds
        struct.result_bytes = result_bytes
        struct.most_bytes = most_bytes
        weakref.finalize(self, library.gate_release, self._address).atexit = False

    @property
    def usable(self) -> bool:
        """False in a child process that was forked: locks may be held there by nobody."""
        return self._process == os.getpid()

    @property
    def address(self) -> int:
        """Where C has it."""
        return self._address

    def block(self, reason: Blocked, *, on: bool) -> None:
        """Have all calls be Python's for a reason, or no longer."""
        self.library.gate_block(self._address, reason, on)

    def block_threads(self, threads: Collection[int]) -> bool:
        """Have all calls of some threads be Python's, and of no others for this reason.

        Args:
            threads: as `threading.get_ident` has them.

        Returns:
            False if they are too many, so that all calls of the sandbox have to be.
        """
        numbers = (ctypes.c_uint64 * len(threads))(*threads)
        return bool(self.library.gate_block_threads(self._address, ctypes.addressof(numbers), len(threads)))

    def wait(self, by: int) -> None:
        """Count a call that waits for an instance, by 1 or -1: those that are released go to Python meanwhile."""
        self.library.gate_wait(self._address, by)

    def freeze(self) -> None:
        """Let no guest begin to run, until `thaw`."""
        self.library.gate_freeze(self._address)

    def thaw(self) -> None:
        """Let guests begin to run again."""
        self.library.gate_thaw(self._address)

    def running(self) -> list[Running]:
        """Return the calls that run and that Python doesn't know."""
        if not self.usable or not self.library.running():
            return []
        most = _MOST_RUNNING
        while True:
            found = (Running * most)()
            count = self.library.gate_running(self._address, found, most)
            if count <= most:
                return list(found[:count])
            most = 2 * count

    def stop(self, call: Running, reason: int) -> None:
        """Note why a call is stopped."""
        self.library.call_stop(self._address, call.instance, call.serial, reason)

    def move(self, call: Running, ticks: int) -> None:
        """Set the deadline of a call."""
        self.library.call_move(self._address, call.instance, call.serial, ticks)
