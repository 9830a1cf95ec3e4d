"""Compiled functions: what a guest hands over as one, what such code does, and what it was made of."""

import functools
import math
import random
import struct

from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.engine import load_engine
from duckdb_wasi_udf._shared.kernels import KERNELS
from tests.evil.attack import ANYTHING, TIMEOUT, Attack, End, returns
from tests.evil.takeover import TAKE_OVER
from tests.support.wild_modules import WILD, module, unsigned

# The compiler is the guest's own Python, so its code may change it.
PLANT = """
from _udf_compiler import translation
made = translation.assemble
translation.fits = lambda functions, module: True
translation.assemble = lambda functions, kernels, exported: (MODULE, [])
def attack(x): return x + 1
"""


def _hands_over(name, end, data, rows=3):
    """Bytes, or an expression that makes them."""
    shown = data if isinstance(data, str) else repr(data)
    return Attack(name, end, PLANT.replace("MODULE", shown), rows=rows, compiled=True)


def _runs(name, end, body, imports=b"\x01\x01g\x06memory\x02\x00\x01", **parts):
    """A module that passes the checks, with a body of its own."""
    return _hands_over(name, end, module(imports=imports, body=body, **parts))


def _mutated(seed):
    """One byte of a good module changed."""
    choose = random.Random(seed)
    place, change = choose.random(), choose.randrange(1, 256)
    change = (
        f"(lambda d: d[:(n := 8 + int({place} * (len(d) - 8)))] + bytes([d[n] ^ {change}]) + d[n + 1:])"
        "(made(functions, kernels, exported)[0])"
    )
    return _hands_over(f"a good module with one byte changed: {seed}", ANYTHING, change)


@functools.cache
def _slot():
    """The slot of the table that compiled code is put into: the last one."""
    engine = load_engine(artifact.find(), timeout_seconds=1.0)
    store, instance = engine.instantiate(2**28)
    return instance.exports(store)["__indirect_function_table"].size(store) - 1


def _called(name, arguments):
    """The slot called by the interpreter, as a function in C that gets objects in place of a context and rows."""
    lines = [
        "memory = take_over()",
        "class C:",
        "    def __call__(self, *a, **k): return 5",
        "at = id(C) + 64  # tp_call, which has the same type",
        f"memory[at:at + 4] = struct.pack('<I', {_slot()})",
        f"return C()({arguments})",
    ]
    body = "".join(f"        {line}\n" for line in lines)
    code = f"{TAKE_OVER}\ndef strike():\n    if True:\n{body}\ndef attack(x):\n    return x + 1 if x < 3 else strike()"
    return Attack(name, ANYTHING, code, rows=3, compiled=True)


def _import(*kernels):
    """The memory and kernels, by (name, number of their type)."""
    entries = [b"\x01g\x06memory\x02\x00\x01"]
    entries += [b"\x01g" + unsigned(len(name)) + name.encode() + b"\x00" + bytes([number]) for name, number in kernels]
    return bytes([len(entries)]) + b"".join(entries)


_RUN = b"\x60\x03\x7f\x7f\x7f\x01\x7f"
_ENDLESS = b"\x00\x03\x40\x0c\x00\x0b\x20\x00\x0b"
_FILL = (  # store to ever higher addresses
    b"\x01\x01\x7f\x03\x40\x20\x03\x42\x7f\x37\x00\x00\x20\x03\x41\x08\x6a\x21\x03\x0c\x00\x0b\x20\x00\x0b"
)
_RECURSE = b"\x00\x20\x00\x20\x01\x20\x02\x10\x00\x0b"
# Kernels with addresses and lengths that are no text's: (name, its type, what it is called with).
_KERNELS = {
    "k_out": (b"\x60\x04\x7f\x7f\x7f\x7f\x01\x7f", b"\x20\x00\x41\x7f\x41\x00\x41\xff\xff\xff\xff\x07"),
    "k_dict": (b"\x60\x04\x7f\x7f\x7f\x7f\x01\x7f", b"\x20\x00\x41\x80\x80\x04\x41\x00\x41\x80\x08"),
    "k_contains": (b"\x60\x04\x7f\x7f\x7f\x7f\x01\x7f", b"\x41\x00\x41\x7f\x41\x80\x08\x41\x08"),
    "k_upper": (b"\x60\x03\x7f\x7f\x7f\x01\x7e", b"\x41\x00\x41\x10\x41\x7f"),
    "k_re_match": (b"\x60\x05\x7f\x7f\x7f\x7f\x7f\x01\x7e", b"\x20\x00\x41\x00\x41\x00\x41\x80\x08\x41\x00"),
    "k_re_all": (b"\x60\x05\x7f\x7f\x7f\x7f\x7f\x01\x7e", b"\x20\x00\x41\x40\x41\x00\x41\x80\x20\x41\xff\xff\x03"),
    "k_join": (b"\x60\x05\x7f\x7f\x7f\x7f\x7f\x01\x7e", b"\x20\x00\x41\x00\x41\x00\x41\x00\x41\xff\xff\x03"),
    "k_split": (b"\x60\x06\x7f\x7f\x7f\x7f\x7f\x7e\x01\x7e", b"\x41\x08\x41\x00\x41\x7f\x41\x00\x41\x01\x42\x7f"),
}


