"""The loop over the rows of a batch."""

import functools
import types


def driver(n_arguments, by_batch):
    """Return what calls a function: `driver(...)(function, rows, returned)`.

    For rows it appends to `returned` what the function returns for each. It is Python because the interpreter calls a
    function from its own loop without a detour through C, which takes a third off the time of a short one.

    Args:
        n_arguments: the number of arguments of a row.
        by_batch: the function is called once with columns.
    """
    if by_batch:
        return _drive_batch
    # A copy of its own, which specializes for its function.
    return types.FunctionType(_driver_code(n_arguments).replace(), {})


def _drive_batch(function, rows, returned):
    rows.take(function(*rows.columns()))


@functools.cache
def _driver_code(n_arguments):
    names = ", ".join(f"a{i}" for i in range(n_arguments))
    source = f"def driver(function, rows, returned):\n for {names or '_'} in rows: returned.append(function({names}))\n"
    namespace = {}
    exec(compile(source, __file__, "exec"), namespace)
    return namespace["driver"].__code__
