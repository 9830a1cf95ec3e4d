"""Where a user's code has a function: in a notebook, a cell that is run again replaces what it registered before."""

from __future__ import annotations

import builtins
import sys
from typing import Any

_MAIN = "__main__"
_PACKAGE = __name__.partition(".")[0]


def origin_of(function: Any) -> tuple[str, str] | None:
    """Return what a function is recognized by when its definition is run again; None outside of interactive shells.

    That is its module and qualified name, as a redefined name means the new function in Python as well. Lambdas and
    source texts have no name of their own, so they are recognized only if they are written in the shell itself.
    """
    if not _is_interactive():
        return None
    if isinstance(function, str):
        return (_MAIN, "<text>") if _called_from_shell() else None
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or ("<" in name and module != _MAIN):
        return None
    return module, name


def called_interactively() -> bool:
    """Return whether the caller of this package is a cell of a notebook, or a line typed into a shell."""
    return _is_interactive() and _called_from_shell()


def _is_interactive() -> bool:
    """Return whether code is run piece by piece: by IPython, Jupyter, marimo or Python's own shell."""
    if hasattr(sys, "ps1") or hasattr(builtins, "get_ipython"):
        return True
    marimo = sys.modules.get("marimo")
    running = getattr(marimo, "running_in_notebook", None)
    return bool(running is not None and running())


def _called_from_shell() -> bool:
    """Return whether the innermost frame that isn't ours is one of `__main__`."""
    frame = sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in (
        _PACKAGE,
        "contextlib",
    ):
        frame = frame.f_back
    return frame.f_globals.get("__name__") == _MAIN
