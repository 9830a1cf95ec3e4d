"""What a guest gets of its host by name, and the time it has meanwhile."""

import collections
import ctypes
import random
import struct
import time

import pytest

from duckdb_wasi_udf import (
    GuestTrap,
    HostFunction,
    HostQuota,
    LimitExceeded,
    ProtocolError,
    ResourceLimits,
    _abi,
)
from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.engine import load_engine
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._host_functions import imports
from duckdb_wasi_udf._host_functions.grants import Grants
from duckdb_wasi_udf._sql.types import sql_type_of
from tests.support import guests

SIZES = (0, 1, 16_383, 16_384, 16_385, 3_000_000)


@pytest.fixture
def start():
    def make(source, *finders, **limits):
        limits = ResourceLimits(**limits)
        engine = load_engine(artifact.find(), timeout_seconds=limits.timeout_seconds)
        instance = guests.make(engine, Definition.from_source(source, "f"), limits, finders=finders)
        instance.bind([], None)
        return lambda: instance.call([], 1)[0].to_pylist()[0]

    return make


IMPORTED = "import _udf\ndef f(): return "


@pytest.mark.parametrize("size", SIZES)
def test_what_a_finder_has_arrives_whole(start, size):
    data = bytes(range(256)) * (size // 256 + 1)
    call = start(f"{IMPORTED}_udf.host_import('x')", {"x": data[:size]}.get)
    assert call() == data[:size]
    assert call() == data[:size]


@pytest.mark.parametrize("name", ["absent", "", "häß", "a\0b", "x" * 5_000])
def test_what_no_finder_has_is_none(start, name):
    asked = []
    assert start(f"{IMPORTED}_udf.host_import({name!r})", asked.append)() is None
    assert asked == ([name] if len(name) < 5_000 else [])


def test_finders_are_asked_in_turn_and_only_they(start):
    assert start(f"{IMPORTED}_udf.host_import('b')", {"a": b"1"}.get, {"b": b"2"}.get, {"b": b"3"}.get)() == b"2"
    assert start(f"{IMPORTED}_udf.host_import('b')")() is None


def test_code_may_ask_while_it_is_loaded(start):
    assert start("import _udf\nDATA = _udf.host_import('x')\ndef f(): return DATA", {"x": b"data"}.get)() == b"data"


@pytest.mark.parametrize("error", [ValueError("inside"), KeyboardInterrupt()])
def test_a_finder_that_raises_ends_the_call_with_its_error(start, error):
    def find(name):
        raise error

    call = start(f"{IMPORTED}_udf.host_import('x')", find)
    with pytest.raises(type(error)) as raised:
        call()
    assert raised.value is error


def test_the_time_of_the_host_is_not_the_guests(start):
    def find(name):
        time.sleep(0.15)
        return b"x"

    source = "import _udf\ndef f():\n    return [_udf.host_import('x') for _ in range(4)]"
    assert start(source, find, timeout_seconds=0.3)() == [b"x"] * 4


def test_asking_again_and_again_gives_no_further_time(start):
    calls = start("import _udf\ndef f():\n    while True: _udf.host_import('x')", {"x": b"1"}.get, timeout_seconds=0.2)
    with pytest.raises(LimitExceeded, match=r"stopped after timeout_seconds=0\.2"):
        calls()


def test_a_crash_after_asking_is_a_trap_as_ever(start):
    call = start("import _udf, os\ndef f():\n    _udf.host_import('x')\n    os.abort()", {"x": b"1"}.get)
    with pytest.raises(GuestTrap):
        call()


# ---- forged calls --------------------------------------------------------------------------------------------------


def table(values: list[int], texts: list[str], nested: list[list[dict[str, int]]]) -> list[str]:
    return [f"{value} {text} {inside}" for value, text, inside in zip(values, texts, nested, strict=True)]


@pytest.fixture
def calling(monkeypatch):
    """Runs `forge(calls, number, arguments, out, out_size)` where a guest waits for its host; what a call gave then."""

    def run(forge):
        limits = ResourceLimits(host_batch=HostQuota(calls=10**6, bytes=10**7, seconds=100.0))
        grants = Grants([HostFunction(table)], sql_type_of)
        source = "import host\ndef f(): return host.table.batch([1, None], ['a', 'häß'], [[{'k': 1}], None])"
        instance = guests.start(source, limits=limits, grants=grants)
        call = imports._ANSWERS["host_call"]

        def spy(answering, *arguments):
            forge(answering, *arguments)
            return call(answering, *arguments)

        monkeypatch.setitem(imports._ANSWERS, "host_call", spy)
        return instance.call([], 1)[0].to_pylist()

    return run


EXPECTED = [["1 a [{'k': 1}]", "None häß None"]]


@pytest.mark.parametrize("number", [1, 2, -1, 2**31 - 1, -(2**31)])
def test_a_forged_number_is_no_function(calling, number):
    seen = []
    assert calling(lambda calls, _, *rest: seen.append(calls._call(number, *rest))) == EXPECTED
    assert seen == [_abi.ABSENT]


@pytest.mark.parametrize("at", [0, 8, 2**31, -1, -80, -(2**31), 64 * 2**20])
def test_forged_arguments_are_an_error(calling, at):
    def forge(calls, number, _, out, out_size):
        with pytest.raises((ProtocolError, LimitExceeded)):
            calls._call(number, at, out, out_size)

    assert calling(forge) == EXPECTED


@pytest.mark.parametrize("out", [-1, -64, 2**31, -(2**31), 512 * 2**20])
def test_room_for_the_response_outside_of_memory_is_an_error(calling, out):
    def forge(calls, number, at, _, out_size):
        with pytest.raises(ProtocolError, match="is not inside its"):
            calls._call(number, at, out, out_size)

    assert calling(forge) == EXPECTED


def test_the_response_may_overwrite_its_arguments(calling):
    def forge(calls, number, at, out, out_size):
        memory = calls._raw.memory()
        before = ctypes.string_at(memory[0] + at, 4096)
        assert 0 < calls._call(number, at, at, 4096) < 4096
        assert ctypes.string_at(memory[0] + at, 4096) != before
        ctypes.memmove(memory[0] + at, before, 4096)

    assert calling(forge) == EXPECTED


@pytest.mark.parametrize("out_size", [0, 1, 63])
def test_a_response_is_taken_once_and_only_by_the_next_step(calling, out_size):
    def forge(calls, number, at, out, room):
        assert calls._take(out, room) == _abi.ABSENT
        size = calls._call(number, at, out, out_size)
        assert size > 63
        assert calls._take(out, size - 1) == size
        with pytest.raises(ProtocolError, match="is not inside its"):
            calls._take(out, -1)
        assert calls._take(out, size) == size
        assert calls._take(out, room) == _abi.ABSENT
        calls._call(number, at, out, out_size)
        calls._call(99, at, out, out_size)
        assert calls._take(out, room) == _abi.ABSENT

    assert calling(forge) == EXPECTED


def test_mutated_arguments_are_valid_or_an_error(calling):
    """Bytes of the structs and buffers that a call hands over, and of what they point to, changed at random."""
    noise = random.Random(20260101)
    ends = collections.Counter()

    def forge(calls, number, at, out, out_size):
        address, size = calls._raw.memory()
        places = [at, *(int.from_bytes(ctypes.string_at(address + at + 40 + 4 * i, 4), "little") for i in range(3))]
        children = struct.unpack("<3I", ctypes.string_at(address + places[2], 12))
        places += children
        places += [int.from_bytes(ctypes.string_at(address + child + 40, 4), "little") for child in children]
        places = [place for place in places if 0 < place < size - 80]
        for _ in range(1500):
            place = noise.choice(places) + noise.randrange(72)
            before = ctypes.string_at(address + place, 8)
            word = noise.choice([noise.randbytes(4), bytes(4), b"\xff" * 4, b"\xff\xff\xff\x7f", b"\x01\0\0\0"])
            ctypes.memmove(address + place, word, len(word))
            try:
                ends["answered" if calls._call(number, at, out, out_size) > 0 else "status"] += 1
            except (ProtocolError, LimitExceeded) as error:
                ends[type(error).__name__] += 1
            ctypes.memmove(address + place, before, 8)

    assert calling(forge) == EXPECTED
    assert ends["ProtocolError"] > 150
    assert ends["answered"] > 150
