"""Every operation of the subset, for a table over all pairs of edge values: (source, types of arguments, result)."""

import itertools

from tests.compiled.container_operations import container_operations
from tests.compiled.nested_operations import nested_operations

_COMPARED = [*itertools.product("ifb", repeat=2), *[(t, t) for t in "sdt"]]


def _lambda(body, types, result, head=""):
    return f"{head}lambda {', '.join('abc'[: len(types)])}: {body}", "".join(types), result


def operations():
    """Yield all of them."""
    yield from _operators()
    yield from _functions()
    yield from _texts()
    yield from _dates()
    yield from _decimals()
    yield from container_operations()
    yield from nested_operations()
    yield from _statements()


def _operators():
    for op, (a, b) in itertools.product(["+", "-", "*", "/", "//", "%"], itertools.product("ifb", repeat=2)):
        yield _lambda(f"a {op} b", a + b, "DOUBLE" if op == "/" or "f" in (a, b) else "BIGINT")
    for op, (a, b) in itertools.product(["&", "|", "^", ">>"], itertools.product("ib", repeat=2)):
        yield _lambda(f"a {op} b", a + b, "BIGINT")
    yield _lambda("a << b if b < 70 else 0", "ii", "BIGINT")
    for op, (a, b) in itertools.product(["<", "<=", ">", ">=", "==", "!="], _COMPARED):
        yield _lambda(f"a {op} b", a + b, "BOOLEAN")
    yield from (_lambda(f"a {op} b", "si", "BOOLEAN") for op in ("==", "!="))
    for body in ("a ** 2", "a ** 0.5", "a ** 3", "2 ** a if -2 < a < 3 else 0", "a ** b"):
        yield _lambda(body, "ff", "DOUBLE")
    for k, op in itertools.product((2, 3, 7, 10, -1, -3, 1000, 2**31, -(2**63)), ["+", "-", "*", "//", "%", "&", "|"]):
        yield _lambda(f"a {op} ({k})", "i", "BIGINT")
        yield _lambda(f"({k}) {op} a", "i", "BIGINT")
    for t in "ib":
        yield from (_lambda(body, t, "BIGINT") for body in ("-a", "+a", "a ** 3", "a ** 0"))
    yield from (_lambda(body, "i", "BIGINT") for body in ("~a", "a << 3", "a >> 2", "(a & 255) * 3 + 1"))
    yield from (_lambda(f"a {op} b", t, "DOUBLE") for op in ("and", "or") for t in ("ii", "if", "ff", "bi"))
    yield from (_lambda(f"a < b {op} a", "ii", "BOOLEAN") for op in ("<", "==", "!="))


def _functions():
    head = "import math\n"
    of_one = "sqrt fabs sin cos tan exp log log2 log10 log1p expm1 atan asin acos sinh cosh tanh asinh acosh atanh cbrt"
    for name, t in itertools.product([*of_one.split(), "exp2", "radians", "degrees"], "fi"):
        yield _lambda(f"math.{name}(a)", t, "DOUBLE", head)
    for name, t in itertools.product(["hypot", "atan2", "fmod", "pow", "copysign"], ("ff", "if", "fi")):
        yield _lambda(f"math.{name}(a, b)", t, "DOUBLE", head)
    yield from (_lambda(f"math.{name}(a)", "f", "BIGINT", head) for name in ("floor", "ceil", "trunc"))
    yield from (_lambda(f"math.{name}(a)", "f", "BOOLEAN", head) for name in ("isnan", "isinf", "isfinite"))
    yield _lambda("math.log(a, b)", "ff", "DOUBLE", head)
    yield from (_lambda(f"round(a, {n})", "f", "DOUBLE") for n in (0, 1, 2, 5, -1, -3, 17, 330, -400))
    for t in "fib":
        yield from (_lambda(f"{name}(a)", t, "BIGINT") for name in ("int", "round"))
        yield _lambda("abs(a)", t, "DOUBLE")
        yield _lambda("float(a)", t, "DOUBLE")
        yield _lambda("str(a)", t, "VARCHAR")
        yield from (_lambda(body, t, "BOOLEAN") for body in ("bool(a)", "not a"))
    yield from (_lambda(f"{name}(a, b)", t, "DOUBLE") for name in ("min", "max") for t in ("ii", "if", "ff", "bi"))
    yield _lambda("divmod(a, b)[0] + divmod(a, b)[1]", "ii", "BIGINT")
    yield _lambda("chr(a)", "i", "VARCHAR")
    yield _lambda("f'{a:d}'", "b", "VARCHAR")
    for spec in ("05d", "3d", "d", "10", "01", ",", "+d", "x", ">8", "<8", "^8", "_d", "08.2f", "e", "b"):
        yield _lambda(f"f'{{a:{spec}}}'", "i", "VARCHAR")
    for spec in (".0f", ".2f", ".10f", ",.2f", "+.1f", "10.3f", ".3e", ".4g", ".1%", "", "g"):
        yield _lambda(f"f'{{a:{spec}}}'", "f", "VARCHAR")
    for template in ("%d", "%05d", "%s|%%"):
        yield _lambda(f"'{template}' % a", "i", "VARCHAR")
    yield from (_lambda(f"'{template}' % a", "f", "VARCHAR") for template in ("%.2f", "%s", "%8.3f"))
    yield _lambda("'{0} and {1:>6}|{0}'.format(a, b)", "is", "VARCHAR")
    yield _lambda("'{x}-{}'.format(a, x=b)", "sf", "VARCHAR")


