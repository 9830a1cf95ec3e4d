"""Random programs of the subset, and more: what the compiler refuses or leaves out must be as right as the rest."""

import random
import re

from tests.compiled.templates import CHANGES, CONTAINERS, EXPRESSIONS, HEAD, MORE, MORE_CHANGES, NESTED, UNROLLED
from tests.compiled.values import DAYS, DECIMALS, FLOATS, INTS, MICROS, TEXTS

_CHOICE = re.compile(r"\{\{(.*?)\}\}")
_PLACE = re.compile(r"\$(ints|int|float|bool|strs|str|counts|words|datetime|date|decimal)(\d?)")
_SQL = {"int": ["BIGINT", "INTEGER"], "float": ["DOUBLE"], "str": ["VARCHAR"], "bool": ["BOOLEAN"]}
_SQL |= {"date": ["DATE"], "datetime": ["TIMESTAMP"], "decimal": ["DECIMAL"]}
_RESULTS = {
    "int": ["BIGINT", "BIGINT", "DOUBLE"],
    "float": ["DOUBLE"],
    "str": ["VARCHAR"],
    "bool": ["BOOLEAN", "BIGINT"],
}
_RESULTS |= {"date": ["DATE", "TIMESTAMP"], "decimal": ["WIDE", "DECIMAL", "DOUBLE"]}
_POOLS = {"int": INTS, "float": FLOATS, "str": TEXTS, "bool": [True, False], "date": DAYS, "datetime": MICROS}
_POOLS |= {"decimal": DECIMALS}
_ITEMS = {"ints": "int", "strs": "str"}
_NESTED_RESULTS = {"ints": ["INTS", "FLOATS", None], "strs": ["STRS", None], "counts": ["COUNTS", None]}
_NESTED_RESULTS |= {"pair": ["ROW", None], "struct": ["ROW", None], "rows": ["ROWS", None], "any": [None]}
_NESTED_SQL = {"ints": ["INTS"], "strs": ["STRS"], "struct": ["ROW"]}
_SHORT = ["a", "@", ",", " ", "b", "-", "x", "DE", "e", "1"]
_DECIMALS = ["1.1", "-7", "1E-20", "12345678901234567890123456.5", "0E+5", "3.14159"]
_ERRORS = [
    "InvalidOperation",
    "ValueError",
    "ZeroDivisionError",
    "(KeyError, IndexError)",
    "Exception",
    "LookupError",
    "ArithmeticError",
]


