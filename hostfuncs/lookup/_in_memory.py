"""Look-ups in keys and values that are held in memory."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from duckdb_wasi_udf import HostFunction
from hostfuncs._types import connect
from hostfuncs.lookup._snapshot import Columns, Duplicates, Shape, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Unpack

    from hostfuncs._options import Options


def from_dict(
    mapping: Mapping[Any, Any],
    *,
    key_type: str | Sequence[str] | None = None,
    value_type: str | None = None,
    default: Any = None,
    **options: Unpack[Options],
) -> HostFunction:
    """Look keys up in a copy of a dict.

    Args:
        mapping: keys to values, all of one type each. Tuples are keys of several parts, and dicts are values of type
            STRUCT.
        key_type: the SQL type of the keys, such as "VARCHAR", or of each part; by default that of the values there are.
        value_type: likewise of the values.
        default: the value for keys that are not there.
        **options: see `hostfuncs.Options`.

    Returns:
        A batched host function of as many parameters as a key has parts.

    Raises:
        TypeError: the keys or the values are not of one type, or not of one that can be looked up.
        ValueError: the dict is empty, so that types have to be said.
    """
    keys = list(mapping)
    parts = list(zip(*keys, strict=True)) if keys and isinstance(keys[0], tuple) else [keys]
    names = ["key"] if len(parts) == 1 else [f"key_{i}" for i in range(1, len(parts) + 1)]
    said: list[str | None] = [key_type] if key_type is None or isinstance(key_type, str) else list(key_type)
    if said == [None]:
        said = [None] * len(names)
    elif not keys:
        names = ["key"] if len(said) == 1 else [f"key_{i}" for i in range(1, len(said) + 1)]
        parts = [[] for _ in said]
    if len(said) != len(names):
        msg = f"key_type has {len(said)} types, the keys have {len(names)} parts"
        raise TypeError(msg)
    types = {name: text for name, text in zip([*names, "value"], [*said, value_type], strict=True) if text is not None}
    if not keys and len(types) <= len(names):
        msg = "the dict is empty: say key_type and value_type"
        raise ValueError(msg)
    try:
        columns = [pa.array(list(part)) for part in (*parts, mapping.values())]
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        msg = f"the keys have to be of one type, and so the values: {error}"
        raise TypeError(msg) from error
    table = pa.Table.from_arrays(columns, [*names, "value"])
    key = names[0] if len(names) == 1 else names
    return from_table(table, key, "value", types=types, default=default, **options)


def from_table(
    table: Any,
    key: str | Sequence[str],
    value: str | Sequence[str],
    *,
    types: Mapping[str, str] | None = None,
    default: Any = None,
    duplicates: Duplicates = "error",
    **options: Unpack[Options],
) -> HostFunction:
    """Look keys up in a copy of a table.

    Args:
        table: a pyarrow, pandas or polars table, or anything else that pyarrow makes a table of.
        key: the key column, or several.
        value: the value column, or a list of columns, which makes the result a STRUCT of them.
        types: SQL types to cast columns to, by name; the others keep those of the data.
        default: the value for keys that are not there; a dict where the result is a STRUCT.
        duplicates: what to do when several rows have one key: "error", or take the "first" or the "last" of them. Rows
            with a NULL in the key are left out.
        **options: see `hostfuncs.Options`.

    Returns:
        A batched host function of as many parameters as there are key columns.

    Raises:
        TypeError: a key's type can't be looked up.
        ValueError: there is no column or type of a name, or keys occur more than once.
    """
    columns = Columns.named(key, value)
    data = pa.table(table)
    columns.check(data.column_names)
    with connect() as con:
        relation = con.from_arrow(data.select([*dict.fromkeys((*columns.keys, *columns.values))]))
        shape = Shape.of_relation(relation, columns, dict(types or {}))
        snapshot = Snapshot(relation, shape, default, duplicates)
    return _function(shape, snapshot.find, options)


def from_duckdb(
    source: duckdb.DuckDBPyConnection | str | Path,
    query: str,
    key: str | Sequence[str],
    value: str | Sequence[str],
    *,
    default: Any = None,
    duplicates: Duplicates = "error",
    refresh_seconds: float | None = None,
    **options: Unpack[Options],
) -> HostFunction:
    """Look keys up in what a query gives, read now and held in memory.

    Args:
        source: a connection, of which a cursor of its own is made (so temporary tables aren't seen), or a database
            file, which is opened for reading.
        query: what to read, such as "FROM rates" for a whole table; it runs in a read-only transaction.
        key: the key column, or several.
        value: the value column, or a list of columns, which makes the result a STRUCT of them.
        default: the value for keys that are not there; a dict where the result is a STRUCT.
        duplicates: what to do when several rows have one key: "error", or take the "first" or the "last" of them. Rows
            with a NULL in the key are left out.
        refresh_seconds: read again before the first call after this time; None never does. Calls that arrive meanwhile
            use what was read before.
        **options: see `hostfuncs.Options`.

    Returns:
        A batched host function of as many parameters as there are key columns.

    Raises:
        TypeError: a key's type can't be looked up.
        ValueError: there is no column of a name, keys occur more than once, or the text is not one query.
        duckdb.Error: the query failed. When it fails on refreshing, the call that did it fails.
    """
    if [statement.type.name for statement in duckdb.extract_statements(query)] != ["SELECT"]:
        msg = "from_duckdb takes one query that reads, such as 'FROM rates'"
        raise ValueError(msg)
    columns = Columns.named(key, value)
    con = duckdb.connect(source, read_only=True) if isinstance(source, (str, Path)) else source.cursor()
    shape: Shape | None = None

    def read() -> Snapshot:
        nonlocal shape
        con.execute("BEGIN TRANSACTION READ ONLY")
        try:
            relation = con.sql(query)
            shape = shape or Shape.of_relation(relation, columns, {})
            return Snapshot(relation, shape, default, duplicates)
        finally:
            con.execute("ROLLBACK")

    current = read()
    assert shape is not None
    if refresh_seconds is None:
        con.close()
        return _function(shape, current.find, options)
    due = time.monotonic() + refresh_seconds
    refreshing = threading.Lock()

    def find(*keys: pa.Array) -> pa.Array:
        nonlocal current, due
        if time.monotonic() >= due and refreshing.acquire(blocking=False):
            try:
                current = read()
                due = time.monotonic() + refresh_seconds
            finally:
                refreshing.release()
        return current.find(*keys)

    return _function(shape, find, options)


def _function(shape: Shape, find: Callable[..., pa.Array], options: Options) -> HostFunction:
    """Return the host function over `find`."""

    def lookup(*keys: pa.Array) -> pa.Array:
        """Look keys up; the default for one that is not there."""
        return find(*keys)

    shape.of.names(lookup)
    return HostFunction(lookup, parameters=list(shape.keys), return_type=shape.value, batched=True, **options)
