"""All instances of a sandbox: their number, the memory they hold, and which of them are evicted for others."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from duckdb_wasi_udf._errors import LimitExceeded
from duckdb_wasi_udf._process.steady_clock import SteadyClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from duckdb_wasi_udf._guests.group import Member
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._limits import ResourceLimits
    from duckdb_wasi_udf._native.gate import NativeGate

# Idle instances that may stand in for each other, the last used at the end.
IdleList = list["GuestInstance"]


class InstanceRegistry:
    """Counts instances from their start to their end; safe for use by many threads.

    Idle ones of any function are evicted, least recently used first, when there are too many or when they hold too much
    memory. A new one waits while all are busy, for as long as a batch may take.

    Idle instances may be lent to the native library. It uses them without asking, so one that is on an idle list here
    may be busy: it is left there until the library hands it over (`take_back`).

    The registries of a group's sandboxes have one lock, under which they also count what they share (`group`).

    Attributes:
        waiting: calls that wait for room.
        gate: the gate of the library's calls; None if it makes none.
    """

    def __init__(self, limits: ResourceLimits, gate: NativeGate | None = None, member: Member | None = None) -> None:
        self._limits = limits
        self.gate = gate
        self._member = member
        self._changed = threading.Condition() if member is None else member.group.changed
        if member is not None:
            member.registries.add(self)
        self._idle: OrderedDict[GuestInstance, IdleList] = OrderedDict()
        self._held: dict[GuestInstance, int] = {}  # bytes, as of the end of its last call
        self._starting = 0
        self.waiting = 0
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
            for position in range(len(idle) - 1, -1, -1):
                instance = idle[position]
                if instance.lent is None or instance.lent.claim():
                    del idle[position], self._idle[instance]
                    return instance
            return None

    def take_back(self, idle: IdleList, instance: GuestInstance) -> None:
        """Take an instance off its idle list that the native library hands over; it is busy."""
        with self._changed:
            if instance in self._idle:
                idle.remove(instance)
                del self._idle[instance]
            assert instance.lent is not None
            instance.lent.take_back()

    def reserve(self) -> None:
        """Make room for one more; `started` or `start_failed` has to follow.

        Raises:
            LimitExceeded: all were busy for `timeout_seconds`.
        """
        member, place = self._member, object()
        give_up = SteadyClock.now() + self._limits.timeout_seconds
        with self._changed:
            try:
                while limit := self._full() or (member and member.full()):
                    if self.evict() or (member and member.make_room(limit, place)) or self._wait(give_up):
                        continue
                    raise self._no_instance(limit)
                self._starting += 1
                if member is not None:
                    member.count_instance(1)
            finally:
                if member is not None:
                    member.leave_queue(place)

    def started(self, instance: GuestInstance) -> None:
        """Take the instance that room was reserved for; it is busy."""
        with self._changed:
            self._starting -= 1
            self._held[instance] = 0

    def start_failed(self) -> None:
        """Free the room that was reserved."""
        with self._changed:
            self._starting -= 1
            if self._member is not None:
                self._member.count_instance(-1)
            self._notify()

    def release(
        self, idle: IdleList, instance: GuestInstance, lend: Callable[[GuestInstance], None] | None = None
    ) -> None:
        """Put a busy instance on an idle list, unless it has grown too large.

        Args:
            idle: the list.
            instance: the instance.
            lend: lends it to the native library; None if that is not to have it.
        """
        grown, member = instance.grown_bytes, self._member
        with self._changed:
            is_owed = member is not None and member.owes_instance
            if self._closed or is_owed or grown > self._limits.recycle_memory_bytes:
                self._drop(instance)
                return
            more = grown - self._held[instance]
            self._bytes += more
            self._held[instance] = grown
            if member is not None:
                member.count_memory(more)
            idle.append(instance)
            self._idle[instance] = idle
            if lend is not None:
                lend(instance)
            while self._bytes > self._limits.total_memory_bytes and self.evict():
                pass
            if member is not None:
                member.trim_memory()
            self._notify()

    def drop(self, instance: GuestInstance) -> None:
        """Close a busy instance."""
        with self._changed:
            self._drop(instance)

    def drop_idle(self, idle: IdleList) -> None:
        """Close the instances on an idle list."""
        with self._changed:
            for instance in idle[:]:
                if instance.lent is None or instance.lent.claim():
                    idle.remove(instance)
                    del self._idle[instance]
                    self._drop(instance)

    def close(self) -> None:
        """Close all that are idle now, and the others when they are released."""
        with self._changed:
            self._closed = True
            while self.evict():
                pass

    def _wait(self, give_up: float) -> bool:
        """Wait for another call to end; return False if none did in time."""
        self.waiting += 1
        if self.gate is not None:
            self.gate.wait(1)
        try:
            # One that was released to the native library before it knew of this wait is idle, and notifies nobody.
            return self.evict() or self._changed.wait(give_up - SteadyClock.now())
        finally:
            self.waiting -= 1
            if self.gate is not None:
                self.gate.wait(-1)

    def _notify(self) -> None:
        """Wake who waits for an instance: of a group all, since not each of them may start one."""
        if self._member is None:
            self._changed.notify()
        else:
            self._changed.notify_all()

    def _no_instance(self, limit: str) -> LimitExceeded:
        """Return the error for a call that got no instance in time."""
        seconds = self._limits.timeout_seconds
        if self._member is not None and hasattr(self._member.group.limits, limit):
            return self._member.no_instance(limit, seconds)
        allowed = getattr(self._limits, limit)
        msg = (
            f"all instances were busy for {seconds:g} seconds, and {limit}={allowed:,} allows no more; raise "
            f"ResourceLimits.{limit}"
        )
        return LimitExceeded(msg, limit=limit, allowed=allowed)

    def _full(self) -> str | None:
        """Return the limit that allows no further instance."""
        if len(self) >= self._limits.instances:
            return "instances"
        if self._bytes >= self._limits.total_memory_bytes and self._held:
            return "total_memory_bytes"
        return None

    def evict(self) -> bool:
        """Close the idle instance that was used least recently; return False if there is none.

        `_changed` is held.
        """
        for instance, idle in self._idle.items():
            if instance.lent is None or instance.lent.claim():
                del self._idle[instance]
                idle.remove(instance)
                self._drop(instance)
                return True
        return False

    def _drop(self, instance: GuestInstance) -> None:
        size = self._held.pop(instance, None)
        if size is not None:
            self._bytes -= size
            if self._member is not None:
                self._member.count_instance(-1)
                self._member.count_memory(-size)
        instance.close()
        self._notify()
