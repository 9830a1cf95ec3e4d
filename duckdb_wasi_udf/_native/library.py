"""The native library: found, loaded and bound to the functions of DuckDB and wasmtime that this process has loaded."""

from __future__ import annotations

import ctypes
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._native.layouts import (
    STRUCTS,
    AggregateCall,
    AggregateDefinition,
    Call,
    NativeType,
    Running,
    TableCall,
    TableForm,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DIRECTORY = Path(__file__).parent / "built"

_POINTER = ctypes.c_size_t
_INT = ctypes.c_int32
Callback = ctypes.CFUNCTYPE(_INT, _POINTER)

# The functions of wasm/native that Python calls: result, parameters. All are short, so the GIL is held.
_PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "native_set_value_layout": (None, ctypes.c_size_t, ctypes.c_size_t),
    "native_set_python": (None, Callback, _POINTER, ctypes.c_char_p, ctypes.c_char_p),
    "native_leave": (None,),
    "native_set_careful": (None, _INT),
    "native_start_ticking": (None,),
    "native_stop_ticking": (_INT,),
    "native_running": (_INT,),
    "native_calls": (ctypes.c_int64,),
    "native_cancel": (None, _POINTER, ctypes.c_uint64),
    "native_after_fork": (None,),
    "native_seconds": (ctypes.c_double,),
    "native_gate_new": (_POINTER,),
    "native_gate_release": (None, _POINTER),
    "native_gate_block": (None, _POINTER, _INT, _INT),
    "native_gate_block_threads": (_INT, _POINTER, _POINTER, _INT),
    "native_gate_wait": (None, _POINTER, _INT),
    "native_gate_freeze": (None, _POINTER),
    "native_gate_thaw": (None, _POINTER),
    "native_gate_running": (_INT, _POINTER, ctypes.POINTER(Running), _INT),
    "native_call_stop": (None, _POINTER, _POINTER, ctypes.c_uint64, _INT),
    "native_call_move": (None, _POINTER, _POINTER, ctypes.c_uint64, ctypes.c_uint64),
    "native_instance_new": (_POINTER,),
    "native_instance_free": (None, _POINTER),
    "native_instance_adopt": (
        _INT,
        _POINTER,
        ctypes.POINTER(ctypes.c_double),
        ctypes.POINTER(ctypes.c_double),
        ctypes.POINTER(_INT),
    ),
    "native_pool_new": (_POINTER, _POINTER, _POINTER),
    "native_pool_release": (None, _POINTER),
    "native_pool_lend": (None, _POINTER, _POINTER),
    "native_pool_claim": (_INT, _POINTER, _POINTER),
    "native_pool_recall": (None, _POINTER),
    "native_pool_counts": (
        _INT,
        _POINTER,
        _INT,
        ctypes.POINTER(ctypes.c_int64),
        ctypes.POINTER(ctypes.c_int64),
    ),
    "native_budget_new": (_POINTER, ctypes.c_double, ctypes.c_double, ctypes.c_double),
    "native_budget_release": (None, _POINTER),
    "native_budget_begin": (ctypes.c_double, _POINTER),
    "native_budget_end": (None, _POINTER, ctypes.c_double, ctypes.c_int64, ctypes.c_double, ctypes.c_uint64),
    "native_budget_failed": (None, _POINTER, ctypes.c_int64),
    "native_put": (_INT, ctypes.POINTER(Call), _POINTER, _POINTER, _POINTER),
    "native_table_error": (None, ctypes.POINTER(TableCall), _INT, ctypes.c_char_p),
    "native_set_error": (None, ctypes.POINTER(Call), ctypes.c_char_p),
    "native_function_new": (_POINTER, ctypes.c_int64, ctypes.POINTER(NativeType), _INT, NativeType),
    "native_function_free": (None, _POINTER),
    "native_function_use": (
        _INT,
        *(_POINTER, _POINTER),
        *(ctypes.POINTER(NativeType), _INT),
        *(ctypes.c_char_p, ctypes.c_uint32),
    ),
    "native_expect": (
        None,
        ctypes.c_uint64,
        *(ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(_POINTER), _INT),
        _INT,
    ),
    "native_expect_tables": (None, ctypes.POINTER(TableForm), _INT),
    "native_registered": (_INT,),
    "native_expect_aggregate": (None, ctypes.c_uint64, ctypes.POINTER(AggregateDefinition)),
    "native_aggregate_set_python": (None, Callback),
    "native_aggregate_set_error": (None, ctypes.POINTER(AggregateCall), ctypes.c_char_p),
    "native_aggregate_put": (_INT, ctypes.POINTER(AggregateCall), _POINTER, _POINTER, _POINTER),
    "native_aggregate_held": (ctypes.c_uint64,),
    "native_register_extension": (_INT,),
    "native_function_name": (ctypes.c_char_p,),
}

