"""The snapshot: a module whose memory starts out with the interpreter already running.

The linked reactor is instantiated once, starts CPython and imports the modules functions use most; then its memory is
written back into the module as data segments. An instance of the result maps those pages copy-on-write instead of
starting anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import wasmtime

from wasm import _link, _module
from wasm._module import SectionId

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = 65_536
# Zero runs shorter than this stay inside a segment: a segment costs some ten bytes and a copy at compile time.
_GAP = 4_096

# What only the start needs; the snapshot has none of them.
_START_EXPORTS = ("_initialize", "udf_prepare", "__stack_pointer")


class SnapshotError(Exception):
    """The interpreter did not start, or left the module in a state that can't be written back."""


def take(reactor: bytes, library: bytes, importer: bytes) -> bytes:
    """Start the interpreter in `reactor` and return the module of its state.

    Args:
        reactor: the linked module.
        library: the zip with the standard library, which becomes part of memory.
        importer: the marshalled code of the module that imports from it.

    Returns:
        A module with the same code, whose initial memory is that of the started interpreter.

    Raises:
        SnapshotError: the interpreter failed to start; the message holds what it printed.
    """
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    store.set_wasi(wasmtime.WasiConfig())
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    integer = wasmtime.ValType.i32()
    for name, arguments in _link.HOST_IMPORTS.items():  # there is nothing to ask for yet
        linker.define_func(_link.HOST_MODULE, name, wasmtime.FuncType([integer] * arguments, [integer]), _nothing)
    exports = linker.instantiate(store, wasmtime.Module(engine, reactor)).exports(store)
    memory, stack_pointer = exports["memory"], exports["__stack_pointer"]
    assert isinstance(memory, wasmtime.Memory)
    assert isinstance(stack_pointer, wasmtime.Global)
    stack_top = stack_pointer.value(store)

    at = memory.grow(store, -(-(len(library) + len(importer)) // PAGE)) * PAGE
    memory.write(store, library + importer, at)
    given_at = (at, len(library), at + len(library), len(importer))
    for name, given in (("_initialize", ()), ("udf_prepare", given_at)):
        function = exports[name]
        assert isinstance(function, wasmtime.Func)
        try:
            failed = function(store, *given)
        except wasmtime.WasmtimeError as error:
            failed = str(error)
        except wasmtime.Trap as error:
            failed = str(error)
        if failed:
            msg = f"{name} failed ({failed}); the guest printed:\n{_output(exports, memory, store)}"
            raise SnapshotError(msg)
    if stack_pointer.value(store) != stack_top:
        msg = "the stack pointer moved; globals other than memory would have to be written back"
        raise SnapshotError(msg)

    image = bytearray(memory.read(store, 0, memory.data_len(store)))
    image[:stack_top] = bytes(stack_top)  # the stack below the pointer is dead, and it is the first thing in memory
    return _rewrite(reactor, bytes(image))


def _nothing(*_: int) -> int:
    return -1


def _output(exports: wasmtime._instance.InstanceExports, memory: wasmtime.Memory, store: wasmtime.Store) -> str:
    output = exports["udf_output"]
    assert isinstance(output, wasmtime.Func)
    at = output(store)
    pointer, length = (int.from_bytes(memory.read(store, at + i, at + i + 4), "little") for i in (0, 4))
    return bytes(memory.read(store, pointer, pointer + length)).decode(errors="replace")


def _rewrite(reactor: bytes, image: bytes) -> bytes:
    rewritten = []
    for section in _module.split(reactor):
        match section.id:
            case SectionId.MEMORY:
                body = _memory(section.body, len(image) // PAGE)
            case SectionId.GLOBAL:
                _check_globals(section.body)
                body = section.body
            case SectionId.EXPORT:
                body = _exports(section.body)
            case SectionId.DATA:
                body = _data(image)
            case SectionId.DATA_COUNT | SectionId.CUSTOM:
                continue  # the count belonged to the old segments; names and debug information are not needed
            case _:
                body = section.body
        rewritten.append(_module.Section(section.id, body))
    return _module.join(rewritten)


def _memory(body: bytes, pages: int) -> bytes:
    reader = _module.Reader(body)
    count, flags = reader.unsigned(), reader.byte()
    if count != 1 or flags != 0:
        msg = "expected one memory without a maximum"
        raise SnapshotError(msg)
    return _module.unsigned(1) + bytes([flags]) + _module.unsigned(pages)


def _check_globals(body: bytes) -> None:
    """The stack pointer is the only state outside memory."""
    if _module.Reader(body).unsigned() != 1:
        msg = "the module has globals besides the stack pointer; their values would have to be written back"
        raise SnapshotError(msg)


def _exports(body: bytes) -> bytes:
    """Without what only the start needed."""
    reader = _module.Reader(body)
    kept = []
    for _ in range(reader.unsigned()):
        start = reader.position
        name = reader.name()
        reader.byte()
        reader.unsigned()
        if name not in _START_EXPORTS:
            kept.append(body[start : reader.position])
    return _module.unsigned(len(kept)) + b"".join(kept)


def _data(image: bytes) -> bytes:
    segments = [
        b"\0\x41" + _module.signed(start) + b"\x0b" + _module.unsigned(stop - start) + image[start:stop]
        for start, stop in _used(image)
    ]
    return _module.unsigned(len(segments)) + b"".join(segments)


def _used(image: bytes) -> Iterator[tuple[int, int]]:
    """Runs of memory that hold something, in whole blocks."""
    zero = bytes(_GAP)
    start = None
    for position in range(0, len(image), _GAP):
        block = image[position : position + _GAP]
        if block != zero[: len(block)]:
            start = position if start is None else start
        elif start is not None:
            yield start, position
            start = None
    if start is not None:
        yield start, len(image)
