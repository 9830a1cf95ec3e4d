"""Tables for terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from duckdb_wasi_udf._display.values import shown
from duckdb_wasi_udf._text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of one cell.
_SHOWN_CHARACTERS = 60


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in lines, without control characters. Columns of numbers are aligned to the right."""
    texts = [[_cell(cell) for cell in row] for row in rows]
    columns = list(zip(headings, *texts, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numbers = [bool(rows) and all(isinstance(row[place], int | float) for row in rows) for place in range(len(columns))]
    lines = []
    for line in [list(headings), *texts]:
        cells = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, numbers, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> str:
    text = printable(shown(value).replace("\n", " "))
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
