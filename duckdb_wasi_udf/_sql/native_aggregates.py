"""Aggregate functions of DuckDB's own: the native library collects the rows of groups, and Python runs the groups.

DuckDB accepts them from its C API only, and keeps them until the database is closed: they can't be dropped, nor get
other types. So what DuckDB has leads to an `AggregateCallback`, and that to what runs it now.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import secrets
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import pyarrow as pa

from duckdb_wasi_udf._errors import Cancelled, LimitExceeded, ProtocolError, SignatureError
from duckdb_wasi_udf._guests.trust_domain import IncomingCall
from duckdb_wasi_udf._native.kinds import buffers_of, kind_of, kind_of_struct
from duckdb_wasi_udf._native.layouts import AggregateCall, AggregateDefinition, AggregateReason, NativeType
from duckdb_wasi_udf._native.library import Callback
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._sql.connections import in_transaction
from duckdb_wasi_udf._sql.native_path import UNKNOWN_CONNECTION, helper, self_test
from duckdb_wasi_udf._sql.native_scans import PREFIX, calling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._native.library import NativeLibrary
    from duckdb_wasi_udf._sql.database import Database
    from duckdb_wasi_udf._sql.registration import RegisteredCallback

# The columns that an aggregate function of any types takes at most: MOST_COLUMNS of wasm/native/aggregate.h.
MOST_COLUMNS = 16


class AggregateTypes(NamedTuple):
    """The SQL types of an aggregate function, which DuckDB doesn't change any more.

    Attributes:
        columns: Of the columns; None for 1 to 16 columns of any types.
        result: Of the result.
        inline: The source text is the first argument of each call.
    """

    columns: tuple[str, ...] | None
    result: str
    inline: bool = False

    @classmethod
    def of(cls, signature: Signature) -> AggregateTypes:
        """Return the types of a function whose parameters are lists of a group's values.

        Raises:
            SignatureError: A parameter isn't a list.
        """
        declared = signature.declared_types
        if declared is None:
            return cls(None, signature.return_type)
        if not 1 <= len(declared) <= MOST_COLUMNS or not all(name.endswith("[]") for name in declared):
            msg = (
                f"{signature.label}: an aggregate function takes 1 to {MOST_COLUMNS} lists of a group's values; its "
                f"parameters are {', '.join(declared) or 'none'}"
            )
            raise SignatureError(msg)
        return cls(tuple([name.removesuffix("[]") for name in declared]), signature.return_type)


class AggregateCallback:
    """An aggregate function as a database has it for as long as it is open.

    Attributes:
        types: Its types.
        target: What runs it now; None if it was dropped, or its sandbox doesn't run it any more.
    """

    def __init__(self, database: Database, name: str, types: AggregateTypes) -> None:
        """Make one that leads nowhere yet.

        Args:
            database: where it is.
            name: its SQL name.
            types: its types.
        """
        self.types = types
        self.target: RegisteredCallback | None = None
        self._database = weakref.ref(database)
        self._name = name

    def run(self, columns: Sequence[pa.ChunkedArray], begun: int) -> pa.Array:
        """Run groups.

        Args:
            columns: columns of lists.
            begun: the number of the query: see `IncomingCall`.
        """
        return self._found().run(columns, begun)

    def check(self, held_bytes: int, group_bytes: int, begun: int) -> int:
        """Refuse more rows if there are too many, or the query is cancelled.

        Args:
            held_bytes: what the groups of the process hold; 0 if that isn't in question.
            group_bytes: what the columns of one group take in a guest at least; 0 likewise.
            begun: the number of the query: see `IncomingCall`.

        Returns:
            The number of the last cancel: what is lower is refused.

        Raises:
            LimitExceeded: The group doesn't fit into a guest, or the groups don't fit into DuckDB's `memory_limit`.
            Cancelled: The query is cancelled.
        """
        domain = self._found().domain
        if domain is None:  # closed, which the call itself says
            return 0
        if begun < domain.clock.cancelled:
            with IncomingCall(domain, begun) as context:
                msg = f"{self._name}: stopped by {context.stopped_by}"
                raise Cancelled(msg)
        allowed = domain.limits.memory_bytes
        if group_bytes > allowed:
            msg = (
                f"{self._name}: the values of one group take more than {group_bytes:,} bytes, memory_bytes allows "
                f"{allowed:,} bytes for a guest; use less, or raise ResourceLimits.memory_bytes"
            )
            with IncomingCall(domain):
                raise LimitExceeded(msg, limit="memory_bytes", allowed=allowed, requested=group_bytes)
        limit = self._memory_limit() if held_bytes else None
        if limit is not None and held_bytes > limit:
            msg = (
                f"{self._name}: the values of all groups take {held_bytes:,} bytes, DuckDB's memory_limit allows "
                f"{limit:,} bytes; use fewer rows at once, or raise memory_limit"
            )
            with IncomingCall(domain):
                raise LimitExceeded(msg, limit="memory_limit", allowed=limit, requested=held_bytes)
        return domain.clock.cancelled

    def _found(self) -> RegisteredCallback:
        if self.target is None:
            msg = f"{self._name}: the aggregate function of this name was dropped, or its sandbox was replaced"
            raise SignatureError(msg)
        return self.target

    def _memory_limit(self) -> int | None:
        """Return what DuckDB may use, in bytes; None if that can't be found out."""
        database = self._database()
        if database is None:
            return None
        with contextlib.suppress(duckdb.Error, SignatureError), database.cursor() as cursor:
            query = "SELECT parse_formatted_bytes(current_setting('memory_limit'))"
            return int(cursor.execute(query).fetchall()[0][0])
        return None


