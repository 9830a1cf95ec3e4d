"""Random programs of the subset, and more: what the compiler refuses or leaves out must be as right as the rest."""

import random
import re

from tests.compiled.values import DAYS, FLOATS, INTS, MICROS, TEXTS

HEAD = r"""
import math
import re
from datetime import date, datetime, timedelta
PATTERN = re.compile(r'(\w)(-|\d)?')
LETTERS = str.maketrans('aeDF', 'AE--', 'xß')
TABLE = {'DE': 19, 'FR': 20, 'ß': -1, '': 7, 'x@y.com': 9223372036854775807}
RATES = {'DE': 0.19, 'FR': 0.2}
NAMES = {'DE': 'Germany', 'FR': 'Fränce', 'a': ''}
MIXED = {'DE': 1, 'FR': 2.5, 'a': None, 'b': 'x', '': True}
BYINT = {0: 5, 1: -3, 7: 2}
NUMBERS = (3, 1, -4, 9)
PAIRS = [(1, 2), (3, -4), (0, 9223372036854775807)]
WORDS = frozenset({'a', 'DE', 'abc', 'Hello World', 'é'})
DATETIME = datetime(2024, 2, 29, 23, 59, 59, 999999)
def helper(a, b=3):
    if b == 0: return a
    return a % b if a > b else b - a
def first(s):
    m = PATTERN.search(s)
    return m[0] + str(m[2]) if m else s
def either(a, s):
    if a > 3: return s
    return None if a < 0 else a
"""
# Expressions by type: $t is an expression of a type, $t0 one without operations, {{a;b;c}} a choice.
_TEXT = {
    "int": """
($int {{+;-;*}} $int) ~~ ($int {{+;-;*}} $int) ~~ ($int {{+;-;*}} $int) ~~ ($int {{//;%}} $int)
($int {{&;|;^}} $int)
(-$int) ~~ (~$int) ~~ ($int {{<<;>>}} $int0) ~~ ($int >> {{1;3;62;64}}) ~~ abs($int) ~~ {{min;max}}($int, $int)
{{int;round;math.floor;math.ceil;math.trunc}}($float) ~~ len($str) ~~ $str.{{find;rfind;count;index}}($str)
int($str)
int($bool) ~~ ($int + $bool) ~~ ($int ** {{0;1;2;3;5;13}})
$date.{{year;month;day;weekday();isoweekday();toordinal()}}
($date - $date).days ~~ TABLE[$str] ~~ TABLE.get($str, $int) ~~ sum($int1 for k in range({{0;1;5}})) ~~ helper($int)
sum(k * $int0 for k in range($int0 % 7)) ~~ len($str.split({{',';'@';' ';}})) ~~ helper($int, $int) ~~ ord($str)
BYINT.get($int, $int) ~~ NUMBERS[$int] ~~ NUMBERS[$int % 4] ~~ divmod($int, $int)[{{0;1}}] ~~ sum([$int, $int])
$datetime.{{year;month;day;hour;minute;second;microsecond;weekday()}} ~~ ($int * $int + $int) ~~ max([$int, $int, 3])
($int if $bool else $int) ~~ ($int {{or;and}} $int) ~~ len($str.splitlines()) ~~ max(len(w) for w in $str.split())
sum(len(w) for w in $str.split() if w != $str0) ~~ helper(b=$int, a=$int)""",
    "float": """
($float {{+;-;*}} $float) ~~ ($float {{+;-;*}} $float) ~~ ($int {{+;-;*}} $float) ~~ ($float / $float)
($int / $int)
($float {{//;%}} $float) ~~ ($float % $int) ~~ ($float ** {{2;0.5;3;-1;0}}) ~~ ($float ** $float) ~~ float($int)
float($str) ~~ abs($float) ~~ {{min;max}}($float, $float) ~~ {{min;max}}($int, $float) ~~ (-$float)
RATES.get($str, $float)
round($float, {{0;1;2;3;-1;-2;10}})
math.{{sqrt;fabs;sin;cos;tan;exp;log;log2;log10;atan;asin;tanh;log1p;expm1}}($float)
math.{{sqrt;log;radians}}($int) ~~ math.{{hypot;atan2;copysign;fmod;pow}}($float, $float)
math.log($float, {{2;10;3.5}})
($date - $date).total_seconds() ~~ ($float * $float + $float) ~~ sum([$float, $float, 0.1])
($float if $bool else $float)
sum($float0 * k for k in range($int0 % 5)) ~~ ($float {{or;and}} $float)""",
    "bool": """
($int {{<;<=;>;>=;==;!=}} $int) ~~ ($float {{<;<=;>;>=;==;!=}} $float) ~~ ($int {{<;<=;>;>=;==;!=}} $float)
($float {{<;==}} $int) ~~ ($str {{<;<=;>;==;!=}} $str) ~~ ($bool {{and;or}} $bool) ~~ (not $bool) ~~ (not $int)
(not $str) ~~ ($str {{in;not in}} $str) ~~ $str.{{startswith;endswith}}($str) ~~ ($int {{<;<=}} $int {{<;<=;==}} $int)
$str.{{isdigit;isalpha;isalnum;isspace;isupper;islower;isascii;isnumeric}}() ~~ bool($int) ~~ bool($str)
($str in {{TABLE;WORDS;('a', 'DE', 'x');('ß', '')}}) ~~ ($int in {{{-1, 0, 7, 2};(1, 2, 3);NUMBERS}})
($date {{<;<=;>;==}} $date) ~~ any(c.isdigit() for c in $str) ~~ all(c in $str0 for c in $str0)
(($int0, $str0) {{<;==;>=}} ($int0, $str0)) ~~ ($int in ($int0, $int0))
isinstance($int, {{int;str;(int, float)}})""",
    "str": r"""
$str.{{upper;lower;title;capitalize;swapcase;casefold}}() ~~ $str.{{strip;lstrip;rstrip}}({{;' x';'ab-';'ß'}})
$str.replace($str, $str) ~~ $str[{{;0;1;-2;5}}:{{;1;3;-1}}] ~~ $str[$int0:] ~~ $str[:$int0] ~~ $str[{{0;-1;1}}]
$str[$int0]
$str.split({{',';'@';' ';'ab'}})[{{0;1;-1;2}}] ~~ $str.split()[{{0;1;-1}}] ~~ f'{$int0}-{$str0}' ~~ str($int)
str($float)
f'{$int0:{{5d;03d;,;>6;x}}}|' ~~ str($bool) ~~ ($str + $str) ~~ ($str * {{0;1;2;3;-1}}) ~~ NAMES.get($str, $str)
{{'-';'';', '}}.join($str.split({{;','}})) ~~ $str.{{zfill;ljust;rjust;center}}({{0;3;8;12}}) ~~ NAMES[$str]
str($datetime)
str(MIXED.get($str, $int)) ~~ $date.isoformat() ~~ $date.strftime({{'%Y-%m-%d';'%d.%m.%Y %H'}}) ~~ ($str or $str)
$str.{{removeprefix;removesuffix}}($str) ~~ {{'';'-';'ß'}}.join({{c;c.upper();c + 'x'}} for c in $str) ~~ chr($int)
$str.{{partition;rpartition}}({{',';'a'}})[{{0;1;2}}] ~~ ''.join(c for c in $str if {{c.isdigit();c != 'a';c > 'b'}})
str(round($float, 2)) ~~ ($str + $str + $str) ~~ f'{$float0:{{.2f;.0f;10.3f;g}}}' ~~ $str[::-1]
str(either($int, $str))
re.sub({{r'\d+';'[^a-z]';r'\s'}}, {{'';'-'}}, $str) ~~ $str.translate(LETTERS) ~~ $str[::{{2;-1;-3}}] ~~ repr($str)
first($str) ~~ '|'.join(re.split('[a, ]', $str)) ~~ f'{$str0:>{$int0 % 9}}'
$str.rsplit({{',';'a'}}, {{1;2}})[{{0;-1}}] ~~ ('%s-%d' % ($str, $int)) ~~ ($str if $bool else $str)
'{}:{}'.format($str, $int)
'|'.join([w.strip() for w in $str.split(',')]) ~~ {{min;max}}($str, $str)""",
    "date": """
($date {{+;-}} timedelta(days=$int1)) ~~ $date.replace({{day;month;year}}={{1;12;31}}) ~~ $date0 ~~ $date0
$date.replace({{day;month}}=$int0) ~~ date($int0, $int0, $int0) ~~ {{min;max}}($date, $date) ~~ $datetime.date()
($date if $bool else $date)""",
    "datetime": "$datetime0",
}
_EXPRESSIONS = {t: [e for line in text.strip().split("\n") for e in line.split(" ~~ ")] for t, text in _TEXT.items()}
_CHOICE = re.compile(r"\{\{(.*?)\}\}")
_PLACE = re.compile(r"\$(int|float|bool|str|datetime|date)(\d?)")
_SQL = {"int": ["BIGINT", "INTEGER"], "float": ["DOUBLE"], "str": ["VARCHAR"], "bool": ["BOOLEAN"]}
_SQL |= {"date": ["DATE"], "datetime": ["TIMESTAMP"]}
_RESULTS = {
    "int": ["BIGINT", "BIGINT", "DOUBLE"],
    "float": ["DOUBLE"],
    "str": ["VARCHAR"],
    "bool": ["BOOLEAN", "BIGINT"],
}
_RESULTS |= {"date": ["DATE", "TIMESTAMP"]}
_POOLS = {"int": INTS, "float": FLOATS, "str": TEXTS, "bool": [True, False], "date": DAYS, "datetime": MICROS}
_SHORT = ["a", "@", ",", " ", "b", "-", "x", "DE", "e", "1"]
_ERRORS = ["ValueError", "ZeroDivisionError", "(KeyError, IndexError)", "Exception", "LookupError", "ArithmeticError"]


