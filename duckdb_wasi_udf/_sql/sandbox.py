"""The sandbox, as users have it."""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._display import html
from duckdb_wasi_udf._display.explanation import Explanation
from duckdb_wasi_udf._guests.trust_domain import TrustDomain
from duckdb_wasi_udf._limits import DataLimits, ResourceLimits, changed_limits, check_kinds
from duckdb_wasi_udf._sql.connections import connection_of
from duckdb_wasi_udf._sql.creating_call import CreatingCall
from duckdb_wasi_udf._sql.fetch import fetch
from duckdb_wasi_udf._sql.function_creation import FunctionCreation
from duckdb_wasi_udf._sql.function_list import FunctionList
from duckdb_wasi_udf._sql.function_registry import FunctionRegistry
from duckdb_wasi_udf._sql.installation import install_functions
from duckdb_wasi_udf._sql.origins import called_interactively
from duckdb_wasi_udf._sql.query import Query
from duckdb_wasi_udf._sql.trial import describe_source, try_source
from duckdb_wasi_udf._sql.types import sql_type_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from typing import Self

    import duckdb
    from _typeshed import SupportsWrite

    from duckdb_wasi_udf._errors import WasiUdfError
    from duckdb_wasi_udf._guests.sandbox_group import SandboxGroup
    from duckdb_wasi_udf._guests.usage import SandboxUsage
    from duckdb_wasi_udf._host_functions.audit import HostCallRecord
    from duckdb_wasi_udf._host_functions.function import HostFunction
    from duckdb_wasi_udf._sql.trial import FunctionDescription, Trial


