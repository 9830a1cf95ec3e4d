"""What the host reads of a translation, which the guest may have forged."""

import contextlib
import ctypes
import json
import random

import pytest

from duckdb_wasi_udf import ProtocolError
from duckdb_wasi_udf._abi import TRANSLATION_STRUCT
from duckdb_wasi_udf._arrow.linear_memory import LinearMemory
from duckdb_wasi_udf._guests.translation import read_translation

AT, SIZE = 1024, 65_536
GOOD = {"compiled": True, "left": [[3, "a call of hex"]], "lines": [[20, 2], [31, 3]]}
BAD = {
    "no JSON": b"{",
    "no object": b"[]",
    "nothing in it": b"{}",
    "no reason": b'{"compiled": false, "line": 1}',
    "notes that are none": b'{"compiled": true, "left": 7}',
    "notes without a line": b'{"compiled": true, "left": [["x", "y"]]}',
    "a line beyond all numbers": b'{"compiled": true, "left": [[1e999, "y"]]}',
    "no lines": b'{"compiled": true, "left": []}',
    "lines that are none": b'{"compiled": true, "left": [], "lines": [7]}',
    "lines without a number": b'{"compiled": true, "left": [], "lines": [[1, "x"]]}',
    "a line before the first": b'{"compiled": true, "left": [], "lines": [[1, 0]]}',
    "a line behind all": b'{"compiled": true, "left": [], "lines": [[1, 10000000]]}',
    "an endless offset": b'{"compiled": true, "left": [], "lines": [[1e999, 1]]}',
    "deep nesting": b"[" * 5_000,
    "not UTF-8": b'{"compiled": true, "left": "\xff"}',
}


def memory_with(description, module=b"module", recipe=b"recipe", **changes):
    """Memory with a translation; `changes` replace fields of its struct by their numbers."""
    buffer = ctypes.create_string_buffer(SIZE)
    fields, at = [], 4096
    for data in (description, module, recipe):
        ctypes.memmove(ctypes.addressof(buffer) + at, data, len(data))
        fields += [at, len(data)]
        at += len(data)
    for number, value in changes.items():
        fields[int(number[1:])] = value
    ctypes.memmove(ctypes.addressof(buffer) + AT, TRANSLATION_STRUCT.pack(*fields), TRANSLATION_STRUCT.size)
    return buffer, LinearMemory(ctypes.addressof(buffer), SIZE)


def test_a_translation_is_read():
    _buffer, memory = memory_with(json.dumps(GOOD).encode())
    read = read_translation(memory, AT)
    assert (read.why, read.module, read.recipe) == (None, b"module", b"recipe")
    assert (read.left, read.lines) == (((3, "a call of hex"),), ((20, 2), (31, 3)))


def test_a_reason_is_read_and_made_readable():
    why = "a \x1b[31m name" * 100
    _buffer, memory = memory_with(json.dumps({"compiled": False, "why": why, "line": "x"}).encode())
    read = read_translation(memory, AT)
    assert "\x1b" not in read.why
    assert len(read.why) <= 200
    assert (read.line, read.module, read.recipe) == (None, b"", b"")


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_description_is_refused(name):
    _buffer, memory = memory_with(BAD[name])
    with pytest.raises(ProtocolError):
        read_translation(memory, AT)


@pytest.mark.parametrize("changes", [{"f1": 2**31}, {"f3": 16_385}, {"f5": 2**20 + 1}, {"f0": SIZE}, {"f2": 2**32 - 1}])
def test_places_outside_and_long_parts_are_refused(changes):
    _buffer, memory = memory_with(json.dumps(GOOD).encode(), **changes)
    with pytest.raises(ProtocolError):
        read_translation(memory, AT)


def test_any_struct_gives_a_translation_or_an_error():
    choose = random.Random(16)
    buffer, memory = memory_with(json.dumps(GOOD).encode())
    for _ in range(5_000):
        forged = bytes(choose.choice([0, 1, 16, 32, choose.randrange(256)]) for _ in range(TRANSLATION_STRUCT.size))
        ctypes.memmove(ctypes.addressof(buffer) + AT, forged, len(forged))
        with contextlib.suppress(ProtocolError):
            read_translation(memory, AT)
