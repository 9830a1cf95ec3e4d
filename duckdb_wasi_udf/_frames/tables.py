"""Tables of other libraries as Arrow tables, and back with columns added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from duckdb_wasi_udf._arrow.foreign_types import known
from duckdb_wasi_udf._errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        return known(data.select(names))
    if library_of(data) == "polars":
        try:
            return known(data.select(names).to_arrow())
        except pa.ArrowInvalid as error:  # a type that Arrow hasn't, such as Int128
            types = ", ".join(f"{name!r} {data.schema[name]}" for name in names)
            msg = f"the columns ({types}) can't be Arrow arrays; cast what is no type of Arrow: {error}"
            raise SignatureError(msg) from error
    columns = []
    for name in names:
        series = data[name]
        try:
            columns.append(pa.Array.from_pandas(series))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            msg = f"the column {name!r} (pandas dtype {series.dtype}) can't be an Arrow array: {error}"
            raise SignatureError(msg) from error
    return known(pa.table(dict(zip(names, columns, strict=True))))


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
