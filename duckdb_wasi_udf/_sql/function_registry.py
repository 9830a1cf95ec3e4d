"""The functions of one sandbox: created, handed to DuckDB, and known by name."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions import shipping
from duckdb_wasi_udf._functions.aggregate import GroupFunction
from duckdb_wasi_udf._functions.scalar import ScalarFunction
from duckdb_wasi_udf._functions.signature import resolve
from duckdb_wasi_udf._functions.table import define_table
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._sql.arguments import check_name, choice
from duckdb_wasi_udf._sql.database import NamedFunction, open_database
from duckdb_wasi_udf._sql.map_batches import MapFunctions, map_relation
from duckdb_wasi_udf._sql.naming import Creation, TableCreation, name_function
from duckdb_wasi_udf._sql.native_aggregates import AggregateTypes
from duckdb_wasi_udf._sql.native_path import replace_by_native
from duckdb_wasi_udf._sql.native_values import check_type, native_value
from duckdb_wasi_udf._sql.origins import origin_of
from duckdb_wasi_udf._sql.registration import callback_of, register
from duckdb_wasi_udf._sql.table_functions import NamedTable
from duckdb_wasi_udf._sql.types import row_type, type_name, type_names, types_of, types_through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import duckdb
    import pyarrow as pa

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._functions.registered import RegisteredFunction
    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain
    from duckdb_wasi_udf._sql.registration import RegisteredCallback
    from duckdb_wasi_udf._sql.streams import Streams


# More rows than this no table function returns.
_MOST_ROWS = 2**63 - 1


def _is_count(rows: object) -> bool:
    return isinstance(rows, int) and 0 <= rows <= _MOST_ROWS


class FunctionRegistry:
    """Creates the functions of a sandbox and keeps account of them.

    What its methods take beside the context is as for those of `Sandbox`.

    Attributes:
        domain: what the functions belong to.
        functions: those with a name, by that in lower case; what SQL created as well as what Python did.
        map_functions: those that are called for the rows of queries.
    """

    def __init__(self, domain: TrustDomain) -> None:
        self.domain = domain
        self.functions: dict[str, RegisteredFunction] = {}
        self.map_functions = MapFunctions(domain)

    def create_scalar(
        self,
        context: CallContext,
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
    ) -> Creation:
        """Create a scalar function: see `Sandbox.create_function`."""
        check_name(name)
        by_batch = choice(name, "type", type, ("native", "arrow")) == "arrow"
        sees_null = choice(name, "null_handling", null_handling, ("default", "special")) == "special"
        return_null = choice(name, "exception_handling", exception_handling, ("default", "return_null")) != "default"
        parameter_names = type_names(con, name, parameters)
        return_name = None if return_type is None else type_name(con, name, return_type)

        def signature(instance: GuestInstance) -> Signature:
            return resolve(
                name,
                instance.description,
                types_of(con),
                parameters=parameter_names,
                return_type=return_name,
                sees_null=sees_null,
            )

        definition = self._ship(function, name, return_null=return_null, by_batch=by_batch, entry=entry)
        scalar = ScalarFunction(context, self.domain, definition, signature)
        return self._creation(name, scalar, side_effects=side_effects)

    def create_aggregate(
        self,
        context: CallContext,
        con: duckdb.DuckDBPyConnection,
        name: str,
        function: Callable[..., Any] | str,
        parameters: Sequence[Any] | None = None,
        return_type: Any = None,
        *,
        entry: str | None = None,
        lists: bool = True,
    ) -> Creation:
        """Create an aggregate function: see `Sandbox.create_aggregate_function`."""
        check_name(name)
        values = type_names(con, name, parameters)
        types = None if values is None else ["BIGINT", *(f"{value}[]" for value in values)]
        return_name = None if return_type is None else type_name(con, name, return_type)

        def signature(instance: GuestInstance) -> Signature:
            return resolve(name, instance.description, types_of(con), parameters=types, return_type=return_name)

        definition = self._ship(function, name, entry=entry)
        function_over_lists = GroupFunction(context, self.domain, definition, signature)
        creation = self._creation(name, function_over_lists)
        if lists:
            return creation
        make = functools.partial(callback_of, self.domain, function_over_lists)
        return creation._replace(aggregate=(AggregateTypes.of(function_over_lists.signature), make))

    def create_table(
        self,
        context: CallContext,
        con: duckdb.DuckDBPyConnection,
        name: str,
        function: Callable[..., Any] | str,
        schema: Any = None,
        *,
        cardinality: Any = None,
        entry: str | None = None,
        streams: Streams,
    ) -> Creation:
        """Create a table function, whose streams go to a place of their own: see `Sandbox.create_table_function`."""
        check_name(name)
        declared: str | Definition | None = None
        if inspect.isfunction(schema):
            declared = self._ship(schema, f"{name}'s schema")
        elif schema is not None:
            declared = row_type(con, name, schema)
        rows = self._ship(cardinality, f"{name}'s cardinality") if inspect.isfunction(cardinality) else cardinality
        if isinstance(rows, bool) or not (rows is None or isinstance(rows, Definition) or _is_count(rows)):
            msg = f"{name}: cardinality is a number of rows or a function that returns one, got {cardinality!r:.100}"
            raise SignatureError(msg)
        definition = self._ship(function, name, entry=entry)
        types, later = types_of(con), types_through(streams.cursor)
        defined = define_table(context, self.domain, definition, declared, types, later, rows)
        table = NamedTable(name, defined, streams)

        def register_table(con: duckdb.DuckDBPyConnection) -> Callable[[], None]:
            return register(self.domain, con, name, table, None, "VARCHAR").release

        def callback() -> tuple[RegisteredCallback, Callable[[], None]]:
            made = callback_of(self.domain, table.bind)
            return made, made.release

        return Creation(table.function, register_table, table.create_macro, table=TableCreation(table.forms, callback))

    def map_batches(
        self,
        context: CallContext,
        relation: duckdb.DuckDBPyRelation,
        function: Callable[..., Any] | str,
        schema: Any = None,
        *,
        owner: object,
    ) -> duckdb.DuckDBPyRelation:
        """Return other rows made of a relation's rows, which keep `owner` alive: see `Sandbox.map_batches`."""
        name = getattr(function, "__name__", "map_batches")
        declared = None if schema is None else row_type(relation._con, name, schema)
        return map_relation(context, self.map_functions, relation, self._ship(function, name), declared, owner)

    def find(self, name: str) -> RegisteredFunction:
        """Return a function by its SQL name.

        Raises:
            SignatureError: the sandbox has no function of that name.
        """
        found = self.functions.get(name.lower())
        if found is None:
            msg = f"{name!r} is not a function of this sandbox; there are: {', '.join(sorted(self.functions))}"
            raise SignatureError(msg)
        return found

    def _ship(
        self,
        function: Callable[..., Any] | str,
        name: str,
        *,
        return_null: bool = False,
        by_batch: bool = False,
        entry: str | None = None,
    ) -> Definition:
        """Return the definition of a function that may use the sandbox's packages: see `shipping.ship`."""
        return shipping.ship(
            function,
            name,
            return_null=return_null,
            by_batch=by_batch,
            modules=self.domain.modules.names,
            entry=entry,
            limit_bytes=self.domain.limits.shipped_bytes,
        )

    def _creation(self, name: str, function: ScalarFunction, *, side_effects: bool = False) -> Creation:
        """Return a function that is ready to be registered under a name."""
        signature = function.signature
        native: Callable[[pa.Array], Any] | None = None
        if side_effects and signature.declared_types == []:
            check_type(name, signature.result_type)
            native = functools.partial(native_value, name, typed=signature.result_type is not None)

        callbacks: list[RegisteredCallback] = []

        def register_scalar(con: duckdb.DuckDBPyConnection) -> Callable[[], None]:
            callback = register(
                self.domain,
                con,
                name,
                function,
                signature.declared_types,
                signature.return_type,
                side_effects=side_effects,
                native=native,
            )
            callbacks.append(callback)
            return callback.release

        def replace_by_native_one(con: duckdb.DuckDBPyConnection) -> None:
            if native is None and function.kind == "scalar" and callbacks:
                replace_by_native(con, name, function, callbacks[-1].position, side_effects=side_effects)

        return Creation(function, register_scalar, replace=replace_by_native_one)

    def enter(
        self,
        con: duckdb.DuckDBPyConnection,
        owner: object,
        name: str,
        source: Callable[..., Any] | str,
        creation: Creation,
        *,
        replace: bool,
    ) -> None:
        """Give a function its name in the database of a connection: see `name_function`.

        Args:
            con: the connection.
            owner: the sandbox.
            name: the SQL name.
            source: what the user passed.
            creation: the function made of it.
            replace: another function of ours may have the name.
        """
        named = NamedFunction(creation.function, owner, origin_of(source))
        with self.entering(name, creation):
            name_function(open_database(con), con, name, creation, named, replace=replace)

    @contextlib.contextmanager
    def entering(self, name: str, creation: Creation) -> Iterator[None]:
        """Keep account of a function if it is registered in this context; otherwise close it."""
        try:
            yield
        except BaseException:
            creation.function.close()
            raise
        self.domain.hold(creation.function)
        self.functions[name.lower()] = creation.function
