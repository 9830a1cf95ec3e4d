"""A call of a table function, as an object that exports an Arrow stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf._arrow.type_mapping import result_type
from duckdb_wasi_udf._errors import GuestError, SignatureError, WasiUdfError
from duckdb_wasi_udf._functions.signature import VARIANT
from duckdb_wasi_udf._guests.trust_domain import IncomingCall
from duckdb_wasi_udf._process import state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from duckdb_wasi_udf._functions.scan import Scan
    from duckdb_wasi_udf._guests.lending import Lent
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain
    from duckdb_wasi_udf._native.layouts import Call


class ArrowStream:
    """A call of a table function in a query, as an object that exports Arrow: each scan of it calls the function anew.

    https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html

    Attributes:
        declared: The SQL type of its rows, to which DuckDB casts; VARIANT for whatever it makes of the Arrow types.
        schema: The columns as the guest builds them.
        is_row: The guest builds structs of them; otherwise values of the only column.
        cardinality: The number of rows that the code expects; None if it doesn't say.
    """

    def __init__(
        self,
        domain: TrustDomain,
        label: str,
        declared: str,
        row_type: pa.DataType,
        column: str,
        scan: Callable[[Sequence[str] | None], Scan],
        *,
        cardinality: int | None = None,
    ) -> None:
        """Name the columns.

        Args:
            domain: what the function belongs to.
            label: the function's name in errors.
            declared: the SQL type of its rows; VARIANT if nobody declared one.
            row_type: the type its rows have to fit.
            column: the name of the column when rows aren't STRUCTs.
            scan: begins a scan, of the columns of these names; None for all.
            cardinality: the number of rows that the code expects.

        Raises:
            SignatureError: two columns have the same name.
        """
        self._domain = domain
        self.declared = declared
        self.cardinality = cardinality
        self._scan = scan
        row_type = result_type(row_type) or row_type
        self.is_row = _has_columns(row_type)
        if self.is_row:
            self.schema = pa.schema(list(row_type))
        else:
            self.schema = pa.schema([pa.field(column, row_type)])
        names = [name.casefold() for name in self.schema.names]
        if len(set(names)) < len(names):
            msg = f"{label}: SQL doesn't distinguish these columns: {', '.join(self.schema.names)}"
            raise SignatureError(msg)

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        reader = pa.RecordBatchReader.from_batches(self.schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        batches = self.batches()
        try:
            while (batch := batches.next()) is not None:
                yield batch
        except WasiUdfError as error:
            # pyarrow adds the traceback to the text, which is the one thing that DuckDB passes on.
            raise error.with_traceback(None) from None
        finally:
            batches.close()

    def batches(self, wanted: Sequence[int] | None = None) -> Batches:
        """Begin a scan.

        Args:
            wanted: the positions of the columns that the query needs; None for all.
        """
        needed = range(len(self.schema)) if wanted is None else sorted(set(wanted))
        names = [self.schema.names[i] for i in needed] if len(needed) < len(self.schema) else None
        return Batches(self._domain, self._scan(names), self.schema, wanted, self._explained)

    def _explained(self, error: WasiUdfError) -> WasiUdfError:
        """Return the error, with what it takes to see why a row doesn't fit columns that nobody declared."""
        inferred = self.declared == VARIANT
        if not inferred or not isinstance(error, GuestError) or "\n" in error.guest_traceback:  # the code itself raised
            return error
        columns = ", ".join(f"{field.name} {field.type}" for field in self.schema)
        explained = GuestError(
            f"{error}\nthe columns were inferred from the first rows: {columns}; declare a schema that fits all",
            type_name=error.type_name,
            guest_traceback=error.guest_traceback,
            row=error.row,
            arguments=error.arguments,
        )
        explained.output = error.output
        self._domain.report(explained)
        return explained


class Batches:
    """One scan of a stream, batch by batch."""

    def __init__(
        self,
        domain: TrustDomain,
        scan: Scan,
        schema: pa.Schema,
        wanted: Sequence[int] | None,
        explained: Callable[[WasiUdfError], WasiUdfError],
    ) -> None:
        """Prepare the scan.

        Args:
            domain: what the function belongs to.
            scan: gives the rows.
            schema: all columns.
            wanted: the positions of those that the batches have; None for all.
            explained: makes of an error the one that is raised.
        """
        self._domain = domain
        self._scan = scan
        self._schema = schema if wanted is None else pa.schema([schema.field(i) for i in wanted])
        self._wanted = wanted
        self._explained = explained
        self._begun = next(state.cancel_numbers)

    def next(self, rows_before: int | None = None) -> pa.RecordBatch | None:
        """Return the next rows; None when there are no more.

        Args:
            rows_before: the number of rows so far, if the native library has run steps; None if it hasn't.

        Raises:
            WasiUdfError: as `Scan.next`.
        """
        runner = self._scan.runner
        if runner is not None and rows_before is not None:
            runner.rows = rows_before
        try:
            with IncomingCall(self._domain, self._begun) as context:
                rows = self._scan.next(context)
        except WasiUdfError as error:
            raise self._explained(error) from None
        return None if rows is None else self._batch(rows)

    def lend(self) -> int:
        """Let the native library run the steps to come; return the address of its pool, 0 if it may not."""
        runner = self._scan.runner
        return 0 if runner is None else runner.lend()

    def finish(self, lent: Lent, step: Call) -> pa.RecordBatch | None:
        """Do what is left of a step that the native library has begun.

        Args:
            lent: the instance.
            step: the step.

        Returns:
            The rows if DuckDB doesn't have them yet, and there are any.

        Raises:
            WasiUdfError: as `Scan.next`.
        """
        try:
            rows = lent.pool.finish(lent, step)
        except WasiUdfError as error:
            self._domain.report(error)
            raise self._explained(error) from None
        return self._batch(rows) if rows else None

    def _batch(self, rows: pa.Array) -> pa.RecordBatch:
        """Return rows as the columns that are wanted."""
        columns = rows.flatten() if _has_columns(rows.type) else [rows]
        if self._wanted is not None:
            columns = [columns[i] for i in self._wanted]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def close(self) -> None:
        """End the scan, at whatever step it is."""
        self._scan.close()


def _has_columns(row_type: pa.DataType) -> bool:
    return bool(pa.types.is_struct(row_type))
