"""Writing into and reading out of a memory of our own: no guest takes part."""

import ctypes
import struct

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckdb_wasi_udf import DataLimits, LimitExceeded, ProtocolError, _abi
from duckdb_wasi_udf._arrow.layouts import supports
from duckdb_wasi_udf._arrow.linear_memory import LinearMemory
from duckdb_wasi_udf._arrow.read_result import read_result, read_text
from duckdb_wasi_udf._arrow.write_batch import Batch
from duckdb_wasi_udf._arrow.write_schema import encode_schemas

LIMITS = DataLimits(result_bytes=100_000)
RESULT_AT = 1024
ROWS = 5


class FakeMemory:
    """Memory with a result in it, laid out as the guest lays it out."""

    def __init__(self, size=65536):
        self.buffer = ctypes.create_string_buffer(size)
        self.view = LinearMemory(ctypes.addressof(self.buffer), size)

    def put(self, pointer, data):
        ctypes.memmove(self.view.address + pointer, data, len(data))

    def put_result(self, array, **changes):
        """Write `array` as a result; `changes` replace fields of its structs, or the bytes of a buffer."""
        formats = {pa.int64(): b"l", pa.float64(): b"g", pa.bool_(): b"b", pa.string(): b"u", pa.null(): b"n"}
        buffers = [buffer.to_pybytes() if buffer else None for buffer in array.buffers()]
        if array.type == pa.null():
            buffers = []
        pointers, at = [], 4096
        for i, original in enumerate(buffers):
            data = changes.get(f"buffer{i}", original)
            if data is None:
                pointers.append(0)
                continue
            self.put(at, data)
            pointers.append(at)
            at = _abi.align(at + len(data))
        pointers = changes.get("pointers", pointers)
        self.put(2048, struct.pack(f"<{len(pointers)}I", *pointers))
        self.put(3072, formats[array.type] + b"\0")
        fields = {
            "length": len(array),
            "null_count": array.null_count,
            "offset": 0,
            "n_buffers": len(buffers),
            "n_children": 0,
            "buffers": 2048,
            "children": 0,
            "dictionary": 0,
            "format": 3072,
            "failed_rows": 0,
            "compiled_rows": 0,
            "bailed_rows": 0,
        } | changes
        array_fields = [fields[name] for name in list(fields)[:8]]
        schema = (fields["format"], 0, 0, 0, 0, 0, 0, 0, 0)
        counts = [fields[name] for name in ("failed_rows", "compiled_rows", "bailed_rows")]
        self.put(RESULT_AT, _abi.RESULT_STRUCT.pack(*array_fields, 0, 0, *schema, *counts))
        return self

    def read(self, declared=None, rows=ROWS, limits=LIMITS):
        return read_result(self.view, RESULT_AT, range(rows, rows + 1), declared, limits)


ARRAYS = [
    pa.array([1, None, 3, -(2**63), 2**63 - 1], pa.int64()),
    pa.array([1.5, None, float("inf"), -0.0, 2e-308], pa.float64()),
    pa.array([True, False, None, True, True], pa.bool_()),
    pa.array(["a", None, "", "täxt", "\U0001f986"], pa.string()),
    pa.nulls(ROWS),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.type))
def test_a_valid_result_is_copied_out(array):
    memory = FakeMemory().put_result(array, failed_rows=2)
    for declared in (None, array.type):
        read, counts = memory.read(declared)
        assert read.equals(array)
        assert counts == (2, 0, 0)
    read.validate(full=True)
    memory.put(4096, b"\xff" * 256)
    assert read.equals(array)  # it owns its bytes


@pytest.mark.parametrize(
    ("index", "changes"),
    [
        (0, {"length": 4}),
        (0, {"length": -1}),
        (0, {"length": 2**62}),
        (0, {"offset": 1}),
        (0, {"n_buffers": 3}),
        (0, {"n_buffers": -1}),
        (0, {"n_children": 1}),
        (0, {"dictionary": 2048}),
        (0, {"buffers": 65535}),
        (0, {"buffers": 0xFFFF_FFFF}),
        (0, {"pointers": [0, 65530]}),
        (0, {"pointers": [0xFFFF_FFF8, 4096]}),
        (0, {"format": 0xFFFF_FFFF}),
        (0, {"format": 4096}),
        (0, {"failed_rows": 6}),
        (0, {"failed_rows": -1}),
        (0, {"compiled_rows": 6}),
        (0, {"compiled_rows": -1}),
        (0, {"compiled_rows": 3, "bailed_rows": 3}),
        (0, {"bailed_rows": -1}),
        (3, {"buffer1": struct.pack("<6i", 0, 1, 1, 1, 6, 70_000)}),
        (3, {"buffer1": struct.pack("<6i", 0, 1, 1, 1, 6, -1)}),
        (3, {"buffer1": struct.pack("<6i", 0, 5, 1, 1, 6, 10)}),
        (3, {"buffer1": struct.pack("<6i", 0, 1, 1, 1, 2**31 - 1, 10)}),
        (3, {"buffer1": struct.pack("<6i", -8, 1, 1, 1, 6, 10)}),
        (3, {"buffer2": b"a\xff\xfe\xff\xff\xff\xff\xff\xff\xff"}),
        (3, {"pointers": [0, 4096, 65535]}),
    ],
)
def test_a_result_that_lies_is_a_protocol_error(index, changes):
    memory = FakeMemory().put_result(ARRAYS[index], **changes)
    with pytest.raises(ProtocolError):
        memory.read()


