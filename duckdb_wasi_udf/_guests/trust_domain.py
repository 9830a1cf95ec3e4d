"""One trust domain: limits, and the guests that run under them."""

from __future__ import annotations

import itertools
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._engine.coarse_clock import CoarseClock
from duckdb_wasi_udf._engine.engine import Engine, load_engine
from duckdb_wasi_udf._engine.epoch_clock import CANCEL
from duckdb_wasi_udf._errors import ClosedError, WasiUdfError
from duckdb_wasi_udf._guests.instance import GuestInstance
from duckdb_wasi_udf._guests.instance_registry import InstanceRegistry
from duckdb_wasi_udf._guests.numpy_use import mentions_numpy
from duckdb_wasi_udf._guests.output import Output
from duckdb_wasi_udf._guests.package_modules import PackageModules
from duckdb_wasi_udf._guests.recent_errors import CLOSED, RecentErrors
from duckdb_wasi_udf._guests.shutdown import close_at_exit
from duckdb_wasi_udf._guests.usage import Counters
from duckdb_wasi_udf._host_functions.audit import HostCallRecords
from duckdb_wasi_udf._host_functions.grants import Grants
from duckdb_wasi_udf._native.gate import NativeGate
from duckdb_wasi_udf._native.layouts import Blocked
from duckdb_wasi_udf._packages.collect import Packages, collect
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._process.steady_clock import SteadyClock
from duckdb_wasi_udf._telemetry.metrics import start_metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from duckdb_wasi_udf._arrow.sql_type import SqlTypeOf
    from duckdb_wasi_udf._engine.compiled_code import CodeStore
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.group import Member
    from duckdb_wasi_udf._host_functions.audit import HostCallRecord
    from duckdb_wasi_udf._host_functions.function import HostFunction
    from duckdb_wasi_udf._host_functions.imports import Finder
    from duckdb_wasi_udf._limits import DataLimits, ResourceLimits

# What goes into a guest with one call is this part of its memory: `batch_split.PIECES`.
_PIECES = 16


class _Closable(Protocol):
    """Something that keeps instances."""

    def close(self) -> None:
        """Close them."""


class _Query(Protocol):
    """Queries that can be stopped apart: see `Query`."""

    cancelled: bool
    stops_as: str

    def calls_this_thread(self) -> bool:
        """Return whether the thread runs a function for one of them."""

    def count(self, rows: int, seconds: float, error: BaseException | None) -> None:
        """Count a call of one of them."""


