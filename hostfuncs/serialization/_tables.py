"""Documents that hold rows: streams of Arrow IPC, Parquet files.

Both formats can claim, in a few bytes, values of any size. An Arrow stream may not be compressed or hold dictionaries,
so that its values are as large as it is. A Parquet file is read by a DuckDB of its own, which limits the size of pages,
and may only hold columns that don't nest, whose size is known before they are copied.
"""

from __future__ import annotations

import re
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from hostfuncs._types import arrow_type, quoted, sql_type

if TYPE_CHECKING:
    from collections.abc import Callable

# SQL types of columns whose values are of one size, or of one that is known without looking into them.
_FLAT = re.compile(
    r"VARCHAR|BLOB|BOOLEAN|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\)|DATE|TIME.*|INTERVAL|UUID"
)


class Table(NamedTuple):
    """A format of tables.

    Attributes:
        loads: the rows that a document holds, as an array of structs.
        dumps: the document of rows.
    """

    loads: Callable[[bytes], pa.StructArray]
    dumps: Callable[[pa.StructArray], bytes]


def tables(name: str, value_type: str, most_bytes: int) -> Table | None:
    """Return the format of a name for rows of a type, None when there is none.

    Args:
        name: "arrow" or "parquet".
        value_type: the SQL type of the value: `STRUCT(...)[]`.
        most_bytes: how large the rows of a document may be.

    Raises:
        ValueError: the type is another.
    """
    if name not in {"arrow", "parquet"}:
        return None
    row_type = arrow_type(value_type)
    if not (pa.types.is_list(row_type) and pa.types.is_struct(row_type.value_type)):
        msg = f"a document of {name} holds rows: the type has to be STRUCT(...)[], not {value_type}"
        raise ValueError(msg)
    rows = row_type.value_type
    if name == "arrow":
        return Table(lambda document: _from_stream(document, rows, most_bytes), _to_stream)
    casts = {name: str(child) for name, child in duckdb.sqltypes.DuckDBPyType(sql_type(value_type)).child.children}
    if any(pa.types.is_nested(field.type) for field in rows):
        msg = f"columns of Parquet documents can't nest: {value_type}"
        raise ValueError(msg)
    return Table(lambda document: _from_parquet(document, casts, rows, most_bytes), _to_parquet)


def _structs(table: pa.Table, rows: pa.StructType) -> pa.StructArray:
    """Return the rows of a table with the columns of a struct type; a column that isn't there is NULL."""
    columns = []
    for field in rows:
        if field.name in table.column_names:
            chunks = table.column(field.name).cast(field.type).chunks
            columns.append(pa.concat_arrays(chunks or [pa.nulls(0, field.type)]))
        else:
            columns.append(pa.nulls(len(table), field.type))
    return pa.StructArray.from_arrays(columns, fields=list(rows))


def _from_stream(document: bytes, rows: pa.StructType, most_bytes: int) -> pa.StructArray:
    """Return the rows of an Arrow stream."""
    for message in pa.ipc.MessageReader.open_stream(document):
        if message.type == "dictionary" or (message.type == "record batch" and _is_compressed(message.metadata)):
            msg = "a stream may not be compressed or hold dictionaries"
            raise ValueError(msg)
    reader = pa.ipc.open_stream(document)
    for field in reader.schema:
        if _expands(field.type) and not pa.types.is_null(field.type):
            msg = f"column {field.name!r} is of the type {field.type}"
            raise ValueError(msg)
    table = reader.read_all()
    table.validate(full=True)
    _check_rows(len(table), len(rows), most_bytes)  # a column that is all NULL may be of any length
    return _structs(table, rows)


def _check_rows(count: int, columns: int, most_bytes: int) -> None:
    """Raise ValueError if this number of rows is too large, whatever is in them."""
    if count * columns > most_bytes:
        msg = f"{count} rows of {columns} columns are more than {most_bytes} bytes"
        raise ValueError(msg)


