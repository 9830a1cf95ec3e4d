"""Names and options as users write them, checked."""

from __future__ import annotations

from typing import Any

from duckdb_wasi_udf._errors import SignatureError


def check_name(name: object) -> None:
    """Refuse what can't be a function's name.

    Raises:
        SignatureError: it isn't text, or has characters that can't be seen.
    """
    if not isinstance(name, str) or not name or not name.isprintable():
        msg = f"a function's name is text of printable characters, got {name!r:.200}"
        raise SignatureError(msg)


def choice(function: str, option: str, value: Any, allowed: tuple[str, str]) -> str:
    """Return the name of an option's value, which is a str or one of DuckDB's enums."""
    text = str(getattr(value, "name", value)).lower()
    if text not in allowed:
        msg = f"{function}: {option} must be {' or '.join(map(repr, allowed))}, got {value!r}"
        raise SignatureError(msg)
    return text
