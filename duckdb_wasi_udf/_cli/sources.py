"""Files of Python functions: read here, and run nowhere but in the sandbox."""

from __future__ import annotations

import inspect
import io
import sys
import tokenize
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from duckdb_wasi_udf._cli import outline
from duckdb_wasi_udf._cli.failures import failed_error, file_error, usage_error
from duckdb_wasi_udf._errors import Cancelled, SignatureError
from duckdb_wasi_udf._frames.batch_function import batch_function
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

    from duckdb_wasi_udf._cli.outline import Item
    from duckdb_wasi_udf._sql.sandbox import Sandbox

STDIN = "-"

# Of names and messages in a file, as much as an honest one has.
_SHOWN_CHARACTERS = 500

_KINDS = ("scalar", "aggregate", "table")


@dataclass(frozen=True, slots=True)
class FunctionFile:
    """A file of functions.

    Attributes:
        path: how it is named.
        source: its text, which begins in line 1.
        items: what it defines, in order.
    """

    path: str
    source: str
    items: tuple[Item, ...]

    @property
    def functions(self) -> list[Item]:
        """Definitions that become SQL functions."""
        return [item for item in self.items if item.kind in _KINDS]

    @property
    def map_classes(self) -> list[Item]:
        """Classes over the rows of an input."""
        return [item for item in self.items if item.kind == "map"]

    @property
    def syntax_error(self) -> Item | None:
        """Why it is no Python; None if it is."""
        return next((item for item in self.items if item.kind == "error"), None)

    def at(self, item: Item) -> str:
        """Return where something is, as compilers write it."""
        return f"{self.path}:{item.line}"


@dataclass(slots=True)
class Created:
    """What became of a file's definitions.

    Attributes:
        functions: the SQL functions made.
        helpers: definitions that are none, each with the reason.
        problems: definitions that should be, each with what is wrong.
    """

    functions: list[Item] = field(default_factory=list)
    helpers: list[tuple[Item, str]] = field(default_factory=list)
    problems: list[tuple[Item, Exception]] = field(default_factory=list)


def read_text(path: str, what: str) -> str:
    """Return the text of a file, or of stdin for "-".

    Args:
        path: the file.
        what: what it should be, for errors.

    Raises:
        CommandError: it isn't there, can't be read, or isn't text.
    """
    try:
        data = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    except FileNotFoundError:
        msg = f"there is no file {path}"
        raise file_error(msg) from None
    except IsADirectoryError:
        msg = f"{path} is a directory; pass {what}"
        raise file_error(msg) from None
    except OSError as error:
        msg = f"{path} can't be read: {error.strerror or error}"
        raise file_error(msg) from error
    except ValueError as error:
        msg = f"{path!r} is no file name: {error}"
        raise usage_error(msg) from error
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = io.TextIOWrapper(io.BytesIO(data), encoding).read()
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        msg = f"{path} is not text in UTF-8, so it isn't {what}"
        raise file_error(msg) from error
    if "\0" in text:
        msg = f"{path} has binary zeros, so it isn't {what}"
        raise file_error(msg)
    return text


def read_function_files(paths: Iterable[str]) -> list[FunctionFile]:
    """Return files of functions, with what they define.

    Args:
        paths: files, "-" for stdin, or directories, of which all `*.py` are meant that don't begin with `_` or `test_`.

    Raises:
        CommandError: one can't be read.
    """
    named = [file for path in paths for file in _expanded(path)]
    texts = [(name, _from_line_one(read_text(name, "a file of Python functions"))) for name in named]
    if not texts:
        return []
    # As text, because what belongs to this package is not shipped. No DuckDB is opened, which would take longer.
    outlined = batch_function(inspect.getsource(outline), entry="outline")
    files = []
    for name, text in texts:
        (found,) = outlined(pa.table({"source": [text]})).column("outline").to_pylist()
        items = tuple(outline.Item(**{key: _checked(value) for key, value in row.items()}) for row in found)
        files.append(FunctionFile("<stdin>" if name == STDIN else name, text, items))
    return files


def read_function_file(path: str) -> FunctionFile:
    """Return one file of functions, which is Python.

    Raises:
        CommandError: it can't be read, is a directory, or is no Python.
    """
    if path != STDIN and Path(path).is_dir():
        msg = f"{path} is a directory; pass a file of Python functions"
        raise file_error(msg)
    (file,) = read_function_files([path])
    check_syntax(file)
    return file


def check_syntax(file: FunctionFile) -> None:
    """Refuse a file that is no Python.

    Raises:
        CommandError: it isn't.
    """
    if file.syntax_error is not None:
        msg = f"{file.at(file.syntax_error)}: {file.syntax_error.note}"
        raise failed_error(msg)


def create_functions(
    con: duckdb.DuckDBPyConnection, sandbox: Sandbox, file: FunctionFile, *, replace: bool = False
) -> Created:
    """Register all functions of a file. Those that can't be are no error yet: see `Created`."""
    created = Created([], [(item, item.note) for item in file.items if item.kind == "helper"], [])
    created.helpers += [(item, "it is a class over rows, for run") for item in file.map_classes]
    for item in file.functions:
        try:
            create(con, sandbox, file, item, replace=replace)
        except SignatureError as error:
            if item.used:  # by the functions that are meant
                created.helpers.append((item, str(error).removeprefix(f"{item.name}: ")))
            else:
                created.problems.append((item, error))
        except (Cancelled, RuntimeError):  # Ctrl-C, and what DuckDB makes of it
            raise
        except Exception as error:  # noqa: BLE001 - which is reported, for each function
            created.problems.append((item, error))
        else:
            created.functions.append(item)
    return created


def create(
    con: duckdb.DuckDBPyConnection, sandbox: Sandbox, file: FunctionFile, item: Item, *, replace: bool = False
) -> None:
    """Register one function of a file under its own name.

    Raises:
        WasiUdfError: as for `Sandbox.create_function`, like `duckdb.Error`.
    """
    if item.kind == "table":
        sandbox.create_table_function(con, item.name, file.source, entry=item.name, replace=replace)
    elif item.kind == "aggregate":
        sandbox.create_aggregate_function(con, item.name, file.source, entry=item.name, replace=replace)
    else:
        sandbox.create_function(con, item.name, file.source, entry=item.name, replace=replace)


def _expanded(path: str) -> list[str]:
    if path == STDIN or not Path(path).is_dir():
        return [path]
    found = sorted(file for file in Path(path).glob("*.py") if not file.name.startswith(("_", "test_", "conftest.")))
    if not found:
        msg = f"the directory {path} has no *.py files"
        raise file_error(msg)
    return [str(file) for file in found]


def _from_line_one(text: str) -> str:
    """Return a text whose first line isn't empty: a guest leaves out empty lines before the first."""
    return f"#{text}" if text.startswith("\n") else text


def _checked(value: Any) -> Any:
    """Return what the guest says with nothing in it that a terminal would act on."""
    if isinstance(value, list):
        return [_checked(item) for item in value]
    return readable(value)[:_SHOWN_CHARACTERS] if isinstance(value, str) else value
