"""Functions whose batches go through DuckDB's C API: the library is started, and functions are registered with it.

A function is registered through Python first, as ever. What that has put into DuckDB's catalog is then replaced by a
function of C's with the same name and parameters, unless the connection is in a transaction, which C couldn't take part
in. Whatever C doesn't do by itself comes back here, and goes the way of all other functions.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import logging
import os
import secrets
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from duckdb_wasi_udf._engine.raw_instance import function_address, value_layout
from duckdb_wasi_udf._errors import ClosedError, ProtocolError, WasiUdfError
from duckdb_wasi_udf._functions.inline import InlineFunction
from duckdb_wasi_udf._functions.scalar import ScalarFunction
from duckdb_wasi_udf._guests.recent_errors import CLOSED
from duckdb_wasi_udf._native.kinds import Kind, array_of, buffers_of, kind_of, kind_of_struct
from duckdb_wasi_udf._native.layouts import Argument, Call, NativeType, Reason, TableForm, TableReason
from duckdb_wasi_udf._native.library import Callback, NativeLibrary, Unavailable, file_name
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._sql.connections import in_transaction
from duckdb_wasi_udf._sql.native_scans import PREFIX, answer, calling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb_wasi_udf._guests.lent_instance import LentInstance

logger = logging.getLogger("duckdb_wasi_udf.native")

# The versions of DuckDB with which the tests pass on the native path.
TESTED = ("2.0.0", "2.0.1")

# The platforms on which they were run; on others it is off by default.
TRIED = ("x86_64-linux.so",)

_MOST_ARGUMENTS = 32

# Instead of the library's number of a connection, for calls that C can't say it of.
UNKNOWN_CONNECTION = -1


def start() -> None:
    """Load the library and have DuckDB know it, for databases that are opened from now on."""
    if state.native is not None:  # the package was reloaded
        return
    try:
        state.native = _load()
        state.native_status = "used"
    except Unavailable as error:
        state.native_status = f"not used: {error}"
        logger.debug("batches don't go through DuckDB's C API: %s", error)


def _load() -> NativeLibrary:
    """Return the library, ready for use.

    Raises:
        Unavailable: it isn't to be used, or can't be.
    """
    wanted = os.environ.get("DUCKDB_WASI_UDF_NATIVE")
    if wanted == "0":
        msg = "DUCKDB_WASI_UDF_NATIVE=0 switches it off"
        raise Unavailable(msg)
    if file_name() not in TRIED and wanted != "1":
        msg = f"nobody has tried {file_name()} yet; DUCKDB_WASI_UDF_NATIVE=1 uses it all the same"
        raise Unavailable(msg)
    if duckdb.__version__ not in TESTED:
        msg = f"DuckDB {duckdb.__version__} was not tested"
        raise Unavailable(msg)
    module = importlib.import_module("_duckdb")
    symbols = ctypes.CDLL(module.__file__)

    def duckdb_address(name: str) -> int:
        return int(ctypes.cast(symbols[name], ctypes.c_void_p).value or 0)

    library = NativeLibrary(duckdb_address, function_address)
    library.set_value_layout(*value_layout())
    callback = Callback(_answer)
    closed = f"{PREFIX}: ClosedError: {CLOSED}".encode()
    interrupted = f"{PREFIX}: KeyboardInterrupt: ".encode()
    state.native_callbacks += [callback, closed, interrupted]
    library.set_python(callback, id(KeyboardInterrupt), closed, interrupted)
    failed = library.register_extension()
    if failed:
        msg = f"DuckDB refused the extension ({failed})"
        raise Unavailable(msg)
    return library


def status() -> str:
    """Return in words whether batches go through DuckDB's C API, and why."""
    if state.native is not None:
        self_test(state.native)
    return state.native_status


# ---- registering ---------------------------------------------------------------------------------------------------


def replace_by_native(
    con: duckdb.DuckDBPyConnection, name: str, function: ScalarFunction, number: int, *, side_effects: bool
) -> None:
    """Replace a function that was registered through Python by one of C's, if that can be done.

    Args:
        con: the connection that it was registered through.
        name: its SQL name.
        function: the function.
        number: its number in `state.registered_functions`.
        side_effects: it must be called for each row, even with constant arguments.
    """
    native, kinds = state.native, _kinds(function)
    if native is None or kinds is None or function.domain.gate is None:
        return
    if in_transaction(con):
        logger.debug("%s: registered in a transaction; batches go through Python", name)
        return
    parameters, result = kinds
    types = [kind.struct(sees_null=function.guest_signature.sees_null(i)) for i, kind in enumerate(parameters)]
    made = native.function_new(number, _array(types), len(types), result.struct())
    _register(native, con, {name: made}, side_effects=side_effects)


