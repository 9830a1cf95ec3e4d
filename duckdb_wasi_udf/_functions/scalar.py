"""Scalar functions: what DuckDB calls with a chunk of columns."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf._arrow.type_mapping import row_bytes
from duckdb_wasi_udf._functions.batch_split import (
    PIECES,
    merge_in_order,
    merge_rows,
    ranges_by_size,
    rows_of,
    rows_without_nulls,
)
from duckdb_wasi_udf._guests.budget import Budget
from duckdb_wasi_udf._guests.compilation import NOT_BY_ROW, WITH_NUMPY, Compilation, Compiled
from duckdb_wasi_udf._guests.instance_factory import InstanceFactory
from duckdb_wasi_udf._guests.native_budget import NativeBudget
from duckdb_wasi_udf._guests.native_pool import NativePool
from duckdb_wasi_udf._guests.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._guests.budget import Usage
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain


def _size(columns: Sequence[pa.Array]) -> int:
    return sum([column.nbytes for column in columns])


class ScalarFunction:
    """A function with its signature, called with Arrow columns. It has a pool of instances for each set of types.

    Attributes:
        kind: what DuckDB would call it.
        guest_signature: what the guest's function takes and returns.
        source_hash: see `Definition.source_hash`.
        inline: it is the code of a query.
    """

    kind = "scalar"
    _may_be_cut = True  # rows don't depend on each other

    def __init__(
        self,
        context: CallContext,
        domain: TrustDomain,
        definition: Definition,
        signature: Callable[[GuestInstance], Signature],
    ) -> None:
        """Define the function in a first instance, so that its mistakes show now.

        Args:
            context: the call that needs it.
            domain: whose engine and limits apply.
            definition: the function.
            signature: makes its signature from the instance it was defined in.

        Raises:
            GuestError: the code doesn't compile, defines no function, or raised while it was loaded.
            SignatureError: its annotations don't fit.
        """
        self._domain = domain
        self.guest_signature, self._factory = InstanceFactory.define(domain, context, definition, signature)
        make_budget = Budget if domain.gate is None else functools.partial(NativeBudget, domain.gate)
        label = self._factory.definition.label
        self._budget = make_budget(label, domain.limits.budget_seconds)
        self._pools: dict[tuple[pa.DataType, ...], Pool] = {}
        self._converted: dict[tuple[pa.DataType, ...], tuple[pa.DataType, ...]] = {}
        self.source_hash = definition.source_hash
        self._uses_numpy = domain.uses_numpy(definition)
        self.inline = definition.inline
        domain.counters.add(self, label, self._budget)
        self._most_bytes = domain.limits.memory_bytes // PIECES
        self._result_bytes = row_bytes(self.guest_signature.result_type)

    @property
    def signature(self) -> Signature:
        """Parameters and result of the SQL function."""
        return self.guest_signature

    def __call__(self, context: CallContext, *chunks: pa.ChunkedArray) -> pa.Array:
        """Run one batch.

        Args:
            context: the call that the batch belongs to.
            chunks: the arguments, of equal length.

        Returns:
            The results, one for each row.
        """
        columns = [chunk.chunk(0) for chunk in chunks]
        return self.run(context, columns, len(columns[0]) if columns else 1)

    def run(self, context: CallContext, columns: Sequence[pa.Array], length: int) -> pa.Array:
        """Run one batch of plain arrays: see `__call__`."""
        if self.guest_signature.by_batch:
            unseen = [column for i, column in enumerate(columns) if not self.guest_signature.sees_null(i)]
            rows = rows_without_nulls(unseen)
            if rows is not None:
                seen = (
                    self._run(context, [column.take(rows) for column in columns], len(rows))
                    if len(rows)
                    else pa.nulls(0)
                )
                return merge_rows([(rows, seen)], length, self.guest_signature.label)
        return self._run(context, columns, length)

    def _run(self, context: CallContext, columns: Sequence[pa.Array], length: int) -> pa.Array:
        types = tuple([column.type for column in columns])
        pool = self._pools.get(types)
        if pool is None:
            wanted = self._converted.get(types) or self._converted.setdefault(
                types, self.guest_signature.argument_types(types)
            )
            if wanted != types:
                return self._run(context, self.guest_signature.convert(columns, wanted), length)
            pool = self._pools.setdefault(types, self._make_pool(types))
        if (
            self._may_be_cut
            and length > 1
            and (self._result_bytes * length > self._most_bytes or _size(columns) > self._most_bytes)
        ):
            return self._run_in_pieces(context, pool, columns, length)
        return self._run_piece(context, pool, columns, length)

    def _run_in_pieces(self, context: CallContext, pool: Pool, columns: Sequence[pa.Array], length: int) -> pa.Array:
        """Run a batch of long rows a few at a time: DuckDB sends 2048 rows of any size."""
        results, first_row = [], context.first_row
        try:
            for rows in ranges_by_size(columns, length, self._most_bytes, self._result_bytes):
                context.first_row = first_row + rows.start
                piece = rows_of(columns, rows)
                results.append(self._run_piece(context, pool, piece, len(rows)))
        finally:
            context.first_row = first_row
        return merge_in_order(results, self.guest_signature.label)

    def _run_piece(self, context: CallContext, pool: Pool, columns: Sequence[pa.Array], length: int) -> pa.Array:
        results, failed_rows = pool.run(context, columns, length)
        if failed_rows:
            self._budget.count_failed(failed_rows)
        return results

    @property
    def failed_rows(self) -> int:
        """Number of rows that are NULL because the function raised."""
        return self._budget.failed_rows

    @property
    def usage(self) -> Usage:
        """Counters of its calls."""
        return self._budget.usage

    @property
    def compiled(self) -> Compiled:
        """What became of compiling it, for all types of arguments that it was called with."""
        if self.kind != "scalar" or self.guest_signature.by_batch:
            return NOT_BY_ROW
        if self._uses_numpy:
            return WITH_NUMPY
        if not self._domain.compiled:
            return Compiled(compiled=False, why_not="the sandbox has compiled=False", rows=0, bailed=0)
        pools = list(self._pools.values())
        for pool in pools:
            if pool.native is not None and pool.compilation is not None:
                pool.compilation.count_native(pool.native)
        states = [pool.compilation.state for pool in pools if pool.compilation is not None]
        reasons = dict.fromkeys(state.why_not for state in states if state.why_not is not None)
        return Compiled(
            any(state.compiled for state in states),
            "; ".join(reasons) or None,
            sum(state.rows for state in states),
            sum(state.bailed for state in states),
        )

    def explain(self, context: CallContext) -> str:
        """Return in words, a line for each set of argument types, whether the function is compiled: see `Sandbox`."""
        state = self.compiled
        types = list(self._pools)
        if not types:
            parameters = self.guest_signature.parameters
            declared = [parameter.sql_type for parameter in parameters]
            if self.guest_signature.rest is None and None not in declared:
                types = [tuple([sql_type.arrow_type for sql_type in declared if sql_type is not None])]
        if self.kind != "scalar" or self.guest_signature.by_batch or not self._domain.compiled or self._uses_numpy:
            return f"{self.signature}: interpreted, because {state.why_not}"
        if not types:
            return f"{self.signature}: its parameters have no types, so a query has to call it first"
        lines = []
        for key in types:
            pool = self._pools.setdefault(key, self._make_pool(key))
            assert pool.compilation is not None
            lines.append(f"{self.signature}: {pool.compilation.explain(context)}{_ran(pool.compilation.state)}")
        return "\n".join(lines)

    @property
    def instances(self) -> int:
        """Number of live instances, idle and busy."""
        return self._factory.idle + sum(pool.idle for pool in list(self._pools.values())) + self._budget.running

    def close(self) -> None:
        """Close the idle instances now, and those that are running when their call is done."""
        self._factory.drop_idle()
        for pool in list(self._pools.values()):
            pool.close()

    def retire(self) -> None:
        """Close the idle instances. Calls under way go on."""
        self.close()

    def _make_pool(self, types: tuple[pa.DataType, ...]) -> Pool:
        """Return a pool for arguments of these types, which are checked here, once."""
        arguments, result_type = self.guest_signature.bind(types), self.guest_signature.result_type
        code = self._domain.code
        compilation = None
        if code is not None and self.kind == "scalar" and not self.guest_signature.by_batch and not self._uses_numpy:
            # So that neither results nor the count of instructions depend on what ran before.
            at_once = self._domain.deterministic or self._domain.limits.fuel is not None
            compilation = Compilation(code, self._factory, arguments, result_type, at_once=at_once)
        native = None
        gate, budget = self._domain.gate, self._budget
        if gate is not None and isinstance(budget, NativeBudget) and self.kind == "scalar":
            fixed = compilation is not None and compilation.is_fixed
            native = NativePool(
                gate, budget, self._domain.errors, by_batch=self.guest_signature.by_batch, is_fixed=fixed
            )
        return Pool(
            self._factory,
            arguments,
            result_type,
            self._domain.instances,
            self._budget,
            compilation,
            reuse=self._domain.isolation == "function",
            native=native,
        )

    def native_pool(self, types: tuple[pa.DataType, ...]) -> NativePool | None:
        """Return the native library's part of the pool for arguments of these types; None if there is none."""
        pool = self._pools.get(types)
        return None if pool is None else pool.native

    @property
    def domain(self) -> TrustDomain:
        """The trust domain that it belongs to."""
        return self._domain


def _ran(state: Compiled) -> str:
    """Return in words what has run of a function."""
    if state.rows or state.bailed:
        why = "" if state.why_not is None else f", until {state.why_not}"
        return f". {state.rows:,} rows ran compiled, and {state.bailed:,} were left to the interpreter{why}"
    return ""
