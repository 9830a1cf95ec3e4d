"""What annotations with arrays mean."""

import json
import types
import typing

import numpy as np

from _udf_numpy.arrays import to_array, to_masked
from duckdb_wasi_udf._shared import annotations as _annotations
from duckdb_wasi_udf._shared import numpy_types

# What NDArray may have instead of a class of numpy's scalars.
_SQL_TYPES = {np.dtypes.StringDType: "VARCHAR", bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR"}

# Arrays of these are of the column's own type.
_ABSTRACT = (np.integer, np.signedinteger, np.unsignedinteger, np.floating, np.inexact)


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
    if scalar is typing.Any or isinstance(scalar, typing.TypeVar):
        return None, None
    if scalar is np.object_:
        return None, np.dtype(object)
    sql = _SQL_TYPES.get(scalar)
    if sql is None:
        sql = _sql_of(scalar)
        if sql is None or scalar in _ABSTRACT:
            return None, None
    fixed = sql not in ("TIMESTAMP", "INTERVAL", "VARCHAR", "BLOB")
    return sql, np.dtype(scalar) if fixed else None


def _sql_of(scalar):
    try:
        if numpy_types.is_scalar(scalar):
            return numpy_types.sql_type(scalar)
    except numpy_types.NoSqlTypeError:
        pass
    raise _annotations.UnsupportedAnnotationError(
        f"is an array of {getattr(scalar, '__name__', scalar)}, of which SQL has none"
    )


def parameter_meaning(annotation, namespace):
    """Return the `Meaning` of a parameter's annotation with an array; None if it is none.

    Raises:
        UnsupportedAnnotationError: SQL has nothing for its values.
    """
    found = array_of(annotation, namespace)
    return found and _annotations.Meaning(found.sql, none=found.none, convert=found.convert, column=True)


def recipe_of(converters):
    """Return a text of which `converters_of` makes the same converters; an empty one if some aren't those of arrays."""
    arrays = [getattr(convert, "__self__", None) for convert in converters]
    if not all(isinstance(array, Array) for array in arrays):
        return ""
    return json.dumps([[None if array.dtype is None else array.dtype.str, array.masked] for array in arrays])


def converters_of(recipe):
    """Return the converters of arguments that `recipe_of` has described."""
    arrays = [(None if dtype is None else np.dtype(dtype), masked) for dtype, masked in json.loads(recipe)]
    return [Array(None, dtype, masked, masked).convert for dtype, masked in arrays]


def result_meaning(annotation, namespace, *, by_batch):
    """Return the `Meaning` of a result's annotation, as `parameter_meaning` does.

    Args:
        annotation: A type, or its text.
        namespace: The globals of its code.
        by_batch: The array has a value for each row; otherwise it is the value of one row.
    """
    found = array_of(annotation, namespace)
    if found is None:
        return None
    return _annotations.Meaning(found.sql if by_batch or found.sql is None else f"{found.sql}[]", none=found.none)