# Those that open databases, look types up, or free what DuckDB may be waiting for.
_LONG_PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "native_self_test": (_INT,),
    "native_aggregate_start": (_INT,),
    "native_table_self_test": (_INT,),
    "native_table_columns": (
        _INT,
        ctypes.POINTER(TableCall),
        *(ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(ctypes.c_char_p), ctypes.c_uint64),
    ),
}


class Unavailable(Exception):  # noqa: N818 - a reason, which no user sees as an error
    """The library can't be used here, for the reason that the text says."""


def file_name() -> str:
    """Return the name of the library's file for this machine."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    system, suffix = {"darwin": ("macos", "dylib"), "win32": ("windows", "dll")}.get(sys.platform, ("linux", "so"))
    return f"{machine}-{system}.{suffix}"


def _python_address(name: str) -> int:
    """Return the address of a function of the interpreter's, or raise AttributeError."""
    return int(ctypes.cast(ctypes.pythonapi[name], ctypes.c_void_p).value or 0)


class NativeLibrary:
    """The library's functions, as attributes without their prefix `native_`.

    Attributes:
        has_tables: DuckDB has the functions that table functions need, which aren't stable.
    """

    def __init__(self, duckdb_address: Callable[[str], int], wasmtime_address: Callable[[str], int]) -> None:
        """Load the library.

        Args:
            duckdb_address: returns the address of a function of DuckDB's, or raises AttributeError.
            wasmtime_address: likewise of wasmtime's.

        Raises:
            Unavailable: it isn't there, or something that it needs isn't.
        """
        path = DIRECTORY / file_name()
        if not path.exists():
            msg = f"{path} is missing"
            raise Unavailable(msg)
        try:
            # It has to outlive everything: DuckDB keeps pointers into it, and ctypes never unloads a library.
            self._held = held = ctypes.PyDLL(str(path))
            if not held.native_take():
                msg = "another copy of the package in this process uses it"
                raise Unavailable(msg)
            sizes = (ctypes.c_uint32 * len(STRUCTS)).in_dll(held, "native_layout")
            if list(sizes) != [ctypes.sizeof(struct) for struct in STRUCTS]:
                msg = f"{path} is of another version"
                raise Unavailable(msg)
            for name, (result, *parameters) in _PROTOTYPES.items():
                self._bind(held, name, result, parameters)
            free = ctypes.CDLL(str(path))
            for name, (result, *parameters) in _LONG_PROTOTYPES.items():
                self._bind(free, name, result, parameters)
            found = {"duckdb": duckdb_address, "wasmtime": wasmtime_address, "python": _python_address}
            for library, address in found.items():
                self._fill(library, address)
            self.has_tables = self._fills_v2(duckdb_address)
        except (OSError, AttributeError) as error:
            msg = f"{path} can't be used: {error}"
            raise Unavailable(msg) from error

    def _bind(self, library: ctypes.CDLL, name: str, result: Any, parameters: list[Any]) -> None:
        function = library[name]
        function.restype = result
        function.argtypes = parameters
        setattr(self, name.removeprefix("native_"), function)

    def _fills_v2(self, address: Callable[[str], int]) -> bool:
        try:
            self._fill("duckdb_v2", address)
        except AttributeError:
            return False
        return True

    def _fill(self, library: str, address: Callable[[str], int]) -> None:
        """Fill the table of functions that C has for another library."""
        names = (ctypes.c_char_p * 1000).in_dll(self._held, f"native_{library}_names")
        table_at = self._held[f"native_{library}_table"]
        table_at.restype = _POINTER
        table = (_POINTER * 1000).from_address(table_at())
        position = 0
        while (name := names[position]) is not None:
            table[position] = address(name.decode())
            position += 1

    def __getattr__(self, name: str) -> Any:
        """For type checkers: `_bind` sets all there are."""
        raise AttributeError(name)
