"""numpy's classes in annotations, where numpy is imported. Whoever annotates with one has imported it."""

from __future__ import annotations

import sys
from typing import Any

_SIZED = {
    "i": {1: "TINYINT", 2: "SMALLINT", 4: "INTEGER", 8: "BIGINT"},
    "u": {1: "UTINYINT", 2: "USMALLINT", 4: "UINTEGER", 8: "UBIGINT"},
    "f": {2: "FLOAT", 4: "FLOAT"},
}
_BY_KIND = {
    "b": "BOOLEAN",
    "f": "DOUBLE",
    "M": "TIMESTAMP",
    "m": "INTERVAL",
    "S": "BLOB",
    "U": "VARCHAR",
}
# Classes that have no values of their own. The others among them are of any type.
_ABSTRACT = {
    "integer": "BIGINT",
    "signedinteger": "BIGINT",
    "unsignedinteger": "UBIGINT",
    "floating": "DOUBLE",
    "inexact": "DOUBLE",
    "character": "VARCHAR",
}
_ANY = ("generic", "number", "object_", "flexible")


class NoSqlTypeError(Exception):
    """SQL has no type for a class of numpy's; the text completes "the annotation ..."."""


def is_scalar(cls: Any) -> bool:
    """Return whether something is a class of numpy's scalars, such as `numpy.float64`."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(cls, type) and issubclass(cls, numpy.generic)


def is_array(cls: Any) -> bool:
    """Return whether something is the class of numpy's arrays."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(cls, type) and issubclass(cls, numpy.ndarray)


def sql_type(scalar: type) -> str | None:
    """Return the SQL type of a class of scalars; None for any.

    Raises:
        NoSqlTypeError: SQL has none.
    """
    name = scalar.__name__
    if name in _ANY:
        return None
    if name in _ABSTRACT:
        return _ABSTRACT[name]
    dtype = sys.modules["numpy"].dtype(scalar)
    sql = _SIZED.get(dtype.kind, {}).get(dtype.itemsize) or _BY_KIND.get(dtype.kind)
    if sql is None:
        msg = f"is one of numpy.{name}, of which SQL has no type"
        raise NoSqlTypeError(msg)
    return sql


def to_scalar(scalar: type) -> Any:
    """Return what makes a scalar of a decoded value; None if there is nothing to make."""
    if scalar.__name__ in _ANY or scalar.__name__ in _ABSTRACT:
        return None
    if scalar.__name__ == "datetime64":
        return lambda value: scalar(value, "us")
    return scalar


def item_of(arguments: tuple[Any, ...]) -> Any:
    """Return the class of the values in an array, of what is annotated in `numpy.ndarray[...]`.

    Raises:
        NoSqlTypeError: it isn't said.
    """
    dtype = arguments[-1]
    inner = getattr(dtype, "__args__", ())
    item = inner[0] if inner else dtype
    if not is_scalar(item) or item.__name__ in _ANY:
        msg = "has arrays without the type of their values; write it, as in NDArray[np.float64]"
        raise NoSqlTypeError(msg)
    return item


def to_array(item: type) -> Any:
    """Return what makes an array of a list of decoded values."""
    numpy = sys.modules["numpy"]
    sql = sql_type(item)
    dtype = {"TIMESTAMP": "M8[us]", "INTERVAL": "m8[us]", "VARCHAR": numpy.dtypes.StringDType()}.get(sql or "", item)
    return lambda values: numpy.array(values, dtype)
