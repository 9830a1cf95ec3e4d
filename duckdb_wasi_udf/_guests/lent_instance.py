"""An instance that the native library uses: lent, taken back, and asked for the rest of a call."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import wasmtime

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._native.layouts import Call, InstanceStruct, Reason
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._process.steady_clock import SteadyClock

if TYPE_CHECKING:
    import pyarrow as pa

    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.lending import Finishing
    from duckdb_wasi_udf._guests.native_pool import NativePool

# The time that a guest has to describe an exception, of a call whose own time is over.
_DESCRIBING_SECONDS = 1.0


class LentInstance:
    """A guest instance as the native library has it.

    Attributes:
        pool: Its pool, which is there as long as the instance is lent.
        native: The library's part of that.
        instance: The instance.
    """

    def __init__(self, pool: Finishing, native: NativePool, instance: GuestInstance, export: str = _abi.CALL) -> None:
        """Let the library know the instance, which isn't lent yet.

        Args:
            pool: its pool.
            native: the library's part of that.
            instance: the instance.
            export: what the library calls.
        """
        self.pool = pool
        self.native = native
        self.instance = instance
        self._library = native.library
        self._address = int(self._library.instance_new())
        self._struct = InstanceStruct.from_address(self._address)
        self._struct.number = self._address
        self._export = export
        self._context: CallContext | None = None
        self._host_seconds = 0.0
        instance._host.adopt = self._adopt
        state.native_instances[self._address] = self

    def lend(self) -> None:
        """Let the library use the instance, which is idle, from now on."""
        instance, struct = self.instance, self._struct
        struct.context = instance._raw.context
        struct.call = instance._raw.function_handle(self._export)
        struct.memory = instance._raw.memory_handle
        struct.arena, struct.arena_bytes = instance._arena.address, instance._arena.size
        struct.result = instance._result_at & 0xFFFF_FFFF
        struct.has_output = instance._output_at is not None
        struct.output = (instance._output_at or 0) & 0xFFFF_FFFF
        struct.memory_bytes = instance.memory_bytes
        self._library.pool_lend(self.native.address, self._address)

    def claim(self) -> bool:
        """Take the instance back; return False if it is busy: then `finish` will be called."""
        if not self._struct.is_lent:
            return True
        if self.native.usable and not self._library.pool_claim(self.native.address, self._address):
            return False
        self.instance._raw.returned()
        return True

    @property
    def is_busy(self) -> bool:
        """True while it runs a call of the library's."""
        return bool(self._struct.is_running)

    def take_back(self) -> None:
        """Note that the instance is Python's, at the end of a call."""
        self._struct.is_lent = 0

    def free(self) -> None:
        """Have the library forget the instance, which isn't lent any more."""
        self.instance._host.adopt = None
        self.instance.lent = None
        state.native_instances.pop(self._address, None)
        self._library.instance_free(self._address)

    def _adopt(self) -> None:
        """Know a call that the library has begun, since the guest asks for something: from now on it is like others."""
        began, seconds, stopped = ctypes.c_double(), ctypes.c_double(), ctypes.c_int32()
        instance = self.instance
        clock = instance._deadline.clock
        with clock.changing:  # a stop finds it either here or there
            if not self._library.instance_adopt(self._address, began, seconds, stopped):
                return
            context = self._context = CallContext(clock)
            context.__enter__()
            left = seconds.value - (self._library.seconds() - began.value)
            instance._deadline.adopt(left, context)
        instance._raw.entered()
        context.stopped_by = context.stopped_by or clock.reason(stopped.value)
        self._host_seconds = instance._deadline.host_seconds
        instance._host.begin(context)

    def finish(self, call: Call) -> pa.Array | None:
        """Do what is left of a call, as `GuestInstance.call` or `GuestInstance.next` does.

        Args:
            call: the call.

        Returns:
            The results if they are to be put into DuckDB's vectors; None if they are there.

        Raises:
            WasiUdfError: as these do.
        """
        instance, is_step = self.instance, call.rows_before >= 0
        rows = 0 if is_step else int(call.rows)
        context, self._context = self._context, None
        if context is None:
            context = CallContext(instance._deadline.clock)
            context.__enter__()
            if call.reason == Reason.FAILED:
                instance._deadline.start(_DESCRIBING_SECONDS, context)
        else:
            call.host_seconds = instance._deadline.host_seconds - self._host_seconds
        context.stopped_by = context.stopped_by or context.clock.reason(call.stopped)
        context.rows_before = int(call.rows_before) if is_step else None
        instance._context = context
        instance._time_limit = "budget_seconds" if call.is_budgeted else "timeout_seconds"
        instance._length = rows
        trap, error = int(call.trap), int(call.error)
        call.trap = call.error = 0
        try:
            instance._raw.returned(trap, error)
            instance._expect_ok(call.status)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            instance._fail(failure, SteadyClock.precise() - call.seconds)
        finally:
            instance._end()  # which says of which rows the output is
            instance._length = 0
            context.__exit__(None, None, None)
        if is_step:
            instance.check_stopped()
        if call.reason != Reason.RESULT:
            return None
        expected = range(_abi.VECTOR_ROWS + 1) if is_step else range(rows, rows + 1)
        results, instance.counts = instance._read_result(expected)
        return results
