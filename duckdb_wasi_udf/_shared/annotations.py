"""What annotations say: the SQL types of parameters and results, and which class an argument becomes.

The guest reads those of users' functions with it, the host those of its own (`function`).
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime as dt
import decimal
import sys
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any

from duckdb_wasi_udf._shared import numpy_types
from duckdb_wasi_udf._shared.column import Column
from duckdb_wasi_udf._shared.columns import Columns
from duckdb_wasi_udf._shared.identifiers import quote_identifier
from duckdb_wasi_udf._shared.interval import Interval

_SQL_TYPES: dict[Any, str] = {
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE",
    str: "VARCHAR",
    bytes: "BLOB",
    dt.date: "DATE",
    dt.time: "TIME",
    dt.datetime: "TIMESTAMP",
    dt.timedelta: "INTERVAL",
    Interval: "INTERVAL",
    uuid.UUID: "UUID",
}

# Names that code needn't import to annotate with.
_KNOWN_NAMES: dict[str, Any] = {kind.__name__: kind for kind in (*_SQL_TYPES, decimal.Decimal)} | {
    name: getattr(typing, name)
    for name in [
        *("Any", "Optional", "Required", "NotRequired", "Union", "Literal", "Annotated"),
        *("List", "Dict", "Iterable", "Iterator", "AsyncIterator", "Generator"),
    ]
}
_KNOWN_NAMES |= {"typing": typing, "Column": Column, "Columns": Columns}

# Python 3.12 has it; the guest is newer.
_TYPE_ALIAS = getattr(typing, "TypeAliasType", ())

_LISTS: tuple[Any, ...] = (list, collections.abc.Sequence, collections.abc.Iterable)
_MAPS: tuple[Any, ...] = (dict, collections.abc.Mapping)
_ROWS: tuple[Any, ...] = (*_LISTS, set, frozenset, collections.abc.Iterator, collections.abc.Generator)
_ROWS += (collections.abc.AsyncIterator, collections.abc.AsyncIterable, collections.abc.AsyncGenerator)

# What says something of a TypedDict's key, not of its type; by name, for those of typing_extensions.
_OF_KEYS = ("Required", "NotRequired", "ReadOnly")

_DEEPEST = 32
_LONGEST = 2_000_000


class UnsupportedAnnotationError(Exception):
    """Nothing in SQL is what the annotation says; the text completes "the annotation ..."."""


_Converter = Callable[[Any], Any]


class Meaning(typing.NamedTuple):
    """What an annotation says.

    Attributes:
        sql: the SQL type; None for any.
        none: None is among the values.
        json: values of the SQL type JSON are wanted parsed.
        convert: makes what the annotation names of a decoded value; None when they are the same.
        column: the values are those of a column, a batch at a time.
        vague: why it has no SQL type as a part of another; None when it has, or anything goes.
    """

    sql: str | None
    none: bool = False
    json: bool = False
    convert: _Converter | None = None
    column: bool = False
    vague: str | None = None


_ANY = Meaning(None, none=True)


def read(annotation: Any, namespace: dict[str, Any], depth: int = 0) -> Meaning:  # noqa: C901, PLR0912 - one case each
    """Return the meaning of an annotation.

    Args:
        annotation: a type, or its text.
        namespace: the globals of the code it is in.
        depth: the number of types it is inside.

    Raises:
        UnsupportedAnnotationError: it has none.
    """
    if depth > _DEEPEST:
        msg = "nests too deep"
        raise UnsupportedAnnotationError(msg)
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        return _read_text(annotation, namespace, depth)
    if annotation is None or annotation is type(None) or annotation is typing.Any or annotation is object:
        return _ANY
    if annotation is decimal.Decimal:
        return Meaning(None, vague="needs a width and scale inside: Annotated[Decimal, 'DECIMAL(18,3)']")
    if annotation is Column:
        return Meaning(None, column=True)
    if annotation in _SQL_TYPES:
        return Meaning(_SQL_TYPES[annotation])
    if annotation in _LISTS or annotation in _MAPS or annotation in (list, dict):
        return Meaning("JSON", json=True)
    if isinstance(annotation, _TYPE_ALIAS):
        return read(annotation.__value__, namespace, depth + 1)
    if isinstance(annotation, typing.NewType):
        return read(annotation.__supertype__, namespace, depth + 1)
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is not None and not inner:  # typing.Sequence
        return read(origin, namespace, depth + 1)
    if origin is not None:
        return _read_generic(origin, inner, namespace, depth)
    if isinstance(annotation, type):
        return _read_numpy(annotation, ()) or _read_class(annotation, depth)
    msg = "is not a type that SQL has"
    raise UnsupportedAnnotationError(msg)


def read_rows(annotation: Any, namespace: dict[str, Any]) -> Meaning:
    """Return the meaning of one row of what a table function gives: see `read`."""
    annotation = evaluated(annotation, namespace)
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (None, typing.Any, object, tuple, *_ROWS) or (origin in _ROWS and not inner):
        return _ANY
    if annotation is Columns or origin is Columns:
        return _read_row(annotation, namespace)
    if origin in _ROWS or (origin is tuple and len(inner) == 2 and inner[1] is ...):
        return _read_row(inner[0], namespace)
    msg = "is not that of rows, such as Iterator[Row]"
    raise UnsupportedAnnotationError(msg)


def _read_row(row: Any, namespace: dict[str, Any]) -> Meaning:
    """Return the meaning of a row: tuples and dicts have any columns, Columns hold many rows."""
    try:
        row = evaluated(row, namespace)
    except UnsupportedAnnotationError:
        return read(row, namespace, 1)  # a SQL type
    origin, inner = typing.get_origin(row), typing.get_args(row)
    if origin is Columns:
        return _read_row(inner[0], namespace)
    if row is Columns or row is tuple or row in _MAPS or origin in _MAPS or (origin is tuple and ... in inner):
        return _ANY
    if origin is not tuple or not inner:
        return read(row, namespace, 1)
    columns = [_read_part(part, namespace, 1) for part in inner]
    if any(column.sql is None for column in columns):
        return _ANY
    return Meaning(f"STRUCT({', '.join(f'col{i} {column.sql}' for i, column in enumerate(columns))})")


def row_type(schema: Any) -> str:
    """Return the SQL type of the rows that code describes.

    Args:
        schema: columns by name, or the type of a row; each type as SQL's text or a Python type.

    Raises:
        TypeError: it is neither, or SQL has no such type.
    """
    if isinstance(schema, str):
        return schema
    if not isinstance(schema, dict):
        return _row_part(schema, "the row")
    if not schema:
        msg = "the schema has no columns"
        raise TypeError(msg)
    columns = {str(name): kind if isinstance(kind, str) else _row_part(kind, name) for name, kind in schema.items()}
    return f"STRUCT({_fields_text(columns)})"


def _row_part(kind: Any, name: str) -> str:
    try:
        sql = _read_row(kind, {}).sql
    except UnsupportedAnnotationError as error:
        msg = f"the schema has {kind!r} for {name}, which {error}"
        raise TypeError(msg) from error
    if sql is None:
        msg = f"the schema has {kind!r} for {name}, of which SQL has no type; write it as SQL, as in 'BIGINT'"
        raise TypeError(msg)
    return sql


def _fields_text(types: dict[str, str]) -> str:
    """Return the fields of a STRUCT, of names and SQL types."""
    return ", ".join(f"{quote_identifier(name)} {sql}" for name, sql in types.items())


def evaluated(annotation: Any, namespace: dict[str, Any]) -> Any:
    """Return what an annotation evaluates to, repeatedly if that is text again."""
    try:
        for _ in range(_DEEPEST):
            if isinstance(annotation, typing.ForwardRef):
                annotation = annotation.__forward_arg__
            if not isinstance(annotation, str):
                return annotation
            annotation = _evaluate(annotation, namespace)
    except Exception as error:
        msg = f"can't be read ({type(error).__name__}: {error})"
        raise UnsupportedAnnotationError(msg) from error
    msg = "nests too deep"
    raise UnsupportedAnnotationError(msg)


def _evaluate(text: str, namespace: dict[str, Any]) -> Any:
    if len(text) > _LONGEST:
        msg = "is too long"
        raise UnsupportedAnnotationError(msg)
    known = _KNOWN_NAMES | {"datetime": dt} if "datetime." in text else _KNOWN_NAMES
    # Annotations see globals first, then what needn't be imported; builtins come last.
    found = eval(text, {}, collections.ChainMap(namespace, known))  # noqa: S307 - code of whom it is for
    return dt.datetime if found is dt else found


def _read_text(text: str, namespace: dict[str, Any], depth: int) -> Meaning:
    try:
        found = _evaluate(text, namespace)
    except UnsupportedAnnotationError:
        raise
    except Exception:  # noqa: BLE001 - anything may come of evaluating it
        optional = text.rpartition("|")
        if optional[2].strip() == "None":
            return _read_text(optional[0], namespace, depth)._replace(none=True)
        return Meaning(text.strip())  # no Python: the host asks DuckDB whether it is SQL
    return read(found, namespace, depth + 1)


def read_batch(annotation: Any, namespace: dict[str, Any]) -> Meaning:
    """Return the meaning of what a whole batch is returned as: that of the values in it."""
    meaning = read(annotation, namespace)
    if meaning.column or meaning.sql is None:
        return meaning
    if meaning.sql == "JSON":  # a bare list
        return _ANY
    if meaning.sql.endswith("[]"):
        return meaning._replace(sql=meaning.sql.removesuffix("[]"))
    msg = "is not of a batch; a function of the batch shape returns Column[T] or list[T]"
    raise UnsupportedAnnotationError(msg)


def _read_generic(origin: Any, inner: tuple[Any, ...], namespace: dict[str, Any], depth: int) -> Meaning:
    if origin is Column:
        return read(inner[0], namespace, depth + 1)._replace(column=True, convert=None)
    if isinstance(origin, _TYPE_ALIAS):  # one with parameters, such as NDArray
        return read(origin.__value__[inner], namespace, depth + 1)
    if isinstance(origin, type) and (found := _read_numpy(origin, inner)) is not None:
        return found
    if getattr(origin, "_name", None) in _OF_KEYS:
        return read(inner[0], namespace, depth + 1)
    if origin is typing.Annotated:
        meaning = read(inner[0], namespace, depth + 1)
        sql = next((note for note in inner[1:] if isinstance(note, str)), None)
        return meaning if sql is None else meaning._replace(sql=sql, vague=None)
    if origin is typing.Union or origin is types.UnionType:
        return _read_union(inner, namespace, depth)
    if origin is typing.Literal:
        return _read_union(tuple(type(value) for value in inner), namespace, depth)
    if origin in _LISTS or (origin is tuple and len(inner) == 2 and inner[1] is ...):
        item = _read_part(inner[0], namespace, depth)
        if item.sql is None:
            return Meaning("JSON", json=True)
        return Meaning(f"{item.sql}[]", json=item.json, convert=_each(item.convert))
    if origin in _MAPS:
        key, item = (_read_part(part, namespace, depth) for part in inner)
        if key.sql is None or item.sql is None:
            return Meaning("JSON", json=True)
        convert = key.convert or item.convert
        return Meaning(
            f"MAP({key.sql}, {item.sql})",
            json=key.json or item.json,
            convert=convert and _entries(key.convert, item.convert),
        )
    msg = "is not a type that SQL has"
    raise UnsupportedAnnotationError(msg)


def _read_numpy(cls: type, arguments: tuple[Any, ...]) -> Meaning | None:
    """Return the meaning of a class of numpy's scalars, or of arrays with arguments; None if it is neither."""
    try:
        if numpy_types.is_scalar(cls):
            return Meaning(numpy_types.sql_type(cls), convert=numpy_types.to_scalar(cls))
        if not numpy_types.is_array(cls):
            return None
        item = numpy_types.item_of(arguments or (None,))
        return Meaning(f"{numpy_types.sql_type(item)}[]", convert=numpy_types.to_array(item))
    except numpy_types.NoSqlTypeError as error:
        raise UnsupportedAnnotationError(str(error)) from error


