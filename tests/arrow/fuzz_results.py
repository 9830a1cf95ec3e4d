"""Mutates valid results in linear memory and reads them: only an error or a valid array may come out.

Usage: python -m tests.arrow.fuzz_results --cases 1000000 --seed 1
"""

import argparse
import ctypes
import random
import struct
import time

import pyarrow as pa

from duckdb_wasi_udf import DataLimits, LimitExceeded, ProtocolError, _abi
from duckdb_wasi_udf._arrow.layouts import known_layout
from duckdb_wasi_udf._arrow.linear_memory import LinearMemory
from duckdb_wasi_udf._arrow.read_result import read_result
from duckdb_wasi_udf._arrow.types import BIGNUM, BIT
from tests.support.guests import start

# Small, so that lengths grown by a mutation meet the limit as well as the end of memory.
LIMITS = DataLimits(result_bytes=2**20)

# (source, declared result type or None) of results of every shape the guest builds.
RESULTS = [
    ("lambda i: i * 3", None),
    ("lambda i: None if i % 3 else i / 7", None),
    ("lambda i: i % 2 == 0", None),
    ("lambda i: 'täxt' * (i % 5) if i % 4 else None", None),
    ("lambda i: bytes([i % 256]) * (i % 3)", None),
    ("lambda i: [i, None, i + 1] if i % 3 else None", None),
    ("lambda i: {'a': i, 'b': [{'c': str(i)}, None], 'd': None}", None),
    ("lambda i: {str(i): [i]}", pa.map_(pa.string(), pa.list_(pa.int64()))),
    (
        "lambda i: [[{'x': 1.5 * i, 'y': 'z'}]]",
        pa.list_(pa.list_(pa.struct([("x", pa.float64()), ("y", pa.string())]))),
    ),
    ("from decimal import Decimal\nlambda i: Decimal(i) / 4", pa.decimal128(9, 2)),
    ("import datetime\nlambda i: datetime.date(2020, 1, 1 + i % 28)", None),
    ("import datetime\nlambda i: datetime.time(i % 24)", None),
    ("lambda i: 2**(i * 3)", None),
    ("from decimal import Decimal\nlambda i: Decimal(i) / 4", None),
    ("import uuid\nlambda i: uuid.UUID(int=i)", None),
    ("import datetime\nlambda i: datetime.timedelta(i) if i % 3 else None", None),
    (
        "import datetime\nlambda i: datetime.time(i % 24, tzinfo=datetime.timezone(datetime.timedelta(hours=i % 9)))",
        None,
    ),
    ("import datetime\nlambda i: [i, str(i), None, datetime.datetime(2020, 1, 1)][i % 4]", None),
    ("lambda i: [[i], {i: [i]}, {'a': i}, True][i % 4]", None),
    ("lambda i: (-7) ** i", BIGNUM),
    ("lambda i: format(i, 'b')", BIT),
    ("lambda i: {'a': [i]}", pa.json_()),
    ("lambda i: i if i % 2 else str(i)", pa.sparse_union([pa.field("n", pa.int64()), pa.field("s", pa.string())])),
]
ROWS = 37