class TrustDomain:
    """What all functions of a sandbox share; knows nothing of DuckDB.

    Attributes:
        name: what metrics and spans call it.
        limits: what each instance may use.
        data_limits: what it may hand back.
        isolation: "function" or "batch".
        deterministic: guests have neither clock nor random source, and instances are all alike.
        compiled: row functions may be compiled.
        sql_type_of: looks SQL types up.
        clock: the clock of its engine, for `CallContext`.
        instances: all its instances.
        modules: what its guests can import beside the standard library.
        python_version: the version of Python in the guest.
        grants: the host functions that guests may call; None without any.
        errors: the errors of its calls.
        output: where what guests print goes.
        counters: what its functions did.
        refused_at: when something was last refused because it is closed, on `time.monotonic`.
        queries: those that can be stopped apart now.
        gate: the gate of calls that the native library makes by itself; None if it makes none.
        member: what its group counts for it; None if it is in none.
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
        packages: Sequence[str | os.PathLike[str]] | Packages,
        host_functions: Sequence[HostFunction],
        sql_type_of: SqlTypeOf,
        output: object = None,
        name: str | None = None,
        member: Member | None = None,
    ) -> None:
        """Prepare a trust domain; the first in a process loads the compiled guest, or compiles it for this machine.

        Args:
            limits: as for `Sandbox`, like all others.
            data_limits: likewise.
            isolation: likewise.
            deterministic: likewise.
            compiled: likewise.
            clock_resolution_seconds: likewise.
            packages: as for `Sandbox`, or their files.
            host_functions: as for `Sandbox`.
            sql_type_of: looks up the SQL types that functions and host functions have.
            output: as for `Sandbox`.
            name: likewise.
            member: what its group counts for it. It leaves the group when it is closed.
        """
        if name is not None and not isinstance(name, str):
            msg = f"name is text, got {name!r:.100}"
            raise TypeError(msg)
        self.name = f"sandbox-{next(state.sandbox_numbers)}" if name is None else name
        self.member = member
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
        self.errors = RecentErrors()
        self.output = Output(output)
        self.counters: Counters[Any] = Counters()
        guest = artifact.find()
        self._load_engine = partial(
            load_engine,
            timeout_seconds=limits.timeout_seconds,
            deterministic=deterministic,
            counts_fuel=limits.fuel is not None,
            coarse_clock=None if clock_resolution_seconds is None else CoarseClock(clock_resolution_seconds),
        )
        self._engine: Engine | None = self._load_engine(guest)
        self._numpy_engines: list[Engine] = []  # none or one; `narrowed` has the same list
        self._loading_numpy = threading.Lock()
        self.clock = self._engine.clock
        self.gate = self._make_gate(outputs=output is not None)
        self.instances = InstanceRegistry(limits, self.gate, member)
        self.python_version: str = guest.manifest["versions"]["python"]
        collected = (
            packages
            if isinstance(packages, Packages)
            else collect(packages, limit_bytes=limits.package_bytes, python_version=self.python_version)
        )
        self.modules = PackageModules(collected, guest)
        self._closed = False
        self._process = os.getpid()
        self.modules.check(self._engine_for, limits)
        self._finders: tuple[Finder, ...] = (self.modules.find,)
        state.ticker.interrupts.start()
        self._held: list[_Closable] = []
        self._functions: dict[int, Callable[..., Any]] = {}
        self._numbers = itertools.count()
        self.queries: tuple[_Query, ...] = ()
        self._changing_queries = threading.Lock()
        self.refused_at = 0.0
        close_at_exit(self)
        start_metrics()
        if member is not None:
            member.opened(self)

    def _make_gate(self, *, outputs: bool) -> NativeGate | None:
        """Return the gate of calls that the native library makes by itself; None if it makes none.

        What it can't do is to run Python of the user's inside of a call (host functions, `output`), where DuckDB has to
        know that the connection is in use, to count fuel and what a group shares, and to start instances.
        """
        native = state.native
        if (
            native is None
            or self.grants is not None
            or self.member is not None
            or outputs
            or self.isolation != "function"
        ):
            return None
        if self.limits.fuel is not None:
            return None
        clock = self.clock
        gate = NativeGate(
            native,
            tick_seconds=clock.tick_seconds,
            timeout_seconds=self.limits.timeout_seconds,
            result_bytes=self.data_limits.result_bytes,
            most_bytes=self.limits.memory_bytes // _PIECES,
        )
        clock.gate = self.errors.gate = gate
        state.ticker.tick_native(native, clock)
        return gate

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    def start(self, context: CallContext, definition: Definition) -> GuestInstance:
        """Return a fresh guest with one function defined, which is busy: see `GuestInstance`.

        Raises:
            ClosedError: the sandbox was closed.
        """
        engine = self._engine_for(definition)
        self.instances.reserve()
        try:
            instance = GuestInstance(
                context, engine, definition, self.limits, self.data_limits, self._finders, self.grants, self.output
            )
        except BaseException:
            self.instances.start_failed()
            raise
        self.instances.started(instance)
        return instance

    def uses_numpy(self, definition: Definition) -> bool:
        """Return whether a function runs on the guest that has numpy."""
        return mentions_numpy(definition, self.modules.with_numpy)

    def _engine_for(self, definition: Definition) -> Engine:
        """Return the engine of the guest for a function. That of the guest with numpy is loaded when it is needed.

        Raises:
            ClosedError: the sandbox was closed.
            ArtifactError: there is no guest with numpy.
        """
        engine = self._engine  # before the check: `close` may come at any time
        self.check_open()
        assert engine is not None
        if not self.uses_numpy(definition):
            return engine
        with self._loading_numpy:
            if not self._numpy_engines:
                self._numpy_engines.append(self._load_engine(artifact.find_numpy(), beside=engine))
            return self._numpy_engines[0]

    @property
    def code(self) -> CodeStore | None:
        """The machine code of compiled functions; None if none is compiled."""
        engine = self._engine
        return engine.code if self.compiled and engine is not None else None

    def hold(self, closable: _Closable) -> None:
        """Have something closed when the sandbox is."""
        self._held.append(closable)

    def add_function(self, function: Callable[..., Any]) -> int:
        """Keep what DuckDB calls, until the end; return its number, for `function`."""
        number = next(self._numbers)
        self._functions[number] = function
        return number

    def release(self, number: int) -> None:
        """Close a function that was added, and forget it: the database that called it is gone."""
        function = self._functions.pop(number, None)
        for held in (function, getattr(function, "function", None)):  # one of tables is around what is held
            if held in self._held:
                self._held.remove(held)
                held.close()

    def function(self, number: int) -> Callable[..., Any]:
        """Return a function that was added.

        Raises:
            ClosedError: the sandbox was closed.
        """
        try:
            return self._functions[number]
        except KeyError:  # closed at this very moment
            raise ClosedError(CLOSED) from None

    def report(self, error: WasiUdfError) -> None:
        """Keep an error for `error_of` and `Sandbox.last_error`."""
        self.errors.report(error)

    def check_open(self) -> None:
        """Raise `ClosedError` after `close`, and in a child process that was forked."""
        if self._closed:
            self.refused_at = SteadyClock.now()
            raise ClosedError(CLOSED)
        if self._process != os.getpid():
            msg = (
                "the sandbox was made before this process was forked; create another one here, and a connection, which "
                "doesn't survive a fork either"
            )
            raise ClosedError(msg)

    def cancel(self) -> None:
        """Stop the calls of the queries that are running: see `Sandbox.cancel`."""
        self.clock.cancel()
        self.modules.cancel()

    def add_query(self, query: _Query) -> None:
        """Have the calls that come in looked at: those of the query can be stopped apart."""
        with self._changing_queries:
            self.queries = (*self.queries, query)
            self._block_queries()

    def remove_query(self, query: _Query) -> None:
        """Forget a query."""
        with self._changing_queries:
            self.queries = tuple([other for other in self.queries if other is not query])
            self._block_queries()

    def _block_queries(self) -> None:
        """Have all calls come in through Python while there are queries that can be stopped apart."""
        if self.gate is not None:
            self.gate.block(Blocked.QUERIES, on=bool(self.queries))

    def audit(self) -> list[HostCallRecord]:
        """Return the record of host functions' calls, oldest first."""
        return HostCallRecords() if self.grants is None else self.grants.audit.records()

    def close(self) -> None:
        """Close all instances, and what is held."""
        self._closed = True
        if self.gate is not None and self.gate.usable:
            self.gate.block(Blocked.CLOSED, on=True)
        self._engine = None  # whoever keeps the sandbox doesn't keep the machine code
        self._numpy_engines = []
        self.instances.close()
        self.modules.close()
        for closable in self._held:
            closable.close()
        self._held.clear()
        self._functions = {}
        if self.member is not None:
            self.member.leave()


