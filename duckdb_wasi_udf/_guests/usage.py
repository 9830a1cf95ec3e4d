"""What the functions of a sandbox did, named and inline, added up."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from duckdb_wasi_udf._guests.budget import Usage

if TYPE_CHECKING:
    from duckdb_wasi_udf._guests.budget import Budget
    from duckdb_wasi_udf._guests.instance_registry import InstanceRegistry
    from duckdb_wasi_udf._guests.recent_errors import RecentErrors


class _Counted(Protocol):
    """A function that has a budget."""

    kind: str
    inline: bool

    @property
    def usage(self) -> Usage:
        """Counters since it was created."""


_Function = TypeVar("_Function", bound=_Counted)

# Name and kind of the functions whose counters are added up together; no name stands for all inline code.
FunctionKey = tuple[str | None, str]

# Names that counters are kept for after their functions are gone: queries may create functions of any name.
_MOST_NAMES = 1_000

# Functions that are gone and not added up yet, after which a new one adds them up.
_MOST_ENDED = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxUsage:
    """What a sandbox uses now, and what its functions have done since it was created, inline code included.

    Attributes:
        functions: functions that are defined now: named ones, and the inline code that is cached.
        instances: live instances, idle and busy.
        waiting_calls: calls that wait for an instance because all are busy.
        memory_bytes: linear memory that the instances have taken beyond the snapshot's, as of the end of the last call
            of each.
        peak_memory_bytes: the most linear memory that one instance had at the end of a call.
        calls: batches and steps of scans, those that failed included.
        rows: rows of the calls that didn't fail.
        native_rows: those of them that went through DuckDB's C API, without Python.
        errors: calls that failed.
        guest_seconds: time inside guests, in calls that left their instance sound.
        host_seconds: the rest of the time that calls took: waiting for an instance, copying, host functions.
        limits_hit: the number of errors that each limit has caused, by its name.
    """

    functions: int
    instances: int
    waiting_calls: int
    memory_bytes: int
    peak_memory_bytes: int
    calls: int
    rows: int
    native_rows: int
    errors: int
    guest_seconds: float
    host_seconds: float
    limits_hit: dict[str, int]


class Counters(Generic[_Function]):
    """The functions of a sandbox, and the counters of those that are gone; safe for use by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._functions: weakref.WeakKeyDictionary[_Function, FunctionKey] = weakref.WeakKeyDictionary()
        # Filled by finalizers, which run at any moment, so without a lock.
        self._ended: deque[tuple[FunctionKey, Usage]] = deque()
        self._gone: dict[FunctionKey, Usage] = {}

    def add(self, function: _Function, label: str, budget: Budget) -> None:
        """Count a function for as long as it is there, and what it did afterwards.

        Args:
            function: the function.
            label: how errors name it.
            budget: its own, which it keeps.
        """
        key = (None if function.inline else label, function.kind)
        weakref.finalize(budget, self._ended.append, (key, budget.usage)).atexit = False
        with self._lock:
            self._functions[function] = key
            if len(self._ended) > _MOST_ENDED:
                self._add_up_ended()

    def functions(self) -> list[_Function]:
        """Return the functions that are there, in no order."""
        with self._lock:
            return list(self._functions)

    def by_function(self) -> dict[FunctionKey, Usage]:
        """Return the counters of each named function, and of all inline code of a kind together.

        Each of them only grows: a function that replaces another of its name and kind counts on.
        """
        with self._lock:
            functions = list(self._functions.items())
            self._add_up_ended()
            found = {key: [usage] for key, usage in self._gone.items()}
            for function, key in functions:
                found.setdefault(key, []).append(function.usage)
        return {key: _sum(usages) for key, usages in found.items()}

    def read(self, instances: InstanceRegistry, errors: RecentErrors) -> SandboxUsage:
        """Return what the sandbox uses and did."""
        with self._lock:
            functions = list(self._functions)
            self._add_up_ended()
            total = _sum([*self._gone.values(), *(function.usage for function in functions)])
        return SandboxUsage(
            functions=len(functions),
            instances=len(instances),
            waiting_calls=instances.waiting,
            memory_bytes=instances.held_bytes,
            peak_memory_bytes=total.peak_memory_bytes,
            calls=total.calls,
            rows=total.rows,
            native_rows=total.native_rows,
            errors=total.errors,
            guest_seconds=total.guest_seconds,
            host_seconds=total.seconds - total.guest_seconds,
            limits_hit=dict(errors.limits_hit),
        )

    def _add_up_ended(self) -> None:
        while self._ended:
            key, usage = self._ended.popleft()
            if key not in self._gone and len(self._gone) >= _MOST_NAMES:
                key = (None, key[1])
            self._gone[key] = _sum([self._gone.get(key, Usage()), usage])


def _sum(usages: list[Usage]) -> Usage:
    return Usage(
        calls=sum(usage.calls for usage in usages),
        rows=sum(usage.rows for usage in usages),
        errors=sum(usage.errors for usage in usages),
        seconds=sum(usage.seconds for usage in usages),
        guest_seconds=sum(usage.guest_seconds for usage in usages),
        peak_memory_bytes=max((usage.peak_memory_bytes for usage in usages), default=0),
        native_rows=sum(usage.native_rows for usage in usages),
    )
