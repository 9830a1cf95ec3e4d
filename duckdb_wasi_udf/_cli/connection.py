"""Connections to databases, with errors that name the file."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from duckdb_wasi_udf._cli.failures import file_error, usage_error
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def connect(db: str | None, *, read_only: bool = False, new: bool | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database until the end of the context.

    Args:
        db: the file; None for one in memory.
        read_only: nothing is written to it.
        new: it is created if it isn't there; None if the command has no such option.

    Raises:
        CommandError: it isn't there, isn't a database, is in use, or can't be opened.
    """
    if db is None and (read_only or new):
        msg = f"{'--read-only' if read_only else '--new'} is for a database file; name it with --db"
        raise usage_error(msg)
    is_path = db is not None and db != ":memory:" and not re.match(r"[A-Za-z][\w+.-]+:", db)
    if db is not None and is_path:
        _check_file(db, new=new)
    try:
        con = duckdb.connect(db or ":memory:", read_only=read_only)
        con.execute("SET enable_progress_bar = false")  # which goes to stdout, even to a file
    except (duckdb.Error, ValueError) as error:
        raise file_error(_opening_problem(str(db), str(error))) from error
    try:
        yield con
    finally:
        with contextlib.suppress(duckdb.Error):  # a query that couldn't be stopped
            con.close()


def _check_file(db: str, *, new: bool | None) -> None:
    path = Path(db)
    try:
        if path.is_dir():
            msg = f"{db} is a directory, not a database"
            raise file_error(msg)
        if not path.exists() and not new:
            msg = f"there is no database {db}{'' if new is None else '; add --new to create it'}"
            raise file_error(msg)
        if not path.exists() and not path.absolute().parent.is_dir():
            msg = f"there is no directory {path.absolute().parent} for the database {db}"
            raise file_error(msg)
        if path.exists() and not _is_database(path):
            msg = f"{db} is not a database"
            raise file_error(msg)
    except (OSError, ValueError) as error:
        msg = f"the database {db} can't be opened: {getattr(error, 'strerror', None) or error}"
        raise file_error(msg) from error


def _is_database(path: Path) -> bool:
    """Return whether a file begins as a database: of others, as Parquet, DuckDB makes a view in memory."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except PermissionError:  # on Windows also if another program has it open, which DuckDB says
        return True
    return head[8:12] == b"DUCK" or head.startswith(b"SQLite format 3")


def _opening_problem(db: str, text: str) -> str:
    """Return why a database can't be opened, of DuckDB's error."""
    if re.search(r"\block\b|used by another process", text, re.IGNORECASE):  # as Windows says
        process = re.search(r"PID (\d+)", text)
        by = f" (process {process[1]})" if process else ""
        return f"the database {db} is in use by another program{by}; end it, or wait for it"
    first = readable(text).partition("\n")[0]
    return f"the database {db} can't be opened: {first.partition('Error: ')[2] or first}"
