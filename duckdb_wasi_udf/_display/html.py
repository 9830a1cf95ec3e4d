"""HTML for notebooks.

A guest chooses the text of its errors and what it prints, and whoever writes a query chooses the names of functions. So
all text is escaped where it becomes HTML, and nothing of it gets into an attribute. There is no script and no style
sheet: front ends drop both.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from duckdb_wasi_udf._display.values import shown
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Of one text, and the rows of one table. The rest is counted.
_SHOWN_CHARACTERS = 20_000
_SHOWN_ROWS = 100

_CELL = "text-align:left;vertical-align:top;padding:0.1em 0.8em 0.1em 0"
_NUMBER = "text-align:right;vertical-align:top;padding:0.1em 0.8em 0.1em 0"
_MONOSPACED = "margin:0.3em 0;font-family:monospace;white-space:pre-wrap;overflow-wrap:anywhere"


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(content: object) -> Html:
    """Return text with nothing in it that HTML or a terminal acts on; what is HTML already, as it is."""
    if isinstance(content, Html):
        return content
    text = readable(shown(content))
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}... ({len(text) - _SHOWN_CHARACTERS:,} more characters)"
    return Html(html.escape(text))


def element(tag: str, *children: object, style: str = "") -> Html:
    """Return an element.

    Args:
        tag: its name.
        children: what is inside; text is escaped.
        style: constant CSS.
    """
    attributes = f' style="{style}"' if style else ""
    return Html(f"<{tag}{attributes}>{''.join(map(escape, children))}</{tag}>")


def joined(parts: Iterable[object]) -> Html:
    """Return parts one after the other; text is escaped."""
    return Html("".join(map(escape, parts)))


def code(*children: object) -> Html:
    """Return a block of code or output, whose lines are kept."""
    return element("pre", *children, style=_MONOSPACED)


def folded(title: str, *children: object) -> Html:
    """Return what is shown only after a click on its title."""
    return element("details", element("summary", title, style="cursor:pointer"), *children)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> Html:
    """Return a table of at most 100 rows, with a line that counts the others."""
    first = rows[0] if rows else headings
    head = element("tr", *(element("th", name, style=_style(cell)) for name, cell in zip(headings, first, strict=True)))
    body = [element("tr", *map(_cell, row)) for row in rows[:_SHOWN_ROWS]]
    left = len(rows) - len(body)
    more = element("div", f"and {left:,} more") if left else ""
    return joined([element("table", element("thead", head), element("tbody", *body)), more])


def _cell(content: object) -> Html:
    return element("td", content, style=_style(content))


def _style(content: object) -> str:
    return _NUMBER if isinstance(content, int | float) else _CELL
