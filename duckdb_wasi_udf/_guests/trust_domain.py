"""One trust domain: limits, and the guests that run under them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.coarse_clock import CoarseClock
from duckdb_wasi_udf._engine.engine import Engine, load_engine
from duckdb_wasi_udf._engine.epoch_clock import ticker
from duckdb_wasi_udf._errors import ClosedError, WasiUdfError
from duckdb_wasi_udf._guests.instance import GuestInstance
from duckdb_wasi_udf._guests.instance_registry import Roster, Shelf
from duckdb_wasi_udf._guests.package_modules import Modules
from duckdb_wasi_udf._guests.shutdown import close_at_exit
from duckdb_wasi_udf._limits import DataLimits, ResourceLimits
from duckdb_wasi_udf._packages.collect import collect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._host_functions.audit import HostCallRecord
    from duckdb_wasi_udf._host_functions.grants import Grants
    from duckdb_wasi_udf._host_functions.imports import Finder


_T = TypeVar("_T")

CLOSED = "the sandbox is closed; create another one and install it"


class _Holder(Protocol):
    """Something that keeps instances."""

    def close(self) -> None:
        """Drop them."""


class TrustDomain:
    """What all functions of a sandbox share; knows nothing of DuckDB.

    Attributes:
        limits: what each instance may use.
        data_limits: what it may hand back.
        isolation: "function" or "batch".
        clock: to be entered around whatever may run guests.
        roster: all its instances.
        modules: what its guests can import beside the standard library.
        finders: asked in turn for what a guest wants by name: see `imports.Finder`.
        grants: the host functions that guests may call; None without any.
        last_error: the error that failed the most recent failed query. DuckDB passes on only its text.
        refused_at: when something was last refused because it is closed, on `time.monotonic`.
    """

    def __init__(
        self,
        *,
        limits: ResourceLimits | None = None,
        data_limits: DataLimits | None = None,
        isolation: str = "function",
        deterministic: bool = False,
        clock_resolution_seconds: float | None = None,
        packages: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        """Prepare a sandbox; the first in a process loads the compiled guest, or compiles it once for this machine.

        Args:
            limits: what each instance may use of the machine; `ResourceLimits()` by default.
            data_limits: what a call may hand back; `DataLimits()` by default.
            isolation: "function": the instances of a function serve batch after batch, and what the code leaves in its
                globals or modules may be seen by a later batch of the same function. "batch": every batch starts from
                the snapshot, for under a millisecond each (docs/performance.md).
            deterministic: the same batches give the same results in every run: time stands still at 2000-01-01, random
                numbers start from a fixed seed, and isolation is "batch", so that nothing depends on what ran before.
            clock_resolution_seconds: the clocks that functions see advance in steps of so many seconds, too large to
                measure what else the host does; None: they are the host's own.
            packages: what guests can import beside the standard library, read now: paths (a `Path`, or text that has a
                slash or ends in .whl, .zip or .py) of wheels, zips, directories and modules, and requirements such as
                "jinja2>=3", which take installed distributions with all they depend on. Pure Python only.

        Raises:
            ValueError: `isolation` is neither "function" nor "batch"; `clock_resolution_seconds` is no time, or
                there is no clock.
            ArtifactError: the guest is missing or damaged, or can't be compiled or cached.
            PackageError: a package isn't there, has native code, or clashes with another or the standard library.
            LimitExceeded: the packages are larger than `package_bytes`.
        """
        self.limits = limits if limits is not None else ResourceLimits()
        self.data_limits = data_limits if data_limits is not None else DataLimits()
        if isolation not in {"function", "batch"}:
            msg = f"isolation must be 'function' or 'batch', got {isolation!r}"
            raise ValueError(msg)
        self.isolation = "batch" if deterministic else isolation
        self._deterministic = deterministic
        if deterministic and clock_resolution_seconds is not None:
            msg = "with deterministic=True time stands still: leave out clock_resolution_seconds"
            raise ValueError(msg)
        self.last_error: WasiUdfError | None = None
        self.roster = Roster(self.limits)
        self.grants: Grants | None = None
        guest = artifact.find()
        self._engine: Engine | None = load_engine(
            guest,
            timeout_seconds=self.limits.timeout_seconds,
            deterministic=deterministic,
            counts_fuel=self.limits.fuel is not None,
            coarse_clock=None if clock_resolution_seconds is None else CoarseClock(clock_resolution_seconds),
        )
        self.clock = self._engine.clock
        python_version = guest.manifest["versions"]["python"]
        collected = collect(packages, limit_bytes=self.limits.package_bytes, python_version=python_version)
        self.modules = Modules(collected, guest)
        self.modules.check(self._engine, self.limits)
        self.finders: tuple[Finder, ...] = (self.modules.find,)
        ticker.interrupts.start()
        self._holders: list[_Holder] = []
        self._closed = False
        self.refused_at = 0.0
        self._process = os.getpid()
        close_at_exit(self)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def start(self, definition: Definition) -> GuestInstance:
        """A fresh guest with one function defined: see `GuestInstance`.

        Raises:
            ClosedError: the sandbox was closed.
        """
        engine = self._engine  # before the check: `close` may come at any time
        self.check_open()
        assert engine is not None
        self.roster.admit()
        try:
            instance = GuestInstance(engine, definition, self.limits, self.data_limits, self.finders, self.grants)
        except BaseException:
            self.roster.give_up()
            raise
        self.roster.add(instance)
        return instance

    def define(self, definition: Definition, describe: Callable[[GuestInstance], _T]) -> tuple[_T, Definition, Shelf]:
        """Define a function in a first instance, so that its mistakes show now.

        Args:
            definition: the function.
            describe: what is to be known of it, from the instance it was defined in.

        Returns:
            What `describe` says, the definition for further instances, and a shelf with the first, not bound before a
            batch shows the types. The shelf is empty if the sandbox is deterministic: the first compiled the code, the
            others are given it, so their objects lie elsewhere in memory, and which batch got the first would show.
        """
        first = self.start(definition)
        try:
            described = describe(first)
            compiled = first.compiled(definition)
        except BaseException:
            self.roster.drop(first)
            raise
        shelf: Shelf = []
        if self._deterministic:
            self.roster.drop(first)
        else:
            self.roster.put_back(shelf, first)
        return described, compiled, shelf

    def hold(self, holder: _Holder) -> None:
        """Have `holder` dropped when the sandbox is closed."""
        self._holders.append(holder)

    def report(self, error: WasiUdfError) -> None:
        """Keep an error as the most recent one, without its traceback, whose frames keep the instance alive."""
        self.last_error = error.with_traceback(None)

    def check_open(self) -> None:
        """Raise `ClosedError` after `close`, and in a child process that was forked."""
        if self._closed:
            self.refused_at = time.monotonic()
            raise ClosedError(CLOSED)
        if self._process != os.getpid():
            msg = (
                "the sandbox was made before this process was forked; create another one here, and a connection, which "
                "doesn't survive a fork either"
            )
            raise ClosedError(msg)

    def cancel(self) -> None:
        """Stop the calls that are running in this sandbox's guests; the queries behind them fail with `Cancelled`.

        From any thread, at any time. A query that is between two batches at the moment isn't noticed; call
        `con.interrupt()` as well, before, which DuckDB heeds there and nowhere else. Ctrl-C does the same to every
        sandbox.
        """
        self.clock.stop()
        self.modules.cancel()

    def audit(self) -> list[HostCallRecord]:
        """What guests have asked of host functions, oldest first: the last 10,000 calls."""
        return [] if self.grants is None else self.grants.audit.records()

    def close(self) -> None:
        """Drop all instances. Functions registered with DuckDB stay there and raise `ClosedError` when called."""
        self._closed = True
        self._engine = None  # DuckDB keeps the functions, and they the sandbox, but not the machine code
        self.roster.close()
        self.modules.close()
        for holder in self._holders:
            holder.close()
        self._holders.clear()

    def __enter__(self) -> Self:
        """Enter a context that closes the sandbox at its end."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Close the sandbox."""
        self.close()
