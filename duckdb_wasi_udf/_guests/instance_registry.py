"""All instances of a sandbox: how many there are, what memory they hold, and which of them give way to others."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from duckdb_wasi_udf._errors import LimitExceeded

if TYPE_CHECKING:
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._limits import ResourceLimits

# Idle instances that may stand in for each other, the last used at the end.
Shelf = list["GuestInstance"]


class Roster:
    """Counts instances from their start to their end.

    Idle ones of any function give way, least recently used first, when there are too many or when they hold too much
    memory; a new one waits while all are busy, for as long as a batch may take.
    """

    def __init__(self, limits: ResourceLimits) -> None:
        self._limits = limits
        self._changed = threading.Condition()
        self._idle: OrderedDict[GuestInstance, Shelf] = OrderedDict()
        self._held: dict[GuestInstance, int] = {}  # bytes, as of the end of its last call
        self._starting = 0
        self._bytes = 0
        self._closed = False

    def __len__(self) -> int:
        """The instances there are."""
        return len(self._held) + self._starting

    @property
    def held_bytes(self) -> int:
        """The memory they hold beyond the snapshot's, as of the end of the last call of each."""
        return self._bytes

    def take(self, shelf: Shelf) -> GuestInstance | None:
        """An idle instance, which is busy from now on."""
        with self._changed:
            if not shelf:
                return None
            instance = shelf.pop()
            del self._idle[instance]
            return instance

    def admit(self) -> None:
        """Make room for one more, which `add` or `give_up` has to follow.

        Raises:
            LimitExceeded: all were busy for `timeout_seconds`.
        """
        limits = self._limits
        give_up = time.monotonic() + limits.timeout_seconds
        with self._changed:
            while limit := self._full():
                if self._idle:
                    self._evict()
                elif not self._changed.wait(give_up - time.monotonic()):
                    allowed = getattr(limits, limit)
                    msg = (
                        f"all instances were busy for {limits.timeout_seconds:g} seconds, and {limit}={allowed:,} "
                        f"allows no more; raise ResourceLimits.{limit}"
                    )
                    raise LimitExceeded(msg, limit=limit, allowed=allowed)
            self._starting += 1

    def add(self, instance: GuestInstance) -> None:
        """The instance that was admitted has started."""
        with self._changed:
            self._starting -= 1
            self._held[instance] = 0

    def give_up(self) -> None:
        """The instance that was admitted didn't start."""
        with self._changed:
            self._starting -= 1
            self._changed.notify()

    def put_back(self, shelf: Shelf, instance: GuestInstance) -> None:
        """A busy instance is idle."""
        grown = instance.grown_bytes
        with self._changed:
            if self._closed or grown > self._limits.recycle_memory_bytes:
                self._drop(instance)
                return
            self._bytes += grown - self._held[instance]
            self._held[instance] = grown
            shelf.append(instance)
            self._idle[instance] = shelf
            while self._bytes > self._limits.total_memory_bytes and self._idle:
                self._evict()
            self._changed.notify()

    def drop(self, instance: GuestInstance) -> None:
        """End a busy instance."""
        with self._changed:
            self._drop(instance)

    def clear(self, shelf: Shelf) -> None:
        """End what is idle on a shelf."""
        with self._changed:
            for instance in shelf:
                del self._idle[instance]
                self._drop(instance)
            shelf.clear()

    def close(self) -> None:
        """End all that are idle, and the others when their calls are done."""
        with self._changed:
            self._closed = True
            while self._idle:
                self._evict()

    def _full(self) -> str | None:
        """The limit that allows no further instance."""
        if len(self) >= self._limits.instances:
            return "instances"
        if self._bytes >= self._limits.total_memory_bytes and self._held:
            return "total_memory_bytes"
        return None

    def _evict(self) -> None:
        instance, shelf = self._idle.popitem(last=False)
        shelf.remove(instance)
        self._drop(instance)

    def _drop(self, instance: GuestInstance) -> None:
        self._bytes -= self._held.pop(instance, 0)
        instance.discard()
        self._changed.notify()
