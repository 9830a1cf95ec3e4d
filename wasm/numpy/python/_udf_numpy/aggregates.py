"""Aggregates over arrays: each group is a slice of its column."""

import inspect
import typing

import _udf
import numpy as np
from _udf_guest.description import globals_of

from _udf_numpy.annotations import array_of
from _udf_numpy.arrays import filled
from duckdb_wasi_udf._shared.column import Column

FIRST, LAST = 1, 2  # as in _udf_functions.aggregate


def over_arrays(function):
    """Return a function over columns of pieces of groups, if `function` takes arrays; otherwise None.

    Args:
        function: It takes a group's values as an array for each column. Values where another parameter has a NULL that
            its annotation doesn't admit are left out.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    namespace = globals_of(function, {})
    given = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    specs = [array_of(parameter.annotation, namespace) for parameter in given]
    if not any(specs):
        return None
    if None in specs:
        raise TypeError("some parameters are annotated with arrays and others not; an aggregate takes arrays or lists")
    group = []

    def aggregate(pieces, *columns):
        wanted = [specs[min(i, len(specs) - 1)] for i in range(len(columns))]
        results = []
        for piece, *parts in zip(pieces, *map(_slices, columns, wanted), strict=True):
            if piece & FIRST:
                group.clear()
            group.append(parts)
            if piece & LAST:
                arrays = [_joined(parts) for parts in zip(*group, strict=True)]
                results.append(function(*_without_nulls(arrays, wanted)))
                group.clear()
            else:
                results.append(None)
        return results

    parameters = [parameter.replace(annotation=_column_of(spec)) for parameter, spec in zip(given, specs, strict=True)]
    piece = inspect.Parameter("_piece_of_group", inspect.Parameter.POSITIONAL_ONLY, annotation=Column[int])
    aggregate.__name__ = str(getattr(function, "__name__", type(function).__name__))
    aggregate.__wrapped__ = function
    returned = _returned(signature.return_annotation, namespace)
    aggregate.__signature__ = inspect.Signature([piece, *parameters], return_annotation=returned)
    return aggregate


def _slices(column, spec):
    """Yield each list of a column as an array, masked where there are NULLs."""
    ends, inside = _udf.column_lists(column)
    values = spec._replace(masked=bool(inside.null_count) or spec.masked).convert(inside)
    for start, stop in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        yield values[start:stop]


def _joined(parts):
    if len(parts) == 1:
        return parts[0]
    masked = any(isinstance(part, np.ma.MaskedArray) for part in parts)
    return (np.ma if masked else np).concatenate(parts)


def _without_nulls(arrays, specs):
    """Return arrays as they are annotated: masked, with NaN, or without the rows where one is NULL."""
    masks = [np.ma.getmask(array) for array, spec in zip(arrays, specs, strict=True) if not spec.none]
    # A list that is NULL is a row of NULLs.
    masks = [m if m.ndim == 1 else m.reshape(len(m), -1).all(axis=1) for m in masks if m is not np.ma.nomask]
    kept = ~np.logical_or.reduce(masks) if masks else slice(None)
    found = []
    for array, spec in zip(arrays, specs, strict=True):
        values = array[kept] if masks else array
        found.append(np.ma.asarray(values) if spec.masked else _unmasked(values, spec.dtype))
    return found


def _unmasked(array, dtype):
    """Return a masked array as a plain one, with what stands for NULL."""
    if not isinstance(array, np.ma.MaskedArray):
        return array
    mask = np.ma.getmaskarray(array)
    return filled(array.data, mask, dtype) if mask.any() else array.data


def _column_of(spec):
    return Column if spec.sql is None else Column[typing.Annotated[typing.Any, f"{spec.sql}[]"]]


def _returned(annotation, namespace):
    """Return the annotation of a list of such results."""
    if annotation is inspect.Signature.empty:
        return annotation
    found = array_of(annotation, namespace)
    if found is not None:
        return inspect.Signature.empty if found.sql is None else list[typing.Annotated[typing.Any, f"{found.sql}[]"]]
    return f"list[{annotation}]" if isinstance(annotation, str) else list[annotation]