def _kernel(name):
    signature, operands = _KERNELS[name]
    ignored = b"\x50\x1a" if signature.endswith(b"\x7e") else b"\x1a"
    ignored = ignored.replace(b"\x1a", b"\x04\x40\x0b")  # an if in place of drop, which isn't allowed
    body = b"\x00" + operands + b"\x10\x00" + ignored + b"\x20\x02\x0b"
    return _runs(
        f"{name} with addresses of its own",
        ANYTHING,
        body,
        imports=_import((name, 1)),
        types=b"\x02" + _RUN + signature,
        exports=b"\x01\x03run\x00\x01",
    )


# Numbers that may be addresses, lengths and depths, or may not.
_NUMBERS = (0, 1, 8, 1 << 10, 1 << 16, 1 << 24, -(1 << 16), -1, (1 << 31) - 1)
_TYPES = {"i32": b"\x7f", "i64": b"\x7e", "f64": b"\x7c"}
_TESTS = {"i32": b"", "i64": b"\x50", "f64": b"\x44" + bytes(8) + b"\x61"}  # eqz; or compared with 0


def _signed(value):
    """A signed LEB128 number."""
    out = bytearray()
    while not -64 <= value < 64:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value & 0x7F])


def _wild_kernel(name):
    """A kernel that is called with the context, as it usually has to be, and then with several wild ones."""
    parameters, (result,) = KERNELS[name]
    choose = random.Random(name)
    body = b"\x00"
    for call in range(4):
        for place, kind in enumerate(parameters):
            if place == 0 and kind == "i32" and call < 3:
                body += b"\x20\x00"
            elif kind == "f64":
                body += b"\x44" + struct.pack("<d", choose.choice([0.0, -1.5, math.inf, math.nan]))
            else:
                body += (b"\x41" if kind == "i32" else b"\x42") + _signed(choose.choice(_NUMBERS))
        body += b"\x10\x00" + _TESTS[result] + b"\x04\x40\x0b"
    types = b"".join(_TYPES[kind] for kind in parameters)
    signature = b"\x60" + bytes([len(parameters)]) + types + b"\x01" + _TYPES[result]
    return _runs(
        f"{name} with wild numbers",
        ANYTHING,
        body + b"\x20\x02\x0b",
        imports=_import((name, 1)),
        types=b"\x02" + _RUN + signature,
        exports=b"\x01\x03run\x00\x01",
    )


_SLOW = b"\x01\xac\x02\x7e" + (b"\x03\x40" + b"\x20\x03\x20\x04\x7c\x21\x03" * 25 + b"\x0b") * 60 + b"\x20\x00\x0b"

