"""Scalar functions: what DuckDB calls with a chunk of columns."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf._arrow.types import with_small_offsets
from duckdb_wasi_udf._functions import batch_split
from duckdb_wasi_udf._guests.budget import Budget
from duckdb_wasi_udf._guests.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._guests.budget import Usage
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain


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
            plain = [with_small_offsets(data_type) for data_type in types]
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
