"""The few calls of wasmtime's C API that its Python package makes slow or leaves out.

The only module that touches `wasmtime._bindings`, which is private: pyproject.toml keeps wasmtime's range narrow, and
tests/engine/test_raw_instance.py checks the symbols. A call through `wasmtime.Func` looks up its type and converts each
argument, some 25 microseconds; ours costs about 2 (`make bench` measures it).

A guest runs on a stack that wasmtime allocates for its store, not on that of the calling thread: wasmtime's
asynchronous call does that, and nothing here suspends it. So the size of a thread's stack doesn't matter. Linux gives
8 MiB, but macOS 512 KiB to all threads but the first, Windows 1 to 2 MiB, and whoever starts a thread may choose. Such
a call takes one microsecond more than one on the thread's own stack.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import wasmtime
from wasmtime import _bindings, _ffi
from wasmtime._extern import wrap_extern

from duckdb_wasi_udf._process import state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TABLE = "__indirect_function_table"
_WORDS_PER_VALUE = ctypes.sizeof(_bindings.wasmtime_val_raw_t) // 4  # of an import
_MAX_ARGUMENTS = 4
_WORDS_PER_ARGUMENT = ctypes.sizeof(_bindings.wasmtime_val_t) // 4  # of an export: the kind, 0 for i32, and the value
_FIRST_WORD = _bindings.wasmtime_val_t.of.offset // 4


# The same library, for calls so short that releasing the GIL around them would only make this thread wait for it.
_short_calls = ctypes.PyDLL(None, handle=_ffi.dll._handle)


def _prototype(library: ctypes.CDLL, name: str, restype: Any, *argtypes: Any) -> Any:
    """Return a C function under our own prototype: pointers are plain integers, which cost no objects."""
    function = library[name]
    function.restype = restype
    function.argtypes = argtypes
    return function


_POINTER = ctypes.c_void_p
_prepare_call = _prototype(
    _short_calls,
    "wasmtime_func_call_async",
    _POINTER,
    *(_POINTER, _POINTER),  # context, function
    *(_POINTER, ctypes.c_size_t),  # arguments
    *(_POINTER, ctypes.c_size_t),  # results
    *(_POINTER, _POINTER),  # where the trap and the error go
)
_make_call = _prototype(_ffi.dll, "wasmtime_call_future_poll", ctypes.c_bool, _POINTER)
_free_call = _prototype(_short_calls, "wasmtime_call_future_delete", None, _POINTER)
_set_async_stack_size = _prototype(
    _short_calls, "wasmtime_config_async_stack_size_set", None, _POINTER, ctypes.c_size_t
)
_export_get = _prototype(
    _short_calls,
    "wasmtime_instance_export_get",
    ctypes.c_bool,
    _POINTER,
    _POINTER,
    ctypes.c_char_p,
    ctypes.c_size_t,
    _POINTER,
)
_memory_data = _prototype(_short_calls, "wasmtime_memory_data", ctypes.c_size_t, _POINTER, _POINTER)
_memory_data_size = _prototype(_short_calls, "wasmtime_memory_data_size", ctypes.c_size_t, _POINTER, _POINTER)
_set_fuel = _prototype(_short_calls, "wasmtime_context_set_fuel", ctypes.c_size_t, _POINTER, ctypes.c_uint64)
_set_epoch_deadline = _prototype(_short_calls, "wasmtime_context_set_epoch_deadline", None, _POINTER, ctypes.c_uint64)
_define_func = _prototype(
    _short_calls,
    "wasmtime_linker_define_func_unchecked",
    _POINTER,
    *(_POINTER, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t),  # linker, module, name
    *(_POINTER, _POINTER, _POINTER, _POINTER),  # type, callback, its data, their finalizer
)
_caller_context = _prototype(_short_calls, "wasmtime_caller_context", ctypes.c_size_t, _POINTER)
_new_trap = _prototype(_short_calls, "wasmtime_trap_new", ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)


def function_address(name: str) -> int:
    """Return where a function of wasmtime's C API is.

    Raises:
        AttributeError: there is none of that name.
    """
    return int(ctypes.cast(_ffi.dll[name], _POINTER).value or 0)


def value_layout() -> tuple[int, int]:
    """Return the size of a value of an export's call in bytes, and where in it the number is."""
    return ctypes.sizeof(_bindings.wasmtime_val_t), _bindings.wasmtime_val_t.of.offset


class ImportHandler(Protocol):
    """What answers the imports of an instance."""

    def answer(self, name: str, *arguments: int) -> int:
        """Return what an import returns. Whatever is raised ends the guest's call."""

    def raised(self, error: BaseException) -> None:
        """Take what `answer` raised, for whoever called the guest."""


# Returns the address of a trap, or 0.
_Callback = ctypes.CFUNCTYPE(ctypes.c_size_t, _POINTER, _POINTER, _POINTER, ctypes.c_size_t)
_TRAP_MESSAGE = b"the host ended the call"


