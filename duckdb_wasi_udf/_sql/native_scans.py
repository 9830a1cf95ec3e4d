"""What the native library asks for table functions: columns when a query is bound, rows while it runs.

The rows are those of an `ArrowStream`, as DuckDB scans it on the other path (`streams`). If the library knows the types
of all columns, it is lent the instance after the first step, and runs those that follow. Calls of functions and scans
are kept under numbers, which DuckDB frees.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import pyarrow as pa

from duckdb_wasi_udf._functions.signature import VARIANT
from duckdb_wasi_udf._native.kinds import kind_of, kind_of_built
from duckdb_wasi_udf._native.layouts import Call, NativeType, TableCall, TableReason
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._sql.types import column_types

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from duckdb_wasi_udf._functions.arrow_stream import ArrowStream, Batches
    from duckdb_wasi_udf._guests.lent_instance import LentInstance

# What DuckDB's Python client puts in front of what a function raised, and what follows is alike.
PREFIX = "Python exception occurred while executing the UDF"

# Of `enum DUCKDB_V2_ERROR`: the classes of DuckDB's exceptions.
_INPUT_INVALID = 2001
_CATALOG = 6001


class Bound(NamedTuple):
    """A call of a function in a plan.

    Attributes:
        stream: What a scan of it reads.
        types: The types of its columns; None if the library doesn't know all of them.
    """

    stream: ArrowStream
    types: ctypes.Array[NativeType] | None


@contextlib.contextmanager
def calling(connection: int) -> Iterator[None]:
    """Have it known which connection this thread runs a function for, by the library's number of it."""
    thread = threading.get_ident()
    around = state.native_connections.get(thread)
    state.native_connections[thread] = connection
    try:
        yield
    finally:
        if around is None:
            del state.native_connections[thread]
        else:
            state.native_connections[thread] = around


def answer(address: int) -> None:
    """Do what the library asks for a table function. No exception leaves it."""
    call = TableCall.from_address(address)
    try:
        if call.reason == TableReason.BIND:
            _bind(call)
        elif call.reason == TableReason.SCAN:
            _scan(call)
        elif call.reason == TableReason.NEXT:
            _next(call)
        elif call.reason == TableReason.STEPPED:
            _finish(call)
        elif call.reason == TableReason.END:
            batches: Batches = state.native_scans.pop(call.scan)
            batches.close()
        else:
            del state.native_bound[call.bound]
    except BaseException as error:  # noqa: BLE001 - becomes DuckDB's error
        native = state.native
        is_catalogs = isinstance(error, duckdb.CatalogException)
        text = str(error) if is_catalogs else f"{PREFIX}: {type(error).__name__}: {error}"
        if native is not None:
            code = _CATALOG if is_catalogs else _INPUT_INVALID
            native.table_error(call, code, text.encode(errors="backslashreplace"))
    call.is_done = 1


def _bind(call: TableCall) -> None:
    """Find the columns of a call."""
    table = state.native_tables.get(call.table)
    callback = None if table is None else table.current()
    if callback is None:
        msg = f"Table Function with name {'' if table is None else table.name} does not exist!"
        raise duckdb.CatalogException(msg)
    arguments = pa.RecordBatch._import_from_c(call.array, call.schema) if call.n else pa.record_batch([], [])
    with calling(call.connection):
        stream: ArrowStream = callback(arguments)
    schema = stream.schema
    schema._export_to_c(call.schema)
    names = (ctypes.c_char_p * len(schema))(*[name.encode() for name in schema.names])
    # Those that nobody has declared are NULL: DuckDB makes them of the Arrow types.
    declared = [] if stream.declared == VARIANT else column_types(stream.declared)
    types = (ctypes.c_char_p * len(schema))(*[name.encode() for name in declared])
    native = state.native
    assert native is not None
    if native.table_columns(call, names, types, len(schema)):
        call.bound = next(state.native_numbers)
        call.cardinality = -1 if stream.cardinality is None else stream.cardinality
        state.native_bound[call.bound] = Bound(stream, _types_of(schema, declared))


def _types_of(schema: pa.Schema, declared: Sequence[str]) -> ctypes.Array[NativeType] | None:
    """Return the types of columns as C has them; None if it doesn't know all of them."""
    built = schema.types
    kinds = list(map(kind_of, declared)) or list(map(kind_of_built, built))
    types = [
        kind.struct()
        for kind, arrow in zip(kinds, built, strict=True)
        if kind is not None and not kind.json and kind.built == arrow
    ]
    return (NativeType * len(types))(*types) if len(types) == len(built) else None


def _scan(call: TableCall) -> None:
    """Begin a scan of a call."""
    stream, types = state.native_bound[call.bound]
    wanted = list((ctypes.c_uint64 * call.n).from_address(call.wanted))
    is_whole = wanted == list(range(len(stream.schema)))
    if types is not None:
        call.types, call.n_columns, call.is_row = ctypes.addressof(types), len(types), stream.is_row
    call.scan = next(state.native_numbers)
    state.native_scans[call.scan] = stream.batches(None if is_whole else wanted)


def _next(call: TableCall) -> None:
    """Hand over the next rows of a scan, if there are any."""
    batches: Batches = state.native_scans[call.scan]
    state.thread_states.keep_alive()
    with calling(call.connection):
        batch = batches.next(int(call.rows))
        if call.lends:
            call.pool = batches.lend()
    if batch is not None:
        batch._export_to_c(call.array, call.schema)


def _finish(call: TableCall) -> None:
    """Do what is left of a step that the library has begun."""
    batches: Batches = state.native_scans[call.scan]
    step = Call.from_address(call.step)
    lent: LentInstance = state.native_instances[step.instance]
    step.instance = 0  # from here on the instance is Python's
    with calling(call.connection):
        batch = batches.finish(lent, step)
    if batch is not None:
        batch._export_to_c(call.array, call.schema)
