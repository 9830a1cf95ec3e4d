"""The loop over the rows of a batch."""

import functools
import types

from _udf_guest.numpy_part import numpy_part


def driver(n_arguments, by_batch):
    """Return what calls a function: `driver(...)(function, rows, returned)`.

    For rows it appends to `returned` what the function returns for each. It is Python because the interpreter calls a
    function from its own loop without a detour through C, which takes a third off the time of a short one.

    Args:
        n_arguments: the number of arguments of a row.
        by_batch: the function is called once with columns.
    """
    if by_batch:
        numpy = numpy_part()
        return _drive_batch if numpy is None else numpy.drive_batch
    # A copy of its own, which specializes for its function. Its globals have a name, which those ask for that look at
    # the frame that called them: `warnings`, `logging`, `collections.namedtuple`.
    return types.FunctionType(_driver_code(n_arguments).replace(), {"__name__": __name__})


def _drive_batch(function, rows, returned):
    rows.take(function(*rows.columns()))


@functools.cache
def _driver_code(n_arguments):
    names = ", ".join(f"a{i}" for i in range(n_arguments))
    source = f"def driver(function, rows, returned):\n for {names or '_'} in rows: returned.append(function({names}))\n"
    namespace = {}
    exec(compile(source, __file__, "exec"), namespace)
    return namespace["driver"].__code__
