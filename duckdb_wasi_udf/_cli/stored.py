"""`list`, `show`, `create` and `drop`: the functions that a database file keeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import duckdb
import typer

from duckdb_wasi_udf._cli import options
from duckdb_wasi_udf._cli.connection import connect
from duckdb_wasi_udf._cli.failures import CommandError, failed_error, failure_of, usage_error
from duckdb_wasi_udf._cli.reporting import reported
from duckdb_wasi_udf._cli.session import SessionOptions, open_session
from duckdb_wasi_udf._cli.sources import read_function_files
from duckdb_wasi_udf._cli.terminal import note, print_json, print_line, print_table
from duckdb_wasi_udf._sql import stored_functions
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from duckdb_wasi_udf._cli.outline import Item
    from duckdb_wasi_udf._cli.session import Session
    from duckdb_wasi_udf._cli.sources import FunctionFile

Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Functions.")]


def list_functions(*, db: options.StoredDb, json: options.Json = False) -> None:
    """List the functions that a database file keeps, and why one can't be restored."""
    with reported(as_json=json), connect(db, read_only=True) as con:
        columns = ["name", "kind", "signature", "language", "problem"]
        rows: list[tuple[str | None, ...]] = []
        if _stored(con):
            con.close()
            with open_session(SessionOptions(db=db, read_only=True), quiet=True) as session:
                query = f"SELECT {', '.join(columns)} FROM py_functions() WHERE persisted OR problem IS NOT NULL"  # noqa: S608
                rows = session.con.execute(f"{query} ORDER BY name").fetchall()
        if json:
            found = [dict(zip(columns, row, strict=True)) for row in rows]
            print_json({"functions": found})
        elif rows:
            print_table([(name, "") for name in columns], [tuple(text or "" for text in row) for row in rows])
        else:
            note(f"{db} has no stored functions")


def show(
    name: Annotated[str, typer.Argument(metavar="NAME")], *, db: options.StoredDb, json: options.Json = False
) -> None:
    """Print the source text of a stored function."""
    with reported(as_json=json), connect(db, read_only=True) as con:
        stored = _stored(con)
        found = next((row for row in stored if str(row["name"]).lower() == name.lower()), None)
        if found is None:
            raise _unknown(db, name, stored)
        if json:
            print_json(found)
        else:
            print_line(readable(found["source"] or "").rstrip("\n"))


def create(
    files: Annotated[list[str], typer.Argument(metavar="FILE.py|DIR...", help="Files of functions, or - for stdin.")],
    *,
    db: options.StoredDb,
    function: Annotated[
        list[str] | None,
        typer.Option("--function", metavar="NAME", help="Store this one only. May be repeated."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace functions that have these names.")] = False,
    new: options.New = False,
    settings: options.Settings = None,
    json: options.Json = False,
) -> None:
    """Store the functions of files in a database file: all of them, or none if one can't be."""
    with reported(as_json=json) as report:
        read = read_function_files(files)
        # In memory first: what is wrong with a function shows before the database is touched.
        with open_session(SessionOptions(settings=settings)) as trial:
            report.files = trial.files
            defined = [(file, item) for file in read for item in trial.add(file)]
        chosen = [(file, item) for file, item in defined if function is None or item.name in function]
        for name in function or ():
            if all(item.name != name for _, item in chosen):
                names = ", ".join(item.name for _, item in defined) or "none"
                msg = f"there is no SQL function {name!r} in the files; there are: {names}"
                raise usage_error(msg)
        if not chosen:
            msg = f"{', '.join(files)}: no function's parameters and result are annotated with SQL types"
            raise failed_error(msg)
        with open_session(SessionOptions(settings=settings)) as trial:
            _create_all(trial, chosen)
        with open_session(SessionOptions(db=db, new=new, settings=settings)) as session:
            before = {str(row["name"]).lower() for row in _stored(session.con)}
            taken = [item.name for _, item in chosen if item.name.lower() in before]
            if taken and not replace:
                msg = f"{db} has a function {taken[0]} already; add --replace to replace it"
                raise failed_error(msg)
            created = _create_all(session, chosen)
        if json:
            print_json({"created": created})
        else:
            for signature in created:
                print_line(signature)


def _create_all(session: Session, chosen: list[tuple[FunctionFile, Item]]) -> list[str]:
    """Store functions; return their signatures."""
    created = []
    for file, item in chosen:
        given = {"kind": item.kind, "entry": item.name, "persist": True, "replace": True}
        try:
            rows = session.con.execute("SELECT py_create_function($1, $2, $3)", [item.name, file.source, given])
            created.append(readable(rows.fetchall()[0][0]))
        except duckdb.Error as error:
            msg = f"{file.at(item)}: {failure_of(error, session.files).message}"
            raise failed_error(msg) from error
    return created


def drop(names: Names, *, db: options.StoredDb, json: options.Json = False) -> None:
    """Drop stored functions from a database file."""
    with reported(as_json=json):
        with connect(db, read_only=True) as con:
            stored = _stored(con)
        known = {str(row["name"]).lower() for row in stored}
        for name in names:
            if name.lower() not in known:
                raise _unknown(db, name, stored)
        with open_session(SessionOptions(db=db), quiet=True) as session:
            dropped = [session.con.execute("SELECT py_drop_function($1)", [name]).fetchall()[0][0] for name in names]
        if json:
            print_json({"dropped": dropped})
        else:
            for name in dropped:
                print_line(f"dropped {readable(name)}")


def _stored(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return the rows of stored functions."""
    rows = stored_functions.read(con)
    return [dict(zip(stored_functions.COLUMNS, row, strict=True)) for row in rows]


def _unknown(db: str, name: str, stored: list[dict[str, Any]]) -> CommandError:
    names = ", ".join(readable(row["name"]) for row in stored) or "none"
    msg = f"{Path(db)} has no stored function {name!r}; there are: {names}"
    return failed_error(msg)
