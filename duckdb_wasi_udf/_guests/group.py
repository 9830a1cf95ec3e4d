"""What the sandboxes of a group share, and who is served first when there isn't enough."""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from duckdb_wasi_udf._errors import ClosedError, LimitExceeded
from duckdb_wasi_udf._guests.shares import Shares
from duckdb_wasi_udf._process.steady_clock import SteadyClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from duckdb_wasi_udf._limits import GroupLimits

# Names whose refusals are counted after their sandboxes are closed.
_MOST_NAMES = 10_000


class _Evictable(Protocol):
    """Instances of which some may be idle."""

    def evict(self) -> bool:
        """Close the one that was used least recently; return False if none is idle."""


class _Closable(Protocol):
    """A trust domain."""

    def close(self) -> None:
        """Close its instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedUsage:
    """What one sandbox of a group uses of what they share.

    Attributes:
        instances: live instances, idle and busy.
        waiting_calls: calls that wait for an instance because the group has no more.
        memory_bytes: linear memory that the instances have taken beyond the snapshot's, as of the end of the last call
            of each.
        cpu_seconds: time of the processor in this period.
        refused: the number of calls that each limit of the group has refused, by its name.
    """

    instances: int
    waiting_calls: int
    memory_bytes: int
    cpu_seconds: float
    refused: dict[str, int]


class Group:
    """Counts what the members have. All that is theirs is counted by the name of the sandbox.

    Attributes:
        limits: What they may have together.
        changed: Held while anything is counted, and notified when some of it is free.
        closed: True after `close`.
        waiting: The names of the sandboxes whose calls wait.
    """

    def __init__(self, limits: GroupLimits, clock: Callable[[], float] = SteadyClock.now) -> None:
        """Make a group without members.

        Args:
            limits: what they may have together.
            clock: the seconds that periods are counted in.
        """
        self.limits = limits
        self.changed = threading.Condition()
        self.closed = False
        self.instances = Shares(limits.shared_instances, limits.sandboxes)
        self.memory = Shares(limits.shared_memory_bytes, limits.sandboxes)
        self.cpu = Shares(float(limits.shared_cpu_seconds), limits.sandboxes)
        self.waiting: dict[object, str] = {}
        self.refused: dict[str, Counter[str]] = {}
        self._clock = clock
        self._period_ends = clock() + limits.cpu_period_seconds
        self._members: dict[str, Member] = {}
        self._process = os.getpid()

    def join(self, name: str | None) -> Member:
        """Return a new member.

        Args:
            name: the name of its sandbox.

        Raises:
            TypeError: it has none.
            ValueError: there is another one of this name.
            LimitExceeded: there are as many sandboxes as may be.
            ClosedError: the group was closed, or made before this process was forked.
        """
        if not isinstance(name, str) or not name:
            msg = f"a sandbox of a group needs a name, got {name!r:.100}; pass name="
            raise TypeError(msg)
        if self.closed or self._process != os.getpid():
            msg = "the group of sandboxes was closed, or made before this process was forked; make another one"
            raise ClosedError(msg)
        with self.changed:
            if name in self._members:
                msg = f"the group has an open sandbox {name!r}; close that one, or use another name="
                raise ValueError(msg)
            allowed = self.limits.sandboxes
            if len(self._members) >= allowed:
                msg = (
                    f"sandbox {name!r} can't be opened: the group has {allowed:,} open ones, and sandboxes={allowed:,} "
                    "allows no more; close one, or raise GroupLimits.sandboxes"
                )
                raise LimitExceeded(msg, limit="sandboxes", allowed=allowed, sandbox=name)
            member = self._members[name] = Member(self, name)
            return member

    def leave(self, member: Member) -> None:
        """Make room for another member. What its calls have that still run remains counted."""
        with self.changed:
            if self._members.get(member.name) is member:
                del self._members[member.name]

    def members(self) -> list[Member]:
        """Return the members that haven't left."""
        with self.changed:
            return list(self._members.values())

    def usage(self) -> dict[str, SharedUsage]:
        """Return what is used, by the names of open sandboxes and of those that have used some in this period."""
        with self.changed:
            self.renew()
            names = [*self._members, *self.instances.names, *self.cpu.names]
            return {
                name: SharedUsage(
                    instances=int(self.instances.used(name)),
                    waiting_calls=list(self.waiting.values()).count(name),
                    memory_bytes=int(self.memory.used(name)),
                    cpu_seconds=self.cpu.used(name),
                    refused=dict(self.refused.get(name, {})),
                )
                for name in dict.fromkeys(names)
            }

    def close(self) -> None:
        """Close all sandboxes."""
        self.closed = True
        for member in self.members():
            member.close()

    def renew(self) -> float:
        """Begin another period if this one is over; return the seconds until the next one."""
        now = self._clock()
        if now >= self._period_ends:
            self.cpu.clear()
            self._period_ends = now + self.limits.cpu_period_seconds
        return self._period_ends - now

    def evict(self, shares: Shares) -> bool:
        """Close an idle instance of the sandbox that has most beyond its own share; return False if there is none.

        An idle instance within its sandbox's share is no one else's, so closing it would make no room.
        """
        members = [member for member in self._members.values() if shares.beyond(member.name)]
        members.sort(key=lambda member: shares.beyond(member.name), reverse=True)
        return any(registry.evict() for member in members for registry in list(member.registries))

    def count_refused(self, name: str, limit: str) -> None:
        """Count a call that a limit refused."""
        with self.changed:
            if name not in self.refused and len(self.refused) >= _MOST_NAMES:
                del self.refused[next(iter(self.refused))]
            self.refused.setdefault(name, Counter())[limit] += 1