def _texts():
    for name in ["upper", "lower", "title", "capitalize", "swapcase", "casefold", "strip", "lstrip", "rstrip"]:
        yield _lambda(f"a.{name}()", "s", "VARCHAR")
    for name in ["isdigit", "isalpha", "isalnum", "isspace", "isupper", "islower", "isascii", "isdecimal", "isnumeric"]:
        yield _lambda(f"a.{name}()", "s", "BOOLEAN")
    yield from (_lambda(f"a.{name}(b)", "ss", "BIGINT") for name in ["find", "rfind", "index", "rindex", "count"])
    yield from (_lambda(f"a.{name}(b)", "ss", "BOOLEAN") for name in ("startswith", "endswith"))
    for name in ["removeprefix", "removesuffix", "strip", "lstrip", "rstrip"]:
        yield _lambda(f"a.{name}(b)", "ss", "VARCHAR")
    for name in ("split", "rsplit"):
        yield _lambda(f"'|'.join(a.{name}(b))", "ss", "VARCHAR")
        yield _lambda(f"'|'.join(a.{name}(b, 1))", "ss", "VARCHAR")
        yield _lambda(f"a.{name}(b)[-1]", "ss", "VARCHAR")
        yield _lambda(f"'|'.join(a.{name}())", "s", "VARCHAR")
    for name in ("partition", "rpartition"):
        yield _lambda(f"'|'.join(a.{name}(b))", "ss", "VARCHAR")
        yield _lambda(f"a.{name}(b)[2]", "ss", "VARCHAR")
    bodies = ["a + b", "a + b + a", "f'{a}|{b}|{a}'", "a.split(b)[0]", "a.replace(b, '<>')", "a.replace('a', b)"]
    yield from (_lambda(body, "ss", "VARCHAR") for body in [*bodies, "min(a, b)", "max(a, b)", "a and b", "a or b"])
    bodies = ["a[::-1]", "'|'.join(a.splitlines())", "''.join(c for c in a if c.isalnum())", "'-'.join(reversed(a))"]
    bodies += ["''.join([w[0].upper() for w in a.split()])", "f'{a:>12}'", "f'{a:^9.4}'", "'|'.join(a.split(',')[1:])"]
    yield from (_lambda(body, "s", "VARCHAR") for body in bodies)
    yield from (_lambda(body, "ss", "BOOLEAN") for body in ("a in b", "a not in b", "a.startswith((b, 'a'))"))
    bodies = ["len(a)", "int(a)", "ord(a)", "sum(1 for c in a)", "len(a.split())", "max(len(w) for w in a.split())"]
    yield from (_lambda(body, "s", "BIGINT") for body in bodies)
    yield _lambda("float(a)", "s", "DOUBLE")
    bounds = ["", "0", "1", "2", "-1", "-3", "100", "b", "-9223372036854775808"]
    for start, stop in itertools.product(bounds, repeat=2):
        yield _lambda(f"a[{start}:{stop}]", "si", "VARCHAR")
    yield _lambda("a[b]", "si", "VARCHAR")
    yield _lambda("a.split(',')[b]", "si", "VARCHAR")
    bodies = ["a.zfill(b)", "a.rjust(b, '*')", "a.ljust(b)", "a.center(b)", "a * b"]
    yield from (_lambda(f"{body} if b < 40 else ''", "si", "VARCHAR") for body in bodies)
    yield from _more_texts()


