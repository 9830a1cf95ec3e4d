"""Runs one function in a guest without DuckDB, to debug the guest."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import wasmtime

from duckdb_wasi_udf import DataLimits, ResourceLimits, WasiUdfError
from duckdb_wasi_udf._engine.artifact import find
from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._engine.engine import load_engine
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._guests.instance import GuestInstance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def run(file: Path, arguments: Sequence[str], artifact: Path, *, table: bool = False, debug: bool = False) -> int:
    """Call the function that a file defines, and print what it returns.

    What the guest prints and why it failed goes to stderr; for a trap with the stack of the guest.

    Args:
        file: Python source.
        arguments: One value for each parameter: JSON, or else text.
        artifact: The directory of the guest.
        table: Read the rows that the function yields.
        debug: The guest has symbols: name lines of the C files in the stack of a trap.

    Returns:
        The process's exit status.
    """
    if debug:  # wasmtime reads it when an engine is made
        os.environ["WASMTIME_BACKTRACE_DETAILS"] = "1"
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        for value in _results(file, [pa.array([_value(argument)]) for argument in arguments], artifact, table=table):
            print(repr(value))
    except WasiUdfError as error:
        print(error, file=sys.stderr)
        if isinstance(error.__cause__, wasmtime.WasmtimeError | wasmtime.Trap):
            print(error.__cause__, file=sys.stderr)
        return 1
    return 0


def _results(file: Path, columns: list[pa.Array], artifact: Path, *, table: bool) -> Iterator[Any]:
    definition = Definition.from_source(file.read_text(encoding="utf-8"), file.stem, preferred=file.stem, table=table)
    limits = ResourceLimits()
    engine = load_engine(find(artifact), timeout_seconds=limits.timeout_seconds)
    with CallContext(engine.clock) as context:
        instance = GuestInstance(context, engine, definition, limits, DataLimits())
        instance.bind(context, [(column.type, True) for column in columns], None)
        if not table:
            yield instance.call(context, columns, 1)[0][0].as_py()
            return
        context.rows_before = before = 0
        instance.open(context, columns)
        while len(rows := instance.next(context)):
            context.rows_before = before = before + len(rows)
            yield from rows.to_pylist()


def _value(argument: str) -> Any:
    try:
        return json.loads(argument)
    except ValueError:
        return argument
