"""Results of queries: as a table for people, or as CSV, JSON and Parquet, which DuckDB writes."""

from __future__ import annotations

import contextlib
import enum
import os
import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from duckdb_wasi_udf._cli import running
from duckdb_wasi_udf._cli.failures import file_error, usage_error
from duckdb_wasi_udf._cli.terminal import OutputBytes, is_terminal, note, print_line, print_table
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb

    from duckdb_wasi_udf._cli.session import Session


class Format(enum.StrEnum):
    """Formats of output."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"


_BY_SUFFIX = {
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".json": Format.JSON,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".parquet": Format.PARQUET,
}

_COPY_OPTIONS = {
    Format.CSV: "FORMAT csv, HEADER true",
    Format.JSON: "FORMAT json, ARRAY true",
    Format.JSONL: "FORMAT json",
    Format.PARQUET: "FORMAT parquet",
}

_CHUNK_BYTES = 2**20

# The columns of EXPLAIN, whose plans are drawn over many lines.
_PLAN = ["explain_key", "explain_value"]


@dataclass(frozen=True, slots=True)
class Output:
    """Where results go, and how.

    Attributes:
        format: the format.
        path: the file; None for stdout.
        max_rows: the number of rows of a table.
    """

    format: Format
    path: str | None
    max_rows: int

    @property
    def options(self) -> str:
        """Options of COPY."""
        tabs = self.path is not None and _plain_suffix(self.path) == ".tsv"
        return _COPY_OPTIONS[self.format] + (", DELIMITER '\t'" if tabs else "")


def choose_output(
    path: str | None,
    chosen: Format | None,
    max_rows: int,
    *,
    default: Format = Format.TABLE,
    kept: Iterable[str | None] = (),
) -> Output:
    """Return the output that options ask for.

    Args:
        path: the file; None or "-" for stdout.
        chosen: the format; None to go by the file's name.
        max_rows: the number of rows of a table.
        default: the format for stdout.
        kept: files that the output must not replace: those of functions, SQL and the database.

    Raises:
        CommandError: the file's name says no format, the format can't be that of a file, or the file can't be written.
    """
    if path in (None, "-"):
        if chosen is Format.PARQUET and is_terminal(sys.stdout):
            msg = "Parquet is no text for a terminal; write it to a file with -o FILE.parquet"
            raise usage_error(msg)
        return Output(chosen or default, None, max_rows)
    assert path is not None
    if chosen is Format.TABLE:
        msg = "a table is for the terminal; choose csv, json, jsonl or parquet for a file"
        raise usage_error(msg)
    if Path(path).is_dir():
        msg = f"{path} can't be written: it is a directory"
        raise file_error(msg)
    found = chosen or _BY_SUFFIX.get(_plain_suffix(path))
    if found is None:
        msg = f"the name {path} says no format; end it with {', '.join(_BY_SUFFIX)}, or add --format"
        raise usage_error(msg)
    check_writable(path)
    for other in kept:
        if other is not None and _is_same_file(path, other):
            msg = f"the output would replace {other}, which the command reads; name another file"
            raise usage_error(msg)
    return Output(found, path, max_rows)


def _is_same_file(path: str, other: str) -> bool:
    """Return whether two names are of one file, or the first is a file in the directory that the second names."""
    try:
        file, known = Path(path).resolve(), Path(other).resolve()
        return file == known or (file.suffix == ".py" and file.parent == known) or file.samefile(known)
    except (OSError, ValueError):  # one of them isn't there
        return False


def check_writable(path: str) -> None:
    """Refuse a file that can't be written, before anything is run.

    Raises:
        CommandError: it can't be.
    """
    file = Path(path)
    try:
        folder = file.resolve().parent
        problem = None
        if file.is_dir():
            problem = "it is a directory"
        elif not folder.is_dir():
            problem = f"there is no directory {folder}"
        elif not os.access(file if file.exists() else folder, os.W_OK):
            problem = "permission denied"
    except (OSError, ValueError) as error:
        problem = str(getattr(error, "strerror", None) or error)
    if problem is not None:
        msg = f"{path} can't be written: {problem}"
        raise file_error(msg)


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[str]:
    """Return the name of a file beside another one, which it becomes at the end of the context; it is gone on errors.

    Raises:
        CommandError: it can't be written.
    """
    file = Path(path).resolve()
    if file.exists() and not file.is_file():  # a device or a pipe
        yield str(file)
        return
    beside = file.with_name(f".{secrets.token_hex(4)}.{file.name}")
    try:
        beside.touch()
        if file.exists():
            beside.chmod(file.stat().st_mode & 0o777)
        yield str(beside)
        beside.replace(file)
    except OSError as error:
        msg = f"{path} can't be written: {error.strerror or error}"
        raise file_error(msg) from error
    finally:
        beside.unlink(missing_ok=True)


def write(session: Session, relation: duckdb.DuckDBPyRelation, output: Output, query: str | None = None) -> None:
    """Write the result of a query.

    Args:
        session: where it runs.
        relation: the query.
        output: where the result goes.
        query: its text, if it is a SELECT of the user's: a relation would be seen as a view beside the user's tables.
    """

    def copy(path: str) -> None:
        quoted = path.replace("'", "''")
        to = f"TO '{quoted}' ({output.options}, USE_TMP_FILE false)"
        if query is not None:
            session.con.execute(f"COPY ({query}\n) {to}")
        else:
            relation.query("result", f"COPY (FROM result) {to}")

    if output.format is Format.TABLE:
        columns, rows = running.run(session, lambda: _first_rows(relation, output.max_rows))
        _show(columns, rows, output.max_rows)
    elif output.path is not None:
        with whole_file(output.path) as path:
            running.run(session, lambda: copy(path))
    elif sys.platform != "win32" and output.format is not Format.PARQUET:
        running.run_to_stdout(session, copy)
    else:  # there are no pipes with a file name, or the format isn't written from its beginning to its end
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "result"))
            running.run(session, lambda: copy(path))
            _print_file(path, is_text=output.format is not Format.PARQUET)


def _print_file(path: str, *, is_text: bool) -> None:
    output = OutputBytes(is_text=is_text)
    with Path(path).open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            output.write(data)


def _first_rows(
    relation: duckdb.DuckDBPyRelation, max_rows: int
) -> tuple[list[tuple[str, str]], list[tuple[str | None, ...]]]:
    """Return the columns, and the first rows and one more, as texts."""
    columns = [(name, str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)]
    return columns, relation.limit(max_rows + 1).project("COLUMNS(*)::VARCHAR").fetchall()


def _show(columns: list[tuple[str, str]], rows: list[tuple[str | None, ...]], max_rows: int) -> None:
    """Print a table of no more than a number of rows, and say so if there are more."""
    if [name for name, _ in columns] == _PLAN:
        for _, plan in rows:
            print_line(readable(plan or ""))
        return
    print_table(columns, rows[:max_rows])
    if len(rows) > max_rows:
        note(f"the first {max_rows:,} rows; for more add --max-rows N, for all --format csv")


def _plain_suffix(path: str) -> str:
    """Return how a file's name ends, without that of a compression."""
    file = Path(path)
    if file.suffix.lower() in (".gz", ".zst"):
        file = file.with_suffix("")
    return file.suffix.lower()


def with_json(chosen: Format | None, *, as_json: bool) -> Format | None:
    """Return the format that `--format` and `--json` ask for together.

    Raises:
        CommandError: they ask for two.
    """
    if not as_json:
        return chosen
    if chosen not in (None, Format.JSON):
        msg = f"--json and --format {chosen} exclude each other"
        raise usage_error(msg)
    return Format.JSON
