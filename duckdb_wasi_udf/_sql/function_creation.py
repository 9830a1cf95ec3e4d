"""The half of a sandbox that makes functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from duckdb_wasi_udf._guests.trust_domain import IncomingCall
from duckdb_wasi_udf._sql.connections import connection_of
from duckdb_wasi_udf._sql.creating_call import CreatingCall
from duckdb_wasi_udf._sql.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

    from duckdb_wasi_udf._guests.trust_domain import TrustDomain
    from duckdb_wasi_udf._sql.function_registry import FunctionRegistry

    _Function = TypeVar("_Function", bound=Callable[..., Any])


class FunctionCreation:
    """The methods of `Sandbox` that register functions."""

    _domain: TrustDomain
    _registry: FunctionRegistry

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
        connection = connection_of(con)
        with CreatingCall(self._domain) as context:
            creation = self._registry.create_scalar(
                context, connection, name, function, parameters, return_type, **options
            )
            self._registry.enter(connection, self, name, function, creation, replace=replace)
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
        lists: bool = True,
        replace: bool = False,
    ) -> duckdb.DuckDBPyConnection:
        """Register an aggregate function that runs in the sandbox.

        By default queries call it with the lists that DuckDB's `list` makes of groups, `name(list(x), list(y))`:
        DISTINCT, ORDER BY, FILTER and OVER belong inside, to `list`. With `lists=False` it is an aggregate function of
        DuckDB's own, and queries write `name(x, y) FILTER (...)`. That needs the native path. DuckDB keeps such a
        function until the database is closed, with the types that it was registered with.

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
            lists: queries call it with lists; False for an aggregate function of DuckDB's own.
            replace: as for `create_function`.

        Returns:
            The connection.

        Raises:
            SignatureError: as for `create_function`; or `lists=False` isn't possible here, and the message says why.
            WasiUdfError: as for `create_function`, like `duckdb.Error`.
        """
        connection = connection_of(con)
        with CreatingCall(self._domain) as context:
            creation = self._registry.create_aggregate(
                context, connection, name, function, parameters, return_type, entry=entry, lists=lists
            )
            self._registry.enter(connection, self, name, function, creation, replace=replace)
        return con

    def create_table_function(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        function: Callable[..., Any] | str,
        schema: Any = None,
        *,
        cardinality: Any = None,
        entry: str | None = None,
        replace: bool = False,
    ) -> duckdb.DuckDBPyConnection:
        """Register a table function that runs in the sandbox: a generator, or a function that returns an iterable.

        It is called anew for every scan and gives rows as they are wanted, 2048 at a time. Each is a tuple, dict, named
        tuple or dataclass instance with a value for every column; of a single column, named as the function, the value
        alone. `Columns` gives many rows at once.

        Args:
            con: the connection to register with. Every connection of the database sees the function. Without the native
                path, or in a transaction, it is a macro: of a read-only database only this connection sees that, and
                others write `FROM query(name(...))`.
            name: its SQL name. A macro of it is in the current schema, and a database file keeps it. There is a scalar
                function of the same name.
            function: a callable, which is shipped, or source text: see `create_function`.
            schema: the columns, as a dict of names and SQL types, or the SQL type of a row, such as
                "STRUCT(id BIGINT, tag VARCHAR)" or "DATE"; each type as str, `DuckDBPyType` or Python type. Or a def or
                lambda that returns either for the arguments of a call, in the sandbox while a query is bound. None to
                go by a function `schema` in the source text, by the annotation (`Iterator[Row]`), and without one by
                the first 2048 rows, for which binding a query calls the function.
            cardinality: the number of rows to expect of a call, for DuckDB's plans, or a def or lambda that returns it
                for the arguments of a call. None to go by a function `cardinality` in the source text.
            entry: as for `create_function`.
            replace: likewise.

        Returns:
            The connection.

        Raises:
            WasiUdfError: as for `create_function`, like `duckdb.Error`.
        """
        connection = connection_of(con)
        with CreatingCall(self._domain) as context:
            streams = Streams.of(connection)
            creation = self._registry.create_table(
                context, connection, name, function, schema, cardinality=cardinality, entry=entry, streams=streams
            )
            self._registry.enter(connection, self, name, function, creation, replace=replace)
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
