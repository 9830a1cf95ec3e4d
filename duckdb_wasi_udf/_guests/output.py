"""What guests print, passed on to `logging`."""

from __future__ import annotations

import logging

from duckdb_wasi_udf._text import printable

LOGGER = logging.getLogger("duckdb_wasi_udf.guest")


def deliver(label: str, text: str, dropped_bytes: int) -> None:
    """Log what one call printed, as one record of level INFO.

    Each line is marked and control characters are escaped, so that a guest can't write records of its own invention, or
    to a terminal.

    Args:
        label: the function's name in errors.
        text: what was printed, or the end of it.
        dropped_bytes: how much came before.
    """
    if not LOGGER.isEnabledFor(logging.INFO):
        return
    lines = [f"... {dropped_bytes:,} bytes before this were dropped"] if dropped_bytes > 0 else []
    lines += [printable(line) for line in text.removesuffix("\n").split("\n")]
    LOGGER.info("%s printed:\n%s", label, "\n".join(f"  | {line}" for line in lines))
