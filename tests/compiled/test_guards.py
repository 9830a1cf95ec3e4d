"""Code that changes what compiled code was made of: in another batch, or in a row that the interpreter runs."""

import builtins
import decimal
import math
import sys

import pyarrow as pa
import pytest

from tests.compiled.comparing import Comparison

# In each, `change()` is called in one row, which compiled code leaves to the interpreter.
CASES = {
    "a global number": "RATE = 2\ndef change(): globals()['RATE'] = 3\ndef g(x): return x * RATE",
    "a global that hides a builtin": "def change(): globals()['abs'] = lambda x: 77\ndef g(x): return abs(x)",
    "a builtin": "import builtins\ndef change(): builtins.abs = lambda x: 78\ndef g(x): return abs(x)",
    "a function of a module": "import math\ndef change(): math.floor = lambda x: 5\ndef g(x): return math.floor(x / 2)",
    "a module": "import math\ndef change(): globals()['math'] = __import__('cmath')\ndef g(x): return int(math.e * x)",
    "an entry of a dict": "D = {1: 10, 2: 20}\ndef change(): D[1] = 11\ndef g(x): return D.get(x % 3, 0)",
    "a new key of a dict": "D = {1: 10, 2: 20}\ndef change(): D[0] = 11\ndef g(x): return D.get(x % 3, 5)",
    "an item of a list": "L = [1, 2, 3]\ndef change(): L[0] = 9\ndef g(x): return L[x % 3]",
    "a longer list": "L = [1, 2, 3]\ndef change(): L.append(4)\ndef g(x): return sum(L) + x",
    "a list in a dict": "D = {'a': [1, 2]}\ndef change(): D['a'][0] = 5\ndef g(x): return sum(x for x in D['a']) + x",
    "a set": "S = {1, 2}\ndef change(): S.add(4)\ndef g(x): return x in S",
    "a set of as many": "S = {1, 2}\ndef change():\n  S.discard(1)\n  S.add(4)\ndef g(x): return x in S",
    "another function": "def h(x): return x\ndef change(): globals()['h'] = lambda x: -x\ndef g(x): return h(x)",
    "its code": "def h(x): return x\ndef change(): h.__code__ = (lambda x: -x).__code__\ndef g(x): return h(x)",
    "defaults": "def h(x, y=1): return x + y\ndef change(): h.__defaults__ = (5,)\ndef g(x): return h(x)",
    "keyword defaults": (
        "def h(x, *, y=1): return x + y\ndef change(): h.__kwdefaults__ = {'y': 6}\ndef g(x): return h(x)"
    ),
    "a variable around": (
        "def make():\n  n = 1\n  def change():\n    nonlocal n\n    n = 50\n  return change, lambda x: x + n\n"
        "change, g = make()"
    ),
    "by a finalizer": (
        "RATE = 2\nclass C:\n  def __del__(self): globals()['RATE'] = 4\ndef change(): C()\ndef g(x): return x * RATE"
    ),
    "by the collector": (
        "import gc\nRATE = 2\nclass C:\n  def __del__(self): globals()['RATE'] = 4\n"
        "def change():\n  c = C()\n  c.c = c\n  del c\n  gc.collect()\ndef g(x): return x * RATE"
    ),
    "the context of decimals": (
        "import decimal\ndef change(): decimal.getcontext().prec = 2\n"
        "def g(x): return int(decimal.Decimal(x) * decimal.Decimal('1.37') * 100)"
    ),
    "another context of decimals": (
        "import decimal\ndef change(): decimal.setcontext(decimal.Context(prec=2))\n"
        "def g(x): return int(decimal.Decimal(x) * decimal.Decimal('1.37') * 100)"
    ),
    "an attribute of a class": "class C:\n  R = 2\ndef change(): C.R = 3\ndef g(x): return x * C.R",
    "an attribute of a base class": (
        "class B:\n  R = 2\nclass C(B): pass\ndef change(): C.R = 3\ndef g(x): return x * C.R"
    ),
    "a static method": (
        "class C:\n  @staticmethod\n  def h(x): return x\n"
        "def change(): C.h = staticmethod(lambda x: -x)\ndef g(x): return C.h(x)"
    ),
    "a name of a namespace": (
        "from types import SimpleNamespace\nN = SimpleNamespace(r=2)\ndef change(): N.r = 3\ndef g(x): return x * N.r"
    ),
    "the value of a member": (
        "from enum import Enum\nclass K(Enum):\n  R = 2\ndef change(): K.R._value_ = 3\ndef g(x): return x * K.R.value"
    ),
    "a keyword argument of a partial": (
        "from functools import partial\ndef h(x, y): return x + y\np = partial(h, y=2)\n"
        "def change(): p.keywords['y'] = 3\ndef g(x): return p(x)"
    ),
    "the function of a partial": (
        "from functools import partial\ndef h(x, y): return x + y\np = partial(h, y=2)\n"
        "def change(): p.__setstate__((lambda x, y: x - y, (), {'y': 2}, {}))\ndef g(x): return p(x)"
    ),
    "through sys.modules": (
        "import sys\ndef change(): sys.modules['math'] = type(sys)('math'); sys.modules['math'].floor = lambda x: 6\n"
        "def g(x):\n  import math\n  return math.floor(x / 2)"
    ),
}
ENTRY = "\ndef f(x):\n    if x == 40:\n        change()\n        return -1\n    return g(x)\n"


