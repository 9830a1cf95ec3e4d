"""The first rows of whatever holds a table, and which of its columns a function takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import pyarrow as pa

from duckdb_wasi_udf._arrow.arguments import sql_name
from duckdb_wasi_udf._arrow.foreign_types import known
from duckdb_wasi_udf._arrow.types import with_small_offsets
from duckdb_wasi_udf._errors import SignatureError

if TYPE_CHECKING:
    from duckdb_wasi_udf._functions.signature import Signature


class Sample(NamedTuple):
    """Some rows.

    Attributes:
        names: the columns.
        types: the SQL type of each.
        columns: their values.
    """

    names: list[str]
    types: list[str]
    columns: list[pa.Array]


def sample_of(table: Any, limit: int) -> Sample:
    """Return the first rows of a table.

    Args:
        table: a relation, a pyarrow, pandas or polars table or whatever exports an Arrow stream, a dict of columns, or
            a list of dicts.
        limit: the number of rows.

    Raises:
        SignatureError: it is nothing of these.
        duckdb.Error: the relation can't be read.
    """
    types = None
    if isinstance(table, duckdb.DuckDBPyRelation):
        types = [str(sql_type) for sql_type in table.types]
        found = table.limit(limit).to_arrow_table()
    else:
        found = _arrow_table(table, limit)
    arrays = []
    for column in known(found).columns:
        array = column.combine_chunks()
        plain = with_small_offsets(array.type)
        arrays.append(array if array.type == plain else array.cast(plain))
    return Sample(found.column_names, types or [sql_name(array.type) for array in arrays], arrays)


def _arrow_table(table: Any, limit: int) -> pa.Table:
    try:
        if isinstance(table, (pa.Table, pa.RecordBatch)):
            return pa.table(table.slice(0, limit))
        if isinstance(table, dict):
            return pa.table({name: list(values)[:limit] for name, values in table.items()})
        if isinstance(table, (list, tuple)):
            return pa.Table.from_pylist(list(table)[:limit])
        if type(table).__module__.partition(".")[0] == "polars" and hasattr(table, "collect"):
            table = table.head(limit).collect()  # of a LazyFrame
        if hasattr(table, "__arrow_c_stream__"):
            return _first_rows(pa.RecordBatchReader.from_stream(table), limit)
    except (pa.ArrowException, TypeError, ValueError, AttributeError) as error:
        msg = f"the sample can't be made a table: {error}"
        raise SignatureError(msg) from error
    msg = (
        "the sample is a relation such as con.table('t') or con.sql('SELECT ...'), a pyarrow, pandas or polars table, "
        f"a dict of columns or a list of dicts; got {type(table).__name__}"
    )
    raise SignatureError(msg)


def _first_rows(reader: pa.RecordBatchReader, limit: int) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    for batch in reader:
        batches.append(batch)
        if sum(map(len, batches)) >= limit:
            break
    return pa.Table.from_batches(batches, reader.schema).slice(0, limit)


def arguments_of(sample: Sample, signature: Signature) -> list[int]:
    """Return which column is each argument: by the names of the parameters, or all in order if no name is a column's.

    Args:
        sample: the table.
        signature: the function.

    Raises:
        SignatureError: a parameter has no column.
    """
    positions = {name.casefold(): i for i, name in reversed(list(enumerate(sample.names)))}
    names = [parameter.name for parameter in signature.parameters]
    chosen = [positions.get(name.casefold()) for name in names]
    if signature.rest is not None:
        if None not in chosen and chosen:
            return [*[i for i in chosen if i is not None], *[i for i in range(len(sample.names)) if i not in chosen]]
        return list(range(len(sample.names)))
    fits = signature.required <= len(sample.names) <= len(names)
    if not any(i is not None for i in chosen) and fits:
        return list(range(len(sample.names)))
    taken = []
    for i, position in enumerate(chosen):
        if position is not None:
            taken.append(position)
        elif i < signature.required or any(later is not None for later in chosen[i:]):
            msg = (
                f"{signature.label}: the parameter {names[i]!r} has no column; the function takes ({', '.join(names)}) "
                f"and the columns are ({', '.join(sample.names)})"
            )
            raise SignatureError(msg)
        else:
            break
    return taken
