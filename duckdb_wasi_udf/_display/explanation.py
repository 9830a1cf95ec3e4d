"""An explanation that is text everywhere, and readable in a shell."""

from __future__ import annotations

from duckdb_wasi_udf._display.html import code


class Explanation(str):
    """Text in lines. A shell shows the lines, not a literal of them."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the text itself."""
        return str(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return str(code(str(self)))
