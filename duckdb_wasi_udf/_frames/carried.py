"""Pickles that say in one sentence what a process lacks which loads them: the source of `load` travels in them.

A pickle that names a function of this package ends in Python's own error where the package is missing, and in any error
where another version has the function elsewhere.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from duckdb_wasi_udf._version import __version__

# What the pickle evaluates, with the arguments of `load` and its source beside it. It needs nothing but Python.
_LOAD = "exec(source) or load(version, label, recipe)"


def load(version: str, label: str, recipe: bytes) -> object:
    """Return the function that another process has pickled. What another version has pickled isn't read."""
    # This runs as text, without the names of its module and beside any version: until it is sure it uses public names.
    import importlib  # noqa: PLC0415
    import sys  # noqa: PLC0415

    here = f"Python {sys.version.partition(' ')[0]} of this process ({sys.executable})"
    try:
        package = importlib.import_module("duckdb_wasi_udf")
    except ImportError as error:
        why = "hasn't" if error.name == "duckdb_wasi_udf" else f"can't import ({error})"
        msg = f"{label}: the function needs duckdb-wasi-udf {version}, which {here} {why}: install it where workers run"
        raise ModuleNotFoundError(msg, name="duckdb_wasi_udf") from error
    if package.__version__ != version:
        msg = (
            f"{label}: the function was pickled by duckdb-wasi-udf {version}, and {here} has {package.__version__}; "
            "install the same version everywhere"
        )
        raise package.SignatureError(msg)
    return importlib.import_module("duckdb_wasi_udf._frames.batch_function").unpickled(label, recipe)


def reduced(label: str, recipe: bytes) -> tuple[Any, ...]:
    """Return what `__reduce__` returns for a function.

    Args:
        label: what errors call it.
        recipe: what `unpickled` makes it of.
    """
    return eval, (_LOAD, {"source": _source(), "version": __version__, "label": label, "recipe": recipe})


@functools.cache
def _source() -> str:
    return inspect.getsource(load)
