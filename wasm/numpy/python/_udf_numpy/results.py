"""Arrays and numpy's scalars that a function returned."""

import numpy as np

_DAYS = np.dtype("M8[D]")
_MICROSECONDS = np.dtype("M8[us]")
_TEXTS = np.dtypes.StringDType()


def prepare(array):
    """Prepare an array whose first dimension is the rows.

    Returns:
        (an array, a mask, whether it holds days): the array is contiguous and of one of the types that
        wasm/c/numpy/array_values.c reads; the mask has 1 where it is NULL, or is None. None if the rows have to become
        objects.

    Raises:
        TypeError: The array is of objects, or its numbers are complex.
        ValueError: It has no dimension, or a date is none that SQL has.
    """
    if array.ndim == 0:
        raise ValueError(
            "the function returned an array without a dimension, which is one value; return one for each row"
        )
    mask = None
    if isinstance(array, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(array)
        mask = mask if mask.any() else None
        array = array.data
    array = np.asarray(array)  # matrices have two dimensions whatever is done with them
    kind = array.dtype.kind
    if kind == "O":
        raise TypeError(
            "the function returned an array of objects (dtype object), which SQL has no type for; return a list, "
            "or an array of numbers, bool, texts or dates"
        )
    if kind == "c":
        raise TypeError(
            "the function returned an array of complex numbers, which SQL has none of; return real and imag"
        )
    if kind in "VS" or array.ndim > 2:
        return None  # dicts, bytes, and lists of lists
    array, nulls, days = _converted(array)
    if nulls is not None:
        mask = nulls if mask is None else mask | nulls
    if mask is not None:
        mask = np.ascontiguousarray(mask) if mask.any() else None
    return np.ascontiguousarray(array), mask, days


def _converted(array):
    """Return an array of a type that the codec reads, where it is NULL or None, and whether it holds days."""
    kind = array.dtype.kind
    if kind == "U":
        return array.astype(_TEXTS), None, False
    if kind == "M":
        return _times(array)
    if kind == "m":
        return array.astype("m8[us]"), np.isnat(array), False
    if kind == "f" and array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float64 if array.dtype.itemsize > 8 else np.float32)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array, None, False


def plain(value):
    """Return what Python has for a scalar of numpy's: None for NaT. A list for an array."""
    if isinstance(value, np.ndarray):
        return _plain_array(value)
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else _time(value)
    if isinstance(value, np.timedelta64):
        return None if np.isnat(value) else value.astype("m8[us]").item()
    if isinstance(value, np.longdouble):
        return float(value)
    if isinstance(value, np.void):
        return _fields(value)
    return value.item() if isinstance(value, np.generic) else value


def plain_inside(value):
    """Return a dict or list with plain values for numpy's, also as keys; `value` itself if it holds none."""
    if isinstance(value, dict):
        pairs = [(_plain_key(key), plain_inside(item)) for key, item in value.items()]
        same = all(a is c and b is d for (a, b), (c, d) in zip(pairs, value.items(), strict=True))
        return value if same else dict(pairs)
    if isinstance(value, (list, tuple)):
        found = [plain_inside(item) for item in value]
        return value if all(a is b for a, b in zip(value, found, strict=True)) else found
    return plain(value) if isinstance(value, (np.generic, np.ndarray)) else value


def _plain_key(key):
    return plain(key) if isinstance(key, np.generic) else key


def _plain_array(array):
    if array is np.ma.masked:
        return None
    if array.ndim == 0:
        return plain(array[()])
    if isinstance(array, np.ma.MaskedArray):
        return [None if item is np.ma.masked else plain(item) for item in array]
    if array.dtype.kind in "biuUT" or array.dtype in (np.float64, np.float32):
        return array.tolist()
    return [plain(item) for item in array]


def _fields(value):
    """Return a structured scalar as a dict."""
    if value.dtype.names is None:
        return bytes(value)
    return {name: plain(value[name]) for name in value.dtype.names}


def _times(array):
    """Return times in days or microseconds, where they are NaT or None, and whether they are days."""
    nulls = np.isnat(array)
    nulls = nulls if nulls.any() else None
    unit = np.datetime_data(array.dtype)[0]
    if unit == "generic":
        raise TypeError(
            "the function returned an array of datetime64 without a unit; give it one, as in 'datetime64[us]'"
        )
    days = unit in "YMWD"
    wanted = _DAYS if days else _MICROSECONDS
    if days and (nulls is None or not nulls.all()):
        numbers = array.astype(wanted).view(np.int64)
        beyond = numbers != numbers.astype(np.int32)
        beyond = beyond if nulls is None else beyond & ~nulls
        if beyond.any():
            raise ValueError(f"the function returned {array[beyond][0]}, which is outside of the dates that SQL has")
    converted = array if array.dtype == wanted else array.astype(wanted)
    if converted is not array:
        back = converted.astype(array.dtype) if np.timedelta64(1, unit) >= np.timedelta64(1, "us") else converted
        lost = back != array if back.dtype == array.dtype else np.isnat(converted)
        if nulls is not None:
            lost &= ~nulls
        if lost.any():
            raise ValueError(f"the function returned {array[lost][0]}, which is outside of the dates that SQL has")
    return converted, nulls, days


def _time(value):
    """Return a datetime64 as date or datetime."""
    unit = np.datetime_data(value.dtype)[0]
    found = value.astype(_DAYS if unit in "YMWD" else _MICROSECONDS).item()
    if isinstance(found, int):  # beyond the years that it has
        raise ValueError(  # noqa: TRY004
            f"the function returned {value}, which is outside of the dates that Python has"
        )
    return found