class Sandbox(FunctionCreation):
    """Runs untrusted Python in DuckDB queries, under limits, with nothing granted.

    Functions belong to the sandbox they were created with. It stays open until it is closed, or until nobody refers to
    it and the databases are closed that have functions of it.

    Examples:
        >>> import duckdb, duckdb_wasi_udf as wasi_udf
        >>> con = duckdb.connect()
        >>> sandbox = wasi_udf.Sandbox(limits=wasi_udf.ResourceLimits(timeout_seconds=1.0)).install(con)
        >>> con.sql("SELECT py_udf('lambda s: s.title()', 'ada lovelace') AS name").fetchall()
        [('Ada Lovelace',)]
    """

    def __init__(
        self,
        *,
        limits: ResourceLimits | None = None,
        data_limits: DataLimits | None = None,
        host_functions: Sequence[HostFunction] = (),
        packages: Sequence[str | os.PathLike[str]] = (),
        isolation: str = "function",
        deterministic: bool = False,
        compiled: bool = True,
        clock_resolution_seconds: float | None = None,
        allow_inline: bool = True,
        allow_create: bool = True,
        output: SupportsWrite[str] | Callable[[str], object] | None = None,
        name: str | None = None,
        group: SandboxGroup | None = None,
    ) -> None:
        """Prepare a sandbox; the first in a process loads the compiled guest, or compiles it once for this machine.

        Args:
            limits: what each instance may use of the machine; `ResourceLimits()` by default.
            data_limits: what a call may hand back; `DataLimits()` by default.
            host_functions: what guests may call of the host, as `host.<name>`; nothing by default.
            packages: what guests can import beside the standard library, read now: paths (a `Path`, or text that has a
                slash or ends in .whl, .zip or .py) of wheels, zips, directories and modules, and requirements such as
                "jinja2>=3", which take installed distributions with all they depend on. Pure Python only.
            isolation: "function": the instances of a function serve batch after batch, and what the code leaves in its
                globals or modules may be seen by a later batch of the same function. "batch": every batch starts from
                the snapshot, for under a millisecond each (docs/explanation/performance.md).
            deterministic: the same batches give the same results in every run: time stands still at 2000-01-01, random
                numbers start from a fixed seed, and isolation is "batch".
            compiled: row functions that run for long are compiled to WebAssembly (docs/guide/compiled-functions.md).
                False: the interpreter runs all, and no code that guests make reaches wasmtime's compiler.
            clock_resolution_seconds: the step of the clocks that functions see, too large to measure what else the host
                does; None: they are the host's own.
            allow_inline: queries may bring code along; without it, `install` leaves out `py_udf`, its typed forms,
                `py_agg`, `py_table` and `py_map_batches`.
            allow_create: queries may create and drop functions, and those stored in the database are restored; without
                it, only what the host registers runs.
            output: takes what functions print, once a batch: a callable such as `print`, or a text file such as
                `sys.stdout`. None: the logger `duckdb_wasi_udf.guest`; in IPython `sys.stdout`, unless it logs INFO.
            name: what OpenTelemetry's metrics and spans call the sandbox; None for a number.
            group: sandboxes that this one shares a budget with, under its name; None: with nobody.

        Raises:
            TypeError: `output` is neither; `name` is no text, or missing in a group; limits aren't of their class.
            ValueError: the group has an open sandbox of this name; `isolation` is neither "function" nor "batch";
                `clock_resolution_seconds` is no time, or there is no clock.
            SignatureError: two host functions have one name, or one has a type that can't be passed.
            ArtifactError: the guest is missing or damaged, or can't be compiled or cached.
            PackageError: a package isn't there, has native code, or clashes with another or the standard library.
            LimitExceeded: the packages are larger than `package_bytes`, or the group has all sandboxes it may have.
            ClosedError: the group was closed.
        """
        check_kinds(limits, data_limits)
        member = None if group is None else group._group.join(name)
        with contextlib.ExitStack() as failed:
            if member is not None:
                failed.callback(member.leave)
            self._domain = TrustDomain(
                limits=limits if limits is not None else ResourceLimits(),
                data_limits=data_limits if data_limits is not None else DataLimits(),
                isolation=isolation,
                deterministic=deterministic,
                compiled=compiled,
                clock_resolution_seconds=clock_resolution_seconds,
                packages=packages,
                host_functions=host_functions,
                sql_type_of=sql_type_of,
                output=output,
                name=name,
                member=member,
            )
            failed.pop_all()
        self._registry = FunctionRegistry(self._domain)
        self._allow_inline = allow_inline
        self._allow_create = allow_create
        weakref.finalize(self, self._domain.close).atexit = False

    @property
    def limits(self) -> ResourceLimits:
        """Limits of each instance on the machine's resources."""
        return self._domain.limits

    @property
    def data_limits(self) -> DataLimits:
        """Limits of what a call may return."""
        return self._domain.data_limits

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._domain.closed

    @property
    def last_error(self) -> WasiUdfError | None:
        """Error behind the exception that is being handled; else that of this thread's last query, if it failed.

        Outside of an `except` block errors that aren't this package's go unnoticed: use `error_of(exception)`.
        """
        return self._domain.errors.last()

    def install(self, con: duckdb.DuckDBPyConnection, *, replace: bool = False) -> Sandbox:
        """Register the `py_*` SQL functions, and the functions that are stored in the database.

        They belong to the database: every connection sees them, whichever is closed. Installing again does nothing. It
        is no part of an open transaction. What is stored and can't be defined is logged: see `py_functions()`.

        Args:
            con: any connection of the database.
            replace: another sandbox may be installed, as always in a notebook or an interactive shell. What was
                created with `py_create_function` goes with it, unless it is stored.

        Returns:
            The sandbox itself.

        Raises:
            SignatureError: another sandbox is installed, or something else has one of the names.
            ClosedError: the sandbox was closed.
        """
        with CreatingCall(self._domain) as context:
            install_functions(
                context,
                self._registry,
                connection_of(con, "sandbox.install(con)"),
                self,
                allow_inline=self._allow_inline,
                allow_create=self._allow_create,
                replace=replace or called_interactively(),
            )
        return self

    def try_function(
        self,
        source: str,
        table: Any,
        *,
        entry: str | None = None,
        limit: int = 20,
        limits: ResourceLimits | None = None,
    ) -> Trial:
        """Run source text on the first rows of a table, to see what it does: for code that a language model wrote.

        Nothing is registered, and the trial doesn't count for `usage()` and `last_error`. The code gets the sandbox's
        packages and host functions, whose calls are in `audit()`. `cancel()` stops it.

        Args:
            source: the code, or an answer that has it in a Markdown block.
            table: what it is tried on: a relation (`con.table("t")`, `con.sql("SELECT ...")`), a pyarrow, pandas or
                polars table, a dict of columns, or a list of dicts. A parameter takes the column of its name; if no
                parameter is named like a column, they take the columns in order.
            entry: the name of the function that is meant; None as for `create_function`.
            limit: the number of rows, at most 2048.
            limits: what the code may use; None for a second, 128 MiB and 1,000 host calls, or less if the sandbox has
                less.

        Returns:
            The rows with their results and what the code printed; or an error whose `for_model()` says what a repair
            needs.

        Raises:
            ValueError: `limit` is no such number.
            SignatureError: `table` or `source` is something else.
            duckdb.Error: the relation can't be read.
            ArtifactError: the code imports numpy, and the guest with numpy is missing or damaged.
            ClosedError: the sandbox was closed.
        """
        return try_source(self._domain, source, table, entry=entry, limit=limit, limits=limits)

    def describe(self, source: str, *, entry: str | None = None) -> FunctionDescription:
        """Return name, parameters, result and missing imports of a function in source text, without running a row.

        The code is loaded under the limits of `try_function`, so what it does at its top level happens.

        Args:
            source: the code, or an answer that has it in a Markdown block.
            entry: the name of the function that is meant; None as for `create_function`.

        Returns:
            What is known of it; its `error` if it can't be loaded.

        Raises:
            SignatureError: `source` is no text.
            ArtifactError: as for `try_function`.
            ClosedError: the sandbox was closed.
        """
        return describe_source(self._domain, source, entry=entry)

    def failed_rows(self, name: str) -> int:
        """Return the number of rows that are NULL because a function raised, under `exception_handling="return_null"`.

        Args:
            name: the SQL name it was last created with.

        Returns:
            The number of rows since then, over all queries.

        Raises:
            SignatureError: the sandbox has no function of that name.
        """
        return self._registry.find(name).failed_rows

    def explain(self, name: str) -> str:
        """Return in words whether a function can be compiled, and if not, because of which line and construct.

        There is a line for each set of argument types that it was called with, or for the declared types.

        Args:
            name: the SQL name it was last created with.
        """
        with CreatingCall(self._domain) as context:
            return Explanation(self._registry.find(name).explain(context))

    def audit(self) -> list[HostCallRecord]:
        """Return the record of the calls that guests made of host functions, oldest first: the last 10,000."""
        return self._domain.audit()

    def usage(self) -> SandboxUsage:
        """Return what the sandbox uses now, and what its functions have done, inline code included."""
        return self._domain.counters.read(self._domain.instances, self._domain.errors)

    def query(self, con: duckdb.DuckDBPyConnection) -> Query:
        """Return a context manager whose `cancel` stops what `con` runs within the block, and no other query."""
        return Query(self._domain, con)

    async def fetch(self, con: duckdb.DuckDBPyConnection, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run a query without blocking the event loop of asyncio, and return its rows.

        When the task is cancelled, or `asyncio.timeout` runs out, the query is stopped within a few milliseconds at
        whatever point it is, and no other query of the sandbox.

        Args:
            con: a connection. The query runs on a cursor of it, on a thread of the loop's executor, so several may run
                at once, without the temporary tables and the open transaction of `con`.
            query: SQL.
            parameters: as for `DuckDBPyConnection.execute`.

        Returns:
            All rows, as of `fetchall`.

        Raises:
            duckdb.Error: the query failed; `error_of` finds the error of a function behind it.
            ClosedError: the sandbox was closed.
        """
        return await fetch(self._domain, connection_of(con, "sandbox.fetch(con, query)"), query, parameters)

    def cancel(self) -> None:
        """Stop the guests that run, and the queries that have begun to call functions: these fail with `Cancelled`.

        From any thread, at any time. Queries that begin later aren't affected. A query that is between two batches
        fails with its next one if its functions go through DuckDB's C API, or are table functions; others aren't
        noticed then. `query` stops any query of one connection.
        """
        self._domain.cancel()

    def close(self) -> None:
        """Close all instances. Functions registered with DuckDB stay there and raise `ClosedError` when called."""
        self._domain.close()

    def __enter__(self) -> Self:
        """Enter a context that closes the sandbox at its end."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """Return its state, the limits that differ from the default, and its numbers of functions and instances."""
        changed = [*changed_limits(self.limits), *changed_limits(self.data_limits)]
        counted = f"{len(self._registry.functions)} named function(s), {len(self._domain.instances)} live instance(s)"
        return f"<Sandbox: {', '.join(['closed' if self.closed else 'open', *changed, counted])}>"

    def __str__(self) -> str:
        """Return its state and a table of its functions, inline code included."""
        listed = self._listed()
        return f"{self!r}\n{listed!r}" if len(listed) else repr(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: state, use and functions."""
        usage = self.usage()
        hit = ", ".join(f"{name} {count:,}" for name, count in usage.limits_hit.items())
        headings = ("instances", "waiting calls", "memory", "calls", "rows", "errors", "limits hit")
        memory = f"{usage.memory_bytes / 2**20:,.1f} MiB"
        row = (
            usage.instances,
            usage.waiting_calls,
            memory,
            usage.calls,
            usage.rows,
            usage.errors,
            hit or "none",
        )
        head = html.element(
            "div", html.element("strong", "Sandbox"), repr(self).removeprefix("<Sandbox").removesuffix(">")
        )
        return head + html.table(headings, [row]) + self._listed()._repr_html_()

    def _listed(self) -> FunctionList:
        inline = [function for function in self._domain.counters.functions() if function.inline]
        return FunctionList([*self._registry.functions.values(), *inline])