def _read_part(annotation: Any, namespace: dict[str, Any], depth: int) -> Meaning:
    meaning = read(annotation, namespace, depth + 1)
    if meaning.vague:
        raise UnsupportedAnnotationError(meaning.vague)
    return meaning


def _read_union(members: tuple[Any, ...], namespace: dict[str, Any], depth: int) -> Meaning:
    """Return the meaning of a union: None makes the others optional, int and float together are numbers."""
    none = any(member is None or member is type(None) for member in members)
    meanings = [read(member, namespace, depth) for member in members if member is not None and member is not type(None)]
    if not meanings:
        return _ANY
    types_found = {meaning.sql for meaning in meanings}
    if types_found == {"BIGINT", "DOUBLE"}:
        return Meaning("DOUBLE", none)
    if len(types_found) > 1:
        return Meaning(None, none)
    return meanings[0]._replace(none=none or meanings[0].none, convert=_optional(meanings[0].convert))


def _read_class(cls: Any, depth: int) -> Meaning:
    """Return the STRUCT of a TypedDict's keys, or of a named tuple's or dataclass's fields."""
    make: Any = cls
    if typing.is_typeddict(cls):
        fields, make = cls.__annotations__, dict
    elif issubclass(cls, tuple) and hasattr(cls, "_fields"):
        fields = cls.__annotations__
    elif dataclasses.is_dataclass(cls):
        fields = {field.name: field.type for field in dataclasses.fields(cls) if field.init}
    else:
        msg = "is a class, of which SQL has only those that are a TypedDict, NamedTuple or dataclass"
        raise UnsupportedAnnotationError(msg)
    if not fields:
        msg = "has no annotated fields"
        raise UnsupportedAnnotationError(msg)
    namespace = vars(sys.modules[cls.__module__])
    meanings = {name: _read_part(kind, namespace, depth) for name, kind in fields.items()}
    types = {}
    for name, meaning in meanings.items():
        if meaning.sql is None:
            msg = f"has the field {name!r} without a SQL type"
            raise UnsupportedAnnotationError(msg)
        types[name] = meaning.sql
    return Meaning(
        f"STRUCT({_fields_text(types)})",
        json=any(meaning.json for meaning in meanings.values()),
        convert=_fields(make, {name: meaning.convert for name, meaning in meanings.items()}),
    )


# ---- converters of decoded values --------------------------------------------------------------------------------


def _optional(convert: _Converter | None) -> _Converter | None:
    return convert and (lambda value: None if value is None else convert(value))


def _each(convert: _Converter | None) -> _Converter | None:
    convert = _optional(convert)
    return convert and (lambda values: [convert(value) for value in values])


def _entries(key: _Converter | None, item: _Converter | None) -> _Converter:
    def same(value: Any) -> Any:
        return value

    key, item = _optional(key) or same, _optional(item) or same
    return lambda entries: {key(name): item(value) for name, value in entries.items()}


def _fields(make: Any, converters: dict[str, _Converter | None]) -> _Converter | None:
    known = {name: optional for name, convert in converters.items() if (optional := _optional(convert))}
    if make is dict and not known:
        return None

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            msg = f"the argument is {type(value).__name__}, not the STRUCT that {make.__name__} is annotated for"
            raise TypeError(msg)
        return make(**(value | {name: convert(value.get(name)) for name, convert in known.items()}))

    return convert
