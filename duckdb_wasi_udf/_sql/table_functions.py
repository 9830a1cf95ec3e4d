"""Table functions in SQL: what gives a query its rows when DuckDB's Python client registers scalar functions only.

DuckDB's `query(text)` makes a table of a query whose text is computed while another is bound
(https://duckdb.org/docs/stable/guides/sql_features/query_and_query_table_functions). So a table function is a
scalar function that is called then, puts an Arrow stream where DuckDB finds it, and returns the query that scans it. A
macro of the same name hides the call of `query`. The plan keeps the stream, which starts anew for every scan.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf._arrow.types import ARROW_VARIANT, with_small_offsets
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.lru_cache import Recent
from duckdb_wasi_udf._functions.signature import VARIANT, resolve
from duckdb_wasi_udf._functions.table import TableFunction
from duckdb_wasi_udf._functions.table_schema import CallSchema, beside
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._shared.identifiers import quote_identifier
from duckdb_wasi_udf._sql.macros import create_macro
from duckdb_wasi_udf._sql.types import row_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from duckdb_wasi_udf._arrow.sql_type import SqlTypeOf
    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain
    from duckdb_wasi_udf._sql.streams import Streams

# How much of an inline code errors quote.
_LABEL_CHARACTERS = 60

# What a macro passes for no arguments at all: DuckDB wants one where any are allowed.
_NO_ARGUMENTS = "duckdb_wasi_udf: no arguments"


# How many arguments of `*args` a macro takes, which has a fixed number of parameters; `query(name(...))` takes any.
_REST_PARAMETERS = 16


class NamedTable:
    """What DuckDB calls to bind a named table function."""

    def __init__(self, name: str, function: TableFunction, streams: Streams) -> None:
        self._name = name
        self.function = function
        self._streams = streams
        self._registering: int | None = None  # the thread that creates the macro

    def __call__(self, _stops: int, *chunks: pa.ChunkedArray) -> pa.Array:
        """The query that scans a call with these arguments, each of one value."""
        if self._registering == threading.get_ident():  # DuckDB binds a macro's text when it is created
            return pa.array(["SELECT NULL"])
        arguments = [constant(self._name, chunk) for chunk in chunks]
        if len(arguments) == 1 and arguments[0].equals(pa.array([_NO_ARGUMENTS])):
            arguments = []
        return pa.array([self._streams.scan(self.function.rows(arguments, self._name))])

    def close(self) -> None:
        """Drop the instances."""
        self.function.close()

    def create_macro(self, con: duckdb.DuckDBPyConnection) -> None:
        """Give the function its name in FROM, with a form for each number of arguments it takes."""
        signature = self.function.takes
        rest = [] if signature.rest is None else [signature.rest] * _REST_PARAMETERS
        parameters = [*signature.parameters, *rest]
        names = [quote_identifier(parameter.name) for parameter in signature.parameters]
        names += [quote_identifier(f"{parameter.name}{i}") for i, parameter in enumerate(rest, 1)]
        types = [parameter.sql_type.name if parameter.sql_type else "" for parameter in parameters]
        forms = []
        for count in range(signature.required, len(parameters) + 1):
            declared = ", ".join(
                f"{name} {sql_type}" for name, sql_type in zip(names[:count], types[:count], strict=True)
            )
            passed = ", ".join(names[:count]) or f"'{_NO_ARGUMENTS}'"
            forms.append(f"({declared}) AS TABLE (FROM query({quote_identifier(self._name)}({passed})))")
        self._registering = threading.get_ident()
        try:
            create_macro(con, self._name, ", ".join(forms))
        finally:
            self._registering = None


class InlineTable:
    """`py_table`: the first argument is the code."""

    def __init__(self, sandbox: TrustDomain, name: str, sql_type_of: SqlTypeOf, streams: Streams) -> None:
        """Prepare the function.

        Args:
            sandbox: whose engine and limits apply.
            name: the SQL function's name.
            sql_type_of: looks SQL types up.
            streams: where its streams go.
        """
        self._sandbox = sandbox
        self._name = name
        self._sql_type_of = sql_type_of
        self._streams = streams
        self._functions: Recent[TableFunction] = Recent(lambda function: function.retire())

    def __call__(
        self,
        _stops: int,
        code: pa.ChunkedArray,
        args: pa.ChunkedArray | None = None,
        schema: pa.ChunkedArray | None = None,
        *others: pa.ChunkedArray,
    ) -> pa.Array:
        """The query that scans a call of `code`."""
        if others:
            msg = f"{self._name} takes code, args and schema; the arguments of the function go into args"
            raise SignatureError(msg)
        function = self._function(constant_text(self._name, "code", code), constant_row_type(self._name, schema))
        given = None if args is None else constant(self._name, args)
        return pa.array([self._streams.scan(function.rows(_by_name(function, given), self._name))])

    def close(self) -> None:
        """Drop the functions with their instances."""
        self._functions.close()

    def create_macro(self, con: duckdb.DuckDBPyConnection) -> None:
        """Give the function its name in FROM."""
        name = quote_identifier(self._name)
        create_macro(
            con,
            self._name,
            f"(code, args := NULL, schema := NULL) AS TABLE (FROM query({name}(code, args, schema)))",
        )

    def _function(self, code: str, declared: str | None) -> TableFunction:
        def make() -> TableFunction:
            return define(self._sandbox, inline_definition(self._name, code), declared, self._sql_type_of)

        return self._functions.get((code, declared), make)


def define(
    sandbox: TrustDomain, definition: Definition, declared: str | Definition | None, sql_type_of: SqlTypeOf
) -> TableFunction:
    """A table function.

    Args:
        sandbox: whose engine and limits apply.
        definition: the function.
        declared: the SQL type of its rows, or a function that tells the columns of each call; None to go by a function
            `schema` beside it or by its annotation.
        sql_type_of: looks SQL types up.
    """
    by_call = declared if isinstance(declared, Definition) else None

    def signature(instance: GuestInstance) -> Signature:
        nonlocal by_call
        if declared is None and instance.description.get("schema") and definition.is_text:
            by_call = beside(definition)
        return_type = VARIANT if by_call is not None else declared
        assert not isinstance(return_type, Definition)
        return resolve(definition.label, instance.description, sql_type_of, return_type=return_type)

    function = TableFunction(sandbox, definition, signature)
    if by_call is not None:
        function.row_types = CallSchema(sandbox, by_call, sql_type_of)
    return function


def inline_definition(name: str, code: str) -> Definition:
    """The function that is written in a query."""
    line = code.strip().partition("\n")[0]
    if len(line) > _LABEL_CHARACTERS or "\n" in code.strip():
        line = line[:_LABEL_CHARACTERS] + "..."
    return Definition.from_source(code, f"{name}({line!r})", name=name)


def constant(name: str, chunk: pa.ChunkedArray) -> pa.Array:
    """The one value of an argument, as a type the guest has a codec for."""
    if len(chunk) != 1:
        msg = f"{name} is a table function: call it in FROM, with arguments that don't differ from row to row"
        raise SignatureError(msg)
    value = chunk.chunk(0)
    plain = with_small_offsets(value.type)
    return value if value.type == plain else value.cast(plain)


def constant_text(name: str, what: str, chunk: pa.ChunkedArray) -> str:
    """The one value of an argument that is text."""
    text = constant(name, chunk)[0].as_py()
    if not isinstance(text, str):
        msg = f"{name}: the {what} is {text!r}; pass it as VARCHAR"
        raise SignatureError(msg)
    return text


def constant_row_type(name: str, schema: pa.ChunkedArray | None) -> str | None:
    """The SQL type of rows that the argument `schema` declares; None when it is NULL or left out."""
    declared = None if schema is None else constant(name, schema)[0].as_py()
    return None if declared is None else row_type(name, declared)


def _by_name(function: TableFunction, given: pa.Array | None) -> Sequence[pa.Array]:
    """The arguments of a call in order, from a STRUCT of them."""
    if given is None or given[0].as_py() is None:
        return []
    signature = function.takes
    if not pa.types.is_struct(given.type) or given.type == ARROW_VARIANT:
        msg = f"{signature.label}: args is a STRUCT of arguments by name, as in {{'n': 10}}, not {given.type}"
        raise SignatureError(msg)
    values = dict(zip([field.name for field in given.type], given.flatten(), strict=True))
    names = [parameter.name for parameter in signature.parameters]
    rest = [name for name in values if name not in names]
    unknown = [] if signature.rest is not None else rest
    positions = [names.index(name) + 1 for name in values if name in names]
    wanted = names[: len(names) if rest else max(signature.required, *positions, 0)]
    missing = [name for name in wanted if name not in values]
    if unknown or missing:
        problem = f"it has no {unknown[0]!r}" if unknown else f"args lacks {missing[0]!r}"
        msg = f"{signature.label}: the function takes ({', '.join(names)}); {problem}"
        raise SignatureError(msg)
    return [values[name] for name in wanted + rest]
