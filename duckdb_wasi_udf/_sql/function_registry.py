"""The functions of one sandbox: created, handed to DuckDB, and known by name."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

import duckdb

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions import shipping
from duckdb_wasi_udf._functions.aggregate import GroupFunction
from duckdb_wasi_udf._functions.scalar import ScalarFunction
from duckdb_wasi_udf._functions.signature import resolve
from duckdb_wasi_udf._functions.table import define_table
from duckdb_wasi_udf._sql.arguments import check_name, choice
from duckdb_wasi_udf._sql.map_batches import MapFunctions, map_relation
from duckdb_wasi_udf._sql.registration import register
from duckdb_wasi_udf._sql.table_functions import NamedTable
from duckdb_wasi_udf._sql.types import row_type, type_name, type_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._functions.registered import RegisteredFunction
    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain
    from duckdb_wasi_udf._sql.streams import Streams


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
    ) -> None:
        """Create a scalar function: see `Sandbox.create_function`."""
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
                self.domain.sql_type_of,
                parameters=parameter_names,
                return_type=return_name,
                sees_null=sees_null,
            )

        definition = self._ship(function, name, return_null=return_null, by_batch=by_batch)
        scalar = ScalarFunction(context, self.domain, definition, signature)
        if scalar.signature.declared_types == [] and side_effects:
            scalar.close()
            msg = (
                f"{name}: a function without parameters doesn't learn the number of rows from DuckDB, so "
                "side_effects=True needs a parameter; pass it any column"
            )
            raise SignatureError(msg)
        self._add(con, name, scalar, side_effects=side_effects)

    def create_aggregate(
        self,
        context: CallContext,
        con: duckdb.DuckDBPyConnection,
        name: str,
        function: Callable[..., Any] | str,
        parameters: Sequence[Any] | None = None,
        return_type: Any = None,
    ) -> None:
        """Create an aggregate function: see `Sandbox.create_aggregate_function`."""
        check_name(name)
        values = type_names(name, parameters)
        lists = None if values is None else ["BIGINT", *(f"{value}[]" for value in values)]
        return_name = None if return_type is None else type_name(name, return_type)

        def signature(instance: GuestInstance) -> Signature:
            return resolve(
                name, instance.description, self.domain.sql_type_of, parameters=lists, return_type=return_name
            )

        definition = self._ship(function, name)
        self._add(con, name, GroupFunction(context, self.domain, definition, signature))

    def create_table(
        self,
        context: CallContext,
        con: duckdb.DuckDBPyConnection,
        name: str,
        function: Callable[..., Any] | str,
        schema: Any = None,
        *,
        streams: Streams,
    ) -> None:
        """Create a table function, whose streams go to a place of their own: see `Sandbox.create_table_function`."""
        check_name(name)
        declared: str | Definition | None = None
        if inspect.isfunction(schema):
            declared = self._ship(schema, f"{name}'s schema")
        elif schema is not None:
            declared = row_type(name, schema)
        definition = self._ship(function, name)
        table = NamedTable(name, define_table(context, self.domain, definition, declared), streams)
        try:
            register(self.domain, con, name, table, None, "VARCHAR")
            try:
                table.create_macro(con)
            except BaseException:
                with contextlib.suppress(duckdb.Error):  # the transaction is aborted, and the function gone with it
                    con.remove_function(name)
                raise
        except BaseException:
            table.close()
            raise
        self.domain.hold(table)
        self.functions[name.lower()] = table.function

    def map_batches(
        self,
        context: CallContext,
        relation: duckdb.DuckDBPyRelation,
        function: Callable[..., Any] | str,
        schema: Any = None,
    ) -> duckdb.DuckDBPyRelation:
        """Return other rows made of a relation's rows: see `Sandbox.map_batches`."""
        name = getattr(function, "__name__", "map_batches")
        declared = None if schema is None else row_type(name, schema)
        return map_relation(context, self.map_functions, relation, self._ship(function, name), declared)

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
        self, function: Callable[..., Any] | str, name: str, *, return_null: bool = False, by_batch: bool = False
    ) -> Definition:
        """Return the definition of a function that may use the sandbox's packages: see `shipping.ship`."""
        modules = self.domain.modules.names
        return shipping.ship(function, name, return_null=return_null, by_batch=by_batch, modules=modules)

    def _add(
        self, con: duckdb.DuckDBPyConnection, name: str, function: ScalarFunction, *, side_effects: bool = False
    ) -> None:
        """Register a named function and keep account of it."""
        signature = function.signature
        try:
            register(
                self.domain,
                con,
                name,
                function,
                signature.declared_types,
                signature.return_type,
                side_effects=side_effects,
            )
        except BaseException:
            function.close()
            raise
        self.domain.hold(function)
        self.functions[name.lower()] = function
