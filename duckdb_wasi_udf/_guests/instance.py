"""One running guest: a wasmtime store with a Python interpreter in it that holds one function."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import wasmtime

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._arrow.linear_memory import LinearMemory
from duckdb_wasi_udf._arrow.read_result import read_result, read_text
from duckdb_wasi_udf._arrow.write_batch import Batch
from duckdb_wasi_udf._arrow.write_schema import encode_schemas
from duckdb_wasi_udf._engine.deadline import Deadline
from duckdb_wasi_udf._engine.raw_instance import RawInstance
from duckdb_wasi_udf._errors import Cancelled, GuestError, GuestTrap, LimitExceeded, ProtocolError
from duckdb_wasi_udf._guests.output import deliver
from duckdb_wasi_udf._host_functions.imports import HostCalls
from duckdb_wasi_udf._host_functions.reentry import check_no_reentry
from duckdb_wasi_udf._process import stack
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from duckdb_wasi_udf._engine.engine import Engine
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._host_functions.grants import Grants
    from duckdb_wasi_udf._host_functions.imports import Finder
    from duckdb_wasi_udf._limits import DataLimits, ResourceLimits

# The guest bounds its own texts well below these (_udf_guest.py); beyond them it is not our guest that speaks.
_MAX_TEXT_BYTES = 256 * 2**10

# Where random numbers start when they are to be the same in every run.
_SEED = 20_260_101

# Of each part of an error's text, as much as our guest would send.
_SHOWN_CHARACTERS = 8_000
_SHOWN_NAME_CHARACTERS = 200
_SHOWN_ARGUMENT_CHARACTERS = 400
_SHOWN_ARGUMENTS = 20

# What the guest sees of a host function that failed; the host has the cause.
_HOST_ERROR = "HostError"

# One batch of a few BIGINT columns: asked for at once, so that most functions never grow it.
_MIN_ARENA_BYTES = 64 * 2**10


class GuestInstance:
    """A guest with one function defined and, after `bind`, its types fixed.

    Serves one thread at a time. After an error that `broken` reports the instance must not be used again: the pool
    discards it.
    """

    def __init__(
        self,
        engine: Engine,
        definition: Definition,
        limits: ResourceLimits,
        data_limits: DataLimits,
        finders: tuple[Finder, ...] = (),
        grants: Grants | None = None,
    ) -> None:
        """Start a guest and define the function.

        Args:
            engine: the compiled guest.
            definition: the function.
            limits: what it may use.
            data_limits: what it may hand back.
            finders: asked in turn for what the guest wants by name.
            grants: the host functions it may call.

        Raises:
            GuestError: the code doesn't compile, or raised while it was loaded.
            LimitExceeded: it ran out of time or memory meanwhile.
        """
        self._engine = engine
        self._limits = limits
        self._data_limits = data_limits
        self._label = definition.label
        self._hidden_arguments = definition.hidden_arguments
        self._arena = 0
        self._arena_size = 0
        self._result_type: pa.DataType | None = None
        self._stops = 0
        self._output_at: int | None = None
        self._budgeted = False
        self.broken = False
        self._seconds_inside = 0.0  # calls of exports, all together
        self._host = HostCalls(definition.label, limits, finders, grants, engine.coarse_clock)
        try:
            self._raw = RawInstance(*engine.instantiate(limits.memory_bytes), self._host)
        except wasmtime.WasmtimeError as error:
            allowed, needed = limits.memory_bytes, engine.memory_bytes
            msg = (
                f"{self._label}: the guest doesn't fit in memory_bytes={allowed:,}: the interpreter alone takes "
                f"{needed:,} ({error}); raise ResourceLimits.memory_bytes"
            )
            raise LimitExceeded(msg, limit="memory_bytes", allowed=allowed, requested=needed) from error
        self._deadline = Deadline(self._raw, engine.clock)
        self._host.attach(self._raw, self._deadline, engine.clock)
        try:
            with self:
                self.description = self._define(definition)
        except BaseException:
            self.discard()
            raise

    def _define(self, definition: Definition) -> dict[str, Any]:
        self._check_abi()
        self._output_at = self._call(_abi.OUTPUT)
        if self._engine.deterministic:
            self._call(_abi.FREEZE, _SEED)
        self._result_at = self._call(_abi.RESULT)
        text = definition.encode()
        self._handle = self._call(_abi.DEFINE, self._write(text), len(text))
        if self._handle < 0:
            self._fail(-self._handle)
        return {} if definition.described else self._json(_abi.DESCRIPTION)

    def compiled(self, definition: Definition) -> Definition:
        """The definition it was made from, with what spares other instances compiling it and describing the function.

        That comes from the guest and goes to guests of the same function only, and was made before it saw any data.
        """
        codes = self.description.get("codes")
        if not isinstance(codes, list) or len(codes) != len(definition.units):
            return definition  # too long
        units = [replace(unit, code=str(code)) for unit, code in zip(definition.units, codes, strict=True)]
        by_batch = bool(self.description.get("by_batch"))
        plain = bool(self.description.get("plain"))
        return replace(definition, units=tuple(units), by_batch=by_batch, described=plain)

    def bind(self, arguments: Sequence[tuple[pa.DataType, bool]], result_type: pa.DataType | None) -> None:
        """Fix the types of the batches to come.

        Args:
            arguments: each argument's type, and whether the function sees its NULLs as None.
            result_type: the type its results must fit; None to infer it batch by batch.
        """
        with self:
            base = self._reserve(_MIN_ARENA_BYTES)
            schemas, result_at = encode_schemas(base, arguments, result_type)
            if len(schemas) > self._arena_size:
                base = self._reserve(len(schemas))
                schemas, result_at = encode_schemas(base, arguments, result_type)
            self._memory().write(base, schemas)
            self._expect_ok(self._call(_abi.BIND, self._handle, base, result_at))
        self._result_type = result_type

    def call(
        self, columns: Sequence[pa.Array], length: int, stops: int | None = None, budget_seconds: float = math.inf
    ) -> tuple[pa.Array, int]:
        """Run the function on one batch.

        Args:
            columns: the arguments, of the types given to `bind`, each of `length` values.
            length: the number of rows.
            stops: the clock's count of stops when the call began, if that was before now.
            budget_seconds: what is left of the function's time, if that is less than a batch's.

        Returns:
            (results, failed_rows): the column of results, and how many of them are NULL because the function raised.

        Raises:
            GuestError: the function raised, or returned what its type can't hold.
            LimitExceeded: it ran out of time or memory, or returned too much.
            Cancelled: it was stopped.
            GuestTrap: the guest crashed.
            ProtocolError: what it handed back is not what it claims to be.
        """
        with self:
            self._limit(stops, budget_seconds)
            self._expect_ok(self._call(_abi.CALL, self._handle, self._write_batch(columns, length)))
        return self._read_result(range(length, length + 1))

    def open(self, arguments: Sequence[pa.Array], stops: int | None = None, budget_seconds: float = math.inf) -> int:
        """Call the function once and start on what it yields.

        Args:
            arguments: arrays of one value each, of the types given to `bind`.
            stops: as for `call`.
            budget_seconds: as for `call`.

        Returns:
            A cursor for `next` and `close`.
        """
        with self:
            self._limit(stops, budget_seconds)
            cursor = self._call(_abi.OPEN, self._handle, self._write_batch(arguments, 1))
            if cursor < 0:
                self._fail(-cursor, 0)
        return cursor

    def next(
        self, cursor: int, rows_before: int = 0, stops: int | None = None, budget_seconds: float = math.inf
    ) -> pa.Array:
        """The next values of a cursor, at most `_abi.CURSOR_ROWS`; an empty array when there are no more.

        Args:
            cursor: what `open` returned.
            rows_before: how many it has given already, for errors.
            stops: as for `call`.
            budget_seconds: as for `call`.
        """
        with self:
            self._limit(stops, budget_seconds)
            status = self._call(_abi.NEXT, cursor)
            if status != _abi.OK:
                self._fail(status, rows_before)
        return self._read_result(range(_abi.CURSOR_ROWS + 1))[0]

    def close(self, cursor: int) -> None:
        """End a cursor, at whatever step it is."""
        with self:
            self._expect_ok(self._call(_abi.CLOSE, cursor))

    # ---- the guest's exports ---------------------------------------------------------------------------------

    def _limit(self, stops: int | None, budget_seconds: float) -> None:
        """Heed a stop that came since the count was `stops`, and a budget of less than a batch's time."""
        if stops is not None and stops != self._stops:
            self._raise_cancelled()
        self._budgeted = budget_seconds < self._limits.timeout_seconds
        if self._budgeted:
            self._deadline.start(budget_seconds)

    def __enter__(self) -> None:
        """Start the clock: the guest may run until its deadline."""
        check_no_reentry(self._label)
        self._stops = self._engine.clock.__enter__()  # before the deadline is set, so that no stop is missed
        self._host.begin(self._stops)
        self._deadline.start(self._limits.timeout_seconds)
        if self._limits.fuel is not None:
            self._raw.set_fuel(self._limits.fuel)

    def __exit__(self, *exc_info: object) -> None:
        self._engine.clock.__exit__()
        self._host.end()
        self._take_output()
        if self.broken:  # at once: an error that is kept keeps this instance, by its traceback
            self.discard()

    @property
    def guest_seconds(self) -> float:
        """The time inside the guest, all calls together, without that of the host's answers."""
        return self._seconds_inside - self._deadline.host_seconds

    @property
    def memory_bytes(self) -> int:
        """Its linear memory, which never shrinks."""
        return self._raw.memory()[1]

    @property
    def grown_bytes(self) -> int:
        """The linear memory it has taken beyond the snapshot's."""
        return self.memory_bytes - self._engine.memory_bytes

    def discard(self) -> None:
        """Free its memory; whoever uses it all the same gets an AttributeError, not freed memory."""
        self.broken = True
        raw = self.__dict__.pop("_raw", None)
        if raw is not None:
            raw.close()

    def _take_output(self) -> str:
        """What the guest has printed since last time, handed to `logging` as well."""
        if self._output_at is None:
            return ""
        memory = self._memory()
        try:
            start, length, total = _abi.OUTPUT_STRUCT.unpack(memory.read(self._output_at, _abi.OUTPUT_STRUCT.size))
            if not total:
                return ""
            kept = min(length, self._limits.output_bytes)
            text = memory.read(start + length - kept, kept).decode(errors="replace")
            memory.write(self._output_at & 0xFFFF_FFFF, _abi.OUTPUT_STRUCT.pack(start, 0, 0))
        except ProtocolError:  # nobody asked for it: the call's own result decides
            self.broken = True
            return ""
        deliver(self._label, text, total - kept)
        return text

    def _call(self, export: str, *arguments: int) -> int:
        began = time.perf_counter()
        try:
            return stack.call(self._raw.call, export, *arguments)
        except wasmtime.Trap as trap:
            self.broken = True
            if trap.trap_code is wasmtime.TrapCode.INTERRUPT:
                if self._engine.clock.stopped_since(self._stops):
                    self._raise_cancelled()
                limit = "budget_seconds" if self._budgeted else "timeout_seconds"
                seconds = getattr(self._limits, limit)
                msg = (
                    f"{self._label}: stopped after {limit}={seconds:g}; make the function faster, or raise "
                    f"ResourceLimits.{limit}"
                )
                raise LimitExceeded(msg, limit=limit, allowed=seconds) from trap
            if trap.trap_code is wasmtime.TrapCode.OUT_OF_FUEL:
                fuel = self._limits.fuel or 0
                msg = f"{self._label}: stopped after fuel={fuel:,}; do less in a batch, or raise ResourceLimits.fuel"
                raise LimitExceeded(msg, limit="fuel", allowed=fuel) from trap
            raise GuestTrap(self._trap_text(trap)) from trap
        except wasmtime.WasmtimeError as error:
            self.broken = True
            if self._host.error is not None:
                raise self._host.error from self._host.error.__cause__
            msg = f"{self._label}: the guest could not be called: {error}"
            raise GuestTrap(msg) from error
        finally:
            self._seconds_inside += time.perf_counter() - began

    def _raise_cancelled(self) -> NoReturn:
        msg = f"{self._label}: stopped by Sandbox.cancel() or Ctrl-C"
        raise Cancelled(msg)

    def _trap_text(self, trap: wasmtime.Trap) -> str:
        if trap.trap_code is wasmtime.TrapCode.STACK_OVERFLOW:
            return f"{self._label}: the guest crashed: its stack is exhausted (recursion too deep)"
        reason = trap.message.splitlines()[-1].strip() if trap.message else "unknown trap"
        text = f"{self._label}: the guest crashed ({reason})"
        output = self._take_output().strip()
        return f"{text}; it printed:\n{readable(output)}" if output else text

    def _expect_ok(self, status: int) -> None:
        if status != _abi.OK:
            self._fail(status)

    def _fail(self, status: int, rows_before: int | None = None) -> None:
        """Raise what a status other than OK stands for; `rows_before` is what a cursor has given until now."""
        if status == _abi.NO_MEMORY:
            self.broken = True
            allowed = self._limits.memory_bytes
            msg = (
                f"{self._label}: ran out of memory, memory_bytes allows {allowed:,} bytes; use less, or raise "
                "ResourceLimits.memory_bytes"
            )
            raise LimitExceeded(msg, limit="memory_bytes", allowed=allowed)
        if status != _abi.FAILED:
            self.broken = True
            msg = f"{self._label}: the guest returned the unknown status {status}"
            raise ProtocolError(msg)
        error = self._guest_error(self._json(_abi.ERROR), rows_before)
        if _HOST_ERROR in error.guest_traceback:
            raise error from self._host.failure
        raise error

    def _guest_error(self, described: dict[str, Any], rows_before: int | None) -> GuestError:
        """The error the guest describes; it may describe anything, so every field is made what it has to be."""
        type_name = readable(described.get("type"))[:_SHOWN_NAME_CHARACTERS]
        message = readable(described.get("message"))[:_SHOWN_CHARACTERS]
        guest_traceback = readable(described.get("traceback", "")).rstrip()[-_SHOWN_CHARACTERS:]
        arguments = described.get("arguments")
        arguments = arguments[self._hidden_arguments : _SHOWN_ARGUMENTS] if isinstance(arguments, list) else []
        shown = tuple([readable(argument)[:_SHOWN_ARGUMENT_CHARACTERS] for argument in arguments])
        row = described.get("row")
        row = row if isinstance(row, int) else None
        text = f"{self._label}: {type_name}: {message}"
        if row is not None and rows_before is not None:
            text += f"\nafter {rows_before + row} rows, called with ({', '.join(shown)})"
        elif row is not None:
            text += f"\nin row {row} of the batch (counted from 0), called with ({', '.join(shown)})"
        if guest_traceback != f"{type_name}: {message}":  # it has source lines as well
            text += f"\n{guest_traceback}"
        return GuestError(text, type_name=type_name, guest_traceback=guest_traceback, row=row, arguments=shown)

    def _json(self, export: str) -> dict[str, Any]:
        try:
            described = json.loads(read_text(self._memory(), self._call(export), _MAX_TEXT_BYTES))
        except (ProtocolError, ValueError, RecursionError) as error:
            self.broken = True
            msg = f"{self._label}: the guest's {export} can't be read: {error}"
            raise ProtocolError(msg) from error
        if not isinstance(described, dict):
            self.broken = True
            msg = f"{self._label}: the guest's {export} is no JSON object"
            raise ProtocolError(msg)
        return described

    def _check_abi(self) -> None:
        version = self._call(_abi.VERSION)
        if version != _abi.ABI_VERSION:
            msg = f"the guest speaks ABI version {version}, this package {_abi.ABI_VERSION}"
            raise ProtocolError(msg)

    # ---- linear memory ---------------------------------------------------------------------------------------

    def _memory(self) -> LinearMemory:
        return LinearMemory(*self._raw.memory())

    def _write_batch(self, columns: Sequence[pa.Array], length: int) -> int:
        batch = Batch(columns, length)
        base = self._reserve(batch.size(self._arena))
        batch.write(self._memory(), base)
        return base

    def _read_result(self, expected_rows: range) -> tuple[pa.Array, int]:
        try:
            return read_result(self._memory(), self._result_at, expected_rows, self._result_type, self._data_limits)
        except BaseException:
            self.discard()
            raise

    def _write(self, data: bytes) -> int:
        base = self._reserve(len(data))
        self._memory().write(base, data)
        return base

    def _reserve(self, size: int) -> int:
        """Where in the arena `size` bytes may be written."""
        if size > self._arena_size:
            if size > self._limits.memory_bytes:
                self._fail(_abi.NO_MEMORY)
            wanted = max(size, _MIN_ARENA_BYTES)
            self._arena = self._call(_abi.ARENA, wanted) & 0xFFFF_FFFF
            if self._arena == 0:
                self._fail(_abi.NO_MEMORY)
            self._arena_size = wanted
        return self._arena
