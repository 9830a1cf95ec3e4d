"""Columns that the code itself tells: a function `schema` beside a table function, called for each call of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.scalar import ScalarFunction
from duckdb_wasi_udf._functions.signature import reason, resolve
from duckdb_wasi_udf._guests.definition import Unit
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from duckdb_wasi_udf._arrow.sql_type import SqlType, SqlTypeOf
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

# Runs in the guest.
_AS_TEXT = """
@wraps(function)
def schema(*arguments):
    return row_type(function(*arguments))
"""

# Of what the guest says, as much as a mistake needs to be seen.
_SHOWN_CHARACTERS = 200


def beside(definition: Definition) -> Definition:
    """The function `schema` in the source text of another one."""
    (unit,) = definition.units
    return replace(definition, label=f"{definition.label}'s schema", units=(replace(unit, entry="schema"),))


class CallSchema:
    """What tells the columns of a call from its arguments; NULL arrives as None."""

    def __init__(self, sandbox: TrustDomain, definition: Definition, sql_type_of: SqlTypeOf) -> None:
        """Define the function.

        Args:
            sandbox: whose engine and limits apply.
            definition: the function, with the parameters of the table function. It returns the names and types of the
                columns as a dict, or the type of a row; a type is SQL's text or a Python type.
            sql_type_of: looks SQL types up.

        Raises:
            GuestError: the code doesn't compile, or raised while it was loaded.
            SignatureError: its annotations don't fit.
        """
        self._label = definition.label
        self._sandbox = sandbox
        self._sql_type_of = sql_type_of
        unit = Unit(
            source=_AS_TEXT,
            name="schema",
            entry="schema",
            imports={"wraps": "functools:wraps", "row_type": "duckdb_wasi_udf._shared.annotations:row_type"},
            links={"function": len(definition.units) - 1},
        )
        self._function = ScalarFunction(
            sandbox,
            replace(definition, units=(*definition.units, unit)),
            lambda instance: resolve(
                definition.label, instance.description, sql_type_of, return_type="VARCHAR", sees_null=True
            ),
        )

    def __call__(self, arguments: Sequence[pa.Array]) -> SqlType:
        """The type of the rows of a call.

        Args:
            arguments: arrays of one value each.

        Raises:
            GuestError: the function raised, or returned what isn't a schema.
            SignatureError: it names a type DuckDB doesn't know, or the arguments don't fit it.
        """
        with self._sandbox.clock as stops:
            told = str(self._function.run(stops, arguments, 1)[0].as_py())
        try:
            return self._sql_type_of(told)
        except KeyError as error:
            msg = f"{self._label}: {readable(told)[:_SHOWN_CHARACTERS]} is not a type DuckDB knows{reason(error)}"
            raise SignatureError(msg) from error

    def close(self) -> None:
        """Drop the instances."""
        self._function.close()
