"""Functions whose code is an argument of the query: `py_udf` and its typed forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions import batch_split
from duckdb_wasi_udf._functions.lru_cache import MOST, Recent
from duckdb_wasi_udf._functions.scalar import ScalarFunction
from duckdb_wasi_udf._functions.signature import resolve
from duckdb_wasi_udf._guests.definition import Definition

if TYPE_CHECKING:
    from duckdb_wasi_udf._arrow.sql_type import SqlTypeOf
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

# The longest batch DuckDB sends is a vector: https://duckdb.org/docs/stable/clients/c/vector
_VECTOR_SIZE = 2048

# How much of an inline code errors quote.
_LABEL_CHARACTERS = 60


class InlineFunction:
    """`py_udf` and its typed forms: the first argument of every call is the code."""

    function_class: type[ScalarFunction] = ScalarFunction

    def __init__(self, sandbox: TrustDomain, name: str, return_type: str | None, sql_type_of: SqlTypeOf) -> None:
        """Prepare the function.

        Args:
            sandbox: whose engine and limits apply.
            name: the SQL function's name.
            return_type: the SQL type of its results; None to go by the code's annotation, or to infer it.
            sql_type_of: looks SQL types up.
        """
        self._sql_type_of = sql_type_of
        self._sandbox = sandbox
        self._name = name
        self._return_type = return_type
        self._functions: Recent[ScalarFunction] = Recent(lambda function: function.close())
        self._constants: dict[str, pa.Array] = {}

    def __call__(self, stops: int, code: pa.ChunkedArray, *chunks: pa.ChunkedArray) -> pa.Array:
        """Run one batch of the functions that `code` holds: mostly one, which is the same in every row."""
        columns, texts, length = [chunk.chunk(0) for chunk in chunks], self._texts(code.chunk(0)), len(code)
        first = texts[0].as_py()
        if first is not None and texts.equals(self._constant(first, texts[0], length)):
            return self._function(first).run(stops, columns, length)
        parts = [
            (rows, self._function(text).run(stops, [column.take(rows) for column in columns], len(rows)))
            for text, rows in batch_split.by_value(texts)
        ]
        return batch_split.together(parts, length, self._name)

    def close(self) -> None:
        """Drop the functions with their instances."""
        self._functions.close()

    def _texts(self, code: pa.Array) -> pa.Array:
        """The code of each row."""
        if code.type in (pa.large_string(), pa.string_view()):
            code = code.cast(pa.string())
        if code.type != pa.string() or code.null_count == len(code):
            what = "NULL" if code.null_count == len(code) else f"of the Arrow type {code.type}"
            msg = f"{self._name}: the code, its first argument, is {what}; pass Python source as VARCHAR"
            raise SignatureError(msg)
        return code

    def _constant(self, text: str, scalar: pa.StringScalar, length: int) -> pa.Array:
        """`length` times the same text, from a vector that is kept to compare batches with."""
        array = self._constants.get(text)
        if array is None or len(array) < length:
            if len(self._constants) >= MOST:
                self._constants.clear()
            array = self._constants[text] = pa.repeat(scalar, max(length, _VECTOR_SIZE))
        return array[:length]

    def _function(self, code: str) -> ScalarFunction:
        return self._functions.get(code, lambda: self._define(code))

    def _define(self, code: str) -> ScalarFunction:
        line = code.strip().partition("\n")[0]
        if len(line) > _LABEL_CHARACTERS or "\n" in code.strip():
            line = line[:_LABEL_CHARACTERS] + "..."
        label = f"{self._name}({line!r})"
        definition = Definition.from_source(code, label, name=self._name)
        return self.function_class(
            self._sandbox,
            definition,
            lambda instance: resolve(label, instance.description, self._sql_type_of, return_type=self._return_type),
        )
