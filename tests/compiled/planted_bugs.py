"""Bugs for the guest's compiler: code that changes it, in an instance of its own."""

_MODULES = (
    "arithmetic, builtin_calls, calls, code, comparison, comprehensions, containers, dates, decimals, "
    "described, errors, flow, integers, iterations, lists, narrowing, patterns, reductions, regex_program, "
    "regex_sets, regexes, rows, shapes, statements, tables, texts, values"
)
IMPORTS = f"import ast\nfrom _udf_compiler import {_MODULES}\n"

BUGS = {
    "addition wraps": "integers._OPERATIONS['Add'] = lambda code, op, a, b: code.integer(a.i, b.i, 'i64.add')",
    "multiplication wraps": "integers._check_product = lambda code, x, y: None",
    "the rest has C's sign": (
        "def mod(code, op, a, b):\n    integers._check_divisor(code, b)\n"
        "    return code.integer(a.i, b.i, 'i64.rem_s')\nintegers._OPERATIONS['Mod'] = mod"
    ),
    "division of ints rounds to zero": ("integers._rest_of_other_sign = lambda rest, y: [('i32.const', 0)]"),
    "ints are compared with floats as floats": "comparison._EXACT = 2**70",
    "ints beyond 2**53 are divided as floats": "arithmetic._EXACT = 2**70",
    "min prefers the last": "builtin_calls._FUNCTIONS['min'] = builtin_calls._extreme('LtE')",
    "unbound variables are zero": (
        "rows.reset_flags = lambda code: [op for v in code.variables.values() if v.bound is not None\n"
        "    for op in (('i32.const', 1), ('local.set', v.bound))]"
    ),
    "tests of None narrow the wrong way": (
        "facts = narrowing._facts\n"
        "narrowing._facts = lambda code, test, outcome: facts(code, test, outcome != isinstance(test, ast.Compare))"
    ),
    "a range goes on after the last integer": "iterations.MAX, iterations.MIN = 2**70, -(2**70)",
    "the default of get is computed when it is needed": (
        "def get(code, node, mapping):\n"
        "    default = (lambda: code.expr(node.args[1])) if len(node.args) > 1 else (lambda: code.const(None))\n"
        "    return containers.look_up(code, mapping, code.expr(node.args[0]), default)\ncalls._get = get"
    ),
    "a date of large numbers is a ValueError": "dates.OVERFLOW_ERROR = errors.VALUE_ERROR",
    "types of variables survive a loop": "flow.Flow.forget = lambda self, names: None",
    "widths of text have 64 bits": "texts.check_size = lambda code, v: None",
    "round goes up at half": (
        "def up(code, v, digits=None):\n    x = code.tmp('f64', v.f, ('f64.const', 0.5), 'f64.add', 'f64.floor')\n"
        "    return builtin_calls.float_to_int(code, x)\nbuiltin_calls._FUNCTIONS['round'] = up"
    ),
    "sums of floats lose digits": (
        "from _udf_compiler import sums\n"
        "def add(self, x):\n"
        "    self._code.e(('local.get', self._real), x, 'f64.add', ('local.set', self._real))\n"
        "sums.Sum._add_exactly = add"
    ),
    "nan equals itself": (
        "numbers = comparison._numbers\n"
        "def equal(code, kind, a, b):\n    if kind != 'eq':\n        return numbers(code, kind, a, b)\n"
        "    less, more = (numbers(code, other, a, b).c for other in ('lt', 'gt'))\n"
        "    return code.boolean(less, more, 'i32.or', 'i32.eqz')\ncomparison._numbers = equal"
    ),
    "texts of the same length are equal": (
        "comparison.equal_texts = lambda code, a, b: code.tmp('i32', code.text(a)[1], code.text(b)[1], 'i32.eq')"
    ),
    "a handler catches everything": "statements.kinds_caught = lambda classes: set(errors.RAISED)",
    "a date outside the calendar is let in": "rows._CALENDAR.clear()",
    "the sign of a slice is lost": "texts.slice_ = lambda code, v, start, stop: values.Value(values.STR, v.i)",
    "decimals are rounded half up": "decimals._HALF_EVEN = 4",
    "plus keeps a decimal": "decimals.positive = lambda code, v: v",
    "dividing a decimal by zero is an InvalidOperation": "errors.RAISED[10] = errors.RAISED[9]",
    "decimals are divided down": "decimals.ROUNDING_OF['floor'] = decimals.ROUNDING_OF['trunc']",
    "a slice of a list is the list": "lists.sliced = lambda code, v, *bounds: v",
    "reverse is ignored": "calls._descending = lambda code, keywords: ('i32.const', 0)",
    "get stores its default": "tables._METHODS['dict', 'get', 2] = tables._setdefault",
    "of equal keys the last is the greatest": (
        "reductions.compare = lambda code, op, a, b: comparison.compare(code, {'Gt': 'GtE'}.get(op, op), a, b)"
    ),
    "insert appends": (
        "lists._METHODS['insert', 2] = lambda code, v, i, value: lists._METHODS['append', 1](code, v, value)"
    ),
    "a list's truth is its length": (
        "truth = code.Code.truth\n"
        "def of_list(self, v):\n"
        "    is_list = v.items is None and v.only is not None and v.only.startswith('list ')\n"
        "    return self.tmp('i32', lists.address(self, v), ('i32.load', 4)) if is_list else truth(self, v)\n"
        "code.Code.truth = of_list"
    ),
    "a Counter raises KeyError": (
        "tables.delete = lambda code, v, key: tables.remove(code, v, key, lambda: code.error(errors.KEY_ERROR))"
    ),
    "finally is forgotten by return": "statements.leave = lambda code, count: True",
    "weeks begin on Sunday": "dates._FIRST_ORDINAL = 719164",
    "None in a list is lost": (
        "field = described._Words.field\n"
        "def plain(self, at, offset, t, number):\n"
        "    known = [values.TAGS[name] for name in t if name != 'none']\n"
        "    field(self, at, offset, t, known[0] if at and known else number)\ndescribed._Words.field = plain"
    ),
    "fields of a dict are in the order of their names": (
        "at = shapes.Shapes.at\n"
        "shapes.Shapes.at = lambda self, place, kind, names=(): at(self, place, kind, tuple(sorted(names)))"
    ),
    "filter lets all through": (
        "from _udf_compiler import filtering\n"
        "filtering.calling = type('C', (), {'apply': lambda code, function, items: code.const(True)})"
    ),
    "or gives a bool": (
        "from _udf_compiler import expressions\nexpressions._known_truth = lambda v, truth: v\n"
        "chain = code.EXPRESSIONS[ast.BoolOp]\n"
        "code.EXPRESSIONS[ast.BoolOp] = lambda c, node: c.boolean_of(chain(c, node))"
    ),
}

# Bugs of the compiler of regular expressions.
REGEX_BUGS = {
    "lazy repetitions are greedy": "regex_program._LATER = regex_program._NEXT",
    "repetitions give nothing back": (
        "loop = regex_program._Builder._loop\n"
        "regex_program._Builder._loop = lambda self, body, flags, follow, kind, emit: (\n"
        "    loop(self, body, flags, 0, kind, emit))"
    ),
    "alternatives are tried from the last on": (
        "branch = regex_program._Builder._branch\n"
        "regex_program._Builder._branch = lambda self, alternatives, *rest: branch(self, alternatives[::-1], *rest)"
    ),
}
