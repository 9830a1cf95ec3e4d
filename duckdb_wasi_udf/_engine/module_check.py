"""The check of WebAssembly that a guest made: everything but a closed list is refused before wasmtime sees it.

A compiled function has five sections. It imports the guest's memory and kernels with exact types, exports one function,
and uses instructions over i32, i64 and f64 without tables, globals, growing memory, SIMD, references or exceptions. So
the compiler of wasmtime gets no more than arithmetic, loads, stores, calls and structured jumps. Whether operands fit
their instructions is checked by wasmtime. Format: WebAssembly Core Specification 2.0, chapter 5
(https://webassembly.github.io/spec/core/binary/index.html).
"""

from __future__ import annotations

from typing import NoReturn

from duckdb_wasi_udf._errors import ProtocolError
from duckdb_wasi_udf._shared.kernels import KERNELS, Types

# Compiling takes longer than linear in some of these. Within them the slowest module found took 60 ms
# (tests/engine/test_module_check.py); functions that people write have a tenth of each.
MOST_BYTES = 16_384
MOST_BLOCKS = 300
MOST_LOOPS = 64
MOST_DEPTH = 48
MOST_LOCALS = 4_000
MOST_FUNCTIONS = 64
_MOST_TYPES = 128
_MOST_IMPORTS = 128
_MOST_PARAMETERS = 128
_LONGEST_LEB = 10  # bytes of an integer

_MAGIC = b"\0asm\1\0\0\0"
_TYPE, _IMPORT, _FUNCTION, _EXPORT, _CODE = 1, 2, 3, 7, 10
_SECTIONS = [_TYPE, _IMPORT, _FUNCTION, _EXPORT, _CODE]
_VALUE_TYPES = {0x7F: "i32", 0x7E: "i64", 0x7C: "f64"}
_FUNCTION_TYPE = 0x60
_KIND_FUNCTION, _KIND_MEMORY = 0, 2
_NO_RESULT = 0x40
_MODULE = b"g"
_RUN = b"run"
_RUN_TYPE: tuple[Types, Types] = (("i32",) * 3, ("i32",))

_BLOCK, _LOOP, _IF, _END, _F64_CONST = 0x02, 0x03, 0x04, 0x0B, 0x44
# Instructions by what follows them: nothing, an unsigned number, a signed one, or alignment and offset.
_PLAIN = frozenset(
    {
        *(0x05, 0x0F, 0x1B),  # else, return, select
        *range(0x45, 0x5B),  # comparisons of integers
        *range(0x61, 0x67),  # comparisons of f64
        *(0x6A, 0x6B, 0x6C, 0x71, 0x72, 0x74, 0x76),  # i32: add sub mul and or shl shr_u
        *(0x7C, 0x7D, 0x7E, 0x7F, 0x81, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88),  # i64, without unsigned division
        *range(0x99, 0xA4),  # f64: abs neg ceil floor trunc nearest sqrt add sub mul div
        *(0xA6, 0xA7, 0xAC, 0xAD, 0xB0, 0xB9, 0xBB),  # copysign, and conversions
    }
)
_NUMBERED = frozenset({0x0C, 0x0D, 0x10, 0x20, 0x21})  # br, br_if, call, local.get, local.set
_CONSTANT = frozenset({0x41, 0x42})
_MEMORY = frozenset({0x28, 0x29, 0x2A, 0x2B, 0x2D, *range(0x30, 0x38), 0x39, 0x3A})  # loads and stores


def check_module(data: bytes) -> tuple[str, ...]:
    """Check a module that a guest made.

    Args:
        data: its bytes.

    Returns:
        The names of the kernels that it imports, in order. The memory comes before them.

    Raises:
        ProtocolError: it has something that is not on the list, or is too large.
    """
    if len(data) > MOST_BYTES or not data.startswith(_MAGIC):
        _refuse(f"{len(data)} bytes that are no module or too many")
    reader = _Reader(data, len(_MAGIC))
    checker = _Checker(reader)
    steps = {
        _TYPE: checker.types,
        _IMPORT: checker.imports,
        _FUNCTION: checker.functions,
        _EXPORT: checker.export,
        _CODE: checker.bodies,
    }
    try:
        for section in _SECTIONS:
            if reader.byte() != section:
                _refuse("sections")
            size = reader.unsigned()
            end = reader.at + size
            steps[section]()
            if reader.at != end:
                _refuse("the end of a section")
    except IndexError:
        _refuse("an end that comes too early")
    if reader.at != len(data):
        _refuse("bytes behind its end")
    return tuple(checker.imported)


def _refuse(what: str) -> NoReturn:
    msg = f"the guest made a WebAssembly module with {what}, which compiled functions don't have"
    raise ProtocolError(msg)


