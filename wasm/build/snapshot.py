"""The snapshot: a module whose memory starts out with the interpreter already running.

The linked reactor is instantiated once, starts CPython and imports the modules functions use most; then its memory is
written back into the module as data segments. An instance of the result maps those pages copy-on-write instead of
starting anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasm.build import sections
from wasm.build.reactor import BUILD_EXPORTS, PAGE, Reactor, SnapshotError
from wasm.build.sections import SectionId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasm.build.reactor import Module

# The table of functions, exported for compiled functions: one slot at its end is free for that of the instance. A table
# that may grow made calls in the interpreter 4 % slower, a larger one of fixed size nothing.
_TABLE = b"__indirect_function_table"
_FREE_SLOTS = 1

# Of the format of globals.
_I32, _I32_CONST = 0x7F, 0x41

# Zero runs shorter than this stay inside a segment: a segment costs some ten bytes and a copy at compile time.
_GAP = 4_096


def take(module: Module, library: bytes, frozen: dict[str, bytes], *, debug: bool = False) -> bytes:
    """Start the interpreter in the linked module and return the module of its state.

    Args:
        module: The linked module.
        library: The zip with the standard library, which becomes part of memory.
        frozen: Marshalled code of the modules that are imported before the library can be, by name.
        debug: Keep the names of functions and the debug information.

    Returns:
        A module with the same code, whose initial memory is that of the started interpreter.

    Raises:
        SnapshotError: The interpreter failed to start; the message holds what it printed.
    """
    names = [name.encode() + b"\0" for name in frozen]
    instance = Reactor(module, library, *names, *frozen.values())
    stack_top = instance.stack_pointer
    library_at, *rest = instance.addresses
    names_at, codes_at = rest[: len(names)], rest[len(names) :]
    for name_at, code_at, code in zip(names_at, codes_at, frozen.values(), strict=True):
        instance.run("udf_frozen_module", name_at, code_at, len(code))
    instance.run("udf_prepare", library_at, len(library))
    if instance.stack_pointer != stack_top:
        msg = "the stack pointer moved; globals other than memory would have to be written back"
        raise SnapshotError(msg)

    image = bytearray(instance.image())
    image[:stack_top] = bytes(stack_top)  # the stack below the pointer is dead, and it is the first thing in memory
    return _rewrite(module.wasm, bytes(image), debug=debug)


def _rewrite(reactor: bytes, image: bytes, *, debug: bool) -> bytes:
    rewritten = []
    for section in sections.split(reactor):
        match section.id:
            case SectionId.TABLE:
                body = _table(section.body)
            case SectionId.MEMORY:
                body = _memory(section.body, len(image) // PAGE)
            case SectionId.GLOBAL:
                _check_globals(section.body)
                body = section.body
            case SectionId.EXPORT:
                body = _exports(section.body)
            case SectionId.DATA:
                body = _data(image)
            case SectionId.DATA_COUNT:
                continue  # that of the old segments
            case SectionId.CUSTOM if not debug:
                continue  # names and debug information; these count addresses from the start of the code, which stays
            case _:
                body = section.body
        rewritten.append(sections.Section(section.id, body))
    return sections.join(rewritten)


def _table(body: bytes) -> bytes:
    """Return the table section with the free slots."""
    reader = sections.Reader(body)
    count, kind, flags, size, most = (
        reader.unsigned(),
        reader.byte(),
        reader.byte(),
        reader.unsigned(),
        reader.unsigned(),
    )
    if (count, kind, flags, size) != (1, 0x70, 1, most):
        msg = "expected one table of functions of a fixed size"
        raise SnapshotError(msg)
    limit = sections.unsigned(size + _FREE_SLOTS)
    return sections.unsigned(count) + bytes([kind, flags]) + limit + limit


def _memory(body: bytes, pages: int) -> bytes:
    reader = sections.Reader(body)
    count, flags = reader.unsigned(), reader.byte()
    if count != 1 or flags != 0:
        msg = "expected one memory without a maximum"
        raise SnapshotError(msg)
    return sections.unsigned(1) + bytes([flags]) + sections.unsigned(pages)


def _check_globals(body: bytes) -> None:
    """Check that the stack pointer is the only state outside memory. Constants are none: the C++ library has a few."""
    reader = sections.Reader(body)
    mutable = 0
    for _ in range(reader.unsigned()):
        kind, is_mutable, instruction = reader.byte(), reader.byte(), reader.byte()
        if (kind, instruction) != (_I32, _I32_CONST):
            msg = "the module has a global that is no 32-bit integer"
            raise SnapshotError(msg)
        reader.unsigned()  # as long as the signed value that it is
        reader.byte()  # the end
        mutable += is_mutable
    if mutable != 1:
        msg = "the module has globals besides the stack pointer; their values would have to be written back"
        raise SnapshotError(msg)


def _exports(body: bytes) -> bytes:
    """Return the export section without what only the build needs, and with the table."""
    reader = sections.Reader(body)
    kept = []
    for _ in range(reader.unsigned()):
        start = reader.position
        name = reader.name()
        reader.byte()
        reader.unsigned()
        if name not in BUILD_EXPORTS:
            kept.append(body[start : reader.position])
    kept.append(sections.unsigned(len(_TABLE)) + _TABLE + b"\1" + sections.unsigned(0))
    return sections.unsigned(len(kept)) + b"".join(kept)


def _data(image: bytes) -> bytes:
    segments = [
        b"\0\x41" + sections.signed(start) + b"\x0b" + sections.unsigned(stop - start) + image[start:stop]
        for start, stop in _used(image)
    ]
    return sections.unsigned(len(segments)) + b"".join(segments)


def _used(image: bytes) -> Iterator[tuple[int, int]]:
    """Yield the runs of memory that hold something, in whole blocks."""
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
