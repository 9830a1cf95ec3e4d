"""Columns of a batch as arrays."""

import gc

import _udf
import numpy as np

_NUMBERS = {
    "TINYINT": np.int8,
    "SMALLINT": np.int16,
    "INTEGER": np.int32,
    "BIGINT": np.int64,
    "UTINYINT": np.uint8,
    "USMALLINT": np.uint16,
    "UINTEGER": np.uint32,
    "UBIGINT": np.uint64,
    "FLOAT": np.float32,
    "DOUBLE": np.float64,
}
# A DATE is a number of 32 bits there, and numpy's dates have 64.
_TIMES = {"DATE": "M8[D]", "TIMESTAMP": "M8[us]", "TIMESTAMP WITH TIME ZONE": "M8[us]"}
_TEXTS = np.dtypes.StringDType()
_TEXTS_OR_NONE = np.dtypes.StringDType(na_object=None)


def to_array(column, dtype=None, copy=None):
    """Return a column as an array: what `numpy.asarray(column)` gives.

    Args:
        column: A Column. Numbers and times are a view of the batch, which is read-only.
        dtype: The type of the array; None for that of the column.
        copy: True for a copy, False to raise an error where one is needed.

    Returns:
        The array. NULL is NaN in numbers, which are float64 then, NaT in dates and times, and None in other types.

    Raises:
        ValueError: A copy is needed and `copy` is False, or there are NULLs that the type can't hold.
    """
    array, is_view = _array_of(column)
    if dtype is not None and array.dtype != dtype:
        array, is_view = array.astype(dtype), False
    if copy is False and not is_view:
        raise ValueError(f"a column of {column.type} can't be an array without a copy")
    return array.copy() if copy and is_view else array


def to_numpy(column, zero_copy_only=False):  # noqa: FBT002 - as there
    """Return a column as an array, as pyarrow's method of that name does.

    Args:
        column: A Column.
        zero_copy_only: Raise an error where a copy is needed.
    """
    return to_array(column, copy=False if zero_copy_only else None)


def to_masked(column, dtype=None):
    """Return a column as a masked array, whose mask is where it is NULL."""
    array, _ = _values(column)
    if dtype is not None and array.dtype != dtype:
        array = array.astype(dtype)
    mask = np.frombuffer(column.nulls, np.bool_) if column.null_count else np.ma.nomask
    return np.ma.MaskedArray(array, mask)


def drive_batch(function, rows, returned):
    """Call a function of the batch shape: see `_udf_guest.row_driver`.

    Raises:
        ValueError: It has kept a view of a column. The memory is that of the next batch.
    """
    rows.take(function(*rows.columns()))
    if _udf.alive_views():
        gc.collect()  # an array in a cycle
        if _udf.alive_views():
            rows.forget()
            raise ValueError(
                "the function kept an array that is a view of its column, whose memory the next batch overwrites; keep "
                "array.copy()"
            )


def _array_of(column):
    """Return an array with NULLs as `to_array` says, and whether it is a view."""
    if not column.null_count:
        return _values(column)
    kind = column.type
    if kind in _NUMBERS:
        array = np.frombuffer(column, _NUMBERS[kind]).astype(np.float32 if kind == "FLOAT" else np.float64)
        array[np.frombuffer(column.nulls, np.bool_)] = np.nan
        return array, False
    if kind in _TIMES or kind in ("LIST", "ARRAY"):
        array, is_view = _values(column)
        if kind in _TIMES:
            array = array.copy() if is_view else array
            array[np.frombuffer(column.nulls, np.bool_)] = np.datetime64("NaT")
            return array, False
        raise ValueError("a list that is NULL can't be a row of an array; annotate Column, or leave such rows out")
    if kind == "BOOLEAN":
        raise ValueError("an array of bool has no NULL; annotate numpy.ma.MaskedArray, or leave such rows out")
    return _values(column)


def _values(column):
    """Return an array, in which anything stands for NULL but where None can, and whether it is a view."""
    kind = column.type
    if kind in _NUMBERS:
        return np.frombuffer(column, _NUMBERS[kind]), True
    if kind in _TIMES:
        if kind == "DATE":
            return np.frombuffer(column, np.int32).astype("M8[D]"), False
        return np.frombuffer(column, np.int64).view(f"M8[{column.unit}]"), True
    if kind == "BOOLEAN":
        return _udf.column_bools(column), False
    if kind == "VARCHAR":
        return _udf.column_strings(column, _TEXTS_OR_NONE if column.null_count else _TEXTS), False
    if kind in ("LIST", "ARRAY"):
        return _rows(column)
    if kind == "ENUM":
        values = column.to_list()
        return np.array(values, _TEXTS_OR_NONE if None in values else _TEXTS), False
    if kind == "INTERVAL":
        return np.array(column.to_list(), "m8[us]"), False
    array = np.empty(len(column), object)
    array[:] = column.to_list()
    return array, False


def _rows(column):
    """Return lists of equal length as an array with a row for each."""
    ends, inside = _udf.column_lists(column)
    sizes = np.diff(ends)
    width = int(sizes[0]) if len(sizes) else 0
    if (sizes != width).any():
        raise ValueError(
            f"the lists of the column have {sizes.min()} to {sizes.max()} values; only lists of equal length are an "
            "array: iterate over the Column"
        )
    array, is_view = _array_of(inside)
    return array.reshape(len(column), width, *array.shape[1:]), is_view