class Target:
    """One valid result, copied out of an instance together with all of its memory."""

    def __init__(self, source, declared):
        instance = start(source, pa.int64(), result=declared, data_limits=LIMITS)
        self.expected, _ = instance.call([pa.array(range(ROWS))], ROWS)
        memory = instance._memory()
        self.buffer = ctypes.create_string_buffer(memory.size)
        ctypes.memmove(self.buffer, memory.address, memory.size)
        self.memory = LinearMemory(ctypes.addressof(self.buffer), memory.size)
        self.result_at = instance._result_at & 0xFFFF_FFFF
        self.declared = declared
        self.regions = [(self.result_at, _abi.RESULT_STRUCT.size)]
        self._add_array(self.result_at, self.expected.type)
        self._add_schema(self.result_at + _abi.ARROW_ARRAY.size)

    def _add_array(self, at, data_type):
        """The places a reader of this result looks at."""
        fields = _abi.ARROW_ARRAY.unpack(self.memory.read(at, _abi.ARROW_ARRAY.size))
        length, n_buffers, n_children, buffers_at, children_at = fields[0], *fields[3:7]
        self.regions.append((at, _abi.ARROW_ARRAY.size))
        if n_buffers:
            self.regions.append((buffers_at, 4 * n_buffers))
            for pointer in struct.unpack(f"<{n_buffers}I", self.memory.read(buffers_at, 4 * n_buffers)):
                if pointer:
                    self.regions.append((pointer, max(4 * (length + 1), 8)))
        if n_children:
            self.regions.append((children_at, 4 * n_children))
            children = struct.unpack(f"<{n_children}I", self.memory.read(children_at, 4 * n_children))
            for child, field in zip(children, known_layout(data_type).children, strict=True):
                self._add_array(child, field.type)

    def _add_schema(self, at):
        fields = _abi.ARROW_SCHEMA.unpack(self.memory.read(at, _abi.ARROW_SCHEMA.size))
        self.regions += [(at, _abi.ARROW_SCHEMA.size), (fields[0], 4), (fields[1], 4)]
        if fields[2]:
            self.regions.append((fields[2], 40))  # metadata
        if n_children := fields[4]:
            self.regions.append((fields[5], 4 * n_children))
            for child in struct.unpack(f"<{n_children}I", self.memory.read(fields[5], 4 * n_children)):
                self._add_schema(child)

    def check(self, choose):
        """Mutate, read, restore; the name of what came out."""
        undo = []
        for _ in range(choose.choice((1, 1, 1, 2, 3, 8))):
            start, size = choose.choice(self.regions)
            at = start + choose.randrange(size)
            data = self._mutation(choose, start, at)
            data = data[: self.memory.size - at]
            undo.append((at, self.memory.read(at, len(data))))
            self.memory.write(at, data)
        try:
            array, _ = read_result(self.memory, self.result_at, range(ROWS, ROWS + 1), self.declared, LIMITS)
        except (ProtocolError, LimitExceeded) as error:
            return type(error).__name__
        else:
            array.validate(full=True)
            assert len(array) == ROWS
            return "an array"
        finally:
            for at, data in reversed(undo):
                self.memory.write(at, data)

    def _mutation(self, choose, start, at):
        kind = choose.randrange(5)
        if kind == 0:  # one bit
            return bytes([self.memory.read(at, 1)[0] ^ (1 << choose.randrange(8))])
        if kind == 1:  # noise
            return choose.randbytes(choose.choice((1, 2, 4, 8)))
        if kind == 2:  # a number that is often wrong in the interesting way
            size = self.memory.size
            value = choose.choice((0, 1, -1, ROWS - 1, ROWS + 1, 2**31 - 1, -(2**31), 2**32 - 1, 2**62, size, size - 4))
            return (value & (2**64 - 1)).to_bytes(8, "little")[: choose.choice((4, 8))]
        if kind == 3:  # a pointer into another part of the result
            return (choose.choice(self.regions)[0] + choose.choice((0, 0, 1, 4, -4))).to_bytes(4, "little")
        return self.memory.read(choose.choice(self.regions)[0], choose.choice((4, 8, 16)))  # another part's bytes


def run(cases, seed):
    """Run that many cases; how often each outcome came out."""
    choose = random.Random(seed)
    targets = [Target(*result) for result in RESULTS]
    outcomes = {}
    for _ in range(cases):
        outcome = choose.choice(targets).check(choose)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    for target in targets:  # all was restored: the valid results are still read as they were
        array, _ = read_result(target.memory, target.result_at, range(ROWS, ROWS + 1), target.declared, LIMITS)
        assert array.equals(target.expected)
    return outcomes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.monotonic()
    print(run(options.cases, options.seed), f"in {time.monotonic() - started:.0f} s")