def by_cpython(source, batches):
    """What plain Python makes of the batches; what the code changed is put back."""
    kept = builtins.abs, math.floor, sys.modules["math"]
    context = decimal.getcontext()
    decimal.setcontext(decimal.Context())
    namespace = {"__builtins__": builtins}
    try:
        exec(source, namespace)
        return [[namespace["f"](x) for x in batch] for batch in batches]
    finally:
        builtins.abs, math.floor, sys.modules["math"] = kept
        decimal.setcontext(context)


@pytest.mark.parametrize("name", CASES)
def test_what_was_compiled_from_may_change(name):
    source = CASES[name] + ENTRY
    batches = [list(range(30)), [1, 2, 40, 4, 5, 40, 7], [1, 2, 3, 4], [7, 8]]
    result = pa.bool_() if "x in S" in source else pa.int64()
    comparison = Comparison()
    instance = comparison.start(source, [pa.int64()], result, return_null=False)
    if result == pa.bool_():
        source = source.replace("return -1", "return True")
        instance.close()
        instance = comparison.start(source, [pa.int64()], result, return_null=False)
    translation = comparison.compile(instance)
    assert translation.why is None
    found = []
    compiled = []
    for batch in batches:
        found.append(instance.call([pa.array(batch)], len(batch))[0].to_pylist())
        compiled.append(instance.counts.compiled)
    assert found == by_cpython(source, batches)
    assert compiled[0] == 30
    assert compiled[2:] == [0, 0], "compiled code ran after its guards failed"
    instance.close()


def test_a_recipe_fails_where_globals_differ():
    """Another instance whose globals got other values doesn't take the code."""
    comparison = Comparison()
    source = "import time\nSTARTED = time.perf_counter_ns()\ndef f(x): return x + STARTED * 0"
    first = comparison.start(source, [pa.int64()], pa.int64())
    translation = comparison.compile(first)
    assert translation.why is None
    second = comparison.start(source, [pa.int64()], pa.int64())
    assert "other values" in second.translate(translation.recipe).why
    third = comparison.start("def f(x): return x + 1", [pa.int64()], pa.int64())
    recipe = comparison.compile(third).recipe
    fourth = comparison.start("def f(x): return x + 1", [pa.int64()], pa.int64())
    assert fourth.translate(recipe).why is None
    for instance in (first, second, third, fourth):
        instance.close()


def test_signals_of_decimals_are_passed_on():
    """A row that the interpreter runs sees what rows before it left in the context."""
    source = (
        "from decimal import *\ndef f(x):\n  if x < 0:\n    return int(getcontext().flags[Inexact])\n"
        "  return int((Decimal(x) / 8).quantize(Decimal('0.1')) * 10)"
    )
    comparison = Comparison()
    instance = comparison.start(source, [pa.int64()], pa.int64())
    assert comparison.compile(instance).why is None
    for batch, wanted in (([8, -1], [10, 0]), ([1, -1], [1, 1])):
        assert instance.call([pa.array(batch)], 2)[0].to_pylist() == wanted
        assert instance.counts.bailed
    instance.close()