class CpuMeter:
    """The processor's time of one call into a sandbox, on the thread that makes it."""

    def __init__(self, left: float) -> None:
        """Begin to count.

        Args:
            left: the seconds that the call may take.
        """
        self._left = left
        self._began = SteadyClock.of_thread()
        self.depth = 0

    @property
    def seconds(self) -> float:
        """Seconds since its beginning."""
        return SteadyClock.of_thread() - self._began

    @property
    def left(self) -> float:
        """Seconds that are left; not above 0 if none are."""
        return self._left - self.seconds


class Member:
    """A sandbox as its group has it. What is about instances needs `Group.changed` to be held.

    Attributes:
        name: The name of the sandbox.
        group: The group.
        registries: The instances of the sandbox, and of trials in it.
    """

    def __init__(self, group: Group, name: str) -> None:
        self.name = name
        self.group = group
        self.registries: weakref.WeakSet[_Evictable] = weakref.WeakSet()
        self._domain: weakref.ref[_Closable] | None = None
        self._meters: dict[int, CpuMeter] = {}

    def opened(self, domain: _Closable) -> None:
        """Have the group close a trust domain at its end."""
        self._domain = weakref.ref(domain)

    def close(self) -> None:
        """Close the sandbox."""
        domain = None if self._domain is None else self._domain()
        if domain is not None:
            domain.close()

    def leave(self) -> None:
        """Make room for another sandbox: this one is closed."""
        self.group.leave(self)

    # ---- instances and memory ----------------------------------------------------------------------------------

    def full(self) -> str | None:
        """Return the limit that allows the sandbox no further instance now.

        Of those who wait for what isn't their own, the one with the fewest instances comes first.
        """
        group, name = self.group, self.name
        if group.instances.left(name) < 1:
            return "shared_instances"
        if group.memory.left(name) <= 0:
            return "shared_memory_bytes"
        has = group.instances.used(name)
        if has >= group.instances.own and any(group.instances.used(other) < has for other in group.waiting.values()):
            return "shared_instances"
        return None

    def make_room(self, limit: str, place: object) -> bool:
        """Close an idle instance so that another one may start; return False if none helps.

        A call that needs what the group shares is in its queue from then on: `leave_queue` has to follow.

        Args:
            limit: the limit that allows no further instance. The group can't help with one of the sandbox's.
            place: what the queue knows the call by.
        """
        group = self.group
        if not hasattr(group.limits, limit):
            self.leave_queue(place)
            return False
        group.waiting[place] = self.name
        return group.evict(group.memory if limit == "shared_memory_bytes" else group.instances)

    def leave_queue(self, place: object) -> None:
        """End the wait of a call, if it has waited: others may be next now."""
        if self.group.waiting.pop(place, None) is not None:
            self.group.changed.notify_all()

    def count_instance(self, number: int) -> None:
        """Count an instance that is about to start (1) or has ended (-1)."""
        self.group.instances.add(self.name, number)

    def count_memory(self, size: int) -> None:
        """Count memory that an instance has taken, or freed if it is negative."""
        self.group.memory.add(self.name, size)

    def trim_memory(self) -> None:
        """Evict idle instances while sandboxes hold more than they share."""
        while self.group.memory.is_over and self.group.evict(self.group.memory):
            pass

    @property
    def owes_instance(self) -> bool:
        """True if a sandbox waits for an instance that has at least two fewer: an instance is to be dropped for it."""
        instances = self.group.instances
        has = instances.used(self.name)
        return has > instances.own and any(instances.used(name) < has - 1 for name in self.group.waiting.values())

    def no_instance(self, limit: str, waited_seconds: float) -> LimitExceeded:
        """Return the error for a call that got no instance in time."""
        group, name = self.group, self.name
        group.count_refused(name, limit)
        shares = group.memory if limit == "shared_memory_bytes" else group.instances
        allowed = getattr(group.limits, limit)
        msg = (
            f"sandbox {name!r} got no instance in {waited_seconds:g} seconds: it uses {shares.used(name):,.0f} of "
            f"{limit}={allowed:,}, {shares.own:,.0f} are its own share, and others use what is left for all; raise "
            f"GroupLimits.{limit}"
        )
        return LimitExceeded(msg, limit=limit, allowed=allowed, sandbox=name)

    # ---- the processor's time ----------------------------------------------------------------------------------

    def enter(self) -> CpuMeter:
        """Begin to count the time of a call on this thread; `exit` has to follow. One inside another counts once.

        Raises:
            LimitExceeded: nothing is left in this period.
        """
        group, thread = self.group, threading.get_ident()
        with group.changed:
            meter = self._meters.get(thread)
            if meter is None:
                group.renew()
                left = group.cpu.left(self.name)
                if left <= 0:
                    raise self.no_time()
                meter = self._meters[thread] = CpuMeter(left)
            meter.depth += 1
            return meter

    def exit(self, meter: CpuMeter) -> None:
        """End a call."""
        with self.group.changed:
            meter.depth -= 1
            if not meter.depth:
                self._meters.pop(threading.get_ident(), None)
                self.group.renew()
                self.group.cpu.add(self.name, meter.seconds)

    def no_time(self) -> LimitExceeded:
        """Return the error for a call when the time of the period is used up."""
        group, limits = self.group, self.group.limits
        group.count_refused(self.name, "shared_cpu_seconds")
        allowed = limits.shared_cpu_seconds
        msg = (
            f"sandbox {self.name!r} has no time of the processor left for the next {group.renew():,.0f} seconds: its "
            f"own share of shared_cpu_seconds={allowed:,g} is {group.cpu.own:,g}, and what is left for all is used up; "
            "do less, wait, or raise GroupLimits.shared_cpu_seconds"
        )
        return LimitExceeded(msg, limit="shared_cpu_seconds", allowed=allowed, sandbox=self.name)
