"""What annotations say: the SQL types of parameters and results, and which class an argument becomes."""

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import sys
import types
import typing
import uuid

from duckdb_wasi_udf import Column, Columns, Interval

_SQL_TYPES = {
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE",
    str: "VARCHAR",
    bytes: "BLOB",
    datetime.date: "DATE",
    datetime.time: "TIME",
    datetime.datetime: "TIMESTAMP",
    datetime.timedelta: "INTERVAL",
    Interval: "INTERVAL",
    uuid.UUID: "UUID",
}

# Names that code needn't import to annotate with.
_KNOWN_NAMES = {kind.__name__: kind for kind in (*_SQL_TYPES, decimal.Decimal)} | {
    name: getattr(typing, name)
    for name in "Any Optional Union Literal Annotated List Dict Iterable Iterator Generator".split()
}
_KNOWN_NAMES |= {"typing": typing, "Column": Column, "Columns": Columns}

_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable)
_MAPS = (dict, collections.abc.Mapping)
_ROWS = (*_LISTS, set, frozenset, collections.abc.Iterator, collections.abc.Generator)

_DEEPEST = 32
_LONGEST = 5_000


class UnsupportedAnnotation(Exception):
    """Nothing in SQL is what the annotation says; the text completes "the annotation ..."."""


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
    convert: typing.Callable | None = None
    column: bool = False
    vague: str | None = None


_ANY = Meaning(None, none=True)


def read(annotation, namespace, depth=0):
    """The meaning of an annotation.

    Args:
        annotation: a type, or its text.
        namespace: the globals of the code it is in.
        depth: how many others it is inside.

    Raises:
        UnsupportedAnnotation: it has none.
    """
    if depth > _DEEPEST:
        raise UnsupportedAnnotation("nests too deep")
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
    if annotation in _LISTS or annotation in _MAPS or annotation in (typing.List, typing.Dict):
        return Meaning("JSON", json=True)
    if isinstance(annotation, typing.TypeAliasType):
        return read(annotation.__value__, namespace, depth + 1)
    if isinstance(annotation, typing.NewType):
        return read(annotation.__supertype__, namespace, depth + 1)
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is not None and not inner:  # typing.Sequence
        return read(origin, namespace, depth + 1)
    if origin is not None:
        return _read_generic(origin, inner, namespace, depth)
    if isinstance(annotation, type):
        return _read_class(annotation, depth)
    raise UnsupportedAnnotation("is not a type that SQL has")


def read_rows(annotation, namespace):
    """The meaning of one row of what a table function gives: see `read`."""
    annotation = _evaluated(annotation, namespace)
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (None, typing.Any, object, tuple, *_ROWS) or (origin in _ROWS and not inner):
        return _ANY
    if annotation is Columns or origin is Columns:
        return _read_row(annotation, namespace)
    if origin in _ROWS or (origin is tuple and len(inner) == 2 and inner[1] is ...):
        return _read_row(inner[0], namespace)
    raise UnsupportedAnnotation("is not that of rows, such as Iterator[Row]")


def _read_row(row, namespace):
    """Tuples and dicts are rows, of whatever columns they have; Columns give many at once."""
    row = _evaluated(row, namespace)
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


def row_type(schema):
    """The SQL type of the rows that code describes: columns by name, or a type, each as SQL's text or a Python type."""
    if isinstance(schema, str):
        return schema
    if not isinstance(schema, dict):
        return _row_part(schema, "the row")
    if not schema:
        raise TypeError("the schema has no columns")
    columns = {str(name): kind if isinstance(kind, str) else _row_part(kind, name) for name, kind in schema.items()}
    return f"STRUCT({_fields_text(columns)})"


def _row_part(kind, name):
    try:
        sql = _read_row(kind, {}).sql
    except UnsupportedAnnotation as error:
        raise TypeError(f"the schema has {kind!r} for {name}, which {error}") from error
    if sql is None:
        raise TypeError(
            f"the schema has {kind!r} for {name}, of which SQL has no type; write it as SQL, as in 'BIGINT'"
        )
    return sql


def _fields_text(types):
    """The fields of a STRUCT, of names and SQL types."""
    return ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}" {sql}' for name, sql in types.items())