class IncomingCall(CallContext):
    """The context of a call from DuckDB: refused when the sandbox is closed, and its error is the sandbox's last.

    Attributes:
        queries: Those it belongs to, of the ones that can be stopped apart.
        rows: The rows of its batch.
    """

    __slots__ = ("_begun", "_domain", "_errors_before", "queries", "rows")

    def __init__(self, domain: TrustDomain, begun: int | None = None) -> None:
        """Prepare a call of a query, whose number is `begun` if it is known: see `Clock.cancel`."""
        super().__init__(domain.clock, domain.member)
        self._begun = begun
        self._domain = domain
        self._errors_before = domain.errors.number
        self.queries: tuple[_Query, ...] = ()
        self.rows = 0

    def __enter__(self) -> Self:
        queries = self._domain.queries
        try:
            self._domain.check_open()
            if queries:
                self.queries = tuple([query for query in queries if query.calls_this_thread()])
            super().__enter__()
        except WasiUdfError as error:
            self._domain.report(error)
            raise
        for query in self.queries:
            if query.cancelled:  # now that no later `cancel` misses this call
                self.stopped_by = query.stops_as
        if self._begun is not None and self._begun < self._domain.clock.cancelled:  # likewise
            self.stopped_by = CANCEL
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        for query in self.queries:
            query.count(self.rows, SteadyClock.now() - self.entered_at, error)
        errors = self._domain.errors
        if isinstance(error, WasiUdfError):
            errors.report(error)
        elif error is None and errors.is_pending:
            errors.succeeded(self._errors_before, self.entered_at)
