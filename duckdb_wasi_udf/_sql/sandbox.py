"""The sandbox, as users have it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from duckdb_wasi_udf._guests.trust_domain import IncomingCall, TrustDomain
from duckdb_wasi_udf._limits import DataLimits, ResourceLimits, changed_limits
from duckdb_wasi_udf._sql.connections import connection_of
from duckdb_wasi_udf._sql.creating_call import CreatingCall
from duckdb_wasi_udf._sql.function_registry import FunctionRegistry
from duckdb_wasi_udf._sql.installation import install_functions
from duckdb_wasi_udf._sql.origins import called_interactively
from duckdb_wasi_udf._sql.streams import Streams
from duckdb_wasi_udf._sql.types import sql_type_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from typing import Self

    import duckdb
    from _typeshed import SupportsWrite

    from duckdb_wasi_udf._errors import WasiUdfError
    from duckdb_wasi_udf._guests.usage import SandboxUsage
    from duckdb_wasi_udf._host_functions.audit import HostCallRecord
    from duckdb_wasi_udf._host_functions.function import HostFunction

    _Function = TypeVar("_Function", bound=Callable[..., Any])


class Sandbox:
    """Runs untrusted Python in DuckDB queries, under limits, with nothing granted.

    Functions belong to the sandbox they were created with. It stays open until it is closed, or until nobody refers to
    it and the databases are closed that have functions of it.

    Example:
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
        clock_resolution_seconds: float | None = None,
        allow_inline: bool = True,
        allow_create: bool = True,
        output: SupportsWrite[str] | Callable[[str], object] | None = None,
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
            clock_resolution_seconds: the step of the clocks that functions see, too large to measure what else the host
                does; None: they are the host's own.
            allow_inline: queries may bring code along; without it, `install` leaves out `py_udf`, its typed forms,
                `py_agg`, `py_table` and `py_map_batches`.
            allow_create: queries may create and drop functions, and those stored in the database are restored; without
                it, only what the host registers runs.
            output: takes what functions print, once a batch: a callable such as `print`, or a text file such as
                `sys.stdout`. None: the logger `duckdb_wasi_udf.guest`; in IPython `sys.stdout`, unless it logs INFO.

        Raises:
            TypeError: `output` is neither.
            ValueError: `isolation` is neither "function" nor "batch"; `clock_resolution_seconds` is no time, or
                there is no clock.
            SignatureError: two host functions have one name, or one has a type that can't be passed.
            ArtifactError: the guest is missing or damaged, or can't be compiled or cached.
            PackageError: a package isn't there, has native code, or clashes with another or the standard library.
            LimitExceeded: the packages are larger than `package_bytes`.
        """
        self._domain = TrustDomain(
            limits=limits if limits is not None else ResourceLimits(),
            data_limits=data_limits if data_limits is not None else DataLimits(),
            isolation=isolation,
            deterministic=deterministic,
            clock_resolution_seconds=clock_resolution_seconds,
            packages=packages,
            host_functions=host_functions,
            sql_type_of=sql_type_of,
            output=output,
        )
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

    def create_function(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        function: Callable[..., Any] | str,
        parameters: Sequence[Any] | None = None,
        return_type: Any = None,
        *,
        type: Any = "native",  # noqa: A002 - DuckDB's name
        null_handling: Any = "default",
        exception_handling: Any = "default",
        side_effects: bool = False,
        entry: str | None = None,
        replace: bool = False,
    ) -> duckdb.DuckDBPyConnection:
        """Register a scalar function that runs in the sandbox.

        The parameters are those of `DuckDBPyConnection.create_function`
        (https://duckdb.org/docs/stable/clients/python/function).

        Args:
            con: the connection to register with; every connection of the database sees the function.
            name: its SQL name.
            function: a callable, which is shipped with the functions, classes and values it uses, or source text.
            parameters: the SQL type of each parameter, as str, `DuckDBPyType` or Python type; None to go by
                annotations, where a parameter without one takes any type.
            return_type: the SQL type of the result, likewise; None to go by the annotation, and without one to infer
                the type and return VARIANT.
            type: "native", a function called once a row, or once a batch if its parameters are annotated with `Column`.
                "arrow": called once a batch with a `Column` for each parameter; it returns a column, list or other
                iterable with a value for each row.
            null_handling: "default": NULL in gives NULL out and the function isn't called, except for parameters
                annotated with `| None`. "special": every NULL arrives as None.
            exception_handling: "default": an exception fails the query. "return_null": it makes its row NULL.
            side_effects: the function must be called for each row, even with constant arguments.
            entry: the name of the function that is meant in source text with several; None for the one that is named
                like the SQL function, or else the only one that no other uses.
            replace: take over the name from a function of a sandbox, which running queries go on with. In a notebook
                the same definition, when it is run again, does so anyway.

        Returns:
            The connection.

        Raises:
            SignatureError: the function can't be shipped, or its types don't fit; the message names the culprit.
            GuestError: the code doesn't compile, or raised while it was loaded.
            duckdb.Error: DuckDB refused the registration, as when the name is taken.
        """
        options = {"type": type, "null_handling": null_handling, "exception_handling": exception_handling}
        options |= {"side_effects": side_effects, "entry": entry}
        with CreatingCall(self._domain) as context:
            creation = self._registry.create_scalar(context, name, function, parameters, return_type, **options)
            self._registry.enter(con, self, name, function, creation, replace=replace)
        return con

    def create_aggregate_function(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        function: Callable[..., Any] | str,
        parameters: Sequence[Any] | None = None,
        return_type: Any = None,
        *,
        entry: str | None = None,
        replace: bool = False,
    ) -> duckdb.DuckDBPyConnection:
        """Register an aggregate function that runs in the sandbox.

        Queries call it with the lists that DuckDB's `list` makes of groups, `name(list(x), list(y))`, because DuckDB
        takes aggregates from C only: DISTINCT, ORDER BY, FILTER and OVER belong inside, to `list`.

        Args:
            con: the connection to register with; every connection of the database sees the function.
            name: its SQL name.
            function: a callable or source text, as in `create_function`. A function gets a list of the group's values
                for each column, NULLs as None. A class is instantiated for each group; its `step` gets the values of
                each row, except rows with a NULL where the annotation has no `| None`; `finish()` gives the result.
            parameters: the SQL type of each column's values (not of the list), likewise; None to go by annotations.
            return_type: the SQL type of the result; None to go by the annotation of the function or of `finish`, and
                without one to infer the type and return VARIANT.
            entry: as for `create_function`.
            replace: likewise.

        Returns:
            The connection.

        Raises:
            WasiUdfError: as for `create_function`, like `duckdb.Error`.
        """
        with CreatingCall(self._domain) as context:
            creation = self._registry.create_aggregate(context, name, function, parameters, return_type, entry=entry)
            self._registry.enter(con, self, name, function, creation, replace=replace)
        return con

    def create_table_function(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        function: Callable[..., Any] | str,
        schema: Any = None,
        *,
        entry: str | None = None,
        replace: bool = False,
    ) -> duckdb.DuckDBPyConnection:
        """Register a table function that runs in the sandbox: a generator, or a function that returns an iterable.

        It is called anew for every scan and gives rows as they are wanted, 2048 at a time. Each is a tuple, dict, named
        tuple or dataclass instance with a value for every column; of a single column, named as the function, the value
        alone. `Columns` gives many rows at once.

        Args:
            con: the connection to register with. Every connection of the database sees the function; of a read-only
                database only this one, others write `FROM query(name(...))`.
            name: its SQL name, for a table macro in the current schema, which a database file keeps, and for the scalar
                function behind it.
            function: a callable, which is shipped, or source text: see `create_function`.
            schema: the columns, as a dict of names and SQL types, or the SQL type of a row, such as
                "STRUCT(id BIGINT, tag VARCHAR)" or "DATE"; each type as str, `DuckDBPyType` or Python type. Or a def or
                lambda that returns either for the arguments of a call, in the sandbox while a query is bound. None to
                go by a function `schema` in the source text, by the annotation (`Iterator[Row]`), and without one by
                the first 2048 rows, for which binding a query calls the function.
            entry: as for `create_function`.
            replace: likewise.

        Returns:
            The connection.

        Raises:
            WasiUdfError: as for `create_function`, like `duckdb.Error`.
        """
        with CreatingCall(self._domain) as context:
            streams = Streams.of(con)
            creation = self._registry.create_table(context, name, function, schema, entry=entry, streams=streams)
            self._registry.enter(con, self, name, function, creation, replace=replace)
        return con

    def map_batches(
        self, relation: duckdb.DuckDBPyRelation, function: Callable[..., Any] | str, schema: Any = None
    ) -> duckdb.DuckDBPyRelation:
        """Make other rows of a relation's rows, in the sandbox.

        Args:
            relation: the input. It is read when the result is, each time, in its order and in batches of up to 2048
                rows, through a cursor of its connection, so it can't have temporary tables, changes that aren't
                committed or parameters.
            function: called for each row with the columns as arguments, in order; gives an iterable of rows, or None.
                Or a class: an object of it is made for each scan, whose `process` is called for each row, and then its
                `finish`, if it has one. A callable or class is shipped; or source text.
            schema: the columns of the result: see `create_table_function`.

        Returns:
            A relation on the same connection.

        Raises:
            SignatureError: the function can't be shipped, its types don't fit, or the relation can't be read.
            GuestError: the code doesn't compile, or raised while it was loaded.
        """
        with CreatingCall(self._domain), IncomingCall(self._domain) as context:
            return self._registry.map_batches(context, relation, function, schema, owner=self)

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

    def function(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str | None = None,
        *,
        parameters: Sequence[Any] | None = None,
        return_type: Any = None,
        type: Any = "native",  # noqa: A002 - DuckDB's name
        null_handling: Any = "default",
        exception_handling: Any = "default",
        side_effects: bool = False,
        replace: bool = False,
    ) -> Callable[[_Function], _Function]:
        """Decorate a def to register it: see `create_function`.

        Args:
            con: the connection to register with.
            name: its SQL name; the def's own by default.
            parameters: as for `create_function`, like the others.
            return_type: likewise.
            type: likewise.
            null_handling: likewise.
            exception_handling: likewise.
            side_effects: likewise.
            replace: likewise.

        Returns:
            A decorator that leaves the def as it is.

        Raises:
            SignatureError: `con` is no connection, as when the decorator is written without `(con)`.
        """
        connection_of(con, "@sandbox.function(con)")

        options = {"type": type, "null_handling": null_handling, "exception_handling": exception_handling}
        options |= {"parameters": parameters, "return_type": return_type, "side_effects": side_effects}

        def register(function: _Function) -> _Function:
            self.create_function(con, name or function.__name__, function, replace=replace, **options)
            return function

        return register

    def audit(self) -> list[HostCallRecord]:
        """Return the record of the calls that guests made of host functions, oldest first: the last 10,000."""
        return self._domain.audit()

    def usage(self) -> SandboxUsage:
        """Return what the sandbox uses now, and what its functions have done, inline code included."""
        return self._domain.counters.read(self._domain.instances, self._domain.errors)

    def cancel(self) -> None:
        """Stop the calls that are running in this sandbox's guests; the queries behind them fail with `Cancelled`.

        From any thread, at any time. A query that is between two batches at the moment isn't noticed; call
        `con.interrupt()` as well, before, which DuckDB heeds there and nowhere else. Ctrl-C does the same to every
        sandbox.
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
