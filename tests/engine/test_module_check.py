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


def unsigned(value):
    """A LEB128 number."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def section(number, body):
    return bytes([number]) + unsigned(len(body)) + body


def module(
    types=b"\x01\x60\x03\x7f\x7f\x7f\x01\x7f",
    imports=b"\x01\x01g\x06memory\x02\x00\x01",
    functions=b"\x01\x00",
    exports=b"\x01\x03run\x00\x00",
    body=b"\x00\x20\x00\x0b",
    more=b"",
):
    """A module of five sections, each of which can be replaced. `body` is that of the only function."""
    code = b"\x01" + unsigned(len(body)) + body
    sections = [section(n, part) for n, part in ((1, types), (2, imports), (3, functions), (7, exports), (10, code))]
    return b"\0asm\1\0\0\0" + b"".join(sections) + more


WILD = {
    "nothing": b"",
    "another magic": b"\0asm\2\0\0\0" + module()[8:],
    "too many bytes": module(body=b"\x00" + b"\x41\x00\x1a" * 6000 + b"\x20\x00\x0b"),
    "cut off": module()[:-3],
    "a custom section": module(more=section(0, b"\x01xabc")),
    "a start section": module(more=section(8, b"\x00")),
    "a table": module()[:8] + section(4, b"\x01\x70\x00\x01") + module()[8:],
    "two memories": module(imports=b"\x02\x01g\x06memory\x02\x00\x01\x01g\x06memory\x02\x00\x01"),
    "a shared memory": module(imports=b"\x01\x01g\x06memory\x02\x03\x01\x02"),
    "another module's import": module(imports=b"\x01\x01h\x06memory\x02\x00\x01"),
    "a table as an import": module(imports=b"\x01\x01g\x06memory\x01\x70\x00\x01"),
    "a global as an import": module(imports=b"\x02\x01g\x06memory\x02\x00\x01\x01g\x0f__stack_pointer\x03\x7f\x01"),
    "an export of the guest": module(imports=b"\x02\x01g\x06memory\x02\x00\x01\x01g\x08udf_call\x00\x00"),
    "a kernel of another type": module(imports=b"\x02\x01g\x06memory\x02\x00\x01\x01g\x05k_sin\x00\x00"),
    "two exports": module(exports=b"\x02\x03run\x00\x00\x03rum\x00\x00"),
    "the memory exported": module(exports=b"\x01\x03run\x02\x00"),
    "an export of another type": module(types=b"\x01\x60\x01\x7f\x01\x7f"),
    "an export that isn't there": module(exports=b"\x01\x03run\x00\x05"),
    "a vector type": module(types=b"\x01\x60\x03\x7f\x7f\x7b\x01\x7f"),
    "a reference type": module(types=b"\x01\x60\x03\x7f\x7f\x70\x01\x7f"),
    "a reference local": module(body=b"\x01\x01\x70\x20\x00\x0b"),
    "too many locals": module(body=b"\x01\xff\xff\x03\x7f\x20\x00\x0b"),
    "locals beyond all numbers": module(body=b"\x01\xff\xff\xff\xff\xff\xff\x7f\x20\x00\x0b"),
    "deep blocks": module(body=b"\x00" + b"\x02\x40" * 100 + b"\x0b" * 100 + b"\x20\x00\x0b"),
    "many blocks": module(body=b"\x00" + b"\x02\x40\x0b" * 400 + b"\x20\x00\x0b"),
    "many loops": module(body=b"\x00" + b"\x03\x40\x0b" * 80 + b"\x20\x00\x0b"),
    "a block with a result": module(body=b"\x00\x02\x7f\x20\x00\x0b\x0b"),
    "an end too many": module(body=b"\x00\x20\x00\x0b\x0b"),
    "no end": module(body=b"\x00\x20\x00"),
}
REFUSED = {
    "unreachable": b"\x00",
    "call_indirect": b"\x11\x00\x00",
    "return_call": b"\x12\x00",
    "br_table": b"\x0e\x00\x00",
    "global.get": b"\x23\x00",
    "table.get": b"\x25\x00",
    "memory.size": b"\x3f\x00",
    "memory.grow": b"\x40\x00",
    "i64.div_u": b"\x80",
    "f32.add": b"\x92",
    "ref.null": b"\xd0\x70",
    "memory.copy": b"\xfc\x0a\x00\x00",
    "i64.mul_wide_s": b"\xfc\x15",
    "v128.load": b"\xfd\x00\x00\x00",
    "atomics": b"\xfe\x00\x02\x00",
    "throw": b"\x08\x00",
    "try_table": b"\x1f\x40\x00\x0b",
}
WILD |= {name: module(body=b"\x00" + code + b"\x20\x00\x0b") for name, code in REFUSED.items()}


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