class _Reader:
    """Reads bytes front to back; IndexError at the end."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        """Read a byte."""
        self.at += 1
        return self.data[self.at - 1]

    def take(self, size: int) -> bytes:
        """Read bytes."""
        if size > len(self.data) - self.at:
            raise IndexError
        self.at += size
        return self.data[self.at - size : self.at]

    def unsigned(self) -> int:
        """Read a LEB128 number of up to 32 bits."""
        byte = self.byte()
        if byte < 0x80:
            return byte
        value, shift = byte & 0x7F, 7
        while byte >= 0x80:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 35:
                _refuse("a number of more than 32 bits")
        return value

    def skip_integer(self) -> None:
        """Read a LEB128 number of any sign."""
        for _ in range(_LONGEST_LEB):
            if self.byte() < 0x80:
                return
        _refuse("a number of more than 64 bits")


class _Checker:
    """Checks one section after the other.

    Attributes:
        imported: the kernels.
    """

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader
        self._types: list[tuple[Types, Types]] = []
        self.imported: list[str] = []
        self._functions: list[int] = []
        self._blocks = self._loops = 0

    def types(self) -> None:
        """Check the types of functions."""
        reader = self._reader
        for _ in range(self._count(_MOST_TYPES, "types")):
            if reader.byte() != _FUNCTION_TYPE:
                _refuse("a type that is no function's")
            self._types.append((self._value_types(), self._value_types()))

    def imports(self) -> None:
        """Check that the imports are the memory, and kernels by their exact types."""
        reader = self._reader
        for number in range(self._count(_MOST_IMPORTS, "imports")):
            module, name = reader.take(reader.unsigned()), reader.take(reader.unsigned()).decode("latin-1")
            kind = reader.byte()
            if module != _MODULE:
                _refuse("an import of another module")
            if number == 0:
                if name != "memory" or kind != _KIND_MEMORY or reader.take(2) != b"\0\1":
                    _refuse("no memory as its first import")
            elif kind != _KIND_FUNCTION or KERNELS.get(name) != self._type(reader.unsigned()):
                _refuse("an import that is no kernel, or of another type")
            else:
                self.imported.append(name)

    def functions(self) -> None:
        """Check the types of the module's own functions."""
        for _ in range(self._count(MOST_FUNCTIONS, "functions")):
            number = self._reader.unsigned()
            self._type(number)
            self._functions.append(number)

    def export(self) -> None:
        """Check that there is one export, of the type of a row loop."""
        reader = self._reader
        if reader.unsigned() != 1 or reader.take(reader.unsigned()) != _RUN or reader.byte() != _KIND_FUNCTION:
            _refuse("other exports than one function")
        number = reader.unsigned() - len(self.imported)
        if not 0 <= number < len(self._functions) or self._type(self._functions[number]) != _RUN_TYPE:
            _refuse("an export of another type")

    def bodies(self) -> None:
        """Check the instructions."""
        reader = self._reader
        if reader.unsigned() != len(self._functions):
            _refuse("another number of bodies than of functions")
        for _ in self._functions:
            end = reader.unsigned() + reader.at
            self._locals()
            depth = 1
            while reader.at < end:
                depth += self._instruction()
                if depth > MOST_DEPTH or self._blocks > MOST_BLOCKS or self._loops > MOST_LOOPS:
                    _refuse("so many blocks")
                if depth == 0:
                    break
            if depth or reader.at != end:
                _refuse("a body that ends elsewhere")

    def _count(self, most: int, what: str) -> int:
        count = self._reader.unsigned()
        if count > most:
            _refuse(f"{count} {what}")
        return count

    def _value_types(self) -> Types:
        return tuple([self._value_type() for _ in range(self._count(_MOST_PARAMETERS, "parameters"))])

    def _value_type(self) -> str:
        kind = _VALUE_TYPES.get(self._reader.byte())
        if kind is None:
            _refuse("another type than i32, i64 and f64")
        return kind

    def _type(self, number: int) -> tuple[Types, Types]:
        if number >= len(self._types):
            _refuse("a type that isn't there")
        return self._types[number]

    def _locals(self) -> None:
        total = 0
        for _ in range(self._count(MOST_LOCALS, "locals")):
            total += self._reader.unsigned()
            self._value_type()
        if total > MOST_LOCALS:
            _refuse(f"{total} locals")

    def _instruction(self) -> int:
        """Check one instruction; return the number of blocks by which the next one is deeper."""
        reader = self._reader
        code = reader.byte()
        if code in _PLAIN:
            return 0
        if code in _NUMBERED:
            reader.unsigned()
        elif code in _MEMORY:
            reader.unsigned()
            reader.unsigned()
        elif code in _CONSTANT:
            reader.skip_integer()
        elif code == _F64_CONST:
            reader.take(8)
        elif code == _END:
            return -1
        elif code in (_BLOCK, _LOOP, _IF):
            if reader.byte() != _NO_RESULT:
                _refuse("a block with a result")
            self._blocks += 1
            self._loops += code == _LOOP
            return 1
        else:
            _refuse(f"the instruction {code:#x}")
        return 0
