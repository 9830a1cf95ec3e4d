"""Keys and values read once, and looked up column by column."""

from __future__ import annotations

import inspect
import keyword
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from hostfuncs._types import connect, python_type, quoted, sql_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

Duplicates: TypeAlias = Literal["error", "first", "last"]

# `index_in` hashes all keys of the table at every call, 0.1-0.25 microseconds each; a dict, made once, costs about 0.2
# microseconds for each key that is looked up, mostly to make Python objects. For a batch of 2048 they meet about here.
_FEW_KEYS = 4_000

# SQL types whose values are equal in Arrow, in Python and in SQL alike. FLOAT and DOUBLE are not: nan, -0.0.
_KEY_TYPES = re.compile(
    r"VARCHAR|BLOB|BOOLEAN|U?(TINY|SMALL|BIG)INT|U?INTEGER|DATE|TIME|TIMESTAMP( WITH TIME ZONE)?|UUID|DECIMAL\(.*\)"
)


def check_key_type(name: str, key: str) -> None:
    """Raise TypeError if the column of a name has a SQL type that can't be looked up."""
    if not _KEY_TYPES.fullmatch(key):
        msg = f"a key can't be of the type {key}, as {name!r} is; cast it, for example to VARCHAR"
        raise TypeError(msg)


class Columns(NamedTuple):
    """Which columns of a relation are looked up, and what is found.

    Attributes:
        keys: names of the key columns.
        values: names of the value columns.
        as_struct: the result is a STRUCT of them, otherwise the value of the one.
    """

    keys: tuple[str, ...]
    values: tuple[str, ...]
    as_struct: bool

    @classmethod
    def named(cls, key: str | Sequence[str], value: str | Sequence[str]) -> Columns:
        """Return the columns that are meant: a name is one column, a list of names are several keys, or a STRUCT."""
        keys = (key,) if isinstance(key, str) else tuple(key)
        values = (value,) if isinstance(value, str) else tuple(value)
        if not keys or not values:
            msg = "a look-up needs at least one key column and one value column"
            raise ValueError(msg)
        return cls(keys, values, not isinstance(value, str))

    def check(self, there: Sequence[str]) -> None:
        """Raise ValueError if one is not `there`."""
        for name in (*self.keys, *self.values):
            if name not in there:
                msg = f"there is no column {name!r}; the columns are {', '.join(there)}"
                raise ValueError(msg)

    def names(self, function: Callable[..., Any]) -> None:
        """Give the parameters of a function over key columns the keys' names, for guests to see."""
        kind = inspect.Parameter.POSITIONAL_ONLY
        names = [
            name if name.isidentifier() and not keyword.iskeyword(name) else f"key_{i}"
            for i, name in enumerate(self.keys, start=1)
        ]
        signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
        function.__signature__ = signature  # type: ignore[attr-defined]


class Shape(NamedTuple):
    """How a snapshot is read from a relation: the same way each time, with the types of the first.

    Attributes:
        keys: the SQL type of each key.
        value: the SQL type of the value.
        select: the expressions of keys and value over the relation.
        of: the columns they are made of.
    """

    keys: tuple[str, ...]
    value: str
    select: str
    of: Columns

    @property
    def casts(self) -> str:
        """Expressions over the result of `select` that cast its columns."""
        parts = [f"k{i}::{key}" for i, key in enumerate(self.keys)]
        return ", ".join([*parts, f"value::{self.value}"])

    @classmethod
    def of_relation(cls, relation: duckdb.DuckDBPyRelation, columns: Columns, types: dict[str, str]) -> Shape:
        """Return the shape of a relation.

        Args:
            relation: has the columns.
            columns: which matter.
            types: SQL types to cast columns to, by name; others keep theirs.

        Raises:
            ValueError: there is no column of a name, or DuckDB knows no such type.
            TypeError: a key's type can't be looked up.
        """
        columns.check(relation.columns)
        for name in types:
            if name not in (*columns.keys, *columns.values):
                msg = f"types: {name!r} is neither a key nor a value"
                raise ValueError(msg)
        known = dict(zip(relation.columns, map(str, relation.types), strict=True))
        known |= {name: sql_type(text) for name, text in types.items()}
        keys = tuple("VARCHAR" if known[name].startswith("ENUM") else known[name] for name in columns.keys)
        for name, key in zip(columns.keys, keys, strict=True):
            check_key_type(name, key)
        values = {name: f"{quoted(name)}::{known[name]}" for name in columns.values}
        value = ", ".join(f"{quoted(name)} := {cast}" for name, cast in values.items())
        value = f"struct_pack({value})" if columns.as_struct else values[columns.values[0]]
        parts = [f"{quoted(name)}::{key} AS k{i}" for i, (name, key) in enumerate(zip(columns.keys, keys, strict=True))]
        select = ", ".join([*parts, f"{value} AS value"])
        return cls(keys, str(relation.project(select).types[-1]), select, columns)


