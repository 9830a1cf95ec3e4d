"""Scalar functions: what DuckDB calls with a chunk of columns."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf._arrow import types as arrow_types
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions import batch_split
from duckdb_wasi_udf._functions.lru_cache import MOST, Recent
from duckdb_wasi_udf._functions.signature import Signature, resolve
from duckdb_wasi_udf._guests.budget import Budget
from duckdb_wasi_udf._guests.instance import Definition, GuestInstance
from duckdb_wasi_udf._guests.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from duckdb_wasi_udf._functions.signature import SqlTypeOf
    from duckdb_wasi_udf._guests.budget import Usage
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

# The longest batch DuckDB sends is a vector: https://duckdb.org/docs/stable/clients/c/vector
_VECTOR_SIZE = 2048

# How much of an inline code errors quote.
_LABEL_CHARACTERS = 60


class ScalarFunction:
    """A function with its signature, called with Arrow columns; makes and keeps the instances it runs on.

    Attributes:
        kind: what DuckDB would call it.
        signature: what the guest's function takes and returns.
        takes: what the SQL function takes and returns.
        source_hash: see `Definition.source_hash`.
        failed_rows: how many rows are NULL because the function raised.
    """

    kind = "scalar"

    def __init__(
        self, sandbox: TrustDomain, definition: Definition, signature: Callable[[GuestInstance], Signature]
    ) -> None:
        """Define the function in a first instance, so that its mistakes show now.

        Args:
            sandbox: whose engine and limits apply.
            definition: the function.
            signature: makes its signature from the instance it was defined in.

        Raises:
            GuestError: the code doesn't compile, defines no function, or raised while it was loaded.
            SignatureError: its annotations don't fit.
        """
        self._sandbox = sandbox
        self.signature, self._definition, self._spare = sandbox.define(definition, signature)
        self.takes = self.signature
        self._budget = Budget(definition.label, sandbox.limits.budget_seconds)
        self._pools: dict[tuple[pa.DataType, ...], Pool] = {}
        self.source_hash = definition.source_hash
        self.failed_rows = 0
        self._lock = threading.Lock()

    def __call__(self, stops: int, *chunks: pa.ChunkedArray) -> pa.Array:
        """Run one batch.

        Args:
            stops: the clock's count of stops when the call began.
            chunks: the arguments, of equal length.

        Returns:
            The results, one for each row.
        """
        columns = [chunk.chunk(0) for chunk in chunks]
        return self.run(stops, columns, len(columns[0]) if columns else 1)

    def run(self, stops: int, columns: Sequence[pa.Array], length: int) -> pa.Array:
        """Run one batch of plain arrays: see `__call__`."""
        if self.signature.by_batch:
            unseen = [column for i, column in enumerate(columns) if not self.signature.sees_null(i)]
            rows = batch_split.without_nulls(unseen)
            if rows is not None:
                seen = (
                    self._run(stops, [column.take(rows) for column in columns], len(rows)) if len(rows) else pa.nulls(0)
                )
                return batch_split.together([(rows, seen)], length, self.signature.label)
        return self._run(stops, columns, length)

    def _run(self, stops: int, columns: Sequence[pa.Array], length: int) -> pa.Array:
        types = tuple([column.type for column in columns])
        pool = self._pools.get(types)
        if pool is None:
            plain = [arrow_types.plain(data_type) for data_type in types]
            if list(types) != plain:
                return self._run(stops, [column.cast(to) for column, to in zip(columns, plain, strict=True)], length)
            pool = self._pools.setdefault(types, self._make_pool(types))
        results, failed_rows = pool.call(stops, columns, length)
        if failed_rows:
            with self._lock:
                self.failed_rows += failed_rows
        return results

    @property
    def usage(self) -> Usage:
        """What it has done."""
        return self._budget.usage

    @property
    def instances(self) -> int:
        """The live instances, idle and busy."""
        return len(self._spare) + sum(pool.idle for pool in list(self._pools.values())) + self._budget.running

    def close(self) -> None:
        """Drop the instances."""
        self._sandbox.roster.clear(self._spare)
        for pool in list(self._pools.values()):
            pool.close()

    def retire(self) -> None:
        """Drop the idle instances; calls under way go on."""
        self.close()

    def _make_pool(self, types: tuple[pa.DataType, ...]) -> Pool:
        """The pool for arguments of these types, which are checked here, once."""
        arguments = self.signature.bind(types)

        def start() -> GuestInstance:
            roster = self._sandbox.roster
            instance = roster.take(self._spare) or self._sandbox.start(self._definition)
            try:
                instance.bind(arguments, self.signature.result_type)
            except BaseException:
                roster.drop(instance)
                raise
            return instance

        return Pool(start, self._sandbox.roster, self._budget, reuse=self._sandbox.isolation == "function")


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