def _callback(name: str, n_arguments: int) -> Any:
    """Return the C function that an import is. No exception may leave it: ctypes could only print it."""
    values_type = ctypes.c_int32 * (_WORDS_PER_VALUE * n_arguments)
    stop = _WORDS_PER_VALUE * n_arguments

    def run(_data: int, caller: int, values_at: int, _count: int) -> int:
        handler = None
        try:
            handler = state.import_handlers[_caller_context(caller)]
            values = values_type.from_address(values_at)
            values[0] = handler.answer(name, *values[0:stop:_WORDS_PER_VALUE])
        except BaseException as error:  # noqa: BLE001 - kept, for whoever called the guest
            if handler is not None:
                handler.raised(error)
            return int(_new_trap(_TRAP_MESSAGE, len(_TRAP_MESSAGE)))
        return 0

    return _Callback(run)


_VALUE_TYPES = {"i32": wasmtime.ValType.i32, "i64": wasmtime.ValType.i64}


def define_imports(linker: wasmtime.Linker, module: str, imports: Mapping[str, Sequence[str]]) -> None:
    """Define functions of integers that return one of 32 bits, which the instance's `ImportHandler` answers.

    Args:
        linker: where.
        module: the module that they are imported from.
        imports: their names, each with the types of its parameters, "i32" or "i64", of which 32 bits are passed on.
    """
    known = state.import_callbacks
    for name, parameters in imports.items():
        callback = known.get(name) or known.setdefault(name, _callback(name, len(parameters)))
        types = [_VALUE_TYPES[parameter]() for parameter in parameters]
        function_type = wasmtime.FuncType(types, [wasmtime.ValType.i32()])
        names = (module.encode(), len(module), name.encode(), len(name))
        error = _define_func(linker.ptr(), *names, function_type.ptr(), ctypes.cast(callback, _POINTER), None, None)
        if error:
            _raise_error(error)


def set_stack_sizes(config: wasmtime.Config, *, guest_bytes: int, host_bytes: int) -> None:
    """Set how large the stack of an instance is. It is memory from the first use of each page to the instance's end.

    Args:
        config: of the engine.
        guest_bytes: the guest's part, beyond which it traps.
        host_bytes: what is left for host functions that it calls.
    """
    config.max_wasm_stack = guest_bytes
    _set_async_stack_size(config.ptr(), guest_bytes + host_bytes)


def _export_of(context: int, instance: Any, name: str) -> Any:
    """Return an export of an instance."""
    extern: Any = _bindings.wasmtime_extern_t()
    encoded = name.encode()
    if not _export_get(context, ctypes.addressof(instance), encoded, len(encoded), ctypes.addressof(extern)):
        msg = f"the module exports no {name!r}"
        raise KeyError(msg)
    return extern


