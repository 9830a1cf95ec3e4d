"""Results of a host function in a DuckDB table."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from hostfuncs._types import quoted
from hostfuncs.scaling._rows import keys_of, values_of

if TYPE_CHECKING:
    import os
    from collections.abc import Hashable, Sequence

    from duckdb_wasi_udf import ColumnFunction

_RESULT, _FETCHED = "result", "fetched_at"

# How often old rows are deleted.
_CLEANING_SECONDS = 60.0


class CacheTable:
    """A table with a column for each parameter, the result, and when it was fetched. Safe for use by many threads."""

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection | str | os.PathLike[str],
        name: str,
        call: ColumnFunction,
        *,
        seconds: float,
        rows: int,
    ) -> None:
        """Open the table, or create it.

        Args:
            database: a connection, or the path of a file.
            name: of the table.
            call: the function whose results it has.
            seconds: for how long a result is good.
            rows: the number of rows beyond which the oldest are deleted.

        Raises:
            ValueError: a parameter has the name of another column, the table has other columns, or a type can't be
                stored.
            duckdb.Error: the database can't be opened or written.
        """
        taken = {column.lower() for column in call.names} & {_RESULT, _FETCHED}
        if taken:
            msg = f"a parameter can't be called {', '.join(sorted(taken))} here: the table has a column of that name"
            raise ValueError(msg)
        is_connection = isinstance(database, duckdb.DuckDBPyConnection)
        self._con = database.cursor() if is_connection else duckdb.connect(database)  # type: ignore[union-attr,arg-type]
        self._call = call
        self._seconds = seconds
        self._rows = rows
        self._lock = threading.Lock()
        self._table = quoted(name)
        self._keys = [quoted(column) for column in call.names]
        self._types = [*call.parameter_types, call.result_type]
        self._schema = pa.schema(
            [(name, _storage(kind)) for name, kind in zip([*call.names, _RESULT], self._types, strict=True)]
        )
        for column, data_type in zip([*call.names, _RESULT], self._types, strict=True):
            if _has_extension(_storage(data_type)):
                msg = f"{column} of {call.function.name} can't be stored: it has UUID or JSON inside {data_type}"
                raise ValueError(msg)
        empty = self._schema.empty_table()
        columns = ", ".join([*self._keys, _RESULT, f"now() AS {_FETCHED}"])
        with self._lock:
            self._con.register("new_rows", empty)
            self._con.execute(f"CREATE TABLE IF NOT EXISTS {self._table} AS SELECT {columns} FROM new_rows LIMIT 0")
            expected = self._con.execute(f"DESCRIBE SELECT {columns} FROM new_rows").fetchall()
            there = self._con.execute(f"DESCRIBE {self._table}").fetchall()
            self._con.unregister("new_rows")
        if [column[:2] for column in there] != [column[:2] for column in expected]:
            msg = (
                f"the table {name} has the columns {_shown(there)}, but the results of {call.function.name} need "
                f"{_shown(expected)}; pass another table="
            )
            raise ValueError(msg)
        self._cleaned = 0.0

    def read(self, columns: Sequence[pa.Array]) -> dict[Hashable, Any]:
        """Return what is known of rows, by their keys: see `keys_of`."""
        same = " AND ".join(f"asked.{key} IS NOT DISTINCT FROM known.{key}" for key in self._keys)
        listed = ", ".join(f"known.{column}" for column in [*self._keys, _RESULT])
        query = (
            f"SELECT {listed} FROM asked JOIN {self._table} known ON {same} "
            f"WHERE {_FETCHED} > now() - to_milliseconds($1::BIGINT) ORDER BY {_FETCHED}"
        )
        asked = pa.table([_stored(column) for column in columns], names=self._call.names)
        with self._lock:
            self._con.register("asked", asked)
            try:
                found = self._con.sql(query, params=[int(self._seconds * 1000)]).to_arrow_table()
            finally:
                self._con.unregister("asked")
        *keys, results = [
            _restored(pa.concat_arrays([*column.chunks, pa.array([], column.type)]), data_type)
            for column, data_type in zip(found.cast(self._schema).columns, self._types, strict=True)
        ]
        return dict(zip(keys_of(keys), values_of(results), strict=True))

    def write(self, columns: Sequence[pa.Array], results: pa.Array) -> None:
        """Add results, and delete old ones once in a while."""
        new_rows = pa.table([_stored(column) for column in (*columns, results)], schema=self._schema)
        listed = ", ".join([*self._keys, _RESULT])
        with self._lock:
            self._con.register("new_rows", new_rows)
            try:
                self._con.execute(f"INSERT INTO {self._table} SELECT {listed}, now() FROM new_rows")
                if time.monotonic() - self._cleaned > min(_CLEANING_SECONDS, self._seconds):
                    self._clean()
            finally:
                self._con.unregister("new_rows")

    def _clean(self) -> None:
        self._cleaned = time.monotonic()
        self._con.execute(
            f"DELETE FROM {self._table} WHERE {_FETCHED} <= now() - to_milliseconds($1::BIGINT)",
            [int(self._seconds * 1000)],
        )
        self._con.execute(
            f"DELETE FROM {self._table} WHERE rowid IN "
            f"(SELECT rowid FROM {self._table} ORDER BY {_FETCHED} DESC, rowid DESC OFFSET $1)",
            [self._rows],
        )


def _storage(data_type: pa.DataType) -> pa.DataType:
    """Return the type that DuckDB gives back as it was: a UUID is a BLOB of 16 bytes, JSON is VARCHAR."""
    return data_type.storage_type if isinstance(data_type, pa.BaseExtensionType) else data_type


def _has_extension(data_type: pa.DataType) -> bool:
    return isinstance(data_type, pa.BaseExtensionType) or any(
        _has_extension(data_type.field(i).type) for i in range(data_type.num_fields)
    )


def _stored(column: pa.Array) -> pa.Array:
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _restored(column: pa.Array, data_type: pa.DataType) -> pa.Array:
    if isinstance(data_type, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(data_type, column)
    return column


def _shown(columns: Sequence[tuple[Any, ...]]) -> str:
    return ", ".join(f"{column[0]} {column[1]}" for column in columns)