# Rows 1, 2, ... of `attack`, of which the third changes what the others were compiled from.
CHANGES = {
    "a finalizer": "class C:\n    def __del__(self): globals()['K'] = 100\ndef change(): C()",
    "the collector": (
        "import gc\nclass C:\n    def __del__(self): globals()['K'] = 100\n"
        "def change():\n    c = C()\n    c.c = c\n    del c\n    gc.collect()"
    ),
    "a callback of the collector": (
        "import gc\ndef called(phase, info): globals()['K'] = 100\ngc.callbacks.append(called)\n"
        "K = 10\ndef change(): gc.collect()"
    ),
    "a weak reference": (
        "import weakref\nclass C: pass\ndef change():\n    c = C()\n"
        "    weakref.finalize(c, globals().update, {'K': 100})"
    ),
    "another function": "def change(): change_more()\ndef change_more(): globals()['K'] = 100",
    "a row that bails": "def change():\n    global K\n    K = 100",
    "a hash": "class C:\n    def __hash__(self): globals()['K'] = 100; return 1\ndef change(): {C(): 1}",
    "a comparison": "class C:\n    def __eq__(self, o): globals()['K'] = 100; return True\ndef change(): C() == 1",
    "a generator's end": (
        "def steps():\n    try: yield 1\n    finally: globals()['K'] = 100\ndef change(): next(steps())"
    ),
    "a profile": (
        "import sys\ndef profile(*_): globals()['K'] = 100\n"
        "def change():\n    sys.setprofile(profile)\n    (lambda: 0)()\n    sys.setprofile(None)"
    ),
    "a trace": (
        "import sys\ndef trace(*_): globals()['K'] = 100\n"
        "def change():\n    sys.settrace(trace)\n    (lambda: 0)()\n    sys.settrace(None)"
    ),
    "an exception's end": (
        "class C:\n    def __del__(self): globals()['K'] = 100\n"
        "def change():\n    try: raise ValueError(C())\n    except ValueError: pass"
    ),
}
_PATTERNS = {
    "a pattern": "P = re.compile('a')\ndef change(): globals()['P'] = re.compile('b')",
    "re.sub": "def change(): re.sub = lambda *a: 'changed'",
    "re._compile": "B = re.compile('b')\ndef change(): re._compile = lambda *a: B",
    "a replaced re": "import types\ndef change(): globals()['re'] = types.SimpleNamespace(sub=lambda *a: 'other')",
}


def _changes(name):
    attack = "def attack(x):\n    if x == 3:\n        change()\n        return -1\n    return x + K"
    code = f"K = 10\n{CHANGES[name]}\n{attack}"
    return Attack(f"a global changed by {name}", End(value=[11, 12, -1, 104, 105]), code, rows=5, compiled=True)


def _changes_re(name):
    after = "changed" if name == "re.sub" else "other" if name == "a replaced re" else "a-"
    call = "P.sub('-', 'ab')" if name == "a pattern" else "re.sub('a', '-', 'ab')"
    attack = f"def attack(x):\n    if x == 3:\n        change()\n        return ''\n    return {call}"
    code = f"import re\n{_PATTERNS[name]}\n{attack}"
    value = ["-b", "-b", "", after, after]
    return Attack(
        f"{name} changed in a row that bails", End(value=value), code, rows=5, result="VARCHAR", compiled=True
    )


_NOTHING = returns([2, 3, 4])
ATTACKS = [
    *[_hands_over(f"refused: {name}", _NOTHING, data) for name, data in WILD.items()],
    _hands_over("no bytes but a text", _NOTHING, "'text'"),
    _hands_over("an exception", End(errors=_NOTHING.errors, value=_NOTHING.value), "1 / 0"),
    _hands_over("a module that is never finished", ANYTHING, "[None for _ in iter(int, 1)]"),
    _runs("valid to us, not to wasmtime", _NOTHING, b"\x00\x20\x00\x20\x00\x0b"),
    *[_mutated(seed) for seed in range(24)],
    _runs("no row at all", ANYTHING, b"\x00\x41\x7f\x0b"),
    _runs("a row beyond the batch", ANYTHING, b"\x00\x41\xff\xff\xff\xff\x07\x0b"),
    _runs("all rows done, none written", ANYTHING, b"\x00\x20\x02\x0b"),
    _runs("the same row for ever", ANYTHING, b"\x00\x20\x01\x0b"),
    _runs("code without end", TIMEOUT, _ENDLESS),
    _runs("code that writes all of memory", ANYTHING, _FILL),
    _runs("code that calls itself", ANYTHING, _RECURSE),
    _runs("code that takes long to compile", ANYTHING, _SLOW),
    *[_kernel(name) for name in _KERNELS],
    *[_wild_kernel(name) for name in KERNELS],
    _called("the slot called without arguments", ""),
    _called("the slot called with a tuple", "1, 2, 3"),
    _called("the slot called with names", "1, a=2"),
    *map(_changes, CHANGES),
    *map(_changes_re, _PATTERNS),
]
