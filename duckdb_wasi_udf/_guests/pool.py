"""Instances of one function for arguments of certain types, each serving one call at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from duckdb_wasi_udf._errors import GuestError
from duckdb_wasi_udf._guests.lent_instance import LentInstance
from duckdb_wasi_udf._process.steady_clock import SteadyClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._guests.budget import Budget
    from duckdb_wasi_udf._guests.compilation import Compilation
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.instance_factory import InstanceFactory
    from duckdb_wasi_udf._guests.instance_registry import IdleList, InstanceRegistry
    from duckdb_wasi_udf._guests.lending import Lent
    from duckdb_wasi_udf._guests.native_pool import NativePool
    from duckdb_wasi_udf._native.layouts import Call


class Pool:
    """As many instances as calls run at once, the last used first.

    Safe for use by many threads. DuckDB rebuilds thread-local storage between calls on its worker threads, so instances
    belong to calls, not to threads.

    Attributes:
        compilation: Decides whether the function is compiled; None: the interpreter runs it.
        native: The native library's part of it; None if that makes no calls.
    """

    def __init__(
        self,
        factory: InstanceFactory,
        arguments: Sequence[tuple[pa.DataType, bool]],
        result_type: pa.DataType | None,
        instances: InstanceRegistry,
        budget: Budget,
        compilation: Compilation | None = None,
        *,
        reuse: bool = True,
        native: NativePool | None = None,
    ) -> None:
        """Create an empty pool.

        Args:
            factory: starts instances of the function.
            arguments: each argument's type, and whether the function sees its NULLs.
            result_type: the type of results; None to infer it batch by batch.
            instances: the sandbox's instances.
            budget: the time of the function.
            compilation: decides whether it is compiled; None: the interpreter runs it.
            reuse: an instance serves many calls; otherwise each call gets a fresh one.
            native: the native library's part of it; None if that makes no calls.
        """
        self._factory = factory
        self._arguments = arguments
        self._result_type = result_type
        self._instances = instances
        self._budget = budget
        self._reuse = reuse
        self.compilation = compilation
        self.native = native
        self._idle: IdleList = []

    def run(self, context: CallContext, columns: Sequence[pa.Array], length: int) -> tuple[pa.Array, int]:
        """Run one batch on an idle instance, or on a new one: see `GuestInstance.call`."""
        began = SteadyClock.now()
        context.budget_seconds = self._budget.begin(began)
        rows = None
        guest_seconds, memory_bytes = 0.0, 0
        try:
            compilation = self.compilation
            fresh = None if compilation is None else compilation.instance(context, length)
            instance = (
                fresh
                or self._instances.take(self._idle)
                or self._factory.start(context, self._arguments, self._result_type)
            )
            sound = False
            before = instance.guest_seconds
            try:
                if compilation is not None:
                    compilation.prepare(context, instance, None if self._reuse else length)
                result = instance.call(context, columns, length)
                sound = True
                rows = length
            except GuestError:
                # The user's code raised: the interpreter is as sound as after any exception. After anything else (a
                # trap, a limit, Ctrl-C between two steps) the instance is dropped.
                sound = not instance.broken
                raise
            finally:
                if sound:  # any other may be gone already, and its memory with it
                    guest_seconds, memory_bytes = instance.guest_seconds - before, instance.memory_bytes
                if compilation is not None and rows is not None:
                    compilation.count(instance, length, guest_seconds)
                self._release(instance, sound=sound)
        finally:
            context.budget_seconds = math.inf  # it was this function's; a batch may run several
            self._budget.end(began, SteadyClock.now(), rows, guest_seconds, memory_bytes)
        return result

    def finish(self, lent: Lent, call: Call) -> pa.Array | None:
        """Do what is left of a call that the native library has made on an instance.

        Args:
            lent: the instance, which is busy.
            call: the call.

        Returns:
            The results if they aren't where they belong.

        Raises:
            WasiUdfError: as `run` does.
        """
        instance = lent.instance
        self._instances.take_back(self._idle, instance)
        sound, results = False, None
        try:
            results = lent.finish(call)
            sound = True
            if results is not None:
                self._budget.count_failed(instance.counts.failed)
                if self.compilation is not None:
                    self.compilation.count(instance, int(call.rows), call.seconds)
        except GuestError:
            sound = not instance.broken
            raise
        finally:
            call.sound = sound
            self._release(instance, sound=sound)
        return results

    def _release(self, instance: GuestInstance, *, sound: bool) -> None:
        """Put an instance on the idle list, and let the native library have it if it may; or close it."""
        if not sound or not self._reuse:
            self._instances.drop(instance)
            return
        native, compilation = self.native, self.compilation
        if native is None or not native.is_used:
            self._instances.release(self._idle, instance)
            return
        if compilation is not None and not compilation.count_native(native):
            native.recall()  # it is decided anew
        may_be_lent = compilation is None or compilation.is_settled(instance)
        self._instances.release(self._idle, instance, self._lend if may_be_lent else None)

    def _lend(self, instance: GuestInstance) -> None:
        """Let the native library use an idle instance."""
        assert self.native is not None
        if instance.lent is None:
            instance.lent = LentInstance(self, self.native, instance)
        instance.lent.lend()

    @property
    def idle(self) -> int:
        """Instances that wait for a call."""
        return sum(instance.lent is None or not instance.lent.is_busy for instance in list(self._idle))

    def close(self) -> None:
        """Close the idle instances now, and those that are running when their call is done."""
        self._reuse = False
        if self.native is not None:
            self.native.recall()
        self._instances.drop_idle(self._idle)
