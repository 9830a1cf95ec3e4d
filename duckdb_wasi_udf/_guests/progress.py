"""How far a call came that the host has ended: which row, and which line of the code.

A trap leaves no frame of Python's behind, but what the interpreter has in memory. Where it is CPython says itself, for
debuggers: its runtime's state begins with `_Py_DebugOffsets` (in CPython's internal headers). It is
the guest's, and may be anything, so each step is checked and the steps are bounded; the worst that comes of it is a
wrong number in the text of an error.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb_wasi_udf._arrow.linear_memory import LinearMemory

_COOKIE = b"xdebugpy"
_VERSION = 0x030D  # the upper half: CPython 3.13

# The place of each offset in `_Py_DebugOffsets`, as numbers of its 64-bit words.
_WORDS = 71
_PLACES = {
    "interpreters_head": 5,
    "threads_head": 9,
    "current_frame": 23,
    "previous": 29,
    "executable": 30,
    "instr_ptr": 31,
    "owner": 33,
    "filename": 35,
    "linetable": 38,
    "firstlineno": 39,
    "co_code_adaptive": 43,
    "bytes_size": 65,
    "bytes_value": 66,
    "text_length": 69,
    "text_value": 70,
}
_LARGEST_OFFSET = 2**20

# Frames that are looked at, and the bytes of a line table and of a file's name that are read.
_MOST_FRAMES = 1000
_MOST_TABLE_BYTES = 2**20
_NAME_BYTES = 8

# The user's files have names in angle brackets. So have what a definition wraps a function in, and frozen modules.
_USERS = b"<"
_NOT_THE_USERS = (b"<_udf_", b"<frozen")

# Of text that isn't ASCII the characters come this much later: after PyCompactUnicodeObject's own fields.
_NOT_ASCII_BYTES = 8

# The owner of a frame that stands for a call from C and runs no code: FRAME_OWNED_BY_CSTACK.
_OF_C = b"\3"

# Of a source text; lines behind them are none.
MOST_LINES = 10_000_000


class Progress(NamedTuple):
    """How far a call came.

    Attributes:
        row: the row of the batch that was running, from 0; None if no row was.
        line: the line of the source text, from 1; None if it can't be found.
    """

    row: int | None
    line: int | None


def read_progress(memory: LinearMemory, pointer: int, length: int) -> Progress:
    """Return how far a call came.

    Args:
        memory: the guest's memory, after the call was ended.
        pointer: where the guest says its `udf_progress` is.
        length: the number of rows of the batch.
    """
    try:
        next_row_at, runtime_at = _abi.PROGRESS_STRUCT.unpack(memory.read(pointer, _abi.PROGRESS_STRUCT.size))
        begun = _abi.ROW_NUMBER.unpack(memory.read(next_row_at, _abi.ROW_NUMBER.size))[0] if next_row_at else 0
    except ProtocolError:
        return Progress(None, None)
    row = begun - 1 if 0 < begun <= length else None
    try:
        return Progress(row, _line(memory, runtime_at))
    except (ProtocolError, KeyError, IndexError):
        return Progress(row, None)


def _line(memory: LinearMemory, runtime: int) -> int | None:
    """Return the line of the innermost frame that runs the user's code."""
    offsets = _offsets(memory, runtime)
    for frame in _frames(memory, runtime, offsets):
        if memory.read(frame + offsets["owner"], 1) == _OF_C:
            continue
        code = _pointer(memory, frame + offsets["executable"])
        name_at = _pointer(memory, code + offsets["filename"]) + offsets["text_value"]
        name, later = memory.read(name_at, _NAME_BYTES), memory.read(name_at + _NOT_ASCII_BYTES, 1)
        if name.startswith(_NOT_THE_USERS) or not (name.startswith(_USERS) or later == _USERS):
            continue
        table_at = _pointer(memory, code + offsets["linetable"])
        size = min(_pointer(memory, table_at + offsets["bytes_size"]), _MOST_TABLE_BYTES)
        table = memory.read(table_at + offsets["bytes_value"], size)
        instruction = _pointer(memory, frame + offsets["instr_ptr"]) - (code + offsets["co_code_adaptive"])
        first = _pointer(memory, code + offsets["firstlineno"])
        return line_of(table, first, instruction)
    return None


def _offsets(memory: LinearMemory, runtime: int) -> dict[str, int]:
    words = struct.unpack(f"<{_WORDS}Q", memory.read(runtime, 8 * _WORDS))
    if words[0].to_bytes(8, "little") != _COOKIE or words[1] >> 16 != _VERSION:
        raise KeyError(words[1])
    offsets = {name: words[place] for name, place in _PLACES.items()}
    if max(offsets.values()) > _LARGEST_OFFSET:
        raise KeyError(max(offsets.values()))
    return offsets


def _frames(memory: LinearMemory, runtime: int, offsets: dict[str, int]) -> Iterator[int]:
    """Return the addresses of the frames that run, the innermost first."""
    interpreter = _pointer(memory, runtime + offsets["interpreters_head"])
    thread = _pointer(memory, interpreter + offsets["threads_head"])
    frame = _pointer(memory, thread + offsets["current_frame"])
    for _ in range(_MOST_FRAMES):
        if not frame:
            return
        yield frame
        frame = _pointer(memory, frame + offsets["previous"])


def _pointer(memory: LinearMemory, at: int) -> int:
    pointer: int = _abi.POINTER.unpack(memory.read(at, _abi.POINTER.size))[0]
    return pointer


def line_of(table: bytes, first_line: int, instruction: int) -> int | None:
    """Return the line of an instruction.

    Args:
        table: `co_linetable` (https://github.com/python/cpython/blob/3.13/InternalDocs/locations.md).
        first_line: `co_firstlineno`.
        instruction: its place in the bytecode, in bytes.

    Raises:
        IndexError: the table ends in the middle of an entry.
    """
    line, at, place = first_line, 0, 0
    while place < len(table):
        entry = table[place]
        kind, length = entry >> 3 & 15, (entry & 7) + 1
        place += 1
        has_line = kind != 15
        if kind in (13, 14):
            delta, place = _signed(table, place)
            line += delta
        elif 10 <= kind <= 12:
            line += kind - 10
        while place < len(table) and not table[place] & 0x80:  # the columns, of no use here
            place += 1
        at += 2 * length
        if instruction < at:
            return line if has_line and 0 < line < MOST_LINES else None
    return None


def _signed(table: bytes, place: int) -> tuple[int, int]:
    """Return a signed variable-length integer, and the place after it."""
    value, shift = 0, 0
    while True:
        byte = table[place]
        place += 1
        value |= (byte & 63) << shift
        if not byte & 64 or shift > 30:
            break
        shift += 6
    return (-(value >> 1) if value & 1 else value >> 1), place
