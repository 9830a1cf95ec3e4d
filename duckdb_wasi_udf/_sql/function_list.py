"""The functions of a sandbox or database, as people see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from duckdb_wasi_udf._display import html, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from duckdb_wasi_udf._functions.registered import RegisteredFunction

_HEADINGS = ("function", "kind", "signature", "calls", "rows", "errors", "seconds in guest", "runs")


class FunctionList:
    """Functions with what they have done up to now: a table in a terminal and in a notebook."""

    def __init__(self, functions: Iterable[RegisteredFunction]) -> None:
        """Take down the functions as they are now.

        Args:
            functions: named functions and inline code, in any order.
        """
        found = [_row(function) for function in functions]
        self._rows = sorted(found, key=lambda row: (row[0] != "", str(row[0]).lower()))

    def __len__(self) -> int:
        """Return the number of functions."""
        return len(self._rows)

    def __repr__(self) -> str:
        """Return a table in lines."""
        return plain.table(_HEADINGS, self._rows) if self._rows else "no functions yet"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        if not self._rows:
            return str(html.element("div", "no functions yet"))
        rows = [
            [html.element("code", name), kind, html.element("code", sig), *rest]
            for name, kind, sig, *rest in self._rows
        ]
        return str(html.table(_HEADINGS, rows))


def _row(function: RegisteredFunction) -> tuple[object, ...]:
    usage, compiled = function.usage, function.compiled
    runs = "compiled" if compiled.compiled else "interpreted"
    if compiled.why_not and not compiled.compiled:
        runs += f": {compiled.why_not}"
    name = "inline: " + function.signature.label if function.inline else function.signature.label
    signature = str(function.signature)
    return name, function.kind, signature, usage.calls, usage.rows, usage.errors, usage.guest_seconds, runs