# ---- registering ---------------------------------------------------------------------------------------------------


class NotPossibleError(Exception):
    """An aggregate function of DuckDB's own isn't possible here, for the reason that the text says."""


def aggregate_callback(
    database: Database, con: duckdb.DuckDBPyConnection, name: str, types: AggregateTypes, *, is_taken: bool
) -> AggregateCallback:
    """Return the aggregate function of a name in a database, which is registered if there is none yet.

    Args:
        database: the database.
        con: a connection of it, in no transaction if there is none yet.
        name: the SQL name.
        types: the types that it has, or is to have.
        is_taken: there is a function of the name, which may be this one.

    Raises:
        NotPossibleError: DuckDB has none of the name, and gets none; or it has one with other types.
    """
    known = database.aggregates.get(name.lower())
    if known is None and is_taken:
        msg = "there is a function of another kind of this name"
        raise NotPossibleError(msg)
    if known is None:
        known = AggregateCallback(database, name, types)
        _register(con, name, types, known)
        database.aggregates[name.lower()] = known
    elif known.types != types:
        msg = f"DuckDB keeps the types of {name}, {_shown(known.types)}, until the database is closed"
        raise NotPossibleError(msg)
    return known


def check_registering(con: duckdb.DuckDBPyConnection) -> None:
    """Raise NotPossibleError if the connection is in a transaction, which the library can't take part in."""
    if state.native is not None and in_transaction(con):
        msg = "DuckDB's C API registers it outside of the transaction that this connection is in; commit that first"
        raise NotPossibleError(msg)


def _shown(types: AggregateTypes) -> str:
    columns = ", ".join(types.columns) if types.columns is not None else "any types"
    return f"({columns}) -> {types.result}"


def _register(con: duckdb.DuckDBPyConnection, name: str, types: AggregateTypes, callback: AggregateCallback) -> None:
    native = state.native
    if native is None:
        msg = f"the native path is {state.native_status}"
        raise NotPossibleError(msg)
    with state.native_registering:
        number = len(state.registered_functions)
        state.registered_functions.append(callback)
        try:
            with con.cursor() as cursor:
                if not self_test(native) or not _start(native):
                    msg = f"the native path is {state.native_status}"
                    raise NotPossibleError(msg)
                if not _ask_duckdb(native, cursor, _definition(name, types, number)):
                    msg = f"DuckDB refused an aggregate function {name}; another function may have the name"
                    raise NotPossibleError(msg)
        except duckdb.CatalogException as error:
            msg = "the database was opened before duckdb_wasi_udf was imported"
            raise NotPossibleError(msg) from error


def _start(native: NativeLibrary) -> bool:
    """Have C know what it calls; return whether it can cast results."""
    native.aggregate_set_python(_callback())
    return bool(native.aggregate_start())


@functools.cache
def _callback() -> Any:
    """Return what C calls, which has to live as long as the process."""
    return Callback(_answer)


def _definition(name: str, types: AggregateTypes, number: int) -> AggregateDefinition:
    columns = types.columns or ()
    queries = (ctypes.c_char_p * (len(columns) + 1))(*[f"SELECT NULL::{column}".encode() for column in columns])
    kind = kind_of(types.result)
    is_native = kind is not None and kind.built is not None and not kind.json
    return AggregateDefinition(
        name.encode(),
        types.result.encode(),
        f"SELECT NULL::{types.result}".encode(),
        queries,
        number,
        -1 if types.columns is None else len(columns),
        types.inline,
        kind.struct() if kind is not None and is_native else NativeType(),
    )


def _ask_duckdb(native: NativeLibrary, cursor: duckdb.DuckDBPyConnection, definition: AggregateDefinition) -> bool:
    token = secrets.randbits(63) | 1
    native.expect_aggregate(token, definition)
    try:
        done = cursor.execute(f"SELECT {helper(native)}({token}::UBIGINT)").fetchall()[0][0]
    finally:
        kept = native.registered()
    return bool(done and kept)


# ---- what C asks ---------------------------------------------------------------------------------------------------


def _answer(address: int) -> int:
    """Do what C asks for. No exception may leave it."""
    call = AggregateCall.from_address(address)
    try:
        with calling(UNKNOWN_CONNECTION):
            if call.reason == AggregateReason.CHECK:
                check = state.registered_functions[call.function].check
                call.cancelled = check(int(call.held_bytes), int(call.group_bytes), int(call.begun))
            else:
                _run(call)
    except BaseException as error:  # noqa: BLE001 - becomes DuckDB's error
        call.failed = 1
        text = f"{PREFIX}: {type(error).__name__}: {error}"
        native = state.native
        if native is not None:
            native.aggregate_set_error(call, text.encode(errors="backslashreplace"))
    call.is_done = 1
    return 0


def _run(call: AggregateCall) -> None:
    """Run groups: the columns are the lists that `list` would have made."""
    columns = pa.RecordBatch._import_from_c(call.array, call.schema).columns
    callback: AggregateCallback = state.registered_functions[call.function]
    results = callback.run([pa.chunked_array([column]) for column in columns], int(call.begun))
    if len(results) != call.rows:
        msg = f"the function returned {len(results)} results for {call.rows} groups"
        raise ProtocolError(msg)
    native = state.native
    if call.output and native is not None:
        kind = kind_of_struct(NativeType.from_address(call.native))
        _owner, validity, values, offsets = buffers_of(results, kind)
        if native.aggregate_put(call, validity, values, offsets):
            return
    pa.RecordBatch.from_arrays([results], ["c"])._export_to_c(call.out_array, call.out_schema)