def replace_inline_by_native(con: duckdb.DuckDBPyConnection, functions: dict[str, tuple[int, str]]) -> None:
    """Replace inline functions that were registered through Python by some of C's, if that can be done.

    Args:
        con: a connection of the database, in no transaction.
        functions: by SQL name, each one's number in `state.registered_functions`, and the SQL type of its result.
    """
    native = state.native
    if native is None:
        return
    kinds = {name: (number, kind_of(result)) for name, (number, result) in functions.items()}
    made = {
        name: native.function_new(number, None, -1, kind.struct())
        for name, (number, kind) in kinds.items()
        if kind is not None
    }
    _register(native, con, made, side_effects=False)


def can_register(con: duckdb.DuckDBPyConnection, *, tables: bool, is_reached: bool) -> bool:
    """Return whether the library can register functions in the database of a connection now.

    Args:
        con: the connection, which may be in a transaction.
        tables: table functions are meant.
        is_reached: the library has registered functions in the database before, so that it can is known.
    """
    native = state.native
    if native is None or not self_test(native) or (tables and not native.has_tables):
        return False
    if not is_reached:
        with con.cursor() as cursor:  # which no query or result of the user's keeps busy
            if connection_key(cursor) is None:
                logger.debug("the database was opened before the library was there")
                return False
    return not in_transaction(con)


def register_natively(con: duckdb.DuckDBPyConnection, tables: list[TableForm]) -> bool:
    """Have DuckDB take table functions, after `can_register`; return whether it has taken all of them."""
    native = state.native
    return native is not None and _register(native, con, {}, side_effects=False, tables=tables)


def _register(
    native: NativeLibrary,
    con: duckdb.DuckDBPyConnection,
    functions: dict[str, int],
    *,
    side_effects: bool,
    tables: Sequence[TableForm] = (),
) -> bool:
    """Have DuckDB take functions of C's; those that it doesn't take are freed. Return whether it has taken all."""
    done = kept = False
    try:
        with state.native_registering, con.cursor() as cursor:
            if not self_test(native):
                return False
            token = secrets.randbits(63) | 1
            names = (ctypes.c_char_p * len(functions))(*[name.encode() for name in functions])
            addresses = (ctypes.c_size_t * len(functions))(*functions.values())
            native.expect(token, names, addresses, len(functions), side_effects)
            forms = (TableForm * len(tables))(*tables)  # which has to live until they are registered, like `tables`
            native.expect_tables(forms, len(tables))
            try:
                done = cursor.execute(f"SELECT {helper(native)}({token}::UBIGINT)").fetchall()[0][0]
            finally:
                kept = bool(native.registered())
            if not (kept and done):
                logger.debug("%s: DuckDB refused; batches go through Python", ", ".join(functions))
    except duckdb.Error as error:  # opened before the library was there, say
        logger.debug("%s: %s; batches go through Python", ", ".join(functions), error)
    finally:
        if not kept:
            for address in functions.values():
                native.function_free(address)
    return bool(kept and done)


def _array(types: list[NativeType]) -> ctypes.Array[NativeType]:
    return (NativeType * len(types))(*types)


def connection_key(con: duckdb.DuckDBPyConnection) -> int | None:
    """Return the library's number of a connection; None if that can't be found out."""
    native = state.native
    if native is None:
        return None
    try:
        return int(con.sql(f"SELECT {helper(native)}(0::UBIGINT)").fetchall()[0][0])
    except duckdb.Error:
        return None


def helper(native: NativeLibrary) -> str:
    """Return the name of the SQL function through which Python reaches the library."""
    return str(native.function_name().decode())


