"""Table functions: what a query scans is a stream of Arrow batches, each pulled from a guest when it is wanted."""

from __future__ import annotations

import threading
import time
import weakref
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from duckdb_wasi_udf._errors import SignatureError, WasiUdfError
from duckdb_wasi_udf._functions.arrow_stream import ArrowStream
from duckdb_wasi_udf._functions.signature import built_type
from duckdb_wasi_udf._guests.budget import Budget
from duckdb_wasi_udf._guests.definition import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from duckdb_wasi_udf._arrow.sql_type import SqlType
    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._guests.budget import Usage
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.instance_registry import Shelf
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

# Makes columns of plain tuples, which for want of a declared type would be lists. Runs in the guest, on the function.
_NAME_COLUMNS = """
def named(row):
    return {f"col{i}": value for i, value in enumerate(row)} if type(row) is tuple else row

@wraps(function)
def rows(*arguments):
    returned = function(*arguments)  # which is rows, or for the one who iterates to refuse
    return returned if isinstance(returned, (str, bytes, dict, Columns)) else map(named, returned)
"""


class RowTypes(Protocol):
    """Tells the columns of each call: see `table_schema.CallSchema`."""

    def __call__(self, arguments: Sequence[pa.Array]) -> SqlType:
        """The SQL type of the rows of a call with these arguments, arrays of one value each."""

    def close(self) -> None:
        """Drop its instances."""


@dataclass(slots=True)
class Step:
    """One entry into a guest on behalf of a scan.

    Attributes:
        stops: the clock's count of stops when it began.
        seconds: what it may take.
        rows: how many it has given; None until it is done.
        guest_seconds: how long it was inside the guest.
        memory_bytes: the linear memory of its instance after it.
    """

    stops: int
    seconds: float
    rows: int | None = None
    guest_seconds: float = 0.0
    memory_bytes: int = 0

    def done(self, instance: GuestInstance, rows: int, guest_seconds_before: float) -> None:
        """It went well."""
        self.rows = rows
        self.guest_seconds = instance.guest_seconds - guest_seconds_before
        self.memory_bytes = instance.memory_bytes


class TableFunction:
    """A function that gives rows, with its signature; makes and keeps the instances its scans run on.

    Attributes:
        kind: what DuckDB would call it.
        takes: its signature, whose result is one row; VARIANT when the arguments or the rows tell the columns.
        source_hash: see `Definition.source_hash`.
        failed_rows: 0, since an exception always fails the query.
        row_types: tells the columns of each call; None when `takes` does, or the rows do.
    """

    kind = "table"
    failed_rows = 0

    def __init__(
        self, sandbox: TrustDomain, definition: Definition, signature: Callable[[GuestInstance], Signature]
    ) -> None:
        """Define the function in a first instance, so that its mistakes show now.

        Args:
            sandbox: whose engine and limits apply.
            definition: the function.
            signature: makes its signature, whose result is one row, from the instance it was defined in.

        Raises:
            GuestError: the code doesn't compile, defines no function, or raised while it was loaded.
            SignatureError: its annotations don't fit.
        """
        self.sandbox = sandbox
        self.takes, self.definition, self._spare = sandbox.define(replace(definition, table=True), signature)
        self.row_types: RowTypes | None = None
        self.source_hash = definition.source_hash
        self._reuse = sandbox.isolation == "function"
        self._shelves: dict[tuple[pa.DataType, ...], Shelf] = {}
        self._budget = Budget(definition.label, sandbox.limits.budget_seconds)
        self.cursors: weakref.WeakSet[Cursor] = weakref.WeakSet()

    def inferred(self, first: pa.Array | None) -> pa.DataType:
        """The type of the first rows, if it is to be relied on for those to come.

        Raises:
            SignatureError: it isn't.
        """
        doubt = "it gave no rows" if first is None else _doubt(first.type)
        if first is None or doubt:
            msg = (
                f"{self.definition.label}: the columns can't be inferred from the first rows: {doubt}; annotate the "
                "function, as with Iterator[Row], or declare the schema"
            )
            raise SignatureError(msg)
        return first.type

    def rows(self, arguments: Sequence[pa.Array], column: str) -> ArrowStream:
        """A call of the function.

        Args:
            arguments: arrays of one value each.
            column: the name of the column when rows aren't STRUCTs.

        Raises:
            SignatureError: the arguments don't fit, the columns can't be told, or two have the same name.
            GuestError: the function raised in the first batch, which was needed to infer the columns.
        """
        label = self.definition.label
        self.takes.bind([argument.type for argument in arguments])
        declared, row_type = self.takes.return_type, self.takes.result_type
        if self.row_types is not None:
            told = self.row_types(arguments)
            declared, row_type = told.name, built_type(label, told)
        if row_type is None:
            cursor = Cursor(self, arguments, None)
            try:
                row_type = self.inferred(cursor.next())
            finally:
                cursor.close()
        return ArrowStream(
            label, declared, row_type, column, lambda: Cursor(self, arguments, row_type), self.sandbox.report
        )

    @property
    def usage(self) -> Usage:
        """What it has done, step by step."""
        return self._budget.usage

    @property
    def instances(self) -> int:
        """The live instances, idle and those of scans under way."""
        idle = sum(len(shelf) for shelf in [self._spare, *list(self._shelves.values())])
        return idle + sum(cursor.is_open for cursor in list(self.cursors))

    def close(self) -> None:
        """Drop the instances; scans under way fail at their next step."""
        self.retire()
        for cursor in list(self.cursors):
            cursor.abandon()

    def retire(self) -> None:
        """Drop the idle instances, and those of scans under way when these are done."""
        self._reuse = False
        if self.row_types is not None:
            self.row_types.close()
        for shelf in [self._spare, *self._shelves.values()]:
            self.sandbox.roster.clear(shelf)

    # ---- for its cursors -------------------------------------------------------------------------------------------

    @contextmanager
    def step(self) -> Iterator[Step]:
        """Around whatever runs a guest."""
        try:
            self.sandbox.check_open()
            with self.sandbox.clock as stops:
                began = time.monotonic()
                step = Step(stops, self._budget.begin(began))
                try:
                    yield step
                finally:
                    self._budget.end(began, time.monotonic(), step.rows, step.guest_seconds, step.memory_bytes)
        except WasiUdfError as error:
            self.sandbox.report(error)
            raise

    def take(self, argument_types: tuple[pa.DataType, ...], row_type: pa.DataType | None) -> GuestInstance:
        """An instance that is bound to these types; None infers the rows'."""
        roster = self.sandbox.roster
        shelf = None if row_type is None else self._shelves.setdefault((*argument_types, row_type), [])
        if shelf is not None and (bound := roster.take(shelf)):
            return bound
        if row_type is None:
            instance = self.sandbox.start(self._naming_columns())
        else:
            instance = roster.take(self._spare) or self.sandbox.start(self.definition)
        try:
            instance.bind(self.takes.bind(argument_types), row_type)
        except BaseException:
            roster.drop(instance)
            raise
        return instance

    def give_back(
        self, instance: GuestInstance, argument_types: tuple[pa.DataType, ...], row_type: pa.DataType | None
    ) -> None:
        """Keep a sound instance for the next scan."""
        if self._reuse and row_type is not None:
            self.sandbox.roster.put_back(self._shelves[*argument_types, row_type], instance)
        else:
            self.sandbox.roster.drop(instance)

    def _naming_columns(self) -> Definition:
        units = self.definition.units
        unit = Unit(
            source=_NAME_COLUMNS,
            name="rows",
            entry="rows",
            imports={"wraps": "functools:wraps", "Columns": "duckdb_wasi_udf:Columns"},
            links={"function": len(units) - 1},
        )
        return replace(self.definition, units=(*units, unit))


