"""Text for people and for DuckDB: what a terminal can't act on, and names in SQL."""

from __future__ import annotations


def readable(value: object) -> str:
    """Return text of the guest's with everything but line breaks and tabs escaped that isn't printable.

    A terminal can't act on the result, and any encoding takes it. What isn't text is not even shown: the text of nested
    lists could have any length and any depth.
    """
    if not isinstance(value, str):
        return f"<not text but {type(value).__name__}>"
    return _escaped(value, "\n\t")


def printable(line: str) -> str:
    """Return the line with everything but tabs escaped that isn't printable."""
    return _escaped(line, "\t")


def _escaped(text: str, kept: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)