def _expands(data_type: pa.DataType) -> bool:
    """Return whether a type has values that refer to others, stand for several, or take no room at all."""
    types = pa.types
    if types.is_nested(data_type) and not types.is_run_end_encoded(data_type):
        inside = [data_type.field(i).type for i in range(data_type.num_fields)]
        views = types.is_list_view(data_type) or types.is_large_list_view(data_type)
        is_empty = not inside or (types.is_fixed_size_list(data_type) and not data_type.list_size)
        return is_empty or views or types.is_union(data_type) or any(map(_expands, inside))
    return bool(
        types.is_null(data_type)
        or types.is_dictionary(data_type)
        or types.is_run_end_encoded(data_type)
        or types.is_string_view(data_type)
        or types.is_binary_view(data_type)
    )


def _is_compressed(metadata: pa.Buffer) -> bool:
    """Return whether the flatbuffer of a record batch's message says that buffers are compressed.

    `Message.header` is field 2 and `RecordBatch.compression` field 3
    (https://github.com/apache/arrow/blob/main/format/Message.fbs); the layout of tables is
    https://flatbuffers.dev/internals/. Arrow has verified it before a message is handed out.
    """
    data = metadata.to_pybytes()

    def field(table: int, number: int) -> int:
        """Return where a field of a table is, 0 for nowhere."""
        vtable = table - struct.unpack_from("<i", data, table)[0]
        size = struct.unpack_from("<H", data, vtable)[0]
        at = 4 + 2 * number
        offset = struct.unpack_from("<H", data, vtable + at)[0] if at < size else 0
        return table + offset if offset else 0

    def follow(at: int) -> int:
        return int(at + struct.unpack_from("<I", data, at)[0])

    return field(follow(field(follow(0), 2)), 3) != 0


def _to_stream(rows: pa.StructArray) -> bytes:
    """Return the rows as an Arrow stream."""
    sink = pa.BufferOutputStream()
    table = pa.Table.from_struct_array(rows)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _from_parquet(document: bytes, casts: dict[str, str], rows: pa.StructType, most_bytes: int) -> pa.StructArray:
    """Return the rows of a Parquet file."""
    settings: dict[str, str | bool | int | float | list[str]]
    settings = {"memory_limit": f"{most_bytes}B", "threads": 1, "temp_directory": ""}
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config=settings) as con:
        path = Path(folder) / "document.parquet"
        path.write_bytes(document)
        allowed = str(path).replace("'", "''")
        con.execute(f"SET allowed_paths = ['{allowed}']; SET enable_external_access = false")
        relation = con.read_parquet(str(path))
        held = dict(zip(relation.columns, map(str, relation.types), strict=True))
        there = {name: cast for name, cast in casts.items() if name in held}
        for name in there:
            if not _FLAT.fullmatch(held[name]):
                msg = f"a column of Parquet documents can't be of the type {held[name]}, as {name!r} is"
                raise ValueError(msg)
        claimed = con.execute("SELECT sum(num_rows) FROM parquet_file_metadata($1)", [str(path)]).fetchall()[0][0] or 0
        lengths = {"VARCHAR": "strlen", "BLOB": "octet_length"}
        sums = [f"sum({lengths[held[name]]}({quoted(name)}))" for name in there if held[name] in lengths]
        _check_rows(claimed, len(rows), most_bytes)
        size = sum(total or 0 for total in relation.aggregate(", ".join(sums)).fetchall()[0]) if sums else 0
        if size > most_bytes:
            msg = f"the values are {size} bytes, {most_bytes} are allowed"
            raise ValueError(msg)
        select = ", ".join(f"{quoted(name)}::{cast} AS {quoted(name)}" for name, cast in there.items()) or "1"
        return _structs(relation.project(select).to_arrow_table(), rows)


def _to_parquet(rows: pa.StructArray) -> bytes:
    """Return the rows as a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_struct_array(rows), sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data