class Program:
    """One program. Those of every third seed have arguments and results that nest, and loops that are unrolled.

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
        self._nests = seed % 3 == 0
        kinds = ["int", "int", "float", "str", "str", "bool", "date", "datetime", "decimal"]
        kinds += ["ints", "strs", "struct"] * self._nests
        self.parameters = [(f"p{i}", r.choice(kinds)) for i in range(r.randrange(1, 4))]
        self.types = [r.choice((_SQL | _NESTED_SQL)[t]) for _, t in self.parameters]
        self.sees_null = [r.random() < 0.25 for _ in self.parameters]
        if self._nests:
            wanted = r.choice([*_NESTED_RESULTS, "int", "str"])
            self.result = r.choice((_RESULTS | _NESTED_RESULTS)[wanted])
        else:
            wanted = r.choice(["int", "int", "float", "str", "bool", "date", "decimal"])
            self.result = r.choice(_RESULTS[wanted]) if r.random() < 0.9 else None
        variables = [(name, t) for name, t in self.parameters if t != "struct"]
        for name, _ in [parameter for parameter in self.parameters if parameter[1] == "struct"]:
            variables += [(f"{name}['a']", "int"), (f"{name}['b']", "str")]
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
        if t in _ITEMS:
            return [
                self._value(_ITEMS[t], "BIGINT") if r.random() < 0.5 else r.choice(_POOLS[_ITEMS[t]]) for _ in "abc"
            ]
        if t == "struct":
            return {"a": self._value("int", "BIGINT"), "b": self._value("str", "VARCHAR")}
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
        if t in NESTED and t not in CONTAINERS:
            return self._filled(r.choice(NESTED[t]), 0, [])
        if t in CONTAINERS:
            return r.choice(CONTAINERS[t])
        if t == "decimal":
            return f"Decimal({str(r.choice(DECIMALS if r.random() < 0.6 else _DECIMALS))!r})"
        return f"date({r.choice([1, 1970, 1999, 2024, 9999])}, {r.randrange(1, 13)}, {r.randrange(1, 29)})"

    def _expression(self, t, depth, variables):
        r = self.random
        if t in NESTED and t not in CONTAINERS:
            return self._filled(r.choice(NESTED[t]), min(depth, 2), variables)
        names = [name for name, kind in variables if kind == t]
        if t == "datetime" and not names:
            return "DATETIME"
        if depth <= 0 or r.random() < 0.15:
            return r.choice(names) if names and (t == "datetime" or r.random() < 0.8) else self._constant(t)
        templates = EXPRESSIONS[t] + MORE.get(t, []) * 2 if self._nests else EXPRESSIONS[t]
        return self._filled(r.choice(templates), depth, variables)

    def _filled(self, template, depth, variables):
        r = self.random
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
        kinds = ["assign"] * 8 + ["change"] * 5 + ["return"] * 2 + ["guard", "raise", "pass"] + ["leave"] * loop * 2
        if depth > 0:
            kinds += ["if"] * 4 + ["for"] * 3 + ["pairs", "match", "while", "while"] + ["try"] * 2
            kinds += (["unrolled"] * 3 + ["finally"] * 3) * self._nests
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
            op = r.choice(["=", "+="]) if t in ("int", "float", "str", "decimal") else "="
            return [f"{name} {op} {self._expression(t, 2, variables)}"]
        t, name = r.choice(["int", "int", "float", "str", "bool", "date", "decimal"]), self._new("v")
        line = f"{name} = {self._expression(t, 2, variables)}"
        variables.append((name, t))
        return [line]

    def _change(self, depth, variables, wanted, loop):
        """Change a container, which is made if there is none."""
        r = self.random
        held = [(name, t) for name, t in variables if t in CONTAINERS]
        if not held or r.random() < 0.25:
            t, name = r.choice(list(CONTAINERS)), self._new("v")
            aliases = [other for other, kind in held if kind == t]
            made = r.choice(aliases) if aliases and r.random() < 0.4 else self._expression(t, 2, variables)
            variables.append((name, t))
            return [f"{name} = {made}"]
        name, t = r.choice(held)
        changes = CHANGES[t] + MORE_CHANGES.get(t, []) if self._nests else CHANGES[t]
        change = r.choice(changes).replace("$v", name)
        return [self._filled(change, 2, variables)]

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
        over = r.choice(
            ["range({a})", "range({i} % 5)", "range({b}, {c}, {d})", "{s}", "{s}.split()", "NUMBERS", "{l}", "{m}"]
        )
        t = "str" if "{s}" in over or over == "{m}" else "int"
        filled = over.format(
            a=r.randrange(6),
            i=self._expression("int", 0, variables),
            b=r.randrange(-3, 3),
            c=r.randrange(-3, 8),
            d=r.choice([1, 2, -1, 3]),
            s=self._expression("str", 0, variables),
            l=self._expression("ints", 1, variables),
            m=self._expression(r.choice(["strs", "counts"]), 1, variables),
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
                (f"{self._expression('counts', 1, variables)}.items()", ("str", "int")),
                (f"enumerate({self._expression('ints', 1, variables)})", ("int", "int")),
            ]
        )
        inner = [*variables, (first, kinds[0]), (second, kinds[1])]
        return [f"for {first}, {second} in {over}:", *self._inner(depth, inner, wanted, loop=True)]

    def _unrolled(self, depth, variables, wanted, loop):
        """A loop over patterns or formats, which is translated turn by turn."""
        r, name, found = self.random, self._new("k"), self._new("v")
        head, *body = r.choice(UNROLLED).replace("$k", name).replace("$v", found).splitlines()
        inner = self._inner(depth, [*variables, (found, "str")], wanted, loop=True)
        lines = [head, *[self._filled(line, 1, variables) for line in body]]
        return [*lines, f"    if {found}:", *["    " + line for line in inner]]

    def _finally(self, depth, variables, wanted, loop):
        lines = ["try:", *self._inner(depth, variables, wanted, loop)]
        if self.random.random() < 0.5:
            lines += [f"except {self.random.choice(_ERRORS)}:", *self._inner(depth, variables, wanted, loop)]
        return [*lines, "finally:", *self._inner(depth, variables, wanted, loop)]

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
