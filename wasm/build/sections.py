"""Reading and rewriting the sections of a WebAssembly module.

Only what the snapshot needs: sections, imports, and the encoding of integers. Format: WebAssembly Core Specification
2.0, chapter 5 "Binary Format" (https://webassembly.github.io/spec/core/binary/modules.html).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

MAGIC = b"\0asm\1\0\0\0"


class SectionId(enum.IntEnum):
    """Sections this build looks at."""

    CUSTOM = 0
    IMPORT = 2
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    DATA = 11
    DATA_COUNT = 12


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its id and its contents without id and size."""

    id: int
    body: bytes


class Reader:
    """Reads the primitive encodings from bytes, front to back."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def byte(self) -> int:
        """One byte."""
        self.position += 1
        return self.data[self.position - 1]

    def unsigned(self) -> int:
        """Read an unsigned LEB128 integer."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def take(self, size: int) -> bytes:
        """Read the next `size` bytes."""
        self.position += size
        return self.data[self.position - size : self.position]

    def name(self) -> str:
        """Read a length-prefixed UTF-8 name."""
        return self.take(self.unsigned()).decode()


def unsigned(value: int) -> bytes:
    """Encode an unsigned integer as LEB128."""
    encoded = bytearray()
    while True:
        value, byte = value >> 7, value & 0x7F
        encoded.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def signed(value: int) -> bytes:
    """Encode a signed integer as LEB128."""
    encoded = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        done = (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40)
        encoded.append(byte if done else byte | 0x80)
        if done:
            return bytes(encoded)


def split(module: bytes) -> list[Section]:
    """Return the sections of a module, in order.

    Raises:
        ValueError: the bytes are no WebAssembly module of version 1.
    """
    if not module.startswith(MAGIC):
        msg = "not a WebAssembly 1 module"
        raise ValueError(msg)
    reader = Reader(module)
    reader.position = len(MAGIC)
    sections = []
    while reader.position < len(module):
        section_id = reader.byte()
        sections.append(Section(section_id, reader.take(reader.unsigned())))
    return sections


def join(sections: list[Section]) -> bytes:
    """Return the module made of these sections."""
    return MAGIC + b"".join(bytes([s.id]) + unsigned(len(s.body)) + s.body for s in sections)


def imports(sections: list[Section]) -> set[str]:
    """Return the functions a module imports, as `module.name`.

    Raises:
        ValueError: the module imports something other than functions.
    """
    found = set()
    for section in sections:
        if section.id != SectionId.IMPORT:
            continue
        reader = Reader(section.body)
        for _ in range(reader.unsigned()):
            name = f"{reader.name()}.{reader.name()}"
            if reader.byte() != 0:
                msg = f"the module imports {name}, which is not a function"
                raise ValueError(msg)
            reader.unsigned()  # its type
            found.add(name)
    return found