def _more_texts():
    bounds = [(), (0,), (1,), (-2,), (100,), ("None", 2), (1, 3), (2, -1), (5, 2), ("None", "None"), (-100, 100)]
    for name, some in itertools.product(["find", "rfind", "index", "count", "startswith", "endswith"], bounds):
        called = ", ".join(map(str, ("b", *some)))
        yield _lambda(f"a.{name}({called})", "ss", "BOOLEAN" if name.endswith("with") else "BIGINT")
    yield from (_lambda(f"a.{name}('a', b)", "si", "BIGINT") for name in ("find", "rfind", "count"))
    yield from (_lambda(f"a.{name}(('a', 'ß', ''), b, 3)", "si", "BOOLEAN") for name in ("startswith", "endswith"))
    yield from (_lambda(f"a.replace(b, '-', {most})", "ss", "VARCHAR") for most in (0, 1, 2, -1, 100))
    yield from (_lambda(body, "ss", "VARCHAR") for body in ("a.replace('', b)", "a.replace(b, '')"))
    yield _lambda("a.replace('', '+', b) if b < 99 else ''", "si", "VARCHAR")
    yield from (_lambda(f"int(a, {base})", "s", "BIGINT") for base in (2, 8, 10, 16, 36, 0, 1, 37))
    yield _lambda("int(a, base=b)", "si", "BIGINT")
    tables = ["str.maketrans('abcH', 'xyzß')", "{97: 'AA', 98: None, 32: 95, 223: 'ss', 128512: '☺'}"]
    tables += ["str.maketrans('', '', string.punctuation + 'é')", "str.maketrans({'a': 'é', 'ß': ''})"]
    for table in tables:
        yield _lambda("a.translate(T)", "s", "VARCHAR", f"import string\nT = {table}\n")
        yield f"import string\ndef f(a):\n t = {table}\n return a.translate(t)", "s", "VARCHAR"
    yield _lambda("a.translate(str.maketrans('a', 'b'))", "s", "VARCHAR")
    yield from (_lambda(f"a.expandtabs({size})", "s", "VARCHAR") for size in ("", 0, 4, -1, "tabsize=3"))
    yield from (_lambda(f"'|'.join(a.splitlines({keep}))", "s", "VARCHAR") for keep in ("True", "keepends=False", 1))
    yield from (_lambda(f"a.{name}()", "s", "BOOLEAN") for name in ("isidentifier", "isprintable", "istitle"))
    cuts = ["::2", "1::2", "::-2", "5:0:-1", "-1:-5:-2", "::3", "100::-1", ":-100:-1", "-100:2:1", "2:2:-1"]
    for cut in cuts:
        yield _lambda(f"a[{cut}]", "s", "VARCHAR")
        yield _lambda(f"'|'.join(a.split(',')[{cut}])", "s", "VARCHAR")
    yield from (_lambda(f"a[{cut}]", "si", "VARCHAR") for cut in ("::b", "b::-1", ":b:2", "b:1:b"))
    yield from (
        _lambda(body, "s", "VARCHAR") for body in ("f'{a!r}|{a!r:>9}'", "repr(a)", "'%r' % a", "'{!r}'.format(a)")
    )
    yield from (_lambda(body, "f", "VARCHAR") for body in ("f'{a!r}'", "repr(a)"))
    yield _lambda('f\'{a:>{b % 50}}|{a:{"<" if b else ">"}9}\'', "si", "VARCHAR")
    yield _lambda("f'{b:.{a % 9}f}|{a:{3}d}'", "if", "VARCHAR")
    for template in ("%5s", "%-7s|", "%.2s", "%6.1s"):
        yield _lambda(f"'{template}' % a", "s", "VARCHAR")
    for template in ("%x", "%05x", "%+d", "%-6d|", "% d", "%o", "%X", "%+05i"):
        yield _lambda("T % a", "i", "VARCHAR", f"T = '{template}'\n")