class Cursor:
    """One call of a table function, which has an instance to itself from its first step to its end."""

    def __init__(self, function: TableFunction, arguments: Sequence[pa.Array], row_type: pa.DataType | None) -> None:
        """Prepare the call.

        Args:
            function: the function.
            arguments: arrays of one value each.
            row_type: the type its rows must fit; None to infer it batch by batch.
        """
        self._function = function
        self._arguments = arguments
        self._types = tuple([argument.type for argument in arguments])
        self._row_type = row_type
        self._instance: GuestInstance | None = None
        self._number: int | None = None
        self._rows = 0
        self._lock = threading.Lock()  # held while the guest runs
        self._abandoned = False
        function.cursors.add(self)

    def next(self) -> pa.Array | None:
        """The next rows, at most 2048; None when there are no more. After an error, only `close` may follow.

        Raises:
            WasiUdfError: as `GuestInstance.call`.
        """
        with self._lock, self._function.step() as step:
            if self._instance is None:
                self._instance = self._function.take(self._types, self._row_type)
            before = self._instance.guest_seconds
            if self._number is None:
                self._number = self._instance.open(self._arguments, step.stops, step.seconds)
            rows = self._instance.next(self._number, self._rows, step.stops, step.seconds)
            step.done(self._instance, len(rows), before)
        self._rows += len(rows)
        if self._abandoned:
            self.abandon()
        return rows if len(rows) else None

    @property
    def is_open(self) -> bool:
        """Whether it has an instance."""
        return self._instance is not None

    def close(self) -> None:
        """End the call, at whatever step it is; a generator's `finally` runs now, and what it raises is lost."""
        with self._lock:
            instance, self._instance = self._instance, None
            if instance is None:
                return
            sound = False
            try:
                if not instance.broken and self._number is not None:
                    instance.close(self._number)
                sound = not instance.broken
            except WasiUdfError:
                pass  # the rows are all there
            finally:
                if sound:
                    self._function.give_back(instance, self._types, self._row_type)
                else:
                    self._function.sandbox.roster.drop(instance)

    def abandon(self) -> None:
        """Drop the instance; one that runs, at the end of its step, which is the last since the sandbox is closed."""
        self._abandoned = True
        if self._lock.acquire(blocking=False):
            try:
                instance, self._instance = self._instance, None
                if instance is not None:
                    self._function.sandbox.roster.drop(instance)
            finally:
                self._lock.release()


def _doubt(inferred: pa.DataType) -> str | None:
    """Why an inferred type of rows isn't to be relied on for those to come; None when it is."""
    if pa.types.is_null(inferred):
        return "all of them are None"
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
