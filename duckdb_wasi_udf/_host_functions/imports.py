"""What one guest asks of its host: the imports of the module `duckdb_udf`, answered while the guest waits.

Numbers, names, pointers and lengths come from the guest and are checked before use, as what it returns is.
"""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._arrow.linear_memory import LinearMemory
from duckdb_wasi_udf._arrow.read_result import read_arguments
from duckdb_wasi_udf._arrow.write_batch import Batch
from duckdb_wasi_udf._engine.coarse_clock import CLOCK_IMPORTS
from duckdb_wasi_udf._errors import LimitExceeded
from duckdb_wasi_udf._host_functions.audit import PendingRecord
from duckdb_wasi_udf._host_functions.grants import RefusedError
from duckdb_wasi_udf._host_functions.quota import Meter
from duckdb_wasi_udf._host_functions.reentry import running
from duckdb_wasi_udf._process.abandonable_calls import AbandonedError, StoppedError
from duckdb_wasi_udf._text import printable

if TYPE_CHECKING:
    import pyarrow as pa

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._engine.coarse_clock import CoarseClock
    from duckdb_wasi_udf._engine.deadline import Deadline
    from duckdb_wasi_udf._engine.raw_instance import RawInstance
    from duckdb_wasi_udf._host_functions.grants import Granted, Grants
    from duckdb_wasi_udf._limits import ResourceLimits

logger = logging.getLogger("duckdb_wasi_udf.host")

# Looks up what the guest may have by name: its bytes, or None.
Finder = Callable[[str], bytes | None]

_MAX_NAME_BYTES = 1_000

# Of what a host function raised, as much as is logged.
_LOGGED_CHARACTERS = 8_000


