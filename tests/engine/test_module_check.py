"""What reaches wasmtime's compiler of what a guest hands over."""

import random
import time

import pytest
import wasmtime

from duckdb_wasi_udf import ProtocolError
from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.engine import load_engine
from duckdb_wasi_udf._engine.module_check import check_module
from duckdb_wasi_udf._shared.kernels import KERNELS
from tests.compiled.comparing import Comparison
from tests.compiled.values import ARROW, RESULTS
from tests.support.wild_modules import WILD, module, unsigned

SOURCE = """
D = {'a': 1.5, 'b': 2.5, 'c': 3.5, 'd': 4.5}
def g(x): return x if x < 2 else g(x - 1) + 1
def f(s, x):
    total = 0.0
    for part in s.split(','):
        try:
            total += D[part] * round(float(part) / x, 2)
        except ValueError:
            total -= g(x % 10)
    return f'{total:.2f} {s[:3].upper()}'
"""


@pytest.fixture(scope="module")
def good():
    """A module with loops, calls and constants."""
    comparison = Comparison()
    instance = comparison.start(SOURCE, [ARROW["s"][0], ARROW["i"][0]], RESULTS["VARCHAR"])
    made = instance.translate()
    instance.close()
    assert made.why is None
    return made.module


def test_a_plain_module_passes(good):
    assert check_module(module()) == ()
    assert set(check_module(good)) <= set(KERNELS)


@pytest.mark.parametrize("name", WILD)
def test_wild_modules_are_refused(name):
    with pytest.raises(ProtocolError):
        check_module(WILD[name])


def test_mutated_modules_are_refused_or_valid(good):
    """One byte of a good module changed, 20,000 times: our check and wasmtime's refuse, and nothing else happens."""
    choose = random.Random(14)
    engine = load_engine(artifact.find(), timeout_seconds=1.0)._engine
    passed = valid = 0
    for _ in range(20_000):
        data = bytearray(good)
        data[choose.randrange(len(data))] = choose.randrange(256)
        try:
            kernels = check_module(bytes(data))
        except ProtocolError:
            continue
        passed += 1
        assert set(kernels) <= set(KERNELS)
        if passed % 40 == 0:  # each takes a millisecond
            try:
                wasmtime.Module(engine, bytes(data))
                valid += 1
            except wasmtime.WasmtimeError:
                pass
    assert passed > 1000
    assert valid > 0


def test_random_bytes_are_refused():
    choose = random.Random(15)
    for _ in range(5_000):
        with pytest.raises(ProtocolError):
            check_module(b"\0asm\1\0\0\0" + choose.randbytes(choose.randrange(200)))


def slow_modules():
    """Modules near the caps that take wasmtime long for their size: many variables that are alive across many joins."""
    variables = b"\x01\xac\x02\x7e"  # 300 of i64

    def steps(count):
        code = b""
        for k in range(count):
            first, second, third = (unsigned(3 + k * factor % 300) for factor in (1, 7, 11))
            code += b"\x20" + first + b"\x20" + second + b"\x7c\x21" + third
        return code

    leave = b"\x20\x00\x0d\x00"
    yield module(body=variables + b"\x03\x40" * 40 + steps(1500) + leave + b"\x0b" * 40 + b"\x20\x00\x0b")
    yield module(body=variables + (b"\x03\x40" + steps(25) + leave + b"\x0b") * 60 + b"\x20\x00\x0b")
    yield module(body=variables + (b"\x20\x00\x04\x40" + steps(4) + b"\x0b") * 290 + b"\x20\x00\x0b")
    yield module(body=variables + steps(1600) + b"\x20\x00\x0b")


def test_modules_at_the_caps_compile_soon():
    engine = load_engine(artifact.find(), timeout_seconds=1.0)._engine
    for data in slow_modules():
        check_module(data)
        before = time.process_time()
        wasmtime.Module(engine, data)
        assert time.process_time() - before < 2.0, len(data)


def test_kernels_are_those_of_the_artifact():
    engine = load_engine(artifact.find(), timeout_seconds=1.0)
    store, instance = engine.instantiate(2**28)
    exports = instance.exports(store)
    letters = {"i32": wasmtime.ValType.i32(), "i64": wasmtime.ValType.i64(), "f64": wasmtime.ValType.f64()}
    found = {name for name in exports if name.startswith("k_")}
    assert found == set(KERNELS)
    for name, (parameters, results) in KERNELS.items():
        of_export = exports[name].type(store)
        assert list(of_export.params) == [letters[kind] for kind in parameters], name
        assert list(of_export.results) == [letters[kind] for kind in results], name
