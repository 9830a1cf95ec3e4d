"""Descriptions: what the host has to know of a function to bind its types."""

import functools
import inspect
import math

from _udf_guest.numpy_part import numpy_part
from duckdb_wasi_udf._shared import annotations as _annotations

# Bounds of a function's description.
NAME_CHARACTERS = 200
_ANNOTATION_CHARACTERS = 200
# A default that is longer isn't described.
_DEFAULT_CHARACTERS = 1000
# Number of partial functions, decorators and the like around a function that are looked into.
_WRAPPERS = 100


def describe(function, namespace, *, by_batch, table):
    """Describe a function for the host.

    Args:
        function: The function.
        namespace: The globals of its code.
        by_batch: It takes columns, whatever its annotations say.
        table: It returns rows. "returns" then describes one of them.

    Returns:
        ({"name", "by_batch", "parameters", "returns"}, converters). A parameter is {"name", "kind", "required",
        "default"} with the keys of `_meaning`, and "default" as `_default` returns it; "parameters" is None if the
        function can't be inspected. "returns" has the keys of `_meaning` for the result. There is a converter for each
        positional parameter, None for most. `define` adds "schema" and "cardinality" for table functions.
    """
    name = str(getattr(function, "__name__", type(function).__name__))[:NAME_CHARACTERS]
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # builtins such as str.upper may have none
        returns = _meaning(inspect.Signature.empty, namespace)[0]
        return {"name": name, "by_batch": by_batch, "parameters": None, "returns": returns}, []
    namespace = globals_of(function, namespace)
    parameters, converters = [], []
    numpy = numpy_part()
    of_parameter = _annotations.read if numpy is None else _either(numpy.parameter_meaning, _annotations.read)
    found = [_meaning(parameter.annotation, namespace, of_parameter) for parameter in signature.parameters.values()]
    columns = {meaning["column"] for meaning, _ in found if meaning["annotation"] is not None}
    if columns == {True, False}:
        raise TypeError("some parameters are annotated with Column and others not; a function takes columns or values")
    by_batch = by_batch or columns == {True}
    if by_batch and table:
        raise TypeError(
            "a table function is called once, with values; give its parameters other annotations than Column"
        )
    for parameter, (meaning, convert) in zip(signature.parameters.values(), found, strict=True):
        required = parameter.default is parameter.empty
        described = {"name": parameter.name, "kind": parameter.kind.name, "required": required}
        parameters.append(meaning | described | {"default": _default(parameter.default)})
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            converters.append(convert if meaning["column"] or not by_batch else None)
    read = _annotations.read
    if by_batch or table:
        read = _annotations.read_batch if by_batch else _annotations.read_rows
    if numpy is not None and not table:
        read = _either(functools.partial(numpy.result_meaning, by_batch=by_batch), read)
    returns = _meaning(signature.return_annotation, namespace, read)[0]
    return {"name": name, "by_batch": by_batch, "parameters": parameters, "returns": returns}, converters


def _default(value):
    """Return a list of the default of a parameter, for calls that pass later ones; empty if it isn't plain."""
    plain = value is None or type(value) is bool
    plain = plain or (type(value) is int and -(2**63) <= value < 2**63)
    plain = plain or (type(value) is float and math.isfinite(value))
    plain = plain or (type(value) is str and len(value) <= _DEFAULT_CHARACTERS)
    return [value] if plain else []


def _either(first, second):
    """Return a reader of annotations that asks another one where the first finds nothing."""
    return lambda annotation, namespace: first(annotation, namespace) or second(annotation, namespace)


def globals_of(function, otherwise):
    """Return the globals of the code behind a callable, in which its annotations are read.

    Args:
        function: Any callable.
        otherwise: What is returned for builtins.
    """
    for _ in range(_WRAPPERS):
        function = inspect.unwrap(function)
        if isinstance(function, (functools.partial, functools.partialmethod)):
            function = function.func
        elif isinstance(function, type):
            function = function.__init__
        elif hasattr(function, "__globals__"):  # methods have that of their functions
            return function.__globals__
        else:
            function = type(function).__call__
    return otherwise


def _meaning(annotation, namespace, read=_annotations.read):
    """Read an annotation.

    Returns:
        ({"annotation": its text, "problem": why it has no meaning, and "sql", "none", "json", "column": see Meaning},
        converter).
    """
    nothing = {"sql": None, "none": False, "json": False, "column": False}
    if annotation is inspect.Signature.empty:
        return {"annotation": None, "problem": None} | nothing, None
    text = annotation if isinstance(annotation, str) else str(getattr(annotation, "__name__", annotation))
    described = {"annotation": text[:_ANNOTATION_CHARACTERS], "problem": None}
    try:
        meaning = read(annotation, namespace)
    except (_annotations.UnsupportedAnnotationError, RecursionError, TypeError) as error:
        return described | nothing | {"problem": str(error)[:_ANNOTATION_CHARACTERS]}, None
    said = {"sql": meaning.sql, "none": meaning.none, "json": meaning.json, "column": meaning.column}
    return described | said, meaning.convert
