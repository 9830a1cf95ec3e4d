"""Errors for what goes wrong in a guest: traps, statuses, and the exceptions it describes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import wasmtime

from duckdb_wasi_udf._errors import Cancelled, GuestError, GuestTrap, LimitExceeded, ProtocolError, WasiUdfError
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from duckdb_wasi_udf._engine.call_context import Account
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.progress import Progress
    from duckdb_wasi_udf._limits import ResourceLimits

# The parts of an error's text, as long as our guest would send them.
_SHOWN_CHARACTERS = 8_000
_SHOWN_NAME_CHARACTERS = 200
_SHOWN_ARGUMENT_CHARACTERS = 400
_SHOWN_ARGUMENTS = 20
_SHOWN_LINE_CHARACTERS = 100


class Failures:
    """Makes the errors of one instance.

    Attributes:
        label: how they name the function.
    """

    def __init__(self, definition: Definition, limits: ResourceLimits) -> None:
        """Prepare to make errors.

        Args:
            definition: the function.
            limits: what the instance may use.
        """
        self.label = definition.label
        self._hidden = (definition.hidden_arguments, definition.hidden_last)
        self._limits = limits
        self._definition = definition

    def cancelled(self, stopped_by: str) -> Cancelled:
        """Return the error for a call that was stopped.

        Args:
            stopped_by: what stopped it.
        """
        return Cancelled(f"{self.label}: stopped by {stopped_by}")

    def out_of_time(
        self, reached: Progress, seconds: float, limit: str, account: Account | None = None
    ) -> LimitExceeded:
        """Return the error for a deadline that has passed.

        Args:
            reached: how far the call came.
            seconds: how long it took.
            limit: the limit whose deadline it was.
            account: makes the error for a time that sandboxes share.
        """
        if account is not None and limit == "shared_cpu_seconds":
            error = account.no_time()
            error.row, error.line = reached.row, reached.line
            error.args = (f"{self.label}: stopped: {error}{self._where(reached, seconds)}",)
            return error
        allowed = getattr(self._limits, limit)
        msg = (
            f"{self.label}: stopped after {limit}={allowed:g}; make the function faster, or raise "
            f"ResourceLimits.{limit}{self._where(reached, seconds)}"
        )
        return LimitExceeded(msg, limit=limit, allowed=allowed, row=reached.row, line=reached.line)

    def out_of_fuel(self, reached: Progress) -> LimitExceeded:
        """Return the error for a call that has used all its fuel, and how far it came."""
        fuel = self._limits.fuel or 0
        msg = (
            f"{self.label}: stopped after fuel={fuel:,}; do less in a batch, or raise ResourceLimits.fuel"
            f"{self._where(reached, None)}"
        )
        return LimitExceeded(msg, limit="fuel", allowed=fuel, row=reached.row, line=reached.line)

    def _where(self, reached: Progress, seconds: float | None) -> str:
        """Return a line that says how far a call came, or nothing if that isn't known."""
        parts = []
        if reached.line is not None:
            lines = self._definition.lines
            source = lines[reached.line - 1].strip() if reached.line <= len(lines) else ""
            shown = f" ({source[:_SHOWN_LINE_CHARACTERS]})" if source else ""
            parts.append(f"in line {reached.line} of the code{shown}")
        if reached.row is not None:
            parts.append(f"in row {reached.row} of the batch (counted from 0)")
            if reached.row and seconds is not None:
                parts.append(f"after {reached.row} rows of {1000 * seconds / (reached.row + 1):.3g} ms each")
        return f"\n{', '.join(parts)}" if parts else ""

    def out_of_memory(self) -> LimitExceeded:
        """Return the error for a guest that has no more memory."""
        allowed = self._limits.memory_bytes
        msg = (
            f"{self.label}: ran out of memory, memory_bytes allows {allowed:,} bytes; use less, or raise "
            "ResourceLimits.memory_bytes"
        )
        return LimitExceeded(msg, limit="memory_bytes", allowed=allowed)

    def too_little_memory(self, needed: int, reason: object) -> LimitExceeded:
        """Return the error for a guest that doesn't fit into its memory, before it has run.

        Args:
            needed: the bytes that the interpreter takes alone.
            reason: what wasmtime says.
        """
        allowed = self._limits.memory_bytes
        msg = (
            f"{self.label}: the guest doesn't fit in memory_bytes={allowed:,}: the interpreter alone takes "
            f"{needed:,} ({reason}); raise ResourceLimits.memory_bytes"
        )
        return LimitExceeded(msg, limit="memory_bytes", allowed=allowed, requested=needed)

    def crashed(self, trap: wasmtime.Trap, output: str) -> GuestTrap:
        """Return the error for a trap that is no limit.

        Args:
            trap: the trap.
            output: what the guest has printed before.
        """
        if trap.trap_code is wasmtime.TrapCode.STACK_OVERFLOW:
            return GuestTrap(f"{self.label}: the guest crashed: its stack is exhausted (recursion too deep)")
        reason = trap.message.splitlines()[-1].strip() if trap.message else "unknown trap"
        text = f"{self.label}: the guest crashed ({reason})"
        return GuestTrap(f"{text}; it printed:\n{readable(output)}" if output else text)

    def uncallable(self, reason: object) -> GuestTrap:
        """Return the error for a call that wasmtime couldn't make."""
        return GuestTrap(f"{self.label}: the guest could not be called: {reason}")

    def unknown_status(self, status: int) -> ProtocolError:
        """Return the error for a status that the protocol doesn't have."""
        return ProtocolError(f"{self.label}: the guest returned the unknown status {status}")

    def unreadable(self, export: str, reason: object) -> ProtocolError:
        """Return the error for JSON of the guest's that can't be read."""
        return ProtocolError(f"{self.label}: the guest's {export} can't be read: {reason}")

    def no_object(self, export: str) -> ProtocolError:
        """Return the error for JSON of the guest's that is no object."""
        return ProtocolError(f"{self.label}: the guest's {export} is no JSON object")

    def raised(self, described: dict[str, Any], rows_before: int | None, first_row: int = 0) -> GuestError:
        """Return the error for an exception, which the guest may describe as anything: every field is made sound.

        Args:
            described: what the guest says (`_udf_guest.explain`).
            rows_before: the number of rows that a scan has returned before; None for calls that aren't a scan's.
            first_row: the number of the batch's row that the guest counts as 0.
        """
        type_name = readable(described.get("type"))[:_SHOWN_NAME_CHARACTERS]
        message = readable(described.get("message"))[:_SHOWN_CHARACTERS]
        guest_traceback = readable(described.get("traceback", "")).rstrip()[-_SHOWN_CHARACTERS:]
        arguments = described.get("arguments")
        first, last = self._hidden
        arguments = arguments[first : max(len(arguments) - last, 0)] if isinstance(arguments, list) else []
        shown = tuple([readable(argument)[:_SHOWN_ARGUMENT_CHARACTERS] for argument in arguments[:_SHOWN_ARGUMENTS]])
        row = described.get("row")
        row = row + first_row if isinstance(row, int) else None
        text = f"{self.label}: {type_name}: {message}"
        if row is not None and rows_before is not None:
            text += f"\nafter {rows_before + row} rows, called with ({', '.join(shown)})"
        elif row is not None:
            text += f"\nin row {row} of the batch (counted from 0), called with ({', '.join(shown)})"
        if guest_traceback != f"{type_name}: {message}":  # it has source lines as well
            text += f"\n{guest_traceback}"
        return GuestError(text, type_name=type_name, guest_traceback=guest_traceback, row=row, arguments=shown)

    @staticmethod
    def other_abi(spoken: int, expected: int) -> WasiUdfError:
        """Return the error for a guest of another version of the protocol."""
        return ProtocolError(f"the guest speaks ABI version {spoken}, this package {expected}")
