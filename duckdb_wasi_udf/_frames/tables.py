"""Tables of other libraries as Arrow tables, and back with columns added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duckdb_wasi_udf._errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MOST_DIGITS = 38  # of a DECIMAL

# What is looked for by the name of its module: neither library is needed, or imported, by whoever doesn't use it.
_FRAMES = "a pandas or Polars DataFrame or LazyFrame, or a pyarrow Table or RecordBatch"


def library_of(data: object) -> str:
    """Return whose table an object is: "pyarrow", "pandas", "polars" or "polars lazy".

    Raises:
        SignatureError: it is none.
    """
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return "pyarrow"
    for kind in type(data).__mro__:
        module = kind.__module__.partition(".")[0]
        if module in {"pandas", "polars"} and kind.__name__ == "DataFrame":
            return module
        if module == "polars" and kind.__name__ == "LazyFrame":
            return "polars lazy"
    msg = f"a table is {_FRAMES}; got {type(data).__module__}.{type(data).__name__}"
    raise SignatureError(msg)


def column_names(data: Any) -> list[str]:
    """Return the names of a table's columns."""
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return list(data.schema.names)
    return [str(name) for name in data.columns]


def arrow_columns(data: Any, names: Sequence[str]) -> pa.Table:
    """Return some columns of a table as Arrow.

    Raises:
        SignatureError: one of pandas has values that aren't of one type.
    """
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        return _known(data.select(names))
    if library_of(data) == "polars":
        return _known(data.select(names).to_arrow())
    columns = []
    for name in names:
        series = data[name]
        try:
            columns.append(pa.Array.from_pandas(series))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            msg = f"the column {name!r} (pandas dtype {series.dtype}) can't be an Arrow array: {error}"
            raise SignatureError(msg) from error
    return _known(pa.table(dict(zip(names, columns, strict=True))))


def _known(table: pa.Table) -> pa.Table:
    """Return a table without the types that DuckDB never hands over, so that guests don't know them."""
    columns = [_known_column(column) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def _known_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    types, data_type = pa.types, column.type
    if types.is_dictionary(data_type):
        return _known_column(column.cast(data_type.value_type))
    if types.is_run_end_encoded(data_type):
        return _known_column(
            pa.chunked_array([pc.run_end_decode(part) for part in column.chunks], data_type.value_type)
        )
    if types.is_duration(data_type):
        return _intervals(column)
    wanted = {
        pa.date64(): pa.date32(),
        pa.float16(): pa.float32(),
        pa.time32("s"): pa.time64("us"),
        pa.time32("ms"): pa.time64("us"),
        pa.string_view(): pa.string(),
        pa.binary_view(): pa.binary(),
    }.get(data_type)
    if types.is_decimal(data_type) and not types.is_decimal128(data_type) and data_type.precision <= _MOST_DIGITS:
        wanted = pa.decimal128(data_type.precision, data_type.scale)
    return column if wanted is None else column.cast(wanted)


def _intervals(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return durations as INTERVAL, for which Arrow has no cast: days, and nanoseconds of the last one."""
    parts = []
    for part in column.chunks:
        per_day = 24 * 60 * 60 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[part.type.unit]
        numbers = part.cast(pa.int64()).fill_null(0).to_numpy()
        days, rest = np.divmod(numbers, per_day)
        made = np.zeros(len(part), dtype=[("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")])
        if len(days) and not np.array_equal(days.astype("<i4"), days):
            msg = "a duration of more than 2**31 days has no INTERVAL"
            raise SignatureError(msg)
        made["days"], made["nanoseconds"] = days, rest * (24 * 60 * 60 * 10**9 // per_day)
        valid = pa.array(part.is_valid()).buffers()[1] if part.null_count else None
        parts.append(
            pa.Array.from_buffers(pa.month_day_nano_interval(), len(part), [valid, pa.py_buffer(made.tobytes())])
        )
    return pa.chunked_array(parts, pa.month_day_nano_interval())


def rows_of(data: Any, numbers: pa.Array) -> Any:
    """Return rows of a table, in a table of the same kind; those of pandas have their index.

    Args:
        data: the table.
        numbers: the rows, counted from 0; one may come several times.
    """
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return data.take(numbers)
    return data[numbers.to_numpy()] if library_of(data) == "polars" else data.take(numbers.to_numpy())


def with_columns(data: Any, added: pa.Table) -> Any:
    """Return a table with columns added, or replaced where it has one of the name; what it is of stays.

    Args:
        data: the table.
        added: as many rows of other columns.
    """
    if isinstance(data, pa.RecordBatch):
        whole = with_columns(pa.Table.from_batches([data]), added).combine_chunks()
        return whole.to_batches()[0] if len(whole) else pa.RecordBatch.from_pylist([], schema=whole.schema)
    if isinstance(data, pa.Table):
        for name, column in zip(added.column_names, added.columns, strict=True):
            field, place = added.schema.field(name), data.schema.get_field_index(name)
            data = data.set_column(place, field, column) if place >= 0 else data.append_column(field, column)
        return data
    if library_of(data) == "polars":
        import polars as pl  # noqa: PLC0415 - whoever passes a frame has it

        return data.with_columns(*(pl.Series(name, added[name]) for name in added.column_names))
    return data.assign(**{name: _series(added[name], data.index) for name in added.column_names})


def _series(column: pa.ChunkedArray, index: Any) -> Any:
    """Return a pandas Series. Integers and booleans stay what they are beside NULL, as pandas' own nullable types."""
    import pandas as pd  # type: ignore[import-untyped]  # noqa: PLC0415 - whoever passes a frame has it

    made: Callable[[pa.DataType], Any] | None = None
    if column.null_count and (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        kind = "boolean" if pa.types.is_boolean(column.type) else str(column.type).replace("i", "I").replace("u", "U")
        made = {column.type: pd.api.types.pandas_dtype(kind)}.get
    series = column.to_pandas(types_mapper=made)
    series.index = index
    return series
