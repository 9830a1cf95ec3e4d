"""Functions over groups: what aggregates call for each piece of a group's values."""

import inspect

from _udf_guest.description import globals_of
from _udf_guest.numpy_part import numpy_part

from duckdb_wasi_udf._shared import annotations as _annotations

# What the first argument says of a piece: it is the first of its group, the last, or both.
FIRST, LAST = 1, 2


def over_groups(function):
    """Return a function over pieces of groups for one over whole groups, or for a class with `step` and `finish`.

    Args:
        function: takes a list of a group's values for each column; or a class, an instance of which gets the values row
            by row with `step`, and gives the result with `finish`.

    Returns:
        A function `(piece, *lists)` that returns the group's result for its last piece and None before.
    """
    if isinstance(function, type) and hasattr(function, "step"):
        if not hasattr(function, "finish"):
            raise TypeError(f"the class {function.__name__} has step, but no finish to return the result with")
        return _stepping(function)
    numpy = numpy_part()
    return (numpy and numpy.over_arrays(function)) or _whole(function)


def _whole(function):
    group = []

    def aggregate(piece, *lists):
        nonlocal group
        if piece & FIRST:
            group = lists
        else:
            for values, more in zip(group, lists, strict=True):
                values.extend(more)
        if piece & LAST:
            whole, group = group, []
            return function(*whole)
        return None

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # builtins such as max may have none
        signature = inspect.Signature([inspect.Parameter("lists", inspect.Parameter.VAR_POSITIONAL)])
    namespace = globals_of(function, {})
    parameters = [
        parameter.replace(annotation=parameter.empty) if _means_json(parameter.annotation, namespace) else parameter
        for parameter in signature.parameters.values()
    ]
    return _described(aggregate, function, parameters, signature.return_annotation)


def _stepping(kind):
    given = list(inspect.signature(kind.step).parameters.values())[1:]  # without self
    namespace = getattr(inspect.unwrap(kind.step), "__globals__", {})
    strict = [not _takes_none(parameter, namespace) for parameter in given]
    rest_is_strict = bool(given) and given[-1].kind is inspect.Parameter.VAR_POSITIONAL and strict[-1]
    state = None

    def aggregate(piece, *lists):
        nonlocal state
        if piece & FIRST:
            state = kind()
        skipping = [
            values
            for i, values in enumerate(lists)
            if (strict[i] if i < len(strict) else rest_is_strict) and None in values
        ]
        step = state.step
        if skipping:  # rows with a NULL where the annotation has no None
            kept = [None not in row for row in zip(*skipping, strict=True)]
            for keep, *row in zip(kept, *lists, strict=True):
                if keep:
                    step(*row)
        else:
            for row in zip(*lists, strict=True):
                step(*row)
        if piece & LAST:
            finish, state = state.finish, None
            return finish()
        return None

    parameters = [
        parameter.replace(annotation=_list_of(parameter.annotation, namespace))
        for parameter in given
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    return _described(aggregate, kind.step, parameters, inspect.signature(kind.finish).return_annotation, kind.__name__)


def _means_json(annotation, namespace):
    """Return whether it is `list`, or one of Any. Both mean JSON elsewhere."""
    try:
        return annotation is not inspect.Parameter.empty and _annotations.read(annotation, namespace).json
    except _annotations.UnsupportedAnnotationError:
        return False


def _takes_none(parameter, namespace):
    if parameter.annotation is parameter.empty:
        return False
    try:
        return _annotations.read(parameter.annotation, namespace).none
    except _annotations.UnsupportedAnnotationError:
        return False  # the description has the reason


def _list_of(annotation, namespace):
    """Return the annotation of a list of such values."""
    if annotation is inspect.Parameter.empty:
        return annotation
    try:
        if _annotations.read(annotation, namespace).sql is None:
            return inspect.Parameter.empty
    except _annotations.UnsupportedAnnotationError:
        return annotation  # its mistake is reported as it is written
    return f"list[{annotation}]" if isinstance(annotation, str) else list[annotation]


def _described(aggregate, function, parameters, returned, name=None):
    """Give the aggregate the signature of what it calls, after the piece. Annotations are read in its globals."""
    piece = inspect.Parameter("_piece_of_group", inspect.Parameter.POSITIONAL_ONLY, annotation=int)
    aggregate.__name__ = str(name or getattr(function, "__name__", type(function).__name__))
    aggregate.__wrapped__ = function
    aggregate.__signature__ = inspect.Signature([piece, *parameters], return_annotation=returned)
    return aggregate
