"""One running guest: a wasmtime store with a Python interpreter in it that holds one function."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NoReturn

import wasmtime

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._arrow import type_mapping
from duckdb_wasi_udf._arrow.linear_memory import LinearMemory
from duckdb_wasi_udf._arrow.read_result import RowCounts, read_result, read_text
from duckdb_wasi_udf._engine.deadline import Deadline
from duckdb_wasi_udf._engine.raw_instance import RawInstance
from duckdb_wasi_udf._errors import ProtocolError
from duckdb_wasi_udf._guests.arena import Arena
from duckdb_wasi_udf._guests.failures import Failures
from duckdb_wasi_udf._guests.output import Output, shown_output, take_output
from duckdb_wasi_udf._guests.progress import Progress, read_progress
from duckdb_wasi_udf._guests.translation import Translation, read_translation
from duckdb_wasi_udf._host_functions.imports import HostCalls
from duckdb_wasi_udf._host_functions.reentry import check_no_reentry
from duckdb_wasi_udf._process.steady_clock import SteadyClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._engine.compiled_code import CompiledCode
    from duckdb_wasi_udf._engine.engine import Engine
    from duckdb_wasi_udf._errors import WasiUdfError
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.lending import Lent
    from duckdb_wasi_udf._host_functions.grants import Grants
    from duckdb_wasi_udf._host_functions.imports import Finder
    from duckdb_wasi_udf._limits import DataLimits, ResourceLimits

# The guest bounds its own texts well below this (explanation.py, definition.py in wasm/python/_udf_guest). A longer one
# is not of our guest.
_MAX_TEXT_BYTES = 4 * 2**20

# What a compiled module exports (wasm/python/_udf_compiler/encoder.py).
_EXPORT = "run"

# Where random numbers start when they are to be the same in every run.
_SEED = 20_260_101


class GuestInstance:
    """A guest with one function defined and, after `bind`, its types fixed.

    Serves one thread at a time. Each method that runs the guest takes the context of the call it is for, entered.

    Attributes:
        broken: After an error the guest's state may be damaged. It must not be used again; the pool drops it.
        description: What the guest says of the function (`_udf_guest.description.describe`), which is not trusted.
        counts: What it says of the rows of the last batch.
        code: The compiled code that it was last given or refused (`Compilation.prepare`).
        lent: The instance as the native library has it; None if it doesn't.
    """

    def __init__(
        self,
        context: CallContext,
        engine: Engine,
        definition: Definition,
        limits: ResourceLimits,
        data_limits: DataLimits,
        finders: tuple[Finder, ...] = (),
        grants: Grants | None = None,
        output: Output | None = None,
    ) -> None:
        """Start a guest and define the function.

        Args:
            context: the call that needs it.
            engine: the compiled guest.
            definition: the function.
            limits: what it may use.
            data_limits: what it may hand back.
            finders: asked in turn for what the guest wants by name.
            grants: the host functions it may call.
            output: where what it prints goes.

        Raises:
            GuestError: the code doesn't compile, or raised while it was loaded.
            LimitExceeded: it ran out of time or memory meanwhile.
            Cancelled: the call was stopped.
        """
        self._engine = engine
        self._limits = limits
        self._data_limits = data_limits
        self._failures = Failures(definition, limits)
        self._context = context
        self._time_limit = "timeout_seconds"
        self._result_at = 0
        self._output = output if output is not None else Output()
        self._output_at: int | None = None
        self._progress_at: int | None = None
        self._length = 0  # of the batch that runs
        self._arena = Arena(self._memory, self._grow_arena)
        self._result_type: pa.DataType | None = None
        self._seconds_inside = 0.0  # calls of exports, all together
        self.broken = False
        self.counts = RowCounts(0, 0, 0)
        self.code: CompiledCode | None = None
        self.lent: Lent | None = None
        self._host = HostCalls(definition.label, limits, finders, grants, engine.coarse_clock)
        try:
            self._raw = RawInstance(*engine.instantiate(limits.memory_bytes), self._host)
        except wasmtime.WasmtimeError as error:
            raise self._failures.too_little_memory(engine.memory_bytes, error) from error
        self._deadline = Deadline(self._raw, engine.clock)
        self._host.attach(self._raw, self._deadline)
        try:
            with self._running(context):
                self.description = self._define(definition)
        except BaseException:
            self.close()
            raise

    def _define(self, definition: Definition) -> dict[str, Any]:
        if (version := self._call(_abi.VERSION)) != _abi.ABI_VERSION:
            raise self._failures.other_abi(version, _abi.ABI_VERSION)
        self._output_at = self._call(_abi.OUTPUT)
        self._progress_at = self._call(_abi.PROGRESS)
        if self._engine.deterministic:
            self._call(_abi.FREEZE, _SEED, results=0)
        self._result_at = self._call(_abi.RESULT)
        text = definition.encode()
        self._expect_ok(self._call(_abi.DEFINE, self._arena.write(text), len(text)))
        return {} if definition.described else self._json(_abi.DESCRIPTION)

    def rename(self, label: str) -> None:
        """Have errors name the function otherwise from now on."""
        self._failures.label = self._host.label = label

    def compiled(self, definition: Definition) -> Definition:
        """Return the definition it was made from, with what spares other instances compiling and describing it.

        That comes from the guest and goes to guests of the same function only, and was made before it saw any data.
        """
        return definition.described_as(self.description)

    def bind(
        self, context: CallContext, arguments: Sequence[tuple[pa.DataType, bool]], result_type: pa.DataType | None
    ) -> None:
        """Fix the types of the batches to come.

        Args:
            context: the call that needs it.
            arguments: each argument's type, and whether the function sees its NULLs as None.
            result_type: the type its results must fit, built as `type_mapping.result_type` says; None to infer it batch
                by batch.
        """
        with self._running(context):
            self._expect_ok(self._call(_abi.BIND, *self._arena.write_schemas(arguments, result_type)))
        self._result_type = None if result_type is None else type_mapping.result_type(result_type)

    def call(self, context: CallContext, columns: Sequence[pa.Array], length: int) -> tuple[pa.Array, int]:
        """Run the function on one batch.

        Args:
            context: the call that the batch belongs to.
            columns: the arguments, of the types passed to `bind`, each of `length` values.
            length: the number of rows.

        Returns:
            (results, failed_rows): the column of results, and the number of NULLs in it that stand for errors.

        Raises:
            GuestError: the function raised, or returned what its type can't hold.
            LimitExceeded: it ran out of time or memory, or returned too much.
            Cancelled: it was stopped.
            GuestTrap: the guest crashed.
            ProtocolError: what it handed back is not what it claims to be.
        """
        self._begin(context)
        self._length = length
        try:
            self._expect_ok(self._call(_abi.CALL, self._arena.write_batch(columns, length)))
        finally:
            self._end()
            self._length = 0
        results, self.counts = self._read_result(range(length, length + 1))
        return results, self.counts.failed

    def translate(self, context: CallContext, recipe: bytes = b"") -> Translation:
        """Translate the bound function into WebAssembly, or find out whether a recipe holds here: see `Translation`."""
        with self._running(context):
            self._expect_ok(self._call(_abi.TRANSLATE, self._arena.write(recipe), len(recipe)))
            return read_translation(self._memory(), self._call(_abi.TRANSLATION))

    def use(self, context: CallContext, code: CompiledCode | None) -> None:
        """Run the function by compiled code, made of its last translation; by the interpreter again for None."""
        slot = -1 if code is None else self._raw.attach(code.module, ("memory", *code.kernels), _EXPORT)
        with self._running(context):
            self._expect_ok(self._call(_abi.ATTACH, slot))

    def open(self, context: CallContext, arguments: Sequence[pa.Array]) -> None:
        """Call the function once and start on what it yields, which `next` returns.

        An instance has one cursor: `close_cursor` has to end it before the next call of the function.

        Args:
            context: as for `call`.
            arguments: arrays of one value each, of the types passed to `bind`.
        """
        with self._running(context):
            self._expect_ok(self._call(_abi.OPEN, self._arena.write_batch(arguments, 1)))

    def next(self, context: CallContext) -> pa.Array:
        """Return the next values of the cursor, at most `_abi.VECTOR_ROWS`; an empty array when there are no more."""
        with self._running(context):
            self._expect_ok(self._call(_abi.NEXT))
        self.check_stopped()
        return self._read_result(range(_abi.VECTOR_ROWS + 1))[0]

    def check_stopped(self) -> None:
        """Raise `Cancelled` if the last call was stopped when the guest had returned: a scan would go on otherwise."""
        if self._context.stopped_by:
            raise self._failures.cancelled(self._context.stopped_by)

    def close_cursor(self, context: CallContext) -> None:
        """End the cursor, at whatever step it is."""
        with self._running(context):
            self._expect_ok(self._call(_abi.CLOSE))

    def close(self) -> None:
        """Free its memory. Using it afterwards raises RuntimeError."""
        self.broken = True
        self._deadline.end()
        self._raw.close()
        self._arena.close()
        if self.lent is not None:
            self.lent.free()

    @property
    def guest_seconds(self) -> float:
        """Time inside the guest in all calls, without the host's answers."""
        return self._seconds_inside - self._deadline.host_seconds

    @property
    def memory_bytes(self) -> int:
        """Its linear memory, which never shrinks."""
        return self._raw.memory()[1]

    @property
    def grown_bytes(self) -> int:
        """Linear memory it has taken beyond the snapshot's."""
        return self.memory_bytes - self._engine.memory_bytes

    def _begin(self, context: CallContext) -> None:
        """Let the guest run until its deadline; `_end` has to follow.

        Raises:
            Cancelled: the call was stopped before.
            WasiUdfError: the thread is inside a host function.
        """
        if self.broken:
            msg = f"{self._failures.label}: the instance was closed"
            raise RuntimeError(msg)
        check_no_reentry(self._failures.label)
        self._context = context
        limits = self._limits
        self._time_limit, seconds = context.time_limit(limits)
        self._deadline.start(seconds, context)
        if context.stopped_by:  # now that no later stop is missed: it passes the deadline that is set
            self._deadline.end()
            raise self._failures.cancelled(context.stopped_by)
        if limits.fuel is not None:
            self._raw.set_fuel(limits.fuel)
        self._host.begin(context)

    @contextlib.contextmanager
    def _running(self, context: CallContext) -> Iterator[None]:
        """Let the guest run inside, where batches have no time for a context manager."""
        self._begin(context)
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        self._deadline.end()
        self._host.end()
        self._take_output()
        if self.broken:  # at once: an error that is kept keeps this instance, by its traceback
            self.close()

    def _take_output(self) -> str:
        """Return what the guest has printed since last time, after passing it on."""
        if self._output_at is None:
            return ""
        try:
            text, dropped_bytes = take_output(self._memory(), self._output_at, self._limits.output_bytes)
        except ProtocolError:  # nobody asked for it: the call's own result decides
            self.broken = True
            return ""
        if text:
            first = self._context.first_row
            self._output.deliver(self._failures.label, text, dropped_bytes, range(first, first + self._length))
        return text

    def _call(self, export: str, *arguments: int, results: int = 1) -> int:
        began = SteadyClock.precise()
        try:
            return self._raw.call_export(export, *arguments, results=results)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            self._fail(error, began)
        finally:
            self._seconds_inside += SteadyClock.precise() - began

    def _fail(self, error: wasmtime.Trap | wasmtime.WasmtimeError, began: float) -> NoReturn:
        """Raise what a call that began at `began`, on `time.perf_counter`, has failed with."""
        self.broken = True
        if isinstance(error, wasmtime.Trap):
            raise self._trapped(error, began) from error.with_traceback(None)  # whose frames keep this instance
        if self._host.error is not None:
            raise self._host.error from self._host.error.__cause__
        raise self._failures.uncallable(error) from error

    def _trapped(self, trap: wasmtime.Trap, began: float) -> WasiUdfError:
        """Return the error that a trap stands for, of a call that began at `began`, on `time.perf_counter`."""
        if trap.trap_code is wasmtime.TrapCode.INTERRUPT:
            if self._context.stopped_by:
                return self._failures.cancelled(self._context.stopped_by)
            seconds = SteadyClock.precise() - began
            return self._printed(
                self._failures.out_of_time(self._progress(trap), seconds, self._time_limit, self._context.account)
            )
        if trap.trap_code is wasmtime.TrapCode.OUT_OF_FUEL:
            return self._printed(self._failures.out_of_fuel(self._progress(trap)))
        output = self._take_output()
        return self._printed(self._failures.crashed(trap, output.strip()), output)

    def _progress(self, trap: wasmtime.Trap) -> Progress:
        """Return how far the call came that has ended in a trap."""
        if self._progress_at is None:
            return Progress(None, None)
        reached = read_progress(self._memory(), self._progress_at, self._length)
        line = None if self.code is None else self.code.line_of(trap)
        return reached if line is None else reached._replace(line=line)

    def _expect_ok(self, status: int) -> None:
        if status != _abi.OK:
            raise self._failure(status)

    def _failure(self, status: int) -> WasiUdfError:
        """Return the error that a status other than OK stands for."""
        if status == _abi.NO_MEMORY:
            self.broken = True
            return self._printed(self._failures.out_of_memory())
        if status != _abi.FAILED:
            self.broken = True
            return self._failures.unknown_status(status)
        described = self._json(_abi.ERROR)
        error = self._failures.raised(described, self._context.rows_before, self._context.first_row)
        if described.get("host_error") is True:
            error.__cause__ = self._host.failure  # which the guest doesn't know
        return self._printed(error)

    def _printed(self, error: WasiUdfError, taken: str = "") -> WasiUdfError:
        """Return an error with what the call has printed, of which some may be taken already."""
        error.output = shown_output(taken + self._take_output())
        return error

    def _json(self, export: str) -> dict[str, Any]:
        try:
            described = json.loads(read_text(self._memory(), self._call(export), _MAX_TEXT_BYTES))
        except (ProtocolError, ValueError, RecursionError) as error:
            self.broken = True
            raise self._failures.unreadable(export, error) from error
        if not isinstance(described, dict):
            self.broken = True
            raise self._failures.no_object(export)
        return described

    def _memory(self) -> LinearMemory:
        return LinearMemory(*self._raw.memory())

    def _read_result(self, expected_rows: range) -> tuple[pa.Array, RowCounts]:
        try:
            return read_result(self._memory(), self._result_at, expected_rows, self._result_type, self._data_limits)
        except BaseException:
            self.close()
            raise

    def _grow_arena(self, size: int) -> int:
        """Have the guest make an arena of `size` bytes; return its address."""
        if size > self._limits.memory_bytes:
            raise self._failure(_abi.NO_MEMORY)
        address = self._call(_abi.ARENA, size) & 0xFFFF_FFFF
        if address == 0:
            raise self._failure(_abi.NO_MEMORY)
        return address