class Snapshot:
    """Keys and values, as they were when it was made."""

    def __init__(
        self, relation: duckdb.DuckDBPyRelation, shape: Shape, default: Any, duplicates: Duplicates = "error"
    ) -> None:
        """Read a relation.

        Args:
            relation: what to read.
            shape: how.
            default: the value for keys that are not there.
            duplicates: which of several rows with one key counts.

        Raises:
            ValueError: `duplicates` is "error" and there are some.
            duckdb.Error: the query failed, or `default` is not of the value's type.
        """
        if duplicates not in {"error", "first", "last"}:
            msg = f"duplicates must be 'error', 'first' or 'last', got {duplicates!r}"
            raise ValueError(msg)
        with connect() as con:  # whatever the settings of the relation's database
            read = con.from_arrow(relation.project(shape.select).to_arrow_table())
            columns = _columns(read.project(shape.casts))
            missing = _columns(con.sql("SELECT $1 AS value", params=[default]).project(f"value::{shape.value}"))
        *keys, values = columns
        self._values = pa.concat_arrays([values, *missing])
        self._types = [key.type for key in keys]
        self._missing = len(values)
        is_few = len(keys) == 1 and len(values) <= _FEW_KEYS and not isinstance(keys[0].type, pa.BaseExtensionType)
        self._few = keys[0] if is_few else None
        rows = key_rows(keys)
        numbered = [(key, i) for i, key in enumerate(rows) if key is not None]
        self._positions = dict(reversed(numbered) if duplicates == "first" else numbered)
        if len(self._positions) < len(numbered):
            if duplicates == "error":
                key, count = Counter(key for key, _ in numbered).most_common(1)[0]
                shown = ", ".join(map(repr, key if isinstance(key, tuple) else (key,)))
                msg = (
                    f"the key ({shown}) of {', '.join(shape.of.keys)} occurs {count} times; "
                    "say duplicates='first' or duplicates='last', or leave rows out"
                )
                raise ValueError(msg)
            self._few = None  # `index_in` always finds the first

    def find(self, *keys: pa.Array) -> pa.Array:
        """Return the values of a batch of keys; a key that is not there, or is NULL, has the default.

        Args:
            keys: one array for each key column, all of one length.

        Returns:
            An array of as many values.
        """
        columns = [
            key if key.type == wanted else key.cast(wanted) for key, wanted in zip(keys, self._types, strict=True)
        ]
        if self._few is not None:
            positions = pc.index_in(columns[0], value_set=self._few, skip_nulls=True).fill_null(self._missing)
        else:
            positions = [self._positions.get(key, self._missing) for key in key_rows(columns)]
            positions = pa.array(positions, pa.int64())
        return self._values.take(positions)


def key_rows(columns: Sequence[pa.Array]) -> list[Any]:
    """Return the key of each row: a value, or a tuple of several; None where one is NULL."""
    if len(columns) == 1:
        values: list[Any] = columns[0].to_pylist()
        return values
    return [None if None in row else row for row in zip(*(column.to_pylist() for column in columns), strict=True)]


def _columns(relation: duckdb.DuckDBPyRelation) -> list[pa.Array]:
    """Return the columns of a relation, each as one array."""
    table = relation.to_arrow_table()
    types = [python_type(data_type) for data_type in table.schema.types]
    columns = [column.cast(data_type) for column, data_type in zip(table.columns, types, strict=True)]
    return [pa.concat_arrays(column.chunks or [pa.array([], column.type)]) for column in columns]
