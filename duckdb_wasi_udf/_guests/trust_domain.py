"""One trust domain: limits, and the guests that run under them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Protocol

from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._engine.coarse_clock import CoarseClock
from duckdb_wasi_udf._engine.engine import Engine, load_engine
from duckdb_wasi_udf._errors import ClosedError, WasiUdfError
from duckdb_wasi_udf._guests.instance import GuestInstance
from duckdb_wasi_udf._guests.instance_registry import InstanceRegistry
from duckdb_wasi_udf._guests.package_modules import PackageModules
from duckdb_wasi_udf._guests.shutdown import close_at_exit
from duckdb_wasi_udf._host_functions.grants import Grants
from duckdb_wasi_udf._packages.collect import collect
from duckdb_wasi_udf._process import state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from duckdb_wasi_udf._arrow.sql_type import SqlTypeOf
    from duckdb_wasi_udf._engine.compiled_code import CodeStore
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._host_functions.audit import HostCallRecord
    from duckdb_wasi_udf._host_functions.function import HostFunction
    from duckdb_wasi_udf._host_functions.imports import Finder
    from duckdb_wasi_udf._limits import DataLimits, ResourceLimits

CLOSED = "the sandbox is closed; create another one and install it"


class _Closable(Protocol):
    """Something that keeps instances."""

    def close(self) -> None:
        """Close them."""


class TrustDomain:
    """What all functions of a sandbox share; knows nothing of DuckDB.

    Attributes:
        limits: what each instance may use.
        data_limits: what it may hand back.
        isolation: "function" or "batch".
        deterministic: guests have neither clock nor random source, and instances are all alike.
        compiled: row functions may be compiled.
        sql_type_of: looks SQL types up.
        clock: the clock of its engine, for `CallContext`.
        instances: all its instances.
        modules: what its guests can import beside the standard library.
        grants: the host functions that guests may call; None without any.
        last_error: the error that failed the most recent failed query.
        refused_at: when something was last refused because it is closed, on `time.monotonic`.
    """

    def __init__(
        self,
        *,
        limits: ResourceLimits,
        data_limits: DataLimits,
        isolation: str,
        deterministic: bool,
        compiled: bool,
        clock_resolution_seconds: float | None,
        packages: Sequence[str | os.PathLike[str]],
        host_functions: Sequence[HostFunction],
        sql_type_of: SqlTypeOf,
    ) -> None:
        """Prepare a trust domain; the first in a process loads the compiled guest, or compiles it for this machine.

        Args:
            limits: as for `Sandbox`, like all others.
            data_limits: likewise.
            isolation: likewise.
            deterministic: likewise.
            compiled: likewise.
            clock_resolution_seconds: likewise.
            packages: likewise.
            host_functions: likewise.
            sql_type_of: looks up the SQL types that functions and host functions have.
        """
        self.limits = limits
        self.data_limits = data_limits
        if isolation not in {"function", "batch"}:
            msg = f"isolation must be 'function' or 'batch', got {isolation!r}"
            raise ValueError(msg)
        self.isolation = "batch" if deterministic else isolation
        self.deterministic = deterministic
        self.compiled = compiled
        if deterministic and clock_resolution_seconds is not None:
            msg = "with deterministic=True time stands still: leave out clock_resolution_seconds"
            raise ValueError(msg)
        self.sql_type_of = sql_type_of
        self.grants = Grants(host_functions, sql_type_of) if host_functions else None
        self.last_error: WasiUdfError | None = None
        self.instances = InstanceRegistry(limits)
        guest = artifact.find()
        self._engine: Engine | None = load_engine(
            guest,
            timeout_seconds=limits.timeout_seconds,
            deterministic=deterministic,
            counts_fuel=limits.fuel is not None,
            coarse_clock=None if clock_resolution_seconds is None else CoarseClock(clock_resolution_seconds),
        )
        self.clock = self._engine.clock
        python_version = guest.manifest["versions"]["python"]
        collected = collect(packages, limit_bytes=limits.package_bytes, python_version=python_version)
        self.modules = PackageModules(collected, guest)
        self.modules.check(self._engine, limits)
        self._finders: tuple[Finder, ...] = (self.modules.find,)
        state.ticker.interrupts.start()
        self._held: list[_Closable] = []
        self._closed = False
        self.refused_at = 0.0
        self._process = os.getpid()
        close_at_exit(self)

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    def start(self, context: CallContext, definition: Definition) -> GuestInstance:
        """Return a fresh guest with one function defined, which is busy: see `GuestInstance`.

        Raises:
            ClosedError: the sandbox was closed.
        """
        engine = self._engine  # before the check: `close` may come at any time
        self.check_open()
        assert engine is not None
        self.instances.reserve()
        try:
            instance = GuestInstance(
                context, engine, definition, self.limits, self.data_limits, self._finders, self.grants
            )
        except BaseException:
            self.instances.start_failed()
            raise
        self.instances.started(instance)
        return instance

    @property
    def code(self) -> CodeStore | None:
        """The machine code of compiled functions; None if none is compiled."""
        engine = self._engine
        return engine.code if self.compiled and engine is not None else None

    def hold(self, closable: _Closable) -> None:
        """Have something closed when the sandbox is."""
        self._held.append(closable)

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
        """Stop the calls that are running in this sandbox's guests: see `Sandbox.cancel`."""
        self.clock.stop()
        self.modules.cancel()

    def audit(self) -> list[HostCallRecord]:
        """Return the record of host functions' calls, oldest first."""
        return [] if self.grants is None else self.grants.audit.records()

    def close(self) -> None:
        """Close all instances, and what is held."""
        self._closed = True
        self._engine = None  # DuckDB keeps the functions, and they the sandbox, but not the machine code
        self.instances.close()
        self.modules.close()
        for closable in self._held:
            closable.close()
        self._held.clear()


class IncomingCall(CallContext):
    """The context of a call from DuckDB: refused when the sandbox is closed, and its error is the sandbox's last."""

    __slots__ = ("_domain",)

    def __init__(self, domain: TrustDomain) -> None:
        super().__init__(domain.clock)
        self._domain = domain

    def __enter__(self) -> Self:
        try:
            self._domain.check_open()
        except ClosedError as error:
            self._domain.report(error)
            raise
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        if isinstance(error, WasiUdfError):
            self._domain.report(error)