def _evaluated(annotation, namespace):
    """What the text of a text says, and so on."""
    try:
        for _ in range(_DEEPEST):
            if isinstance(annotation, typing.ForwardRef):
                annotation = annotation.__forward_arg__
            if not isinstance(annotation, str):
                return annotation
            annotation = _evaluate(annotation, namespace)
    except Exception as error:
        raise UnsupportedAnnotation(f"can't be read ({type(error).__name__}: {error})") from error
    raise UnsupportedAnnotation("nests too deep")


def _evaluate(text, namespace):
    if len(text) > _LONGEST:
        raise UnsupportedAnnotation("is too long")
    known = _KNOWN_NAMES | {"datetime": datetime} if "datetime." in text else _KNOWN_NAMES
    # Annotations see globals first, then what needn't be imported; builtins come last.
    found = eval(text, {}, collections.ChainMap(namespace, known))
    return datetime.datetime if found is datetime else found


def _read_text(text, namespace, depth):
    try:
        found = _evaluate(text, namespace)
    except UnsupportedAnnotation:
        raise
    except Exception:
        return Meaning(text.strip())  # no Python: the host asks DuckDB whether it is SQL
    return read(found, namespace, depth + 1)


def read_batch(annotation, namespace):
    """The meaning of what a whole batch is returned as: that of the values in it."""
    meaning = read(annotation, namespace)
    if meaning.column or meaning.sql is None:
        return meaning
    if meaning.sql == "JSON":  # a bare list
        return _ANY
    if meaning.sql.endswith("[]"):
        return meaning._replace(sql=meaning.sql.removesuffix("[]"))
    raise UnsupportedAnnotation("is not of a batch; a function of the batch shape returns Column[T] or list[T]")


def _read_generic(origin, inner, namespace, depth):
    if origin is Column:
        return read(inner[0], namespace, depth + 1)._replace(column=True, convert=None)
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
    raise UnsupportedAnnotation("is not a type that SQL has")


def _read_part(annotation, namespace, depth):
    meaning = read(annotation, namespace, depth + 1)
    if meaning.vague:
        raise UnsupportedAnnotation(meaning.vague)
    return meaning


def _read_union(members, namespace, depth):
    """None makes the others optional; int and float together are numbers, other mixtures can be anything."""
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


def _read_class(cls, depth):
    """A STRUCT of a TypedDict's keys, or of the fields of a named tuple or dataclass, which values then become."""
    if typing.is_typeddict(cls):
        fields, make = cls.__annotations__, dict
    elif issubclass(cls, tuple) and hasattr(cls, "_fields"):
        fields, make = cls.__annotations__, cls
    elif dataclasses.is_dataclass(cls):
        fields, make = {field.name: field.type for field in dataclasses.fields(cls) if field.init}, cls
    else:
        raise UnsupportedAnnotation(
            "is a class, of which SQL has only those that are a TypedDict, NamedTuple or dataclass"
        )
    if not fields:
        raise UnsupportedAnnotation("has no annotated fields")
    namespace = vars(sys.modules[cls.__module__])
    meanings = {name: _read_part(kind, namespace, depth) for name, kind in fields.items()}
    for name, meaning in meanings.items():
        if meaning.sql is None:
            raise UnsupportedAnnotation(f"has the field {name!r} without a SQL type")
    return Meaning(
        f"STRUCT({_fields_text({name: meaning.sql for name, meaning in meanings.items()})})",
        json=any(meaning.json for meaning in meanings.values()),
        convert=_fields(make, {name: meaning.convert for name, meaning in meanings.items()}),
    )


# ---- converters of decoded values --------------------------------------------------------------------------------


def _optional(convert):
    return convert and (lambda value: None if value is None else convert(value))


def _each(convert):
    convert = _optional(convert)
    return convert and (lambda values: [convert(value) for value in values])


def _entries(key, item):
    def same(value):
        return value

    key, item = _optional(key) or same, _optional(item) or same
    return lambda entries: {key(name): item(value) for name, value in entries.items()}


def _fields(make, converters):
    converters = {name: _optional(convert) for name, convert in converters.items() if convert}
    if make is dict and not converters:
        return None

    def convert(value):
        if not isinstance(value, dict):
            raise TypeError(
                f"the argument is {type(value).__name__}, not the STRUCT that {make.__name__} is annotated for"
            )
        return make(**(value | {name: convert(value.get(name)) for name, convert in converters.items()}))

    return convert
