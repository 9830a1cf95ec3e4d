"""Table in, table out: a function that is called for each row of an input, and once more at its end."""

from __future__ import annotations

import base64
import marshal
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._arrow.types import with_small_offsets
from duckdb_wasi_udf._functions.arrow_stream import ArrowStream
from duckdb_wasi_udf._functions.table import Cursor, TableFunction
from duckdb_wasi_udf._guests.definition import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

    Batches = Generator[pa.RecordBatch, None, None]

# Runs in the guest. `function` is called for each row, or `process` of one object of it when it is a class; each gives
# any number of rows, as `finish` does at the end, which the last argument tells. `strict` are the positions of those
# arguments whose NULL is not for the function, `named` tells whether plain tuples are to have columns.
_STEP = """
made = function() if isinstance(function, type) else None
process = function if made is None else getattr(made, "process", None)
finish = getattr(made, "finish", None)
if process is None:
    raise TypeError(f"the class {function.__name__} needs a method process(self, ...), which is called for each row")

def name_columns(row):
    return {f"col{i}": value for i, value in enumerate(row)} if type(row) is tuple else row

@wraps(process)
def step(*row):
    *row, last = row
    if last:
        rows = finish() if finish else ()
    elif any(row[i] is None for i in strict):
        return None
    else:
        rows = process(*row)
    if isinstance(rows, (str, bytes, dict)):
        raise TypeError(f"the function returned {type(rows).__name__}; it yields rows, or returns an iterable of them")
    return list(map(name_columns, rows or ()) if named else rows or ())
"""


class Map:
    """A function over the rows of an input, with its signature for these."""

    def __init__(
        self,
        sandbox: TrustDomain,
        definition: Definition,
        signature: Callable[[GuestInstance], Signature],
        input_types: Sequence[pa.DataType],
    ) -> None:
        """Define the function, so that its mistakes show now.

        Args:
            sandbox: whose engine and limits apply.
            definition: the function, or a class with the methods `process` and, if wanted, `finish`.
            signature: makes its signature, whose result is one row, from the instance it was defined in.
            input_types: the types of the input's columns.

        Raises:
            GuestError: the code doesn't compile, defines no function, or raised while it was loaded.
            SignatureError: its annotations don't fit.
        """
        self._definition = definition
        self.function = TableFunction(sandbox, self._stepping((), named=False), signature)
        self.function.retire()  # every scan has an instance of its own, whose state ends with it
        self._types = tuple([with_small_offsets(data_type) for data_type in input_types])
        self._arguments = self.function.takes.bind(self._types)
        self._strict = tuple([i for i, (_, sees_null) in enumerate(self._arguments) if not sees_null])

    def rows(self, batches: Callable[[], Batches], column: str) -> ArrowStream:
        """What the function makes of an input.

        Args:
            batches: begins to read the input.
            column: the name of the column when rows aren't STRUCTs.

        Raises:
            SignatureError: the rows have no declared type, and what the first batch of the input gives doesn't tell.
            GuestError: the function raised in that batch.
        """
        row_type = self.function.takes.result_type
        if row_type is None:
            scan = MapScan(self, batches(), None)
            try:
                row_type = self.function.inferred(scan.next())
            finally:
                scan.close()
        declared = self.function.takes.return_type
        return ArrowStream(
            self._definition.label,
            declared,
            row_type,
            column,
            lambda: MapScan(self, batches(), row_type),
            self.function.sandbox.report,
        )

    def start(self, row_type: pa.DataType | None) -> GuestInstance:
        """A fresh instance, bound; with `row_type` None it infers the rows' type batch by batch."""
        sandbox = self.function.sandbox
        instance = sandbox.start(self._stepping(self._strict, named=row_type is None))
        try:
            # The function's last argument, and NULL in the call at the end, are for `step` to see.
            arguments = [(data_type, True) for data_type, _ in self._arguments]
            instance.bind([*arguments, (pa.bool_(), True)], None if row_type is None else pa.list_(row_type))
        except BaseException:
            sandbox.roster.drop(instance)
            raise
        return instance

    def columns(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The arguments of a batch."""
        plain = zip(batch.columns, self._types, strict=True)
        columns = [column if column.type == to else column.cast(to) for column, to in plain]
        return [*columns, pa.nulls(len(batch), pa.bool_())]

    def last_columns(self) -> list[pa.Array]:
        """The arguments of the call at the end."""
        return [*[pa.nulls(1, data_type) for data_type in self._types], pa.array([True])]

    def _stepping(self, strict: tuple[int, ...], *, named: bool) -> Definition:
        units = self._definition.units
        captured = base64.b64encode(marshal.dumps({"strict": strict, "named": named}, 2)).decode()
        unit = Unit(
            source=_STEP,
            name="step",
            entry="step",
            captured=captured,
            imports={"wraps": "functools:wraps"},
            links={"function": len(units) - 1},
        )
        return replace(self._definition, units=(*units, unit))


class MapScan(Cursor):
    """One pass over the input, on an instance of its own."""

    def __init__(self, mapped: Map, batches: Batches, row_type: pa.DataType | None) -> None:
        super().__init__(mapped.function, (), row_type)
        self._map = mapped
        self._batches = self._calls(batches)

    def next(self) -> pa.Array | None:
        """What the function gives for the next batch that it gives anything for; None at the end."""
        for columns, length in self._batches:  # read before the clock starts: the input's time isn't the guest's
            with self._lock, self._function.step() as step:
                if self._instance is None:
                    self._instance = self._map.start(self._row_type)
                before = self._instance.guest_seconds
                lists, _ = self._instance.call(columns, length, step.stops, step.seconds)
                rows = lists.flatten() if pa.types.is_list(lists.type) else lists[:0]
                step.done(self._instance, len(rows), before)
            if self._abandoned:
                self.abandon()
            if len(rows):
                return rows
        return None

    def close(self) -> None:
        """End the pass, at whatever batch it is."""
        self._batches.close()
        super().close()

    def _calls(self, batches: Batches) -> Generator[tuple[list[pa.Array], int], None, None]:
        try:
            for batch in batches:
                for start in range(0, len(batch), _abi.CURSOR_ROWS):
                    part = batch[start : start + _abi.CURSOR_ROWS]
                    yield self._map.columns(part), len(part)
            yield self._map.last_columns(), 1
        finally:
            batches.close()
