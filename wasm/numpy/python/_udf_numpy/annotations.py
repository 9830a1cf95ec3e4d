"""What annotations with arrays mean."""

import types
import typing

import numpy as np

from _udf_numpy.arrays import to_array, to_masked
from duckdb_wasi_udf._shared import annotations as _annotations

_SQL_TYPES = {
    np.bool_: "BOOLEAN",
    np.int8: "TINYINT",
    np.int16: "SMALLINT",
    np.int32: "INTEGER",
    np.int64: "BIGINT",
    np.uint8: "UTINYINT",
    np.uint16: "USMALLINT",
    np.uint32: "UINTEGER",
    np.uint64: "UBIGINT",
    np.float16: "FLOAT",
    np.float32: "FLOAT",
    np.float64: "DOUBLE",
    np.datetime64: "TIMESTAMP",
    np.timedelta64: "INTERVAL",
    np.str_: "VARCHAR",
    np.bytes_: "BLOB",
    np.dtypes.StringDType: "VARCHAR",
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE",
    str: "VARCHAR",
}
_ANY = (np.generic, np.number, np.integer, np.signedinteger, np.unsignedinteger, np.floating, np.inexact)


class Array(typing.NamedTuple):
    """An annotation with an array.

    Attributes:
        sql: The SQL type of a value; None for any.
        dtype: The type of the array; None for that of the column.
        none: NULLs are among the values.
        masked: It is a masked array.
    """

    sql: str | None
    dtype: np.dtype | None
    none: bool
    masked: bool

    def convert(self, column):
        """Return a Column as the array that was annotated."""
        return (to_masked if self.masked else to_array)(column, self.dtype)


def array_of(annotation, namespace):
    """Return what an annotation says if it is one of an array; otherwise None.

    Raises:
        UnsupportedAnnotationError: SQL has nothing for its values.
    """
    try:
        annotation = _annotations.evaluated(annotation, namespace)
    except _annotations.UnsupportedAnnotationError:
        return None  # which is for others to say
    return _read(annotation, namespace)


def _read(annotation, namespace):
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        found = array_of(inner[0], namespace)
        sql = next((note for note in inner[1:] if isinstance(note, str)), None)
        return found if found is None or sql is None else found._replace(sql=sql)
    if origin is typing.Union or origin is types.UnionType:
        others = [member for member in inner if member is not type(None)]
        found = array_of(others[0], namespace) if len(others) == 1 else None
        return found and found._replace(none=True)
    if isinstance(origin, typing.TypeAliasType):  # NDArray
        return _read(origin.__value__[inner], namespace)
    array = origin if isinstance(origin, type) else annotation
    if not (isinstance(array, type) and issubclass(array, np.ndarray)):
        return None
    masked = issubclass(array, np.ma.MaskedArray)
    sql, dtype = _value_type(inner[-1]) if inner else (None, None)
    return Array(sql, dtype, masked, masked)


def _value_type(annotation):
    """Return the SQL type and the dtype of NDArray's argument, which is inside of numpy.dtype."""
    inner = typing.get_args(annotation)
    scalar = inner[0] if inner else annotation
    if scalar is typing.Any or scalar in _ANY or isinstance(scalar, typing.TypeVar):
        return None, None
    sql = _SQL_TYPES.get(scalar)
    if sql is None:
        raise _annotations.UnsupportedAnnotationError(
            f"is an array of {getattr(scalar, '__name__', scalar)}, of which SQL has none"
        )
    fixed = sql not in ("TIMESTAMP", "INTERVAL", "VARCHAR", "BLOB")
    return sql, np.dtype(scalar) if fixed else None


def parameter_meaning(annotation, namespace):
    """Return the `Meaning` of a parameter's annotation with an array or a scalar of numpy; None if it has neither.

    Raises:
        UnsupportedAnnotationError: SQL has nothing for its values.
    """
    found = array_of(annotation, namespace)
    if found is not None:
        return _annotations.Meaning(found.sql, none=found.none, convert=found.convert, column=True)
    return _scalar_meaning(annotation, namespace)


def result_meaning(annotation, namespace, *, by_batch):
    """Return the `Meaning` of a result's annotation, as `parameter_meaning` does.

    Args:
        annotation: A type, or its text.
        namespace: The globals of its code.
        by_batch: The array has a value for each row; otherwise it is the value of one row.
    """
    found = array_of(annotation, namespace)
    if found is None:
        return None if by_batch else _scalar_meaning(annotation, namespace)
    return _annotations.Meaning(found.sql if by_batch or found.sql is None else f"{found.sql}[]", none=found.none)


def _scalar_meaning(annotation, namespace):
    try:
        found = _annotations.evaluated(annotation, namespace)
    except _annotations.UnsupportedAnnotationError:
        return None
    members = [member for member in typing.get_args(found) if member is not type(None)]
    is_union = typing.get_origin(found) in (typing.Union, types.UnionType)
    scalar = members[0] if is_union and len(members) == 1 else found
    if not (isinstance(scalar, type) and issubclass(scalar, np.generic) and scalar in _SQL_TYPES):
        return None
    convert = (lambda value: np.datetime64(value, "us")) if scalar is np.datetime64 else scalar
    return _annotations.Meaning(_SQL_TYPES[scalar], none=is_union, convert=convert)
