"""The columns of a table function that nobody declared: from a function `schema`, or from the first rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.scalar import ScalarFunction
from duckdb_wasi_udf._functions.signature import reason, resolve
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb_wasi_udf._arrow.sql_type import SqlType, SqlTypeOf
    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

# The part of what the guest says that it takes to see a mistake.
_SHOWN_CHARACTERS = 200


def beside(definition: Definition, name: str) -> Definition:
    """Return the function `schema` or `cardinality` in the source text of another one."""
    (unit,) = definition.units
    other = replace(unit, entry=name)
    return replace(definition, label=f"{definition.label}'s {name}", units=(other,), inline=False)


def _wrapped(
    context: CallContext,
    domain: TrustDomain,
    definition: Definition,
    sql_type_of: SqlTypeOf,
    wrapper: str,
    return_type: str,
) -> ScalarFunction:
    """Define a function of a call's arguments, in a wrapper of `_udf_functions.table` that makes its result plain."""
    return ScalarFunction(
        context,
        domain,
        definition.wrapped(f"_udf_functions.table:{wrapper}"),
        lambda instance: resolve(
            definition.label, instance.description, sql_type_of, return_type=return_type, sees_null=True
        ),
    )


class CallCardinality:
    """Finds the number of rows that a call is expected to return, from its arguments; NULL arrives as None."""

    def __init__(
        self, context: CallContext, domain: TrustDomain, definition: Definition, sql_type_of: SqlTypeOf
    ) -> None:
        """Define the function: see `CallSchema`. It returns an int, or None if it doesn't know."""
        self._function = _wrapped(context, domain, definition, sql_type_of, "row_count", "BIGINT")

    def __call__(self, context: CallContext, arguments: Sequence[pa.Array]) -> int | None:
        """Return the number of rows of a call; None if it isn't known.

        Args:
            context: the call that binds the query.
            arguments: arrays of one value each.

        Raises:
            GuestError: the function raised, or returned what isn't a number of rows.
            SignatureError: the arguments don't fit it.
        """
        rows: int | None = self._function.run(context, arguments, 1)[0].as_py()
        return rows

    def close(self) -> None:
        """Close the instances."""
        self._function.close()


class CallSchema:
    """Finds the columns of a call from its arguments; NULL arrives as None."""

    def __init__(
        self, context: CallContext, domain: TrustDomain, definition: Definition, sql_type_of: SqlTypeOf
    ) -> None:
        """Define the function.

        Args:
            context: the call that needs it.
            domain: whose engine and limits apply.
            definition: the function, with the parameters of the table function. It returns the names and types of the
                columns as a dict, or the type of a row; a type is SQL's text or a Python type.
            sql_type_of: looks SQL types up.

        Raises:
            GuestError: the code doesn't compile, or raised while it was loaded.
            SignatureError: its annotations don't fit.
        """
        self._label = definition.label
        self._sql_type_of = sql_type_of
        self._function = _wrapped(context, domain, definition, sql_type_of, "schema_as_text", "VARCHAR")

    def __call__(self, context: CallContext, arguments: Sequence[pa.Array]) -> SqlType:
        """Return the type of the rows of a call.

        Args:
            context: the call that binds the query.
            arguments: arrays of one value each.

        Raises:
            GuestError: the function raised, or returned what isn't a schema.
            SignatureError: it names a type DuckDB doesn't know, or the arguments don't fit it.
        """
        text = str(self._function.run(context, arguments, 1)[0].as_py())
        try:
            return self._sql_type_of(text)
        except KeyError as error:
            msg = f"{self._label}: {readable(text)[:_SHOWN_CHARACTERS]} is not a type DuckDB knows{reason(error)}"
            raise SignatureError(msg) from error

    def close(self) -> None:
        """Close the instances."""
        self._function.close()


def inferred_row_type(label: str, first: pa.Array | None) -> pa.DataType:
    """Return the type of the first rows, if those to come can be expected to have it.

    Args:
        label: the function's name in errors.
        first: the first rows; None if there were none.

    Raises:
        SignatureError: the first rows don't show it.
    """
    doubt = "it gave no rows" if first is None else _doubt(first.type)
    if first is None or doubt:
        msg = (
            f"{label}: the columns can't be inferred from the first rows: {doubt}; annotate the function, as with "
            "Iterator[Row], or declare the schema"
        )
        raise SignatureError(msg)
    return first.type


def _doubt(inferred: pa.DataType) -> str | None:
    """Return why an inferred type of rows isn't to be relied on for those to come; None when it is."""
    if pa.types.is_null(inferred):
        return "all of them are None"
    if pa.types.is_struct(inferred) and not inferred.num_fields:
        return "they have no columns"
    for field in inferred if pa.types.is_struct(inferred) else [pa.field("the value", inferred)]:
        inside = [field.type]
        while inside:
            found = inside.pop()
            if pa.types.is_union(found):
                return f"{field.name} holds values of several types"
            if pa.types.is_decimal(found):
                return f"{field.name} holds Decimal, of which later ones may have more digits"
            inside += [found.field(i).type for i in range(found.num_fields)]
    return None