class HostCalls:
    """Answers the imports of one instance, on the thread that called the guest.

    Attributes:
        error: what ended the guest's call, if an answer did.
        failure: what the first host function raised that failed in the guest's call; the guest doesn't know it.
        adopt: begins a call that the native library has made by itself, unless that was done; None if it makes none.
    """

    def __init__(
        self,
        label: str,
        limits: ResourceLimits,
        finders: tuple[Finder, ...] = (),
        grants: Grants | None = None,
        clock: CoarseClock | None = None,
    ) -> None:
        """Prepare to answer.

        Args:
            label: the name of the sandboxed function.
            limits: what it may ask for.
            finders: asked in turn for what the guest wants by name.
            grants: the host functions it may call.
            clock: answers for the clocks, if they aren't the host's own.
        """
        self._coarse_clock = clock
        self._label = label
        self._finders = finders
        self._grants = grants
        self._meter = None
        if grants is not None:
            self._meter = Meter(label, [granted.name for granted in grants.functions], limits, grants.query)
        self.error: BaseException | None = None
        self.failure: BaseException | None = None
        self.adopt: Callable[[], None] | None = None
        self._waiting: Batch | None = None  # a response that the guest had no room for

    @property
    def label(self) -> str:
        """The name of the sandboxed function in logs, records and errors."""
        return self._label

    @label.setter
    def label(self, label: str) -> None:
        self._label = label
        if self._meter is not None:
            self._meter.label = label

    def attach(self, raw: RawInstance, deadline: Deadline) -> None:
        """Take the instance whose imports are answered."""
        self._raw = raw
        self._deadline = deadline

    def begin(self, context: CallContext) -> None:
        """Prepare for a call of the guest; `end` has to follow.

        Args:
            context: the call that the guest works for.
        """
        self._context = context
        self.failure = None
        if self._meter is not None:
            self._meter.begin()

    def end(self) -> None:
        """Report the end of the guest's call."""
        self._waiting = None
        if self._meter is not None:
            self._meter.end()

    def answer(self, name: str, *arguments: int) -> int:
        """Answer an import: see `raw_instance.ImportHandler`."""
        if self._coarse_clock is not None and name in CLOCK_IMPORTS:  # no work to stop the guest's time for
            return self._coarse_clock.answer(LinearMemory(*self._raw.memory()).write, name, *arguments)
        if self.adopt is not None:
            self.adopt()
        self._deadline.pause()
        try:
            return _ANSWERS[name](self, *arguments)
        finally:
            self._deadline.resume(self._context)

    def raised(self, error: BaseException) -> None:
        """Keep what ended the guest's call."""
        self.error = error

    # ---- things by name ------------------------------------------------------------------------------------------

    def _import(self, name_at: int, name_size: int, out: int, out_size: int) -> int:
        """Write what was found by a name, if there is room for it; return its size, or `_abi.ABSENT`."""
        memory = LinearMemory(*self._raw.memory())
        if not 0 <= name_size <= _MAX_NAME_BYTES:
            return _abi.ABSENT
        try:
            name = memory.read(name_at, name_size).decode()
        except UnicodeDecodeError:
            return _abi.ABSENT
        out, out_size = _unsigned(out), _unsigned(out_size)
        memory.check_room(out, out_size)
        grants = self._grants
        found = grants.find(name, 0) if grants is not None else None
        if grants is not None and found is not None and len(found) <= out_size:
            found = grants.find(name, out)  # its pointers are for where it will be
        if found is None:
            found = next((found for find in self._finders if (found := find(name)) is not None), None)
        if found is None or len(found) > _abi.MOST_BYTES:
            return _abi.ABSENT
        if len(found) <= out_size:
            began = time.perf_counter()
            memory.write(out, found)
            self._deadline.charge(time.perf_counter() - began)  # the guest asks in no time for more than memory holds
        return len(found)

    # ---- host functions ------------------------------------------------------------------------------------------

    def _call(self, number: int, arguments_at: int, out: int, out_size: int) -> int:
        """Call a host function; the size of its response, which is written if there is room, or a status."""
        self._waiting = None
        memory = LinearMemory(*self._raw.memory())  # which stays as it is while the guest waits
        out, out_size = _unsigned(out), _unsigned(out_size)
        memory.check_room(out, out_size)
        grants, meter = self._grants, self._meter
        if grants is None or meter is None or not 0 <= number < len(grants.functions):
            return _abi.ABSENT
        name = grants.functions[number].name
        record = PendingRecord(name, self._label)
        queries = getattr(self._context, "queries", ())  # those that have spans
        with queries[-1].host_call(name) if queries else contextlib.nullcontext() as span:
            try:
                response = self._serve(grants, meter, number, memory, arguments_at, record)
            except LimitExceeded as error:
                record.fail(error)
                raise
            except BaseException as error:
                record.outcome = "failed"
                record.fail(error)
                raise
            finally:
                grants.audit.add(record)
                if span is not None:
                    span.end(
                        rows=record.rows,
                        seconds=record.seconds,
                        outcome=record.outcome,
                        error_type=record.error_type,
                    )
        return response if isinstance(response, int) else self._respond(response, memory, out, out_size)

    def _serve(
        self, grants: Grants, meter: Meter, number: int, memory: LinearMemory, arguments_at: int, record: PendingRecord
    ) -> Batch | int:
        """Return the response to a call, or the status that says why there is none.

        Raises:
            LimitExceeded: the guest asks for more than its quotas allow.
            ProtocolError: its arguments are not what they claim to be.
        """
        granted = grants.functions[number]
        meter.count_call(number)
        columns, record.rows, record.bytes_in = read_arguments(
            memory,
            arguments_at,
            granted.wire_types,
            meter.bytes_left(number),
            lambda size: meter.too_many_bytes(number, size),
        )
        try:
            response = Batch([self._run(grants, granted, columns, record)], record.rows)
        except KeyboardInterrupt:
            raise
        except StoppedError:
            record.outcome = "cancelled"
            return _abi.HOST_FAILED  # which the guest doesn't live to see: its deadline has passed
        except BaseException as error:  # noqa: BLE001 - a host function may raise anything, of which the guest sees nothing
            if self._context.stopped_by:
                record.outcome = "cancelled"
                record.fail(error)
                return _abi.HOST_FAILED
            record.outcome, status = _outcome(error)
            record.fail(error)
            self._note(granted.name, record.outcome, error)
            meter.count(number, record.bytes_in, record.elapsed())
            return status
        record.bytes_out = response.size(0) + record.rows
        meter.count(number, record.bytes_in + record.bytes_out, record.elapsed())
        record.outcome = "ok"
        return response

    def _run(self, grants: Grants, granted: Granted, columns: list[pa.Array], record: PendingRecord) -> pa.Array:
        """Call a host function if its gate lets it; no guest may be called from either."""
        context = self._context
        left = False

        def run() -> pa.Array:
            with running(granted.name, lambda: left or bool(context.stopped_by)):
                granted.check(columns, record.rows, record.bytes_in)
                return granted.run(columns, record.rows)

        timeout_seconds = granted.function.timeout_seconds
        if timeout_seconds is None:
            return run()
        try:
            return grants.calls.call_with_timeout(run, timeout_seconds, lambda: bool(context.stopped_by))
        finally:
            left = True

    def _note(self, name: str, outcome: str, error: BaseException) -> None:
        """Keep what went wrong for the host; in the log, once for each call of the guest.

        Its text may be the guest's: it gets marked lines and no control characters, so that it can't look like records.
        """
        if self.failure is None:
            self.failure = error
            shown = "".join(traceback.format_exception(error))[-_LOGGED_CHARACTERS:].rstrip("\n").split("\n")
            lines = "\n".join(f"  | {printable(line)}" for line in shown)
            logger.warning("%s: the host function %s %s:\n%s", self._label, name, outcome, lines)

    # ---- responses -----------------------------------------------------------------------------------------------

    def _take(self, out: int, out_size: int) -> int:
        """Write the response that there was no room for."""
        memory = LinearMemory(*self._raw.memory())
        out, out_size = _unsigned(out), _unsigned(out_size)
        memory.check_room(out, out_size)
        response, self._waiting = self._waiting, None
        return _abi.ABSENT if response is None else self._respond(response, memory, out, out_size)

    def _respond(self, response: Batch, memory: LinearMemory, out: int, out_size: int) -> int:
        size = response.size(0)
        if size > _abi.MOST_BYTES:
            return _abi.HOST_FAILED
        if size <= out_size:
            response.write(memory, out)
        else:
            self._waiting = response
        return size


_ANSWERS: dict[str, Callable[..., int]] = {
    _abi.HOST_IMPORT: HostCalls._import,
    _abi.HOST_CALL: HostCalls._call,
    _abi.HOST_TAKE: HostCalls._take,
}


def _unsigned(integer: int) -> int:
    return integer & 0xFFFF_FFFF


def _outcome(error: BaseException) -> tuple[str, int]:
    """Return how the audit and the guest see an error: the outcome and the status."""
    if isinstance(error, (RefusedError, AbandonedError)):
        return "refused", _abi.HOST_REFUSED
    if isinstance(error, TimeoutError):
        return "timed out", _abi.HOST_TIMED_OUT
    return "failed", _abi.HOST_FAILED
