"""Runs the linked guest while it is built: first to compile the library, then to start the interpreter."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import wasmtime

from wasm.build import link

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAGE = 65_536

# What wasm/c/start.c exports for the build alone; the snapshot has none of them.
BUILD_EXPORTS = (
    "_initialize",
    "__stack_pointer",
    "udf_compile",
    "udf_compile_start",
    "udf_compiled",
    "udf_compress",
    "udf_frozen_module",
    "udf_prepare",
)

# The guest's clock stands still while it is built, and its random bytes are zeros: the same inputs give the same guest.
_BUILD_TIME_NANOSECONDS = 1_767_225_600_000_000_000  # 2026-01-01
_I32, _I64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()


class SnapshotError(Exception):
    """The guest failed while it was built, or left the module in a state that can't be written back."""


class Module:
    """The linked module, compiled for this machine.

    Args:
        wasm: Its bytes, as `reactor.wasm` has them.
    """

    def __init__(self, wasm: bytes) -> None:
        self.wasm = wasm
        self.engine = wasmtime.Engine()
        self.compiled = wasmtime.Module(self.engine, wasm)


class Reactor:
    """An instance of the linked module, before there is an interpreter in it.

    Args:
        module: The linked module.
        *parts: Bytes to place at the end of memory, one after the other.

    Attributes:
        addresses: Where each of the parts is.
    """

    def __init__(self, module: Module, *parts: bytes) -> None:
        self._store = store = wasmtime.Store(module.engine)
        linker = wasmtime.Linker(module.engine)
        for name, parameters in link.HOST_IMPORTS.items():  # there is nothing to ask for yet
            linker.define_func(link.HOST_MODULE, name, wasmtime.FuncType([_I32] * parameters, [_I32]), _nothing)
        for name, (types, function) in _WASI.items():
            linker.define_func(link.WASI_MODULE, name, wasmtime.FuncType(types, [_I32]), function, access_caller=True)
        self._exports = linker.instantiate(store, module.compiled).exports(store)
        memory, stack_pointer = self._exports["memory"], self._exports["__stack_pointer"]
        assert isinstance(memory, wasmtime.Memory)
        assert isinstance(stack_pointer, wasmtime.Global)
        self._memory, self._stack_pointer = memory, stack_pointer
        self.addresses = self._place(parts)
        self.call("_initialize")

    @property
    def stack_pointer(self) -> int:
        """First address above the stack, which is the first thing in memory."""
        value = self._stack_pointer.value(self._store)
        assert isinstance(value, int)
        return value

    def call(self, name: str, *arguments: int) -> int:
        """Call an export.

        Returns:
            What it returned; 0 if it returns nothing.

        Raises:
            SnapshotError: It trapped.
        """
        function = self._exports[name]
        assert isinstance(function, wasmtime.Func)
        try:
            return int(function(self._store, *arguments) or 0)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise self._failure(name, str(error)) from error

    def run(self, name: str, *arguments: int) -> None:
        """Call an export that returns 0 if it succeeds.

        Raises:
            SnapshotError: It trapped, or returned something else; the message has what the guest printed.
        """
        status = self.call(name, *arguments)
        if status:
            raise self._failure(name, str(status))

    def read(self, address: int, size: int) -> bytes:
        """Return `size` bytes of memory."""
        return bytes(self._memory.read(self._store, address, address + size))

    def write(self, address: int, data: bytes) -> None:
        """Write `data` to memory."""
        self._memory.write(self._store, data, address)

    def text(self, name: str) -> bytes:
        """Return the bytes that a `struct udf_text` refers to, whose address the export `name` returns."""
        header = self.read(self.call(name), 8)
        return self.read(int.from_bytes(header[:4], "little"), int.from_bytes(header[4:], "little"))

    def image(self) -> bytes:
        """Return the whole memory."""
        return self.read(0, self._memory.data_len(self._store))

    def _place(self, parts: Sequence[bytes]) -> list[int]:
        start = self._memory.grow(self._store, -(-sum(map(len, parts)) // PAGE)) * PAGE
        if parts:
            self.write(start, b"".join(parts))
        return [start + end - len(part) for part, end in zip(parts, itertools.accumulate(map(len, parts)), strict=True)]

    def _failure(self, name: str, what: str) -> SnapshotError:
        printed = self.text("udf_output").decode(errors="replace")
        return SnapshotError(f"{name} failed ({what}); the guest printed:\n{printed}")


def _nothing(*_: int) -> int:
    return -1


def _write_result(caller: wasmtime.Caller, address: int, data: bytes) -> int:
    memory = caller["memory"]
    assert isinstance(memory, wasmtime.Memory)
    memory.write(caller, data, address & 0xFFFF_FFFF)
    return 0


def _clock_time_get(caller: wasmtime.Caller, _clock: int, _precision: int, result: int) -> int:
    return _write_result(caller, result, _BUILD_TIME_NANOSECONDS.to_bytes(8, "little"))


def _clock_res_get(caller: wasmtime.Caller, _clock: int, result: int) -> int:
    return _write_result(caller, result, (1).to_bytes(8, "little"))


def _random_get(caller: wasmtime.Caller, result: int, size: int) -> int:
    return _write_result(caller, result, bytes(size))


_WASI: dict[str, tuple[list[wasmtime.ValType], Callable[..., int]]] = {
    "clock_time_get": ([_I32, _I64, _I32], _clock_time_get),
    "clock_res_get": ([_I32, _I32], _clock_res_get),
    "random_get": ([_I32, _I32], _random_get),
}