class Program:
    """One program.

    Attributes:
        source: its text.
        parameters: (name, type) of each.
        types: the SQL type of each.
        sees_null: whether each receives NULL as None.
        result: the SQL type of the result, None for VARIANT.
    """

    def __init__(self, seed):
        self.random = r = random.Random(seed)
        self._names = 0
        kinds = ["int", "int", "float", "str", "str", "bool", "date", "datetime"]
        self.parameters = [(f"p{i}", r.choice(kinds)) for i in range(r.randrange(1, 4))]
        self.types = [r.choice(_SQL[t]) for _, t in self.parameters]
        self.sees_null = [r.random() < 0.25 for _ in self.parameters]
        wanted = r.choice(["int", "int", "float", "str", "bool", "date"])
        self.result = r.choice(_RESULTS[wanted]) if r.random() < 0.9 else None
        variables = list(self.parameters)
        body = [] if r.random() < 0.4 else self._block(2, variables, wanted, 1, loop=False)
        body.append(f"    return {self._expression(wanted, 3, variables)}")
        names = ", ".join(name for name, _ in self.parameters)
        self.source = f"{HEAD}def f({names}):\n" + "\n".join(body) + "\n"

    def columns(self, rows):
        """Values for the arguments, as (SQL type, list)."""
        return [
            (sql, [self._value(t, sql) for _ in range(rows)])
            for (_, t), sql in zip(self.parameters, self.types, strict=True)
        ]

    def _value(self, t, sql):
        r = self.random
        if r.random() < 0.08:
            return None
        value = r.choice(_POOLS[t])
        if t in ("int", "date", "datetime") and r.random() < 0.3:
            value = r.randrange(-30, 30)
        if t == "float" and r.random() < 0.3:
            value = r.uniform(-100, 100)
        return value % 1000 if sql == "INTEGER" and not -(2**31) <= value < 2**31 else value

    def _constant(self, t):
        r = self.random
        if t == "int":
            return f"({r.choice(INTS) if r.random() < 0.6 else r.randrange(-20, 20)})"
        if t == "float":
            value = r.choice(FLOATS)
            return f"({value!r})" if abs(value) < 1e308 else "(-math.inf)" if value < 0 else "math.inf"
        if t == "str":
            return repr(r.choice(TEXTS if r.random() < 0.6 else _SHORT))
        if t == "bool":
            return r.choice(["True", "False"])
        return f"date({r.choice([1, 1970, 1999, 2024, 9999])}, {r.randrange(1, 13)}, {r.randrange(1, 29)})"

    def _expression(self, t, depth, variables):
        r = self.random
        names = [name for name, kind in variables if kind == t]
        if t == "datetime" and not names:
            return "DATETIME"
        if depth <= 0 or r.random() < 0.15:
            return r.choice(names) if names and (t == "datetime" or r.random() < 0.8) else self._constant(t)
        template = r.choice(_EXPRESSIONS[t])
        template = _CHOICE.sub(lambda found: r.choice(found[1].split(";")), template)

        def fill(found):
            inner = depth - 1 if not found[2] else min(int(found[2]), depth - 1)
            return self._expression(found[1], inner, variables)

        return _PLACE.sub(fill, template)

    def _new(self, prefix):
        self._names += 1
        return f"{prefix}{self._names}"

    def _block(self, depth, variables, wanted, indent, *, loop):
        """Some statements, as lines."""
        variables, lines = list(variables), []
        for _ in range(self.random.randrange(1, 4)):
            made = self._statement(depth, variables, wanted, loop=loop)
            lines += ["    " * indent + line for line in made]
            if made[-1].lstrip().startswith(("return", "break", "continue", "raise")) and not made[-1].startswith(" "):
                break
        return lines or ["    " * indent + "pass"]

    def _statement(self, depth, variables, wanted, *, loop):
        r = self.random
        kinds = ["assign"] * 8 + ["return"] * 2 + ["guard", "raise", "pass"] + ["leave"] * loop * 2
        if depth > 0:
            kinds += ["if"] * 4 + ["for"] * 3 + ["pairs", "match", "while", "while"] + ["try"] * 2
        return getattr(self, f"_{r.choice(kinds)}")(depth, variables, wanted, loop)

    def _inner(self, depth, variables, wanted, loop):
        return self._block(depth - 1, variables, wanted, 1, loop=loop)

    def _assign(self, depth, variables, wanted, loop):
        r = self.random
        changeable = [(name, t) for name, t in variables if name[0] == "v"]
        if changeable and r.random() < 0.4:
            name, t = r.choice(changeable)
            if t in ("int", "float") and r.random() < 0.2:
                t = r.choice(["int", "float"])
            op = r.choice(["=", "+="]) if t in ("int", "float", "str") else "="
            return [f"{name} {op} {self._expression(t, 2, variables)}"]
        t, name = r.choice(["int", "int", "float", "str", "bool", "date"]), self._new("v")
        line = f"{name} = {self._expression(t, 2, variables)}"
        variables.append((name, t))
        return [line]

    def _return(self, depth, variables, wanted, loop):
        return [f"return {self._expression(wanted, 2, variables) if self.random.random() < 0.85 else 'None'}"]

    def _guard(self, depth, variables, wanted, loop):
        name = self.random.choice(self.parameters)[0]
        return [f"if {name} is {self.random.choice(['', 'not '])}None: return {self._constant(wanted)}"]

    def _raise(self, depth, variables, wanted, loop):
        return ["raise ValueError('no')"]

    def _pass(self, depth, variables, wanted, loop):
        return ["pass"]

    def _leave(self, depth, variables, wanted, loop):
        return [self.random.choice(["break", "continue"])]

    def _if(self, depth, variables, wanted, loop):
        r = self.random
        lines = [f"if {self._expression('bool', 2, variables)}:", *self._inner(depth, variables, wanted, loop)]
        if r.random() < 0.5:
            lines += [f"elif {self._expression('bool', 1, variables)}:", *self._inner(depth, variables, wanted, loop)]
        if r.random() < 0.5:
            lines += ["else:", *self._inner(depth, variables, wanted, loop)]
        return lines

    def _for(self, depth, variables, wanted, loop):
        r, name = self.random, self._new("k")
        over = r.choice(["range({a})", "range({i} % 5)", "range({b}, {c}, {d})", "{s}", "{s}.split()", "NUMBERS"])
        t = "str" if "{s}" in over else "int"
        filled = over.format(
            a=r.randrange(6),
            i=self._expression("int", 0, variables),
            b=r.randrange(-3, 3),
            c=r.randrange(-3, 8),
            d=r.choice([1, 2, -1, 3]),
            s=self._expression("str", 0, variables),
        )
        inner = [*variables, (name, t)]
        lines = [f"for {name} in {filled}:", *self._inner(depth, inner, wanted, loop=True)]
        return [*lines, "else:", *self._inner(depth, variables, wanted, loop)] if r.random() < 0.2 else lines

    def _pairs(self, depth, variables, wanted, loop):
        r, first, second = self.random, self._new("k"), self._new("k")
        text = self._expression("str", 0, variables)
        over, kinds = r.choice(
            [
                (f"enumerate({text})", ("int", "str")),
                ("PAIRS", ("int", "int")),
                (f"enumerate({text}.split())", ("int", "str")),
                (f"zip({text}, range(4))", ("str", "int")),
                ("TABLE.items()", ("str", "int")),
            ]
        )
        inner = [*variables, (first, kinds[0]), (second, kinds[1])]
        return [f"for {first}, {second} in {over}:", *self._inner(depth, inner, wanted, loop=True)]

    def _match(self, depth, variables, wanted, loop):
        r = self.random
        lines = [f"match {self._expression(r.choice(['int', 'int', 'str']), 1, variables)}:"]
        patterns = [
            "0",
            "1 | 7",
            "-1",
            "3",
            "None",
            "True",
            "'a'",
            f"'DE' if {self._expression('bool', 1, variables)}",
            "_",
        ]
        for pattern in [*r.sample(patterns[:-1], 2), "_"]:
            body = self._inner(depth, variables, wanted, loop)
            lines += [f"    case {pattern}:", *["    " + line for line in body]]
        return lines

    def _while(self, depth, variables, wanted, loop):
        name = self._new("w")
        inner = self._inner(depth, [*variables, (name, "int")], wanted, loop=True)
        test = self._expression("bool", 1, variables)
        return [f"{name} = 0", f"while {test}:", f"    {name} += 1", f"    if {name} > 5: break", *inner]

    def _try(self, depth, variables, wanted, loop):
        lines = ["try:", *self._inner(depth, variables, wanted, loop)]
        for error in self.random.sample(_ERRORS, self.random.choice([1, 1, 2])):
            lines += [f"except {error}:", *self._inner(depth, variables, wanted, loop)]
        return lines
