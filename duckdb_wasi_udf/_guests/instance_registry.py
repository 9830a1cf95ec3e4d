"""All instances of a sandbox: their number, the memory they hold, and which of them are evicted for others."""

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
IdleList = list["GuestInstance"]


class InstanceRegistry:
    """Counts instances from their start to their end; safe for use by many threads.

    Idle ones of any function are evicted, least recently used first, when there are too many or when they hold too much
    memory. A new one waits while all are busy, for as long as a batch may take.
    """

    def __init__(self, limits: ResourceLimits) -> None:
        self._limits = limits
        self._changed = threading.Condition()
        self._idle: OrderedDict[GuestInstance, IdleList] = OrderedDict()
        self._held: dict[GuestInstance, int] = {}  # bytes, as of the end of its last call
        self._starting = 0
        self._bytes = 0
        self._closed = False

    def __len__(self) -> int:
        """Return the number of instances."""
        return len(self._held) + self._starting

    @property
    def held_bytes(self) -> int:
        """Memory they hold beyond the snapshot's, as of the end of the last call of each."""
        return self._bytes

    def take(self, idle: IdleList) -> GuestInstance | None:
        """Return an idle instance, which is busy from now on; None if there is none."""
        with self._changed:
            if not idle:
                return None
            instance = idle.pop()
            del self._idle[instance]
            return instance

    def reserve(self) -> None:
        """Make room for one more; `started` or `start_failed` has to follow.

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

    def started(self, instance: GuestInstance) -> None:
        """Take the instance that room was reserved for; it is busy."""
        with self._changed:
            self._starting -= 1
            self._held[instance] = 0

    def start_failed(self) -> None:
        """Free the room that was reserved."""
        with self._changed:
            self._starting -= 1
            self._changed.notify()

    def release(self, idle: IdleList, instance: GuestInstance) -> None:
        """Put a busy instance on an idle list, unless it has grown too large."""
        grown = instance.grown_bytes
        with self._changed:
            if self._closed or grown > self._limits.recycle_memory_bytes:
                self._drop(instance)
                return
            self._bytes += grown - self._held[instance]
            self._held[instance] = grown
            idle.append(instance)
            self._idle[instance] = idle
            while self._bytes > self._limits.total_memory_bytes and self._idle:
                self._evict()
            self._changed.notify()

    def drop(self, instance: GuestInstance) -> None:
        """Close a busy instance."""
        with self._changed:
            self._drop(instance)

    def drop_idle(self, idle: IdleList) -> None:
        """Close the instances on an idle list."""
        with self._changed:
            for instance in idle:
                del self._idle[instance]
                self._drop(instance)
            idle.clear()

    def close(self) -> None:
        """Close all that are idle now, and the others when they are released."""
        with self._changed:
            self._closed = True
            while self._idle:
                self._evict()

    def _full(self) -> str | None:
        """Return the limit that allows no further instance."""
        if len(self) >= self._limits.instances:
            return "instances"
        if self._bytes >= self._limits.total_memory_bytes and self._held:
            return "total_memory_bytes"
        return None

    def _evict(self) -> None:
        instance, idle = self._idle.popitem(last=False)
        idle.remove(instance)
        self._drop(instance)

    def _drop(self, instance: GuestInstance) -> None:
        self._bytes -= self._held.pop(instance, 0)
        instance.close()
        self._changed.notify()