def _dates():
    for part, t in itertools.product(["year", "month", "day", "weekday()", "isoweekday()", "toordinal()"], "dt"):
        yield _lambda(f"a.{part}", t, "BIGINT")
    iso = ["isocalendar()[1]", "isocalendar().week", "isocalendar().year", "isocalendar()[2]"]
    yield from (_lambda(f"a.{part}", t, "BIGINT") for part in iso for t in "dt")
    yield from (_lambda(f"a.{part}", "t", "BIGINT") for part in ["hour", "minute", "second", "microsecond"])
    yield from (
        _lambda(f"(a - b).{part}", t, "BIGINT") for part in ("days", "seconds", "microseconds") for t in ("dd", "tt")
    )
    yield _lambda("(a - b).total_seconds()", "tt", "DOUBLE")
    yield _lambda("(a - b) / timedelta(hours=1)", "tt", "DOUBLE", "from datetime import timedelta\n")
    yield _lambda("(a - b) // timedelta(days=7)", "dd", "BIGINT", "from datetime import timedelta\n")
    yield _lambda("str(a)", "d", "VARCHAR")
    yield _lambda("str(a)", "t", "VARCHAR")
    yield from (_lambda("a.isoformat()", t, "VARCHAR") for t in "dt")
    yield _lambda("a.strftime('%Y-%m-%d %H:%M:%S')", "t", "VARCHAR")
    yield _lambda("f'{a:%d/%m/%Y}'", "d", "VARCHAR")
    yield _lambda("a.strftime('%A %a, %d %B %b %y')", "d", "VARCHAR")
    yield _lambda("f'{a:%A} {a.hour}'", "t", "VARCHAR")
    yield from (_lambda("a.strftime('%j|%I %p|%f|%u%w|%F %T|%R|%%')", t, "VARCHAR") for t in "dt")
    yield _lambda("a.date()", "t", "DATE")
    yield _lambda("a", "d", "TIMESTAMP")
    yield _lambda("a.replace(day=1)", "d", "DATE")
    yield from (_lambda(f"a.replace({part}=b)", "di", "DATE") for part in ("year", "month", "day"))
    yield from (_lambda(f"a.replace({part}=b)", "ti", "TIMESTAMP") for part in ("month", "hour", "microsecond"))
    yield from (_lambda("'%d-%d-%d' % a.isocalendar()", t, "VARCHAR") for t in "dt")
    yield _lambda("a.isocalendar().week + a.isocalendar()[0] * 100", "d", "BIGINT")
    head = "from datetime import date, datetime, timedelta\n"
    for body in ("a - b", "(a - b) / 7", "(a - b) / -4", "(a - b) // 3", "(a - b) % timedelta(hours=5)", "abs(b - a)"):
        yield _lambda(f"str({body})", "tt", "VARCHAR", head)
    yield _lambda("str(timedelta(hours=1.5) * a / 2) if -10**9 < a < 10**9 else ''", "i", "VARCHAR", head)
    for body, t in (("a + timedelta(days=b)", "d"), ("a - timedelta(days=b)", "d"), ("a - timedelta(hours=b)", "d")):
        yield _lambda(body, t + "i", "DATE", head)
    yield from (
        _lambda(f"a {op} timedelta({unit}=b)", "ti", "TIMESTAMP", head) for op in "+-" for unit in ("hours", "seconds")
    )
    yield _lambda("date(a, b, 29)", "ii", "DATE", head)
    yield _lambda("datetime(2024, a, b, 1, b)", "ii", "TIMESTAMP", head)
    yield _lambda("datetime.strptime(a, '%Y-%m-%d').date()", "s", "DATE", head)
    yield _lambda("date.fromisoformat(a)", "s", "DATE", head)
    yield _lambda("datetime.fromisoformat(a)", "s", "TIMESTAMP", head)
    shown = ["%Y%m%d", "%d %b %Y", "%d.%m.%y", "%Y-%m-%dT%H:%M:%S.%f", "%Y%m%d%H%M%S", "y%Y;%H", "%b%d%y"]
    for form in shown:
        yield _lambda(f"datetime.strptime(a, '{form}')", "s", "TIMESTAMP", head)
        yield _lambda(f"datetime.strptime(a.strftime('{form}'), '{form}')", "t", "TIMESTAMP", head)
    yield _lambda("a > datetime(2020, 1, 1)", "t", "BOOLEAN", head)
    yield _lambda("(D - a).days", "d", "BIGINT", f"{head}D = date(2024, 2, 29)\n")


