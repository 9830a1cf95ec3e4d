"""The sandbox, as users have it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._guests.trust_domain import IncomingCall, TrustDomain
from duckdb_wasi_udf._limits import DataLimits, ResourceLimits, changed_limits
from duckdb_wasi_udf._sql.function_registry import FunctionRegistry
from duckdb_wasi_udf._sql.installation import install_functions
from duckdb_wasi_udf._sql.streams import Streams
from duckdb_wasi_udf._sql.types import sql_type_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    import duckdb

    from duckdb_wasi_udf._errors import WasiUdfError
    from duckdb_wasi_udf._host_functions.audit import HostCallRecord
    from duckdb_wasi_udf._host_functions.function import HostFunction

    _Function = TypeVar("_Function", bound=Callable[..., Any])


class Sandbox:
    """Runs untrusted Python in DuckDB queries, under limits, with nothing granted.

    Functions belong to the sandbox they were created with. It lives until it is closed, whether or not a reference is
    kept, because DuckDB may call its functions at any time.

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
        compiled: bool = True,
        clock_resolution_seconds: float | None = None,
        allow_inline: bool = True,
        allow_create: bool = True,
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
                numbers start from a fixed seed, and isolation is "batch", so that nothing depends on what ran before.
            compiled: row functions that run for long are compiled to WebAssembly (docs/guide/compiled-functions.md).
                False: the interpreter runs all, and no code that guests make reaches wasmtime's compiler.
            clock_resolution_seconds: the step of the clocks that functions see, too large to measure what else the host
                does; None: they are the host's own.
            allow_inline: queries may bring code along; without it, `install` leaves out `py_udf`, its typed forms,
                `py_agg`, `py_table` and `py_map_batches`.
            allow_create: queries may create and drop functions, and those stored in the database are restored; without
                it, only what the host registers runs.

        Raises:
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
            compiled=compiled,
            clock_resolution_seconds=clock_resolution_seconds,
            packages=packages,
            host_functions=host_functions,
            sql_type_of=sql_type_of,
        )
        self._registry = FunctionRegistry(self._domain)
        self._allow_inline = allow_inline
        self._allow_create = allow_create

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
        """Error behind the most recent failed query. DuckDB passes on only its text."""
        return self._domain.last_error

    def install(self, con: duckdb.DuckDBPyConnection) -> Sandbox:
        """Register the `py_*` SQL functions, and the functions that are stored in the database.

        Every connection of the same database sees them, the table functions as long as `con` is open. Installing again
        on the same connection replaces them, and what was created with `py_create_function` goes with them unless it is
        stored. What is stored and can't be defined is logged, and `py_functions()` says why.

        Args:
            con: the connection to register with.

        Raises:
            SignatureError: another connection of the database has installed them.
            ClosedError: the sandbox was closed.
        """
        with self._creating() as context:
            install_functions(
                context, self._registry, con, allow_inline=self._allow_inline, allow_create=self._allow_create
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
    ) -> duckdb.DuckDBPyConnection:
        """Register a scalar function that runs in the sandbox.

        The parameters are those of `DuckDBPyConnection.create_function`
        (https://duckdb.org/docs/stable/clients/python/function).

        Args:
            con: the connection to register with; every connection of the database sees the function.
            name: its SQL name.
            function: a callable, which is shipped as source with the functions, classes and plain values it uses, or
                source text.
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

        Returns:
            The connection.

        Raises:
            SignatureError: the function can't be shipped, or its types don't fit; the message names the culprit.
            GuestError: the code doesn't compile, or raised while it was loaded.
            duckdb.Error: DuckDB refused the registration, as when the name is taken.
        """
        with self._creating() as context:
            self._registry.create_scalar(
                context,
                con,
                name,
                function,
                parameters,
                return_type,
                type=type,
                null_handling=null_handling,
                exception_handling=exception_handling,
                side_effects=side_effects,
            )
        return con

    def create_aggregate_function(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        function: Callable[..., Any] | str,
        parameters: Sequence[Any] | None = None,
        return_type: Any = None,
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

        Returns:
            The connection.

        Raises:
            SignatureError: the function can't be shipped, or its types don't fit; the message names the culprit.
            GuestError: the code doesn't compile, or raised while it was loaded.
            duckdb.Error: DuckDB refused the registration, as when the name is taken.
        """
        with self._creating() as context:
            self._registry.create_aggregate(context, con, name, function, parameters, return_type)
        return con

    def create_table_function(
        self, con: duckdb.DuckDBPyConnection, name: str, function: Callable[..., Any] | str, schema: Any = None
    ) -> duckdb.DuckDBPyConnection:
        """Register a table function that runs in the sandbox: a generator, or a function that returns an iterable.

        It is called anew for every scan and gives rows as they are wanted, 2048 at a time. Each is a tuple, dict, named
        tuple or dataclass instance with a value for every column; of a single column, named as the function, the value
        alone. `Columns` gives many rows at once.

        Args:
            con: the connection to register with. Every connection of the database sees the function, as long as this
                one is open; of a read-only database only this one, others write `FROM query(name(...))`.
            name: its SQL name, for a table macro in the current schema, which a database file keeps, and for the scalar
                function behind it.
            function: a callable, which is shipped as source, or source text: see `create_function`.
            schema: the columns, as a dict of names and SQL types, or the SQL type of a row, such as
                "STRUCT(id BIGINT, tag VARCHAR)" or "DATE"; each type as str, `DuckDBPyType` or Python type. Or a def or
                lambda that returns either for the arguments of a call, in the sandbox while a query is bound. None to
                go by a function `schema` in the source text, by the annotation (`Iterator[Row]`), and without one by
                the first 2048 rows, for which binding a query calls the function.

        Returns:
            The connection.

        Raises:
            SignatureError: the function can't be shipped, or its types don't fit; the message names the culprit.
            GuestError: the code doesn't compile, or raised while it was loaded.
            duckdb.Error: DuckDB refused the registration, as when the name is taken.
        """
        with self._creating() as context:
            self._registry.create_table(context, con, name, function, schema, streams=Streams(con))
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
                `finish`, if it has one. A callable or class is shipped as source, or source text.
            schema: the columns of the result: see `create_table_function`.

        Returns:
            A relation on the same connection.

        Raises:
            SignatureError: the function can't be shipped, its types don't fit, or the relation can't be read.
            GuestError: the code doesn't compile, or raised while it was loaded.
        """
        with IncomingCall(self._domain) as context:
            return self._registry.map_batches(context, relation, function, schema)

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
        with self._creating() as context:
            return self._registry.find(name).explain(context)

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

        Returns:
            A decorator that leaves the def as it is.
        """

        def register(function: _Function) -> _Function:
            self.create_function(
                con,
                name or function.__name__,
                function,
                parameters,
                return_type,
                type=type,
                null_handling=null_handling,
                exception_handling=exception_handling,
                side_effects=side_effects,
            )
            return function

        return register

    def audit(self) -> list[HostCallRecord]:
        """Return the record of the calls that guests made of host functions, oldest first: the last 10,000."""
        return self._domain.audit()

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
        """Close the sandbox."""
        self.close()

    def __repr__(self) -> str:
        """Return its state, the limits that differ from the default, and its numbers of functions and instances."""
        changed = [*changed_limits(self.limits), *changed_limits(self.data_limits)]
        functions, instances = len(self._registry.functions), len(self._domain.instances)
        counted = f"{functions} named function(s), {instances} live instance(s)"
        return f"<Sandbox: {', '.join(['closed' if self.closed else 'open', *changed, counted])}>"

    @contextlib.contextmanager
    def _creating(self) -> Iterator[CallContext]:
        """Return the context of a call that creates a function."""
        self._domain.check_open()
        with CallContext(self._domain.clock) as context:
            yield context
