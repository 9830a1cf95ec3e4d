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
_NAT = np.datetime64("NaT")
_TEXTS = np.dtypes.StringDType()
_TEXTS_OR_NONE = np.dtypes.StringDType(na_object=None)


def to_array(column, dtype=None, copy=None):
    """Return a column as an array: what `numpy.asarray(column)` gives.

    Args:
        column: A Column. Numbers and times are a view of the batch, which is read-only.
        dtype: The type of the array; None for that of the column.
        copy: True for a copy, False to raise an error where one is needed.

    Returns:
        The array, with NULL as `filled` says.

    Raises:
        ValueError: A copy is needed and `copy` is False, or there are NULLs that the type can't hold.
    """
    array, is_view, mask = _values(column)
    if mask is not None:
        array, is_view = filled(array, mask, dtype), False
    if dtype is not None and array.dtype != dtype:
        array, is_view = array.astype(dtype), False
    if copy is False and not is_view:
        raise ValueError(f"a column of {column.type} can't be an array without a copy")
    return array.copy() if copy and is_view else array


def filled(array, mask, dtype=None):
    """Return a copy of an array with what stands for NULL in it.

    That is NaN in numbers, which are float64 then unless they are float32, NaT in dates and times, and None in texts
    and in BOOLEAN, of which the array is one of objects.

    Args:
        array: Values; anything where it is NULL.
        mask: True where it is NULL, in the same shape.
        dtype: What the array will be converted to.

    Raises:
        ValueError: An array of `dtype` can't hold what stands for NULL.
    """
    if dtype is not None and np.dtype(dtype).kind in "iub":
        raise ValueError(
            f"the column has NULL, and an array of {np.dtype(dtype)} can't hold it; annotate numpy.ma.MaskedArray, or "
            "np.ndarray without None to leave such rows out"
        )
    kind = array.dtype.kind
    if kind in "iu":
        array = array.astype(np.float64)
    elif kind == "b":
        array = array.astype(object)
    elif kind == "T":
        array = array.astype(_TEXTS_OR_NONE)
    else:
        array = array.copy()
    array[mask] = {"f": np.nan, "i": np.nan, "u": np.nan, "M": _NAT, "m": np.timedelta64("NaT")}.get(kind)
    return array


def to_numpy(column, zero_copy_only=False):  # noqa: FBT002 - as there
    """Return a column as an array, as pyarrow's method of that name does.

    Args:
        column: A Column.
        zero_copy_only: Raise an error where a copy is needed.
    """
    return to_array(column, copy=False if zero_copy_only else None)


def to_masked(column, dtype=None):
    """Return a column as a masked array, whose mask is where it is NULL."""
    array, _, mask = _values(column)
    if dtype is not None and array.dtype != dtype:
        array = array.astype(dtype)
    return np.ma.MaskedArray(array, np.ma.nomask if mask is None else mask)


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


def _values(column):
    """Return an array, in which anything stands for NULL; whether it is a view; and where it is NULL, or None."""
    mask = np.frombuffer(column.nulls, np.bool_) if column.null_count else None
    kind = column.type
    if kind in _NUMBERS:
        return np.frombuffer(column, _NUMBERS[kind]), True, mask
    if kind in _TIMES:
        if kind == "DATE":
            return np.frombuffer(column, np.int32).astype("M8[D]"), False, mask
        return np.frombuffer(column, np.int64).view(f"M8[{column.unit}]"), True, mask
    if kind == "BOOLEAN":
        return _udf.column_bools(column), False, mask
    if kind == "VARCHAR":
        return _udf.column_strings(column, _TEXTS if mask is None else _TEXTS_OR_NONE), False, mask
    if kind in ("LIST", "ARRAY"):
        return _rows(column, mask)
    if kind == "ENUM":
        return np.array(column.to_list(), _TEXTS if mask is None else _TEXTS_OR_NONE), False, mask
    if kind == "INTERVAL":
        return np.array(column.to_list(), "m8[us]"), False, mask
    array = np.empty(len(column), object)
    array[:] = column.to_list()
    return array, False, mask


def _rows(column, nulls):
    """Return lists of equal length as an array with a row for each, as `_values` does; for NULL, a row of NULLs.

    Args:
        column: A Column of lists.
        nulls: Which of them are NULL; None if none is.
    """
    ends, inside = _udf.column_lists(column)
    sizes = np.diff(ends) if nulls is None else np.diff(ends)[~nulls]
    width = int(sizes[0]) if len(sizes) else 0
    if (sizes != width).any():
        raise ValueError(
            f"the lists of the column have {sizes.min()} to {sizes.max()} values; only lists of equal length are an "
            "array: iterate over the Column"
        )
    values, is_view, mask = _values(inside)
    shape = (len(column), width, *values.shape[1:])
    if nulls is None:
        return values.reshape(shape), is_view, None if mask is None else mask.reshape(shape)
    at = ends[:-1][~nulls, np.newaxis] + np.arange(width)
    array, masked = np.zeros(shape, values.dtype), np.ones(shape, np.bool_)
    array[~nulls] = values[at]
    masked[~nulls] = False if mask is None else mask[at]
    return array, False, masked
