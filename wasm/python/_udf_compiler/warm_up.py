"""The last step of the compiler's part of the snapshot: work that each instance would do again."""

import __future__

import gc

from _udf_guest.sources import sources

from _udf_compiler.translation import translate

_FILE = "<warm-up>"
_SOURCE = """
import math
import re
RATES = {'a': 0.5, 'b': 1.5}
P = re.compile(r'(\\d+)-(\\d+)')
def g(x): return x % 7
def f(x, s):
    total = 0.0
    for part in s.split(','):
        try:
            total += RATES.get(part.strip().upper(), 0.0) * round(float(part) / x, 2)
        except ValueError:
            total -= math.sqrt(g(x))
    if x is None or not s:
        return ''
    m = P.search(s)
    return f'{total:.2f} {s[:3]}' if m is None else m.group(1)
"""
_ARGUMENTS = (("BIGINT", True, 0), ("VARCHAR", False, 0))


def warm_up():
    """Leave in the snapshot what a first translation would make each instance do again.

    The interpreter specializes code it has run a few times. So a fresh instance writes to fewer pages, each of which it
    has to copy. Most instances look up what another one has translated.
    """
    namespace = {"__builtins__": __builtins__, "__name__": "warm-up"}
    sources[_FILE] = [_SOURCE]
    flags = __future__.annotations.compiler_flag  # as definitions are compiled
    exec(compile(_SOURCE, _FILE, "exec", flags, dont_inherit=True), namespace)
    for _ in range(4):
        description, _, recipe, *_ = translate(namespace["f"], _ARGUMENTS, "VARCHAR", b"")
        assert recipe, description
        for _ in range(25):
            assert translate(namespace["f"], _ARGUMENTS, "VARCHAR", recipe)[3]
    sources.clear()
    gc.collect()
    gc.freeze()
