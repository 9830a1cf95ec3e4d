"""The one function of a file that a command works on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from duckdb_wasi_udf._cli.failures import failed_error, usage_error
from duckdb_wasi_udf._cli.sources import create
from duckdb_wasi_udf._errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb_wasi_udf._cli.outline import Item
    from duckdb_wasi_udf._cli.session import Session
    from duckdb_wasi_udf._cli.sources import FunctionFile


def choose(file: FunctionFile, name: str | None, *, maps: bool = False) -> Item:
    """Return the function that is meant.

    Args:
        file: the file.
        name: its name; None for the one that is named like the file, or else the only one that no other uses, of those
            with annotations if there are any.
        maps: what makes rows of rows may be meant: a generator, or a class with `process`.

    Raises:
        CommandError: there is none of the name, or more than one that may be meant.
    """
    if name is not None:
        found = next((item for item in file.items if item.name.lower() == name.lower()), None)
        if found is None:
            msg = f"{file.path} defines no {name!r}; it defines: {_listed(file.items)}"
            raise usage_error(msg)
        return found
    kinds = ("scalar", "table", "map") if maps else ("scalar",)
    candidates = [item for item in file.items if item.kind in kinds]
    candidates = candidates or [item for item in file.items if item.kind == "helper" and item.name[:1] != "_"]
    named = [item for item in candidates if item.name.lower() == Path(file.path).stem.lower()]
    meant = named or [item for item in candidates if not item.used] or candidates
    if len(meant) == 1:
        return meant[0]
    if not meant:
        msg = f"{file.path} defines no function"
        raise failed_error(msg)
    msg = f"{file.path} defines several functions; add --function with one of: {_listed(meant)}"
    raise usage_error(msg)


def define(session: Session, file: FunctionFile, item: Item, kinds: tuple[str, ...] = ("scalar", "helper")) -> None:
    """Register one function of a file.

    Args:
        session: where.
        file: the file.
        item: the function.
        kinds: those that the command works on.

    Raises:
        CommandError: it is of another kind, or its types aren't SQL types.
        WasiUdfError: as for `Sandbox.create_function`, like `duckdb.Error`.
    """
    session.files |= {known.name.lower(): file.path for known in file.items}
    if item.kind not in kinds:
        msg = f"{file.at(item)}: {item.name} isn't called once a row: it is {_KINDS[item.kind]}"
        raise usage_error(msg)
    try:
        create(session.con, session.sandbox, file, item)
    except SignatureError as error:
        msg = f"{file.at(item)}: {error}"
        raise failed_error(msg) from error


_KINDS = {"aggregate": "an aggregate", "table": "a table function", "map": "a class over rows"}


def matching_columns(item: Item, columns: Sequence[str], where: str) -> list[str]:
    """Return the columns that a function is called with: those named like its parameters, in any case.

    Args:
        item: the function.
        columns: the columns there are.
        where: what has them, for errors.

    Raises:
        CommandError: one is missing.
    """
    by_name = {column.lower(): column for column in reversed(columns)}
    found = [by_name.get(parameter.lower()) for parameter in item.parameters]
    wanted = max([item.required, *(number + 1 for number, column in enumerate(found) if column is not None)])
    missing = [name for name, column in zip(item.parameters[:wanted], found, strict=False) if column is None]
    if missing:
        has = ", ".join(columns[:_SHOWN_COLUMNS]) + (", ..." if len(columns) > _SHOWN_COLUMNS else "")
        msg = f"{item.name} takes {', '.join(item.parameters)}, and {where} has no column {missing[0]}; it has: {has}"
        raise usage_error(msg)
    return [column for column in found[:wanted] if column is not None]


_SHOWN_COLUMNS = 30


def _listed(items: Sequence[Item]) -> str:
    return ", ".join(item.name for item in items) or "nothing"
