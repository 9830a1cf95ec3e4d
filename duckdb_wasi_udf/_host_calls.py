"""What one guest asks of its host: the imports of the module `duckdb_udf`, answered while the guest waits.

Names, pointers and lengths come from the guest and are checked before use, as what it returns is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from duckdb_wasi_udf import _abi, _coarse_clock
from duckdb_wasi_udf._arrow_memory import LinearMemory

if TYPE_CHECKING:
    from duckdb_wasi_udf._binding import RawInstance
    from duckdb_wasi_udf._coarse_clock import CoarseClock
    from duckdb_wasi_udf._deadline import Deadline

# Looks up what the guest may have by name: its bytes, less than 2 GiB, or None.
Finder = Callable[[str], bytes | None]

_MAX_NAME_BYTES = 1_000


class HostCalls:
    """Answers the imports of one instance, for the thread that called the guest.

    Attributes:
        error: what ended the guest's call, if an answer did.
        stops: the clock's count of stops when the guest's call began.
    """

    def __init__(self, finders: tuple[Finder, ...] = (), clock: CoarseClock | None = None) -> None:
        """Prepare to answer.

        Args:
            finders: asked in turn for what the guest wants by name.
            clock: answers for the clocks, if they aren't the host's own.
        """
        self._clock = clock
        self._finders = finders
        self.error: BaseException | None = None
        self.stops = 0
        self._answers: dict[str, Callable[..., int]] = {_abi.HOST_IMPORT: self._import}

    def attach(self, raw: RawInstance, deadline: Deadline) -> None:
        """Take the instance whose imports are answered."""
        self._raw = raw
        self._deadline = deadline

    def answer(self, name: str, *arguments: int) -> int:
        """Answer an import: see `_binding.Host`."""
        if self._clock is not None and name in _coarse_clock.IMPORTS:  # no work to stop the guest's time for
            return self._clock.answer(LinearMemory(*self._raw.memory()).write, name, *arguments)
        self._deadline.pause()
        try:
            return self._answers[name](*arguments)
        finally:
            self._deadline.resume(self.stops)

    def keep(self, error: BaseException) -> None:
        """Keep what ended the guest's call."""
        self.error = error

    def _import(self, name_at: int, name_size: int, out: int, out_size: int) -> int:
        """Write what there is of a name, if there is room for it; its size, or `_abi.ABSENT`."""
        memory = LinearMemory(*self._raw.memory())
        if not 0 <= name_size <= _MAX_NAME_BYTES:
            return _abi.ABSENT
        try:
            name = memory.read(name_at, name_size).decode()
        except UnicodeDecodeError:
            return _abi.ABSENT
        found = next((found for find in self._finders if (found := find(name)) is not None), None)
        if found is None:
            return _abi.ABSENT
        if len(found) <= out_size & 0xFFFF_FFFF:
            memory.write(out & 0xFFFF_FFFF, found)
        return len(found)