class RawInstance:
    """A module instance reduced to what a batch needs: calls with integers, and the address of its memory.

    Serves one thread at a time. A call releases the GIL.
    """

    def __init__(
        self, store: wasmtime.Store, instance: wasmtime.Instance, handler: ImportHandler | None = None
    ) -> None:
        self._store = store
        self._context = int(ctypes.cast(store._context(), _POINTER).value or 0)
        self._instance = instance._instance
        self._exports: dict[str, _bindings.wasmtime_extern_t] = {}
        self._addresses: dict[str, int] = {}  # of functions
        self._memory_at = self._find("memory", _ffi.WASMTIME_EXTERN_MEMORY)
        self._memory: tuple[int, int] | None = None  # since the last call: asking takes a microsecond
        self._inside = False
        if handler is not None:
            state.import_handlers[self._context] = handler
        self._arguments = (ctypes.c_int32 * (_WORDS_PER_ARGUMENT * _MAX_ARGUMENTS))()
        self._arguments_at = ctypes.addressof(self._arguments)
        self._result = (ctypes.c_int32 * _WORDS_PER_ARGUMENT)()
        self._result_at = ctypes.addressof(self._result)
        self._trap, self._error = ctypes.c_void_p(), ctypes.c_void_p()
        self._trap_at, self._error_at = ctypes.addressof(self._trap), ctypes.addressof(self._error)

    def call_export(self, name: str, *arguments: int, results: int = 1) -> int:
        """Call an export that takes 32-bit integers, and returns one or nothing.

        Args:
            name: the export.
            arguments: as many integers as the function takes, at most four.
            results: the number of values that it returns, 0 or 1.

        Returns:
            What it returned, as a signed integer; anything if that is nothing.

        Raises:
            wasmtime.Trap: the guest trapped; the instance must not be called again.
            wasmtime.WasmtimeError: wasmtime couldn't make the call, or the host ended it.
        """
        values = self._arguments
        for position, argument in enumerate(arguments):
            values[position * _WORDS_PER_ARGUMENT + _FIRST_WORD] = argument
        function_at = self.function_handle(name)
        self._inside = True
        call = _prepare_call(
            *(self._context, function_at, self._arguments_at, len(arguments), self._result_at, results),
            *(self._trap_at, self._error_at),
        )
        try:
            done = _make_call(call)
        finally:
            _free_call(call)
            self._memory, self._inside = None, False
        assert done  # nothing that it calls waits by suspending it
        if self._error.value or self._trap.value:
            self._raise_failure()
        return int(self._result[_FIRST_WORD])

    @property
    def context(self) -> int:
        """Address of the store's context."""
        self._check_open()
        return self._context

    @property
    def memory_handle(self) -> int:
        """Address of the memory's handle."""
        return self._memory_at

    def function_handle(self, name: str) -> int:
        """Return the address of an export's handle."""
        return self._addresses.get(name) or self._find(name, _ffi.WASMTIME_EXTERN_FUNC)

    def entered(self) -> None:
        """Take note that others have called the guest; `returned` has to follow."""
        self._memory, self._inside = None, True

    def returned(self, trap: int = 0, error: int = 0) -> None:
        """Take note that the call of others is over, and raise what ended it.

        Args:
            trap: the address of a trap, which is freed, or 0.
            error: the address of an error, which is freed, or 0.

        Raises:
            wasmtime.Trap: the guest trapped.
            wasmtime.WasmtimeError: wasmtime couldn't make the call, or the host ended it.
        """
        self._memory, self._inside = None, False
        if trap or error:
            self._trap.value, self._error.value = trap or None, error or None
            self._raise_failure()

    def _find(self, name: str, kind: Any) -> int:
        """Return the address of an export's handle."""
        self._check_open()
        extern = _export_of(self._context, self._instance, name)
        if extern.kind != kind.value:
            msg = f"the module's export {name!r} is of another kind"
            raise TypeError(msg)
        self._exports[name] = extern
        address = ctypes.addressof(extern.of)
        if extern.kind == _ffi.WASMTIME_EXTERN_FUNC.value:
            self._addresses[name] = address
        return address

    def _check_open(self) -> None:
        """Refuse to pass the address of what is freed."""
        if not self._context:
            msg = "the instance was closed"
            raise RuntimeError(msg)

    def _raise_failure(self) -> None:
        """Raise what ended the call."""
        trap, error = self._trap.value, self._error.value or 0
        self._trap.value = self._error.value = None
        if trap:
            raise wasmtime.Trap._from_ptr(ctypes.cast(trap, ctypes.POINTER(_bindings.wasm_trap_t)))
        _raise_error(error)

    def memory(self) -> tuple[int, int]:
        """Return the memory's address in this process and its size in bytes; both can change with any call."""
        if self._memory is not None and not self._inside:
            return self._memory
        self._check_open()
        found = _memory_data(self._context, self._memory_at), _memory_data_size(self._context, self._memory_at)
        if not self._inside:  # the guest that waits for an import goes on and may grow it
            self._memory = found
        return found

    def close(self) -> None:
        """Free the memory now, whoever still refers to this object: a traceback, say. Later uses raise RuntimeError."""
        if not self._context:
            return
        self._addresses.clear()
        self._memory = None
        state.import_handlers.pop(self._context, None)
        self._context = 0
        self._store.close()

    def attach(self, module: wasmtime.Module, imports: Sequence[str], export: str) -> int:
        """Put a function of another module over this one's memory into the last slot of its table.

        Args:
            module: imports the memory and functions of this one, and nothing else.
            imports: their names, in order.
            export: the function.

        Returns:
            The slot.

        Raises:
            KeyError: this module doesn't export one of the imports.
            wasmtime.WasmtimeError: an import has another type than it should have.
        """
        store, externs = self._store, [self._extern(name) for name in imports]
        attached = wasmtime.Instance(store, module, externs)
        table = self._extern(_TABLE)
        assert isinstance(table, wasmtime.Table)
        slot = table.size(store) - 1
        function = _export_of(self._context, attached._instance, export)
        table.set(store, slot, wrap_extern(function))
        return slot

    def _extern(self, name: str) -> Any:
        """Return an export as wasmtime's Python package has it; its own way makes objects for all exports, 1 ms."""
        self._check_open()
        return wrap_extern(_export_of(self._context, self._instance, name))

    def set_epoch_deadline(self, ticks: int) -> None:
        """Let the guest run for `ticks` epochs from now."""
        self._check_open()
        _set_epoch_deadline(self._context, ticks)

    def set_fuel(self, fuel: int) -> None:
        """Let the guest execute about `fuel` instructions from now.

        Raises:
            wasmtime.WasmtimeError: the engine doesn't count them.
        """
        self._check_open()
        error = _set_fuel(self._context, fuel)
        if error:
            _raise_error(error)


def _raise_error(error: int) -> NoReturn:
    """Raise an error of wasmtime's, which this frees."""
    raise wasmtime.WasmtimeError._from_ptr(ctypes.cast(error, ctypes.POINTER(_bindings.wasmtime_error_t)))
