"""Errors in notebooks: what went wrong first, where, and the rest on request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from duckdb_wasi_udf._display.html import code, element, escape, folded, joined, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb_wasi_udf._display.html import Html

# A frame of the user's code in a traceback. What isn't a file has angle brackets.
_FRAME = re.compile(r'^ *File "(<[^"\n]{1,300})", line (\d{1,9})(?:, in (.{1,300}))?$')
_CARETS = re.compile(r"^ *[~^]+ *$")

_CARD = "border-left:3px solid #d33;padding:0.2em 0 0.2em 0.8em;margin:0.3em 0"
_MARK = "background:#fd6;color:#000"


def error_card(
    *,
    kind: str,
    summary: str,
    row: int | None = None,
    arguments: Sequence[str] = (),
    traceback: str = "",
    printed: str = "",
) -> str:
    """Return an error as HTML.

    Args:
        kind: the class of the error.
        summary: what went wrong.
        row: the row of the batch; None if it wasn't a row's.
        arguments: what the function was called with, as text.
        traceback: the guest's.
        printed: what the guest printed before.
    """
    lines = traceback.splitlines()
    parts: list[object] = [element("div", element("strong", kind), ": ", summary, style="white-space:pre-wrap")]
    place = _offending_line(_frames(lines, summary))
    if place is not None:
        number, function, source = place
        where = f"line {number}" + (f", in {function}" if function else "")
        parts += [element("div", where), code(source)]
    if row is not None:
        headings = ["row of the batch", *(f"argument {number}" for number in range(1, len(arguments) + 1))]
        parts.append(table(headings, [[row, *(element("code", argument) for argument in arguments)]]))
    if len(lines) > 1:
        parts.append(folded("Traceback in the guest", code(traceback)))
    if printed:
        parts.append(folded("Printed before it", code(printed)))
    return str(element("div", *parts, style=_CARD))


def _frames(lines: Sequence[str], summary: str) -> Sequence[str]:
    """Return a traceback without the message at its end, whose lines may look like frames."""
    for place in range(len(lines)):
        if summary.endswith("\n".join(lines[place:])):
            return lines[:place]
    return lines


def _offending_line(lines: Sequence[str]) -> tuple[str, str, Html] | None:
    """Return number, function and marked text of the innermost line of the user's code in a traceback.

    The traceback is the guest's, and may be anything.
    """
    for place in range(len(lines) - 1, -1, -1):
        frame = _FRAME.match(lines[place])
        if frame is None:
            continue
        source = lines[place + 1] if place + 1 < len(lines) else ""
        if not source.startswith("    "):
            continue
        carets = lines[place + 2] if place + 2 < len(lines) else ""
        return frame[2], frame[3] or "", _marked(source, carets)
    return None


def _marked(source: str, carets: str) -> Html:
    """Return a line of code with the part marked that is underlined in a traceback, or else all of it."""
    indent = len(source) - len(source.lstrip())
    begin, end = indent, len(source)
    if _CARETS.match(carets):
        begin, end = len(carets) - len(carets.lstrip()), len(carets.rstrip())
    if not indent <= begin < end <= len(source):
        begin, end = indent, len(source)
    marked = element("span", source[begin:end], style=_MARK)
    return joined([escape(source[indent:begin]), marked, escape(source[end:])])