def self_test(native: NativeLibrary) -> bool:
    """Find out once whether connections can be made; if not, the library isn't used any more."""
    if state.native_status == "used":
        failed = native.self_test()
        native.has_tables = native.has_tables and not failed and not native.table_self_test()
        state.native_status = "used, and tested" if not failed else f"not used: the self-test failed ({failed})"
        if failed:
            state.native = None
            logger.debug("batches don't go through DuckDB's C API: %s", state.native_status)
    return state.native is not None


def _kinds(function: ScalarFunction) -> tuple[list[Kind], Kind] | None:
    """Return what parameters and result of a function are; None if some don't go through C."""
    signature = function.signature
    declared = signature.declared_types
    if not declared or len(declared) > _MOST_ARGUMENTS or signature.result_type is None:
        return None
    parameters = [kind_of(name) for name in declared]
    result = kind_of(signature.return_type)
    if result is None or result.built is None or result.json:
        return None
    found = [kind for kind in parameters if kind is not None and not kind.json]
    return (found, result) if len(found) == len(declared) else None


# ---- what C asks ---------------------------------------------------------------------------------------------------


def _answer(address: int) -> int:
    """Do what is left of a call of C's. No exception may leave it."""
    call = Call.from_address(address)
    if call.reason >= TableReason.BIND:
        answer(address)
        return 0
    try:
        if call.reason in (Reason.BATCH, Reason.ARROW):
            _run_batch(call)
        else:
            _finish(call)
    except BaseException as error:  # noqa: BLE001 - becomes DuckDB's error
        call.failed = 1
        text = f"{PREFIX}: {type(error).__name__}: {error}"
        native = state.native
        if native is not None:
            native.set_error(call, text.encode(errors="backslashreplace"))
    call.is_done = 1
    return 0


def _run_batch(call: Call) -> None:
    """Run a batch as any other function's."""
    callback = state.registered_functions[call.function]
    given = _given(call)
    arrays = _arrow_batch(call) if given is None else [array_of(argument, int(call.rows)) for argument in given]
    with calling(int(call.connection)):
        results = callback.run([pa.chunked_array([array]) for array in arrays], int(call.begun))
    _put(call, results)
    if given is not None:
        with contextlib.suppress(ClosedError):  # at this very moment
            _use_pool(call, callback.function, given, arrays)


def _given(call: Call) -> list[Argument] | None:
    """Return the columns of a batch as C describes them; None if it is in Arrow's C data interface."""
    return list((Argument * call.n_arguments).from_address(call.arguments)) if call.reason == Reason.BATCH else None


def _arrow_batch(call: Call) -> list[pa.Array]:
    """Return the columns of a batch that DuckDB has made Arrow structs of."""
    return list(pa.RecordBatch._import_from_c(call.array, call.schema).columns)


def _use_pool(call: Call, function: object, given: list[Argument], arrays: list[pa.Array]) -> None:
    """Have C use the pool that a batch was run with."""
    code, scalar = b"", function
    if isinstance(function, InlineFunction):
        text = arrays[0][0].as_py()
        code, scalar = (text or "").encode(), function.known(text)
        given, arrays = given[1:], arrays[1:]
    if not isinstance(scalar, ScalarFunction):
        return
    pool = scalar.native_pool(tuple([array.type for array in arrays]))
    if pool is not None:
        types = [NativeType(argument.id, argument.width, argument.scale) for argument in given]
        used = pool.library.function_use(call.owner, pool.address, _array(types), len(types), code, len(code))
        pool.is_used = bool(used) or pool.is_used


def _finish(call: Call) -> None:
    """Do what is left of a call of a guest."""
    lent: LentInstance = state.native_instances[call.instance]
    call.instance = 0  # from here on the instance is Python's
    errors = lent.native.errors
    try:
        results = lent.pool.finish(lent, call)
    except WasiUdfError as error:
        errors.report(error)
        raise
    if results is not None:
        _put(call, results)


def _put(call: Call, results: pa.Array) -> None:
    """Put results into DuckDB's vector."""
    if len(results) != call.rows:
        msg = f"the function returned {len(results)} results for {call.rows} rows"
        raise ProtocolError(msg)
    kind = kind_of_struct(NativeType.from_address(call.result))
    array, validity, values, offsets = buffers_of(results, kind)
    native = state.native
    assert native is not None
    if not native.put(call, validity, values, offsets):
        msg = f"a result of the type {array.type} is outside of the range of its SQL type"
        raise ProtocolError(msg)
