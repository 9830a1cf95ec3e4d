"""`run`: one function over the rows of files."""

from __future__ import annotations

import contextlib
import glob
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import duckdb
import typer

from duckdb_wasi_udf._cli import options, results, running
from duckdb_wasi_udf._cli.failures import file_error, usage_error
from duckdb_wasi_udf._cli.functions import choose, define, matching_columns
from duckdb_wasi_udf._cli.reporting import reported
from duckdb_wasi_udf._cli.session import SessionOptions, open_session
from duckdb_wasi_udf._cli.sources import STDIN, read_function_file
from duckdb_wasi_udf._shared.identifiers import quote_identifier
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb_wasi_udf._cli.outline import Item
    from duckdb_wasi_udf._cli.session import Session
    from duckdb_wasi_udf._cli.sources import FunctionFile

# What reads a file, by the end of its name without that of a compression.
_READERS = {
    ".parquet": "read_parquet",
    ".csv": "read_csv",
    ".tsv": "read_csv",
    ".txt": "read_csv",
    ".json": "read_json",
    ".jsonl": "read_json",
    ".ndjson": "read_json",
}

InputFormat = Annotated[
    str | None,
    typer.Option("--input-format", metavar="parquet|csv|json", help="Format of the input. Default: by its name."),
]


def run(
    function_file: Annotated[str, typer.Argument(metavar="FUNCTION.py", help="File with the function.")],
    input: Annotated[str, typer.Argument(metavar="INPUT", help="File or glob, or - for stdin.")],  # noqa: A002
    *,
    output: options.OutputFile = None,
    function: options.FunctionName = None,
    column: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="COLUMN", help="Column of the results, which may be there. Default: the function's name."
        ),
    ] = None,
    only: Annotated[bool, typer.Option("--only", help="Write the results without the columns of the input.")] = False,
    input_format: InputFormat = None,
    package: options.Packages = None,
    settings: options.Settings = None,
    format: options.OutputFormat = None,  # noqa: A002 - the option's name
    max_rows: options.MaxRows = 100,
    json: options.Json = False,
) -> None:
    """Run one function over the rows of a file; columns are passed by the names of its parameters.

    A generator, or a class with the method process, makes other rows of the rows: they replace those of the input.
    """
    with reported(as_json=json) as report:
        wanted = results.with_json(format, as_json=json)
        chosen = results.choose_output(output, wanted, max_rows, kept=[function_file])
        file = read_function_file(function_file)
        item = choose(file, function, maps=True)
        opened = SessionOptions(packages=package, settings=settings)
        with open_session(opened) as session, open_input(session, input, input_format) as rows:
            report.files = session.files
            session.files |= {known.name.lower(): file.path for known in file.items} | {"map_batches": file.path}
            relation = _applied(session, file, item, rows, input, column, only=only)
            results.write(session, relation, chosen)


@contextlib.contextmanager
def open_input(session: Session, path: str, chosen: str | None) -> Iterator[duckdb.DuckDBPyRelation]:
    """Return the rows of files, until the end of the context.

    Args:
        session: where they are read.
        path: a file, a glob, or "-" for stdin.
        chosen: the format; None to go by the name.

    Raises:
        CommandError: there is no such file, or it is of another format.
    """
    with contextlib.ExitStack() as stack:
        if Path(path).is_dir():
            msg = f"{path} is a directory; pass a glob, such as '{Path(path) / '*.parquet'}'"
            raise file_error(msg)
        reader = _reader(path, chosen)
        real = path
        if path == STDIN:
            folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            real = str(Path(folder, "stdin"))
            with Path(real).open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        elif "://" not in path and not Path(path).exists() and not glob.glob(path, recursive=True):  # noqa: PTH207
            msg = f"there is no file {path}"
            raise file_error(msg)
        quoted = real.replace("'", "''")
        try:
            rows = running.run(session, lambda: session.con.sql(f"FROM {reader}('{quoted}')"))
        except duckdb.Error as error:
            msg = f"{path} can't be read as {reader.removeprefix('read_')}: {_reason(error)}"
            raise file_error(msg) from error
        yield rows


def _reason(error: duckdb.Error) -> str:
    """Return the first paragraph of an error as one line: that of a CSV file begins with the number of its line."""
    paragraph = readable(str(error)).partition("\n\n")[0]
    text = "; ".join(line.strip().rstrip(":") for line in paragraph.splitlines())
    return text.partition("Error: ")[2] or text


def _reader(path: str, chosen: str | None) -> str:
    if chosen is not None:
        suffix = f".{chosen.lower()}"
        if suffix not in _READERS:
            msg = f"--input-format is parquet, csv or json, got {chosen!r}"
            raise usage_error(msg)
        return _READERS[suffix]
    if path == STDIN:
        return "read_csv"
    file = Path(path)
    suffix = (file.with_suffix("") if file.suffix.lower() in (".gz", ".zst") else file).suffix.lower()
    if suffix not in _READERS:
        msg = f"the name {path} says no format that can be read ({', '.join(_READERS)}); add --input-format"
        raise usage_error(msg)
    return _READERS[suffix]


def _applied(
    session: Session,
    file: FunctionFile,
    item: Item,
    rows: duckdb.DuckDBPyRelation,
    path: str,
    column: str | None,
    *,
    only: bool,
) -> duckdb.DuckDBPyRelation:
    """Return the relation of a function's results."""
    if item.kind in ("map", "table"):
        if column is not None or only:
            msg = f"{item.name} makes rows of rows, which have columns of their own; leave out --as and --only"
            raise usage_error(msg)
        arguments = matching_columns(item, rows.columns, path)
        # The last line of the text names what is meant, as in any source text.
        return session.sandbox.map_batches(
            rows.project(", ".join(map(quote_identifier, arguments))), f"{file.source}\n{item.name}\n"
        )
    define(session, file, item)
    call = f"{quote_identifier(item.name)}({', '.join(_arguments(session, item, rows, path))})"
    name = column or item.name
    same = next((known for known in rows.columns if known.lower() == name.lower()), None)
    if only:
        return rows.project(f"{call} AS {quote_identifier(name)}")
    if same is not None and column is None:
        msg = f"{path} has a column {same} already; name another one with --as, or the same to replace it"
        raise usage_error(msg)
    if same is not None:
        return rows.project(f"* REPLACE ({call} AS {quote_identifier(same)})")
    return rows.project(f"*, {call} AS {quote_identifier(name)}")


def _arguments(session: Session, item: Item, rows: duckdb.DuckDBPyRelation, path: str) -> list[str]:
    """Return the arguments of a call over rows; text is cast to a parameter's type, as CSV without rows is text."""
    types = dict(zip(rows.columns, map(str, rows.types), strict=True))
    parameters = session.sandbox._registry.find(item.name).signature.parameters
    arguments = []
    for position, column in enumerate(matching_columns(item, rows.columns, path)):
        sql_type = parameters[position].sql_type if position < len(parameters) else None
        quoted = quote_identifier(column)
        is_text = types[column] == "VARCHAR" and sql_type is not None and sql_type.name != "VARCHAR"
        arguments.append(f"CAST({quoted} AS {sql_type.name})" if is_text and sql_type is not None else quoted)
    return arguments
