"""Functions over the rows of an input, table in and table out."""

import dataclasses
import functools
import inspect

from _udf_guest.description import globals_of

from _udf_functions.table import name_columns
from duckdb_wasi_udf._shared import annotations as _annotations


def as_row(value, name, dicts):
    """Return a row of one column: the value itself if it is a row, or the value alone in one."""
    if value is None or isinstance(value, tuple) or dataclasses.is_dataclass(value):
        return value
    if isinstance(value, dict) and not (dicts and value and name not in value):
        return value
    return (value,)


def over_rows(function, strict, named, only):
    """Make what is called for each row of an input, and once more at its end.

    Args:
        function: takes a row's values and returns any number of rows; or a class, of which one object is made: its
            method `process` takes a row's values, and `finish`, if it has one, is called at the end.
        strict: the positions of the arguments whose NULL is not for the function: it isn't called for such a row.
        named: whether plain tuples become rows with columns.
        only: (the name of the only column, whether its values are dicts), since its values may be given alone; None if
            there are more columns, or undeclared ones.

    Returns:
        A function `(*row, last)` that returns a list of rows, or None. In the call at the end `last` is true.
    """
    made = function() if isinstance(function, type) else None
    process = function if made is None else getattr(made, "process", None)
    finish = getattr(made, "finish", None)
    if process is None:
        raise TypeError(
            f"the class {function.__name__} needs a method process(self, ...), which is called for each row"
        )

    @functools.wraps(process)
    def step(*row):
        *row, last = row
        if last:
            rows = finish() if finish else ()
        elif any(row[i] is None for i in strict):
            return None
        else:
            rows = process(*row)
        _check_rows(rows)
        if named:
            return list(map(name_columns, rows or ()))
        return list(rows or ()) if only is None else [as_row(row, *only) for row in rows or ()]

    return step


def all_rows(function, only):
    """Make what returns a list of all rows that a function yields for one row of an input.

    Args:
        function: takes a row's values and returns any number of rows, or None for none.
        only: as for `over_rows`.

    Returns:
        A function of the same parameters; an async one if the function is. Its annotation says that it returns a list.
    """
    if isinstance(function, type):
        raise TypeError(
            f"{function.__name__} is a class; here each row is one's own, so write a function that yields rows"
        )

    def listed(rows):
        _check_rows(rows)
        return list(rows or ()) if only is None else [as_row(row, *only) for row in rows or ()]

    if inspect.isasyncgenfunction(function):

        async def every(*row):
            return listed([each async for each in function(*row)])

    elif inspect.iscoroutinefunction(function):

        async def every(*row):
            return listed(await function(*row))

    else:

        def every(*row):
            return listed(function(*row))

    every = functools.wraps(function)(every)
    signature = inspect.signature(function)
    returned = signature.return_annotation
    if returned is not signature.empty:
        try:
            meaning = _annotations.read_rows(returned, globals_of(function, {}))
        except _annotations.UnsupportedAnnotationError as error:
            raise TypeError(f"the annotation {returned!r} of the result {error}") from None
        returned = signature.empty if meaning.sql is None else f"{meaning.sql}[]"
    every.__signature__ = signature.replace(return_annotation=returned)
    return every


def _check_rows(rows):
    if isinstance(rows, (str, bytes, dict)):
        raise TypeError(f"the function returned {type(rows).__name__}; it yields rows, or returns an iterable of them")