_DECIMALS = "import math\nfrom decimal import *\n"
_OF_DECIMALS = "-a +a abs(a) round(a) round(a,2) round(a,-1) round(a,5) int(a) float(a) a.normalize() a.sqrt() a**2"
_OF_DECIMALS += " Decimal(str(a)) a.to_integral_value() math.floor(a) math.ceil(a) math.trunc(a) math.sqrt(a) bool(a)"
_OF_DECIMALS += (
    " a.is_zero() a.is_signed() a.is_finite() a*Decimal('1.19') a/Decimal('1.19') a/3 a*7 1-a 2*a/3 a//7 a%7 -7%a"
)
_OF_DECIMALS += (
    " a*Decimal('1E+20') a+Decimal('-0.0') Decimal('-0')*a a+Decimal('1E-25') a-Decimal('1234567890123456789012')"
)


def _decimals():
    for op in ("+", "-", "*", "/", "//", "%"):
        yield _lambda(f"str(a {op} b)", "mm", "VARCHAR", _DECIMALS)
        yield _lambda(f"a {op} b", "mm", "WIDE" if op in "*/" else "DECIMAL", _DECIMALS)
        yield _lambda(f"str(a {op} b) + str(b {op} a)", "mi", "VARCHAR", _DECIMALS)
    for op, types in itertools.product(("<", "<=", ">", ">=", "==", "!="), ("mm", "mi", "im")):
        yield _lambda(f"a {op} b", types, "BOOLEAN", _DECIMALS)
    yield from (_lambda(f"str({body})", "m", "VARCHAR", _DECIMALS) for body in _OF_DECIMALS.split())
    for name in ("UP", "DOWN", "CEILING", "FLOOR", "HALF_UP", "HALF_DOWN", "HALF_EVEN", "05UP"):
        to = f"Decimal('0.01'), rounding=ROUND_{name}"
        yield _lambda(f"str(a.quantize({to})) + str(a.to_integral_value(ROUND_{name}))", "m", "VARCHAR", _DECIMALS)
        yield _lambda(f"str((a * b).quantize({to}))", "mm", "VARCHAR", _DECIMALS)
    bodies = [
        "divmod(a, b)[0] + divmod(a, b)[1]",
        "max(a, b)",
        "min(a, b, 3)",
        "sum([a, b, 1])",
        "sum([a, b], Decimal('0.5'))",
    ]
    bodies += ["a.quantize(b)", "a if a < b else b", "a or b", "sum(a * k for k in range(3))", "(a + b) * (a - b) / 4"]
    yield from (_lambda(f"str({body})", "mm", "VARCHAR", _DECIMALS) for body in bodies)
    yield _lambda("str(+(Decimal('-0') * a)) + str(Decimal(-0) - a)", "m", "VARCHAR", _DECIMALS)
    yield from (_lambda(body, "mm", result, _DECIMALS) for body, result in [("a * 2 + b", "DOUBLE"), ("a + b", None)])
    yield _lambda("a", "i", "DECIMAL")
    yield _lambda("Decimal(a) / 8", "i", "WIDE", _DECIMALS)
    for spec in ("", ".2f", ",.1f", "+.0f", "10.3f", ">12", "e", ".3g", "%", "010.1f", "<8"):
        yield _lambda(f"f'{{a:{spec}}}'", "m", "VARCHAR")
    yield _lambda("'%s %d %.2f' % (a, a, a)", "m", "VARCHAR")
    read = "try:\n  return str(Decimal(a)) + '|' + str(+Decimal(a))\n except InvalidOperation:\n  return 'none'"
    yield f"{_DECIMALS}def f(a):\n {read}", "s", "VARCHAR"
    for error in ("ZeroDivisionError", "InvalidOperation", "DivisionByZero", "ArithmeticError", "DecimalException"):
        body = f"try:\n  return str(a {{}} b)\n except {error}:\n  return 'error'"
        yield from ((f"{_DECIMALS}def f(a, b):\n {body.format(op)}", "mm", "VARCHAR") for op in ("/", "//", "%"))
    head = f"{_DECIMALS}RATES = {{'DE': Decimal('0.19'), 'FR': Decimal('0.2'), 'a': None, 'b': 3}}\n"
    yield f"{head}def f(a, b):\n return str(RATES.get(b, a))", "ms", "VARCHAR"
    yield f"{head}def f(a, b):\n return a * (1 + (RATES.get(b) or 0))", "ms", "WIDE"
    yield f"{_DECIMALS}def f(a):\n return str(isinstance(a, Decimal)) + str(a == None) + str(a == 'x')", "m", "VARCHAR"


