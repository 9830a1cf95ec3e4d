"""`sql`: SQL statements, with functions of files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import duckdb
import typer

from duckdb_wasi_udf._cli import options, results, running
from duckdb_wasi_udf._cli.connection import connect
from duckdb_wasi_udf._cli.failures import usage_error
from duckdb_wasi_udf._cli.reporting import reported
from duckdb_wasi_udf._cli.session import SessionOptions, open_session
from duckdb_wasi_udf._cli.sources import STDIN, read_text
from duckdb_wasi_udf._cli.terminal import note

if TYPE_CHECKING:
    from duckdb_wasi_udf._cli.results import Output
    from duckdb_wasi_udf._cli.session import Session

# What DuckDB returns for statements that return nothing.
_NO_RESULT = (["Count"], ["Success"])

MAX_ROWS = 100

_DISCARDED_ROWS = 10_000


def sql(
    sql: Annotated[str, typer.Argument(metavar="SQL|FILE.sql", help="SQL, a file of it, or - for stdin.")],
    *,
    db: options.Db = None,
    read_only: options.ReadOnly = False,
    new: options.New = False,
    functions: options.Functions = None,
    package: options.Packages = None,
    settings: options.Settings = None,
    format: options.OutputFormat = None,  # noqa: A002 - the option's name
    output: options.OutputFile = None,
    max_rows: options.MaxRows = MAX_ROWS,
    json: options.Json = False,
) -> None:
    """Run SQL and print its results.

    Of several statements, CSV, JSON and Parquet are the result of the last one.
    """
    with reported(as_json=json) as report:
        text = _text(sql)
        kept = [sql, db, *(functions or ())]
        chosen = results.choose_output(output, results.with_json(format, as_json=json), max_rows, kept=kept)
        statements = statements_of(text)
        _check_returns(statements[-1], chosen)
        opened = SessionOptions(
            db=db,
            read_only=read_only,
            new=new,
            functions=functions,
            packages=package,
            settings=settings,
        )
        with open_session(opened) as session:
            report.files = session.files
            for number, statement in enumerate(statements, 1):
                wanted = number == len(statements) or chosen.format is results.Format.TABLE
                run_statement(session, statement, chosen, wanted=wanted)


def statements_of(text: str) -> list[duckdb.Statement]:
    """Return the statements of a SQL text.

    Raises:
        CommandError: there is none.
        duckdb.ParserException: it is no SQL.
    """
    statements = duckdb.extract_statements(text)
    if not statements:
        msg = "there is no SQL statement to run"
        raise usage_error(msg)
    return statements


def is_complete(text: str) -> bool:
    """Return whether an input can be run: a command, nothing, or SQL up to a semicolon that ends a statement."""
    if not text.strip() or text.lstrip().startswith("."):
        return True
    tokens = _tokens(text)
    return bool(tokens) and text.encode()[tokens[-1] :].startswith(b";")


def _tokens(text: str) -> list[int]:
    """Return where tokens begin, in bytes of UTF-8, without comments."""
    return [at for at, kind in duckdb.tokenize(text) if kind != duckdb.token_type.comment]


def _without_end(text: str) -> str:
    """Return a statement without its semicolon, and what comes after it."""
    data = text.encode()
    ends = [at for at in _tokens(text) if data[at : at + 1] == b";"]
    return data[: ends[0]].decode() if ends else text


def run_statement(session: Session, statement: duckdb.Statement, output: Output, *, wanted: bool) -> bool:
    """Run one statement.

    Args:
        session: where it runs.
        statement: the statement.
        output: where its result goes.
        wanted: write the result; otherwise the statement is run for what it does.

    Returns:
        Whether it has a result.
    """
    if not wanted:
        running.run(session, lambda: _discard(session, statement))
        return False
    query = _without_end(statement.query)
    relation = running.run(session, lambda: session.con.sql(query))
    if relation is None:
        return False
    if statement.type == duckdb.StatementType.SELECT:
        results.write(session, relation, output, query)
        return True
    if output.format is results.Format.TABLE:
        if relation.columns not in _NO_RESULT:
            results.write(session, relation, output)
            return True
        for (count,) in relation.fetchall():
            note(f"{count:,} row(s)")
        return False
    with connect(None) as other:  # the statement has run, and its result has a place of its own
        results.write(session, other.from_arrow(running.run(session, relation.to_arrow_table)), output)
    return True


def _discard(session: Session, statement: duckdb.Statement) -> None:
    """Run a statement to its end, for what it does."""
    session.con.execute(statement)
    while session.con.fetchmany(_DISCARDED_ROWS):
        pass


def _text(sql: str) -> str:
    """Return the SQL of an argument that may be the name of a file."""
    if sql == STDIN:
        return read_text(STDIN, "SQL")
    is_name = "\n" not in sql and sql.lower().endswith(".sql")
    if is_name and (" " not in sql.strip() or Path(sql).exists()):
        return read_text(sql, "a file of SQL")
    return sql


def _check_returns(statement: duckdb.Statement, output: Output) -> None:
    """Refuse a file for a statement that returns nothing, before anything is run."""
    nothing = duckdb.ExpectedResultType.NOTHING in statement.expected_result_type
    if output.path is not None and nothing and statement.type != duckdb.StatementType.MULTI:  # which PIVOT becomes
        msg = f"the last statement returns no rows to write to {output.path}"
        raise usage_error(msg)