def test_a_result_struct_outside_memory_is_a_protocol_error():
    memory = FakeMemory()
    for pointer in (65536 - 8, 65536, 0x7FFF_FFFF, -4):
        with pytest.raises(ProtocolError, match="outside"):
            read_result(memory.view, pointer, range(1, 2), None, LIMITS)


def test_a_lie_about_the_number_of_nulls_changes_nothing():
    read, _ = FakeMemory().put_result(ARRAYS[0], null_count=-99).read()
    assert read.null_count == 1


def test_a_result_beyond_the_limit_says_how_large_it_is():
    array = pa.array(["x" * 1000] * 20)
    memory = FakeMemory().put_result(array)
    with pytest.raises(LimitExceeded) as raised:
        memory.read(rows=20, limits=DataLimits(result_bytes=10_000))
    assert (raised.value.limit, raised.value.allowed, raised.value.requested) == ("result_bytes", 10_000, 20_084)
    with pytest.raises(LimitExceeded):
        FakeMemory().put_result(pa.array([1] * 20)).read(rows=20, limits=DataLimits(result_bytes=100))


@given(st.binary(min_size=_abi.RESULT_STRUCT.size, max_size=_abi.RESULT_STRUCT.size), st.integers(0, 100))
def test_any_bytes_give_a_valid_array_or_a_clear_error(noise, rows):
    memory = FakeMemory(8192)
    memory.put(RESULT_AT, noise)
    try:
        array, _ = memory.read(rows=rows)
    except (ProtocolError, LimitExceeded):
        return
    array.validate(full=True)
    assert len(array) == rows


@given(st.data())
def test_a_mutated_result_is_a_valid_array_or_a_clear_error(data):
    array = data.draw(st.sampled_from(ARRAYS))
    memory = FakeMemory(8192).put_result(array)
    for _ in range(data.draw(st.integers(1, 4))):
        regions = [(RESULT_AT, _abi.RESULT_STRUCT.size), (2048, 12), (3072, 2), (4096, 256)]
        start, size = data.draw(st.sampled_from(regions))
        memory.put(start + data.draw(st.integers(0, size - 1)), data.draw(st.binary(min_size=1, max_size=4)))
    try:
        read, _ = memory.read(data.draw(st.sampled_from([None, array.type])))
    except (ProtocolError, LimitExceeded):
        return
    read.validate(full=True)
    assert len(read) == ROWS


def test_text_is_bounded():
    memory = FakeMemory()
    memory.put(0, _abi.TEXT.pack(100, 5) + b"\0" * 92 + b"h\xffllo")
    assert read_text(memory.view, 0, 5) == "h\ufffdllo"
    with pytest.raises(ProtocolError, match="longer|more than"):
        read_text(memory.view, 0, 4)
    memory.put(0, _abi.TEXT.pack(65534, 5))
    with pytest.raises(ProtocolError, match="outside"):
        read_text(memory.view, 0, 100)


def test_an_arena_outside_memory_is_refused_before_writing():
    memory = FakeMemory()
    batch = Batch([pa.array([1, 2, 3])], 3)
    with pytest.raises(ProtocolError, match="is not inside its 65536 bytes"):
        batch.write(memory.view, 65536 - 128)
    with pytest.raises(ProtocolError, match="is not inside its 65536 bytes"):
        memory.view.write(0xFFFF_FFF0, b"text")


@pytest.mark.parametrize("data_type", [pa.int64(), pa.uint8(), pa.float32(), pa.bool_(), pa.string(), pa.null()])
def test_a_batch_takes_the_size_it_says(data_type):
    array = pa.nulls(100, data_type)
    memory = FakeMemory()
    batch = Batch([array, array], 100)
    memory.put(1024 + batch.size(1024), b"guard")
    batch.write(memory.view, 1024)
    assert memory.view.read(1024 + batch.size(1024), 5) == b"guard"


def test_schemas_name_types_and_nullability():
    data, result_at = encode_schemas(4096, [(pa.int64(), False), (pa.string(), True)], pa.float64())
    memory = FakeMemory()
    memory.put(4096, data)
    read = memory.view.read
    text = lambda pointer: read(pointer, 3).partition(b"\0")[0]
    root = _abi.ARROW_SCHEMA.unpack(read(4096, 48))
    children = struct.unpack("<2I", read(root[5], 8))
    first, second = (_abi.ARROW_SCHEMA.unpack(read(child, 48)) for child in children)
    result = _abi.ARROW_SCHEMA.unpack(read(result_at, 48))
    assert (text(root[0]), root[4]) == (b"+s", 2)
    assert [(text(each[0]), each[3]) for each in (first, second, result)] == [(b"l", 0), (b"u", 2), (b"g", 2)]
    assert encode_schemas(0, [], None)[1] == 0


def test_types_the_guest_cannot_read_are_known():
    assert supports(pa.int8())
    assert not supports(pa.date64())
    assert not supports(pa.duration("us"))
    assert supports(pa.list_(pa.struct([("a", pa.map_(pa.string(), pa.int8()))])))
    assert not supports(pa.list_(pa.duration("us")))
    deep = pa.int64()
    for _ in range(40):
        deep = pa.list_(deep)
    assert not supports(deep)