_LOOPS = [
    "for k in range(a, b):\n  n += 1\n  if n > 5: break",
    "for k in range(a, b, -1):\n  n += 1\n  if n > 5: break",
    "for k in range(a, b, 4611686018427387904):\n  n += 1\n  v = k",
    "for k in range(a, b):\n  n = k\n  break\n else:\n  n = 77",
    "while a > n:\n  n = n * 2 + 1\n else:\n  n -= 1",
    "for i, k in enumerate(range(b % 5), a % 100):\n  n += i * k",
]


_FINALLY = [
    "def f(a):\n n = 0\n try:\n  if a > 3: return n + a // 2\n  n = 5\n finally:\n  n += 1\n return n",
    (
        "def f(a):\n n = []\n for i in range(4):\n  try:\n   if i == a: break\n   if i == 1: continue\n   n.append(i)\n"
        "  finally:\n   n.append(10)\n else:\n  n.append(100)\n return sum(n)"
    ),
    (
        "def f(a):\n p = []\n try:\n  try:\n   p.append(10 // a)\n  except ZeroDivisionError:\n   return sum(p) - 1\n"
        "  finally:\n   p.append(3)\n finally:\n  p.append(4)\n return sum(p)"
    ),
    "def f(a):\n try:\n  return a\n finally:\n  if a > 2: return 99",
    (
        "def g(p, a):\n try:\n  p.append(10 // a)\n finally:\n  p.append(7)\n return 1\n"
        "def f(a):\n p = []\n try: g(p, a)\n except ZeroDivisionError: pass\n return len(p)"
    ),
]
_NAMESPACES = """from enum import Enum
from functools import partial
from types import SimpleNamespace
class C:
    RATE = 0.19
    class Inner:
        X = 5
    @staticmethod
    def twice(x): return x * 2
class K(Enum):
    RED = 1
    BLUE = 'b'
N = SimpleNamespace(a=3, t=('x', 'y'))
def add(x, y, z=1): return x + y * z
p5 = partial(add, 5, z=2)
p2 = partial(round, ndigits=2)
"""


