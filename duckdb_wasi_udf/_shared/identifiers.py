"""Names in SQL."""

from __future__ import annotations


def quote_identifier(name: str) -> str:
    """Return a name in double quotes, so that SQL takes it whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
