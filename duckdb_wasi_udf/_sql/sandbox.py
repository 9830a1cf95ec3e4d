"""Registers sandboxed functions with DuckDB."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions import shipping
from duckdb_wasi_udf._functions.aggregate import GroupFunction, InlineAggregate
from duckdb_wasi_udf._functions.inline import InlineFunction
from duckdb_wasi_udf._functions.scalar import ScalarFunction
from duckdb_wasi_udf._functions.signature import VARIANT, resolve
from duckdb_wasi_udf._guests.trust_domain import TrustDomain
from duckdb_wasi_udf._host_functions.grants import Grants
from duckdb_wasi_udf._sql.arguments import check_name, choice
from duckdb_wasi_udf._sql.catalog import Catalog
from duckdb_wasi_udf._sql.map_batches import InlineMap, Maps, map_relation
from duckdb_wasi_udf._sql.registration import register
from duckdb_wasi_udf._sql.streams import Streams
from duckdb_wasi_udf._sql.table_functions import InlineTable, NamedTable, define
from duckdb_wasi_udf._sql.types import row_type, sql_type_of, type_name, type_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._functions.table import TableFunction
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._host_functions.function import HostFunction

    _Function = TypeVar("_Function", bound=Callable[..., Any])

# The inline functions and the SQL type of their results; None: by annotation, or inferred.
INLINE_FUNCTIONS: dict[str, str | None] = {
    "py_udf": None,
    "py_agg": None,
    "py_udf_bigint": "BIGINT",
    "py_udf_blob": "BLOB",
    "py_udf_boolean": "BOOLEAN",
    "py_udf_date": "DATE",
    "py_udf_double": "DOUBLE",
    "py_udf_json": "JSON",
    "py_udf_timestamp": "TIMESTAMP",
    "py_udf_varchar": "VARCHAR",
}


class Sandbox(TrustDomain):
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
        host_functions: Sequence[HostFunction] = (),
        allow_inline: bool = True,
        allow_create: bool = True,
        **limits: Any,
    ) -> None:
        """Prepare a sandbox: see `TrustDomain` for its limits.

        Args:
            host_functions: what guests may call of the host, as `host.<name>`; nothing by default.
            allow_inline: queries may bring code along; without it, `install` leaves out `py_udf`, its typed forms and
                `py_agg`.
            allow_create: queries may create and drop functions, and those stored in the database are restored; without
                it, only what the host registers runs.
            limits: as `TrustDomain`.

        Raises:
            SignatureError: two host functions have one name, or one has a type that can't be passed.
        """
        grants = Grants(host_functions, lambda name: sql_type_of(name).arrow_type) if host_functions else None
        super().__init__(**limits)
        self.grants = grants
        self.allow_inline = allow_inline
        self.allow_create = allow_create
        # By name in lower case; what SQL created as well as what Python did.
        self.functions: dict[str, ScalarFunction | TableFunction] = {}
        self._maps = Maps(self, sql_type_of)

    def install(self, con: duckdb.DuckDBPyConnection) -> Sandbox:
        """Register the `py_*` SQL functions, and the functions that are stored in the database.

        Every connection of the same database sees them, the table functions as long as `con` is open. Installing again
        on the same connection replaces them, and what was created with `py_create_function` goes with them unless it is
        stored. What is stored and can't be defined is logged, and `py_functions()` says why.

        Args:
            con: the connection to register with.

        Returns:
            The sandbox itself.

        Raises:
            SignatureError: another connection of the database has installed them.
            ClosedError: the sandbox was closed.
        """
        self.check_open()
        streams = Streams(con)
        tables: dict[str, InlineTable | InlineMap] = {
            "py_table": InlineTable(self, "py_table", sql_type_of, streams),
            "py_map_batches": InlineMap(self._maps, "py_map_batches", streams),
        }
        for name in (*INLINE_FUNCTIONS, *tables, *Catalog.SQL_FUNCTIONS):
            with contextlib.suppress(duckdb.InvalidInputException):  # this connection has none of that name
                con.remove_function(name)
        Catalog.leave(con)
        catalog = Catalog(self, con)
        try:
            for name, return_type in INLINE_FUNCTIONS.items() if self.allow_inline else ():
                kind = InlineAggregate if name == "py_agg" else InlineFunction
                inline = kind(self, name, return_type, sql_type_of)
                self.register(con, name, inline, None, return_type or VARIANT)
                self.hold(inline)
            for name, table in tables.items() if self.allow_inline else ():
                self.register(con, name, table, None, "VARCHAR")
                self.hold(table)
                table.create_macro(con)
            for name, function, parameters, result in catalog.sql_functions():
                self.register(con, name, function, parameters, result, side_effects=True)
        except (duckdb.CatalogException, duckdb.NotImplementedException) as error:
            msg = (
                f"{name} is already installed on this database through another connection; install through that "
                "one to replace it, or use it as it is"
            )
            raise SignatureError(msg) from error
        catalog.enter(con)
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
        self.check_open()
        check_name(name)
        by_batch = choice(name, "type", type, ("native", "arrow")) == "arrow"
        sees_null = choice(name, "null_handling", null_handling, ("default", "special")) == "special"
        return_null = choice(name, "exception_handling", exception_handling, ("default", "return_null")) != "default"
        parameter_names = type_names(name, parameters)
        return_name = None if return_type is None else type_name(name, return_type)

        def signature(instance: GuestInstance) -> Signature:
            return resolve(
                name,
                instance.description,
                sql_type_of,
                parameters=parameter_names,
                return_type=return_name,
                sees_null=sees_null,
            )

        definition = self._ship(function, name, return_null=return_null, by_batch=by_batch)
        scalar = ScalarFunction(self, definition, signature)
        types = scalar.takes.declared_types
        if types == [] and side_effects:
            msg = (
                f"{name}: DuckDB doesn't tell a function without parameters how many rows it wants, so "
                "side_effects=True needs a parameter; pass it any column"
            )
            raise SignatureError(msg)
        self._keep(con, name, scalar, side_effects=side_effects)
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
        self.check_open()
        check_name(name)
        values = type_names(name, parameters)
        lists = None if values is None else ["BIGINT", *(f"{value}[]" for value in values)]
        return_name = None if return_type is None else type_name(name, return_type)

        def signature(instance: GuestInstance) -> Signature:
            return resolve(name, instance.description, sql_type_of, parameters=lists, return_type=return_name)

        definition = self._ship(function, name)
        self._keep(con, name, GroupFunction(self, definition, signature))
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
        self.create_table(con, name, function, schema, streams=Streams(con))
        return con

    def create_table(
        self, con: duckdb.DuckDBPyConnection, name: str, function: Any, schema: Any = None, *, streams: Streams
    ) -> None:
        """Register a table function, whose streams go to a place of their own: see `create_table_function`."""
        self.check_open()
        check_name(name)
        declared: str | Definition | None = None
        if inspect.isfunction(schema):
            declared = self._ship(schema, f"{name}'s schema")
        elif schema is not None:
            declared = row_type(name, schema)
        definition = self._ship(function, name)
        table = NamedTable(name, define(self, definition, declared, sql_type_of), streams)
        try:
            self.register(con, name, table, None, "VARCHAR")
            try:
                table.create_macro(con)
            except BaseException:
                with contextlib.suppress(duckdb.Error):  # the transaction is aborted, and the function gone with it
                    con.remove_function(name)
                raise
        except BaseException:
            table.close()
            raise
        self.hold(table)
        self.functions[name.lower()] = table.function

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
        self.check_open()
        name = getattr(function, "__name__", "map_batches")
        declared = None if schema is None else row_type(name, schema)
        return map_relation(self._maps, relation, self._ship(function, name), declared)

    def failed_rows(self, name: str) -> int:
        """How many rows of a function are NULL because it raised, under `exception_handling="return_null"`.

        Args:
            name: the SQL name it was last created with.

        Returns:
            The number of rows since then, over all queries.

        Raises:
            SignatureError: the sandbox has no function of that name.
        """
        if name.lower() not in self.functions:
            msg = f"{name!r} is not a function of this sandbox; there are: {', '.join(sorted(self.functions))}"
            raise SignatureError(msg)
        return self.functions[name.lower()].failed_rows

    def function(
        self, con: duckdb.DuckDBPyConnection, name: str | None = None, **options: Any
    ) -> Callable[[_Function], _Function]:
        """Decorate a def to register it: see `create_function`.

        Args:
            con: the connection to register with.
            name: its SQL name; the def's own by default.
            options: as `create_function`.

        Returns:
            A decorator that leaves the def as it is.
        """

        def register(function: _Function) -> _Function:
            self.create_function(con, name or function.__name__, function, **options)
            return function

        return register

    def _ship(
        self, function: Callable[..., Any] | str, name: str, *, return_null: bool = False, by_batch: bool = False
    ) -> Definition:
        """The definition of a function that may use the sandbox's packages: see `shipping.define`."""
        modules = self.modules.names
        return shipping.define(function, name, return_null=return_null, by_batch=by_batch, modules=modules)

    def _keep(
        self, con: duckdb.DuckDBPyConnection, name: str, function: ScalarFunction, *, side_effects: bool = False
    ) -> None:
        """Register a named function and keep account of it."""
        takes = function.takes
        try:
            self.register(con, name, function, takes.declared_types, takes.return_type, side_effects=side_effects)
        except BaseException:
            function.close()
            raise
        self.hold(function)
        self.functions[name.lower()] = function

    def register(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        function: Callable[..., pa.Array],
        parameters: list[Any] | None,
        return_type: str,
        *,
        side_effects: bool = False,
    ) -> None:
        """Hand a function to DuckDB as one over Arrow columns; with `parameters` None it takes any arguments."""
        register(self, con, name, function, parameters, return_type, side_effects=side_effects)


def install(con: duckdb.DuckDBPyConnection) -> Sandbox:
    """Register the `py_*` SQL functions with a sandbox of default limits: `Sandbox().install(con)`.

    Args:
        con: the connection to register with; every connection of the database sees the functions.

    Returns:
        The sandbox.
    """
    return Sandbox().install(con)