def _statements():
    for loop in _LOOPS:
        yield f"def f(a, b):\n n = 0\n {loop}\n return n", "ii", "BIGINT"
    head = "T = {'DE': 19, 'FR': 20, '': -1}\nM = {'a': 1, 'b': 'x', 'c': None, 'd': 2.5}\nN = (3, 1.5, 'x', None)\n"
    yield f"{head}def f(a): return T[a]", "s", "BIGINT"
    yield f"{head}def f(a): return T.get(a)", "s", "BIGINT"
    lazy = "try:\n  return T.get(a, 1 // len(a))\n except ZeroDivisionError:\n  return -5"
    yield f"{head}def f(a):\n {lazy}", "s", "BIGINT"
    yield f"{head}def f(a): return str(M.get(a[:1], a))", "s", "VARCHAR"
    yield f"{head}def f(a): return str(N[a % 4])", "i", "VARCHAR"
    yield f"{head}def f(a):\n for k, v in T.items():\n  if k in a: return v\n return None", "s", "BIGINT"
    handlers = "except ValueError:\n  return -1\n except ZeroDivisionError:\n  return -2"
    yield f"def f(a, b):\n try:\n  return int(a) // b\n {handlers}", "si", "BIGINT"
    yield "def f(a, b):\n try:\n  v = a[b]\n except IndexError: v = '?'\n else: v = v + '!'\n return v", "si", "VARCHAR"
    yield "def f(a, b):\n x, y = b, a\n x, y = y, x\n return (x, y) < (a, b) or (x, y) == (a, b)", "ii", "BOOLEAN"
    yield "def f(a, *rest, k=3): return a + len(rest) + k", "ii", "BIGINT"
    yield "def g(x, y=2, *, z=1): return x * y + z\ndef f(a): return g(a) + g(y=a, x=1) + g(a, z=0)", "i", "BIGINT"
    yield "def f(a): return sum([a, 0.1, 0.2, 1e100, -1e100])", "f", "DOUBLE"
    yield "def f(a, b): return sum(x for x in (a, b, 0.1, a))", "ff", "DOUBLE"
    yield "def f(a): return any(c.isdigit() for c in a) and not all(c == 'a' for c in a)", "s", "BOOLEAN"
    yield "def f(a): return max(int(x) for x in a.split(',') if x.isdigit())", "s", "BIGINT"
    yield (
        "def f(a):\n match a:\n  case 0 | 1: return 'low'\n  case 7 if a > 5: return 'seven'\n  case _: return 'other'",
        "i",
        "VARCHAR",
    )
    yield "def f(a):\n if (n := len(a)) > 3: return n\n return -n", "s", "BIGINT"
    yield "def f(a):\n x = a if a > 0 else 0.5\n for _ in range(2):\n  x = x * 2 if x else 1\n return x", "i", "DOUBLE"
    yield "def f(a, b): return a in (b, 1.0)", "ff", "BOOLEAN"
    yield "def f(a, b):\n for x, y in zip(a, b):\n  if x != y: return x + y\n return ''", "ss", "VARCHAR"
    yield "def f(a): return [w.lower() for w in a.split()][0]", "s", "VARCHAR"
    yield "def f(a):\n v = None\n while v is None:\n  v = 1 if a > 0 else 'x'\n return str(v)", "i", "VARCHAR"
    yield "def f(a, b):\n for k in range(a, b):\n  v = k\n  break\n return v", "ii", "BIGINT"
    yield "def f(a):\n try:\n  return 10 // a\n except ValueError:\n  return -1", "i", "BIGINT"
    head = "from datetime import date\n"
    yield f"{head}def f(a):\n try:\n  return date(a, 1, 1)\n except ValueError:\n  return None", "i", "DATE"
    yield "def f(a):\n x, s = a, ''\n for k in range(3):\n  s = s + str(x)\n  x = x / 2\n return s", "i", "VARCHAR"
    yield "def f(a):\n x, n = a % 3, 0\n while n < 3:\n  n += 1\n  x = 'x' * n + str(x)\n return x", "i", "VARCHAR"
    yield (
        "def f(a):\n p = (a % 7, (0, 1))\n for k in range(3):\n  p = (k, (p[1][1] / 2, p[0]))\n return str(p[1][0])",
        "i",
        "VARCHAR",
    )
    yield "def f(a):\n n = 0\n for c in a:\n  n = n * 100000007 + 1\n return n", "s", "BIGINT"
    yield "def f(a):\n x = a if a > 5 else None\n if x is None:\n  return str(x)\n return 'n' + str(x)", "i", "VARCHAR"
    yield from ((source, "i", "BIGINT") for source in _FINALLY)
    for body in (
        "C.RATE * a",
        "C.Inner.X + C.twice(a)",
        "K.RED.value * len(K.BLUE.name)",
        "N.a + a",
        "p5(a) + p5(a, z=3)",
    ):
        yield _lambda(f"({body}) if -1000 < a < 1000 else 0", "i", "DOUBLE", _NAMESPACES)
    yield _lambda("p2(a / 3)", "f", "DOUBLE", _NAMESPACES)
    yield "def f(a): return a", "i", None
    yield "def f(a): return a if a > 5 else None", "f", None
    yield "def f(a): return a.upper()", "s", None
