"""Functions over the rows of an input, table in and table out."""

import functools

from _udf_functions.table import name_columns


def over_rows(function, strict, named):
    """Make what is called for each row of an input, and once more at its end.

    Args:
        function: takes a row's values and returns any number of rows; or a class, of which one object is made: its
            method `process` takes a row's values, and `finish`, if it has one, is called at the end.
        strict: the positions of the arguments whose NULL is not for the function: it isn't called for such a row.
        named: whether plain tuples become rows with columns.

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
        if isinstance(rows, (str, bytes, dict)):
            raise TypeError(
                f"the function returned {type(rows).__name__}; it yields rows, or returns an iterable of them"
            )
        return list(map(name_columns, rows or ()) if named else rows or ())

    return step
