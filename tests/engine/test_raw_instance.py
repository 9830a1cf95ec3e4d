import ctypes
import threading

import pytest
import wasmtime
from wasmtime import _bindings

from duckdb_wasi_udf._engine.raw_instance import RawInstance, define_imports

MODULE = """
(module
  (memory (export "memory") 1)
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "nothing"))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "trap") (unreachable))
  (func (export "spin") (loop (br 0)))
  (func $deep (export "deep") (call $deep)))
"""


@pytest.fixture
def raw():
    config = wasmtime.Config()
    config.epoch_interruption = True
    engine = wasmtime.Engine(config)
    store = wasmtime.Store(engine)
    store.set_epoch_deadline(1)
    instance = wasmtime.Instance(store, wasmtime.Module(engine, MODULE), [])
    made = RawInstance(store, instance)
    made.engine = engine
    return made


def test_symbols_used_exist_in_this_wasmtime():
    # Importing the module looked up the functions.
    assert _bindings.wasmtime_val_raw_t


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 2), (2**31 - 1, 0), (-5, 3), (2**31 - 1, 1)])
def test_calls_pass_and_return_32_bit_integers(raw, a, b):
    assert raw.call_export("add", a, b) == (a + b + 2**31) % 2**32 - 2**31


def test_pointers_above_two_gib_are_passed_whole(raw):
    assert raw.call_export("add", 0x8000_0000, 4) & 0xFFFF_FFFF == 0x8000_0004


def test_memory_is_read_where_it_is_after_growing(raw):
    assert raw.memory()[1] == 65536
    assert raw.call_export("grow", 2) == 1
    address, size = raw.memory()
    assert size == 3 * 65536
    raw.call_export("store", size - 4, 0x01020304)
    assert ctypes.string_at(address + size - 4, 4) == bytes([4, 3, 2, 1])


def test_a_trap_carries_its_code_and_leaves_the_caller_sound(raw):
    for _ in range(3):
        with pytest.raises(wasmtime.Trap) as raised:
            raw.call_export("trap")
        assert raised.value.trap_code is wasmtime.TrapCode.UNREACHABLE
    assert raw.call_export("add", 1, 1) == 2


def test_a_deadline_that_has_passed_interrupts(raw):
    raw.set_epoch_deadline(1)
    raw.engine.increment_epoch()
    with pytest.raises(wasmtime.Trap) as raised:
        raw.call_export("spin")
    assert raised.value.trap_code is wasmtime.TrapCode.INTERRUPT


def test_a_stack_overflow_is_a_trap(raw):
    with pytest.raises(wasmtime.Trap) as raised:
        raw.call_export("deep")
    assert raised.value.trap_code is wasmtime.TrapCode.STACK_OVERFLOW


def test_an_export_that_is_missing_is_an_error(raw):
    with pytest.raises(KeyError):
        raw.call_export("absent")


# ---- imports -----------------------------------------------------------------------------------------------------

IMPORTING = """
(module
  (import "m" "ask" (func $ask (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "ask") (param i32 i32) (result i32) (call $ask (local.get 0) (local.get 1)))
  (func (export "ask_twice") (param i32 i32) (result i32)
    (drop (call $ask (local.get 0) (local.get 1))) (call $ask (local.get 0) (local.get 1))))
"""


class Answers:
    """A host that answers with a function."""

    def __init__(self, function):
        self.function = function
        self.kept = []
        self.asked = 0

    def answer(self, name, *arguments):
        self.asked += 1
        return self.function(name, *arguments)

    def raised(self, error):
        self.kept.append(error)


@pytest.fixture(scope="module")
def importing():
    engine = wasmtime.Engine()
    linker = wasmtime.Linker(engine)
    define_imports(linker, "m", {"ask": ("i32", "i32")})
    pre = linker.instantiate_pre(wasmtime.Module(engine, IMPORTING))

    def start(function):
        store = wasmtime.Store(engine)
        host = Answers(function)
        return RawInstance(store, pre.instantiate(store), host), host

    return start


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 2), (-5, 3), (2**31 - 1, -(2**31))])
def test_imports_pass_and_return_32_bit_integers(importing, a, b):
    seen = []
    raw, _host = importing(lambda name, *arguments: seen.append((name, *arguments)) or b)
    assert raw.call_export("ask", a, b) == b
    assert seen == [("ask", a, b)]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_whatever_an_answer_raises_is_kept_and_ends_the_call(importing, error):
    def fail(*_):
        raise error

    raw, host = importing(fail)
    with pytest.raises(wasmtime.WasmtimeError, match="the host ended the call"):
        raw.call_export("ask_twice", 1, 2)
    assert host.kept == [error]
    assert host.asked == 1


def test_an_answer_that_is_no_integer_ends_the_call(importing):
    raw, host = importing(lambda *_: "three")
    with pytest.raises(wasmtime.WasmtimeError):
        raw.call_export("ask", 1, 2)
    assert isinstance(host.kept[0], TypeError)


def test_each_instance_is_answered_by_its_own_host(importing):
    made = [importing(lambda _, a, b, i=i: a * i + b) for i in range(8)]
    results = {}

    def run(i, raw):
        results[i] = [raw.call_export("ask", n, 1) for n in range(200)]

    threads = [threading.Thread(target=run, args=(i, raw)) for i, (raw, _) in enumerate(made)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: [n * i + 1 for n in range(200)] for i in range(8)}


def test_an_instance_whose_host_is_gone_gets_no_answer(importing):
    raw, host = importing(lambda *_: 1)
    assert raw.call_export("ask", 1, 2) == 1
    del host
    with pytest.raises(wasmtime.WasmtimeError):
        raw.call_export("ask", 1, 2)
