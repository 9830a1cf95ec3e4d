"""Functions whose code is an argument of the query: `py_udf`, its typed forms, and what they share with `py_table`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.batch_split import merge_rows, split_by_code
from duckdb_wasi_udf._functions.lru_cache import MOST, LruCache
from duckdb_wasi_udf._functions.scalar import ScalarFunction
from duckdb_wasi_udf._functions.signature import resolve
from duckdb_wasi_udf._guests.definition import Definition

if TYPE_CHECKING:
    from duckdb_wasi_udf._arrow.sql_type import SqlTypeOf
    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

# The part of an inline code that errors quote.
_LABEL_CHARACTERS = 60


def inline_definition(name: str, code: str) -> Definition:
    """Return the definition of a function that is written in a query.

    Args:
        name: the SQL function that the code is passed to.
        code: the source text.
    """
    line = code.strip().partition("\n")[0]
    if len(line) > _LABEL_CHARACTERS or "\n" in code.strip():
        line = line[:_LABEL_CHARACTERS] + "..."
    return Definition.from_source(code, f"{name}({line!r})", name=name, inline=True)


class InlineFunction:
    """`py_udf` and its typed forms: the first argument of every call is the code."""

    function_class: type[ScalarFunction] = ScalarFunction

    def __init__(self, domain: TrustDomain, name: str, return_type: str | None, sql_type_of: SqlTypeOf) -> None:
        """Prepare the function.

        Args:
            domain: whose engine and limits apply.
            name: the SQL function's name.
            return_type: the SQL type of its results; None to go by the code's annotation, or to infer it.
            sql_type_of: looks SQL types up.
        """
        self._domain = domain
        self._name = name
        self._return_type = return_type
        self._sql_type_of = sql_type_of
        self._functions: LruCache[ScalarFunction] = LruCache(lambda function: function.close())
        self._constants: dict[str, pa.Array] = {}

    def __call__(self, context: CallContext, code: pa.ChunkedArray, *chunks: pa.ChunkedArray) -> pa.Array:
        """Run one batch of the functions that `code` holds: mostly one, which is the same in every row."""
        columns, texts, length = [chunk.chunk(0) for chunk in chunks], self._texts(code.chunk(0)), len(code)
        first = texts[0].as_py()
        if first is not None and texts.equals(self._constant(first, texts[0], length)):
            return self._function(context, first).run(context, columns, length)
        parts = [
            (rows, self._function(context, text).run(context, [column.take(rows) for column in columns], len(rows)))
            for text, rows in split_by_code(texts)
        ]
        return merge_rows(parts, length, self._name)

    def known(self, code: str | None) -> ScalarFunction | None:
        """Return the function of a source text that has run lately; None if there is none."""
        return None if code is None else self._functions.peek(code)

    def close(self) -> None:
        """Close the functions with their instances."""
        self._functions.close()

    def _texts(self, code: pa.Array) -> pa.Array:
        """Return the code of each row."""
        if code.type in (pa.large_string(), pa.string_view()):
            code = code.cast(pa.string())
        if code.type != pa.string() or code.null_count == len(code):
            what = "NULL" if code.null_count == len(code) else f"of the Arrow type {code.type}"
            msg = f"{self._name}: the code, its first argument, is {what}; pass Python source as VARCHAR"
            raise SignatureError(msg)
        return code

    def _constant(self, text: str, scalar: pa.StringScalar, length: int) -> pa.Array:
        """Return `length` times the same text, from a vector that is kept to compare batches with."""
        array = self._constants.get(text)
        if array is None or len(array) < length:
            if len(self._constants) >= MOST:
                self._constants.clear()
            array = self._constants[text] = pa.repeat(scalar, max(length, _abi.VECTOR_ROWS))
        return array[:length]

    def _function(self, context: CallContext, code: str) -> ScalarFunction:
        return self._functions.get(code, lambda: self._define(context, code))

    def _define(self, context: CallContext, code: str) -> ScalarFunction:
        definition = inline_definition(self._name, code)
        return self.function_class(
            context,
            self._domain,
            definition,
            lambda instance: resolve(
                definition.label, instance.description, self._sql_type_of, return_type=self._return_type
            ),
        )
