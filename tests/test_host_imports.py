"""What a guest gets of its host by name, and the time it has meanwhile."""

import time

import pytest

from duckdb_wasi_udf import DataLimits, GuestTrap, LimitExceeded, ResourceLimits, _engine, _guest
from duckdb_wasi_udf._instance import Definition, GuestInstance

SIZES = (0, 1, 16_383, 16_384, 16_385, 3_000_000)


@pytest.fixture
def start():
    def make(source, *finders, **limits):
        limits = ResourceLimits(**limits)
        engine = _engine.load(_guest.find(), timeout_seconds=limits.timeout_seconds)
        instance = GuestInstance(engine, Definition.from_source(source, "f"), limits, DataLimits(), finders)
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
