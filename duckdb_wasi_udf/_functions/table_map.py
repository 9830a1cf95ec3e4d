"""Table in, table out: a function that is called for each row of an input, and once more at its end."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._functions.arrow_stream import ArrowStream
from duckdb_wasi_udf._functions.batch_split import PIECES, ranges_by_size, rows_of
from duckdb_wasi_udf._functions.scan import ScanRunner
from duckdb_wasi_udf._functions.table_schema import inferred_row_type
from duckdb_wasi_udf._guests.budget import Budget
from duckdb_wasi_udf._guests.compilation import NOT_BY_ROW
from duckdb_wasi_udf._guests.instance_factory import InstanceFactory

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._guests.budget import Usage
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

    Batches = Generator[pa.RecordBatch, None, None]


class MapFunction:
    """A function over the rows of an input, with its signature for these.

    Every scan has an instance of its own, whose state ends with it.

    Attributes:
        kind: what `py_functions()` calls it.
        signature: what it takes and returns; its result is one row.
        source_hash: see `Definition.source_hash`.
        failed_rows: 0, since an exception always fails the query.
        inline: it is the code of a query.
        compiled: never.
        most_bytes: the size of the arguments that go into a guest with one call, unless a single row is larger.
    """

    kind = "map"
    failed_rows = 0
    compiled = NOT_BY_ROW

    def __init__(
        self,
        context: CallContext,
        domain: TrustDomain,
        definition: Definition,
        signature: Callable[[GuestInstance], Signature],
        input_types: Sequence[pa.DataType],
    ) -> None:
        """Define the function, so that its mistakes show now.

        Args:
            context: the call that needs it.
            domain: whose engine and limits apply.
            definition: the function, or a class with the methods `process` and, if wanted, `finish`.
            signature: makes its signature, whose result is one row, from the instance it was defined in.
            input_types: the types of the input's columns.

        Raises:
            GuestError: the code doesn't compile, defines no function, or raised while it was loaded.
            SignatureError: its annotations don't fit.
        """
        self._domain = domain
        self._definition = definition
        described = replace(_over_rows(definition, (), named=False), table=True)
        self.signature, factory = InstanceFactory.define(domain, context, described, signature)
        factory.drop_idle()
        self._arguments = self.signature.bind(input_types)
        self._types = self.signature.argument_types(input_types)
        self._budget = Budget(definition.label, domain.limits.budget_seconds)
        self._scans: weakref.WeakSet[ScanRunner] = weakref.WeakSet()
        self.source_hash = definition.source_hash
        self.inline = definition.inline
        domain.counters.add(self, definition.label, self._budget)
        self.most_bytes = domain.limits.memory_bytes // PIECES

    @property
    def usage(self) -> Usage:
        """Counters of its batches."""
        return self._budget.usage

    @property
    def instances(self) -> int:
        """Number of live instances, each of a scan."""
        return sum(scan.is_open for scan in list(self._scans))

    def stream(self, context: CallContext, batches: Callable[[], Batches], column: str) -> ArrowStream:
        """Return what the function makes of an input.

        Args:
            context: the call that binds the query.
            batches: begins to read the input.
            column: the name of the column when rows aren't STRUCTs.

        Raises:
            SignatureError: the rows have no declared type, and the first batch of the input doesn't show it.
            GuestError: the function raised in that batch.
        """
        row_type = self.signature.result_type
        if row_type is None:
            scan = MapScan(self, batches(), None)
            try:
                row_type = inferred_row_type(self._definition.label, scan.next(context))
            finally:
                scan.close()
        return ArrowStream(
            self._domain,
            self._definition.label,
            self.signature.return_type,
            row_type,
            column,
            lambda _: MapScan(self, batches(), row_type),
        )

    def retire(self) -> None:
        """Keep the instances: each is of a scan under way."""

    def close(self) -> None:
        """Close the instances; scans under way fail at their next step."""
        for scan in list(self._scans):
            scan.abandon()

    # ---- for its scans ---------------------------------------------------------------------------------------------

    def runner(self, row_type: pa.DataType | None) -> ScanRunner:
        """Return the runner of a scan: see `ScanRunner`. With `row_type` None the rows' type is inferred."""
        strict = tuple([i for i, (_, sees_null) in enumerate(self._arguments) if not sees_null])
        only = _only_column(row_type)
        over_rows = _over_rows(self._definition, strict, named=row_type is None, only=only)
        factory = InstanceFactory(self._domain, over_rows)
        # The function's last argument, and NULL in the call at the end, are for the guest's `step` to see.
        arguments = [*((data_type, True) for data_type, _ in self._arguments), (pa.bool_(), True)]
        result_type = None if row_type is None else pa.list_(row_type)
        runner = ScanRunner(
            self._domain.instances, self._budget, lambda context: factory.start(context, arguments, result_type)
        )
        self._scans.add(runner)
        return runner

    def columns(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Return the arguments of a batch."""
        columns = self.signature.convert(batch.columns, self._types)
        return [*columns, pa.nulls(len(batch), pa.bool_())]

    def last_columns(self) -> list[pa.Array]:
        """Return the arguments of the call at the end."""
        return [*[pa.nulls(1, data_type) for data_type in self._types], pa.array([True])]


def _over_rows(
    definition: Definition, strict: tuple[int, ...], *, named: bool, only: tuple[str, bool] | None = None
) -> Definition:
    """Return the definition of what is called for each row, and at the end: see `_udf_functions.map.over_rows`."""
    wrapped = definition.wrapped("_udf_functions.map:over_rows", strict=strict, named=named, only=only)
    return replace(wrapped, hidden_last=1)  # whether it is the call at the end


def _only_column(row_type: pa.DataType | None) -> tuple[str, bool] | None:
    """Return the name of the only column of rows, and whether its values are dicts; None for other rows."""
    if row_type is None or not pa.types.is_struct(row_type) or row_type.num_fields != 1:
        return None
    column = row_type.field(0)
    return column.name, pa.types.is_struct(column.type) or pa.types.is_map(column.type) or column.type == pa.json_()


class MapScan:
    """One pass over the input: see `Scan`.

    Attributes:
        runner: What runs its steps, which are Python's: they begin with a batch of the input.
    """

    def __init__(self, function: MapFunction, batches: Batches, row_type: pa.DataType | None) -> None:
        """Prepare the pass.

        Args:
            function: the function.
            batches: the input.
            row_type: the type its rows must fit; None to infer it batch by batch.
        """
        self._function = function
        self.runner = function.runner(row_type)
        self._batches = self._calls(batches)

    def next(self, context: CallContext) -> pa.Array | None:
        """Return what the function returns for the next batch that it returns anything for: see `Scan.next`."""
        for columns, length in self._batches:  # read outside of the step: the input's time isn't the guest's

            def step(
                context: CallContext, instance: GuestInstance, columns: list[pa.Array] = columns, length: int = length
            ) -> pa.Array:
                lists, _ = instance.call(context, columns, length)
                return lists.flatten() if pa.types.is_list(lists.type) else lists[:0]

            rows = self.runner.step(context, step)
            if len(rows):
                return rows
        return None

    def close(self) -> None:
        """End the pass, at whatever batch it is."""
        self._batches.close()
        self.runner.end(lambda _: False)

    def _calls(self, batches: Batches) -> Generator[tuple[list[pa.Array], int], None, None]:
        try:
            for batch in batches:
                for start in range(0, len(batch), _abi.VECTOR_ROWS):
                    part = batch[start : start + _abi.VECTOR_ROWS]
                    yield from self._pieces(self._function.columns(part), len(part))
            yield self._function.last_columns(), 1
        finally:
            batches.close()

    def _pieces(self, columns: list[pa.Array], length: int) -> Iterator[tuple[list[pa.Array], int]]:
        """Return a batch as a whole, or in pieces if its rows are long."""
        pieces = ranges_by_size(columns, length, self._function.most_bytes, 0)
        for rows in pieces:
            yield (columns if len(pieces) == 1 else rows_of(columns, rows)), len(rows)
