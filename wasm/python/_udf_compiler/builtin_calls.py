"""Calls of builtins and of math."""

import math

from _udf_compiler import arithmetic, dates, decimals, formatting, integers, lists, tables, texts
from _udf_compiler.comparison import compare
from _udf_compiler.errors import TYPE_ERROR, VALUE_ERROR
from _udf_compiler.shapes import kind_of
from _udf_compiler.values import FLOAT, INT, NEVER, NUMBERS, Value, tuple_of
from duckdb_wasi_udf._shared.kernels import MATH

_MOST_DIGITS = 10**18


def call(code, name, arguments, keywords):
    """Return what a known function makes of its arguments. `name` is that of lookups.KNOWN."""
    if any(not v.t for v in (*arguments, *keywords.values())):
        return NEVER
    if keywords and name not in _WITH_KEYWORDS:
        return code.unsupported(f"keyword arguments of {name}")
    if name in _WITH_KEYWORDS:
        return _WITH_KEYWORDS[name](code, arguments, keywords)
    if name.startswith("math."):
        return code.over(arguments, lambda *members: _math(code, name.removeprefix("math."), members))
    function = _FUNCTIONS.get(name)
    made = None if function is None else function(code, *arguments)
    return code.unsupported(f"{name}() here") if made is None else made


# ---- builtins


def _extreme(op):
    def extreme(code, *values):
        if len(values) == 1 and values[0].items:
            values = values[0].items
        if len(values) < 2:
            return None
        least = values[0]
        if any("none" in v.t for v in values):  # it raises, whatever the other values are
            values = [code.without_none(v, TYPE_ERROR) for v in values]
            least = values[0]
            if not all(v.t for v in values):
                return NEVER
        for other in values[1:]:
            better = compare(code, op, other, least)
            if not better.t:
                return NEVER
            least = code.branch(code.truth(better), lambda o=other: o, lambda f=least: f)
        return least

    return extreme


def _abs(code, v=None, *more):
    if v is None or more:
        return None

    def absolute(m):
        if m.only == "float":
            return code.real(m.f, "f64.abs")
        if m.only in ("int", "bool"):
            return integers.absolute(code, m)
        if m.only == "decimal":
            return decimals.absolute(code, m)
        if m.only == "timedelta":
            return arithmetic.checked_span(code, integers.absolute(code, m))
        return code.error(TYPE_ERROR) if m.only in ("none", "str") else code.unsupported(f"abs of a {m.only}")

    return code.dispatch(v, absolute)


def _len(code, v=None, *more):
    if v is None or more:
        return None
    if v.items is not None:
        return code.const(len(v.items))

    def length(m):
        if m.only == "str":
            return texts.length(code, m) if m.k is None else code.const(len(m.k))
        if kind_of(m.only) is None:
            return code.error(TYPE_ERROR)
        if kind_of(m.only) == "struct":
            return code.const(len(lists.shape_of(code, m).names))
        return lists.length(code, m) if kind_of(m.only) == "list" else tables.length(code, m)

    return code.dispatch(v, length)


def _bool(code, v=None, *more):
    return None if v is None or more else code.boolean_of(v)


def _int(code, v=None, base=None, *more):
    if v is None or more or (base is not None and (v.only != "str" or base.only != "int")):
        return None
    if base is not None:
        integers.check_size(code, base)
        return Value(INT, code.kernel_number("k_int_base", *code.text(v), base.i, errors=(VALUE_ERROR,)))

    def to_int(m):
        if m.only in ("int", "bool"):
            return Value(INT, m.i, lo=m.lo, hi=m.hi)
        if m.only == "float":
            return float_to_int(code, code.tmp("f64", m.f, "f64.trunc"))
        if m.only == "decimal":
            return decimals.to_int(code, m, "trunc")
        if m.only == "str":
            number = code.kernel_number("k_int", *code.text(m), errors=(VALUE_ERROR,))
            return Value(INT, number, lo=-_MOST_DIGITS, hi=_MOST_DIGITS)
        return code.error(TYPE_ERROR)

    return code.dispatch(v, to_int)


def _float(code, v=None, *more):
    if v is None or more:
        return None

    def to_float(m):
        if m.only in NUMBERS:
            return Value(FLOAT, f=code.as_float(m))
        if m.only == "decimal":
            return Value(FLOAT, f=decimals.to_float(code, m))
        if m.only == "str":
            return Value(FLOAT, f=code.kernel_number("k_float", *code.text(m), kind="f64", errors=(VALUE_ERROR,)))
        return code.error(TYPE_ERROR)

    return code.dispatch(v, to_float)


def _str(code, v=None, *more):
    return None if v is None or more else formatting.text_of(code, v)


def _repr(code, v=None, *more):
    return None if v is None or more else formatting.repr_of(code, v)


def _round(code, v=None, digits=None, *more):
    if v is None or more or (digits is not None and digits.only not in ("int", "none")):
        return None
    if digits is not None and digits.only == "none":
        digits = None

    def rounded(m):
        if m.only in ("int", "bool"):
            if digits is not None and digits.lo < 0:
                return code.unsupported("round of an int to tens")
            return Value(INT, m.i, lo=m.lo, hi=m.hi)
        if m.only == "decimal":
            return decimals.to_int(code, m, "round") if digits is None else decimals.rounded(code, m, digits)
        if m.only != "float":
            return code.error(TYPE_ERROR) if m.only in ("none", "str") else code.unsupported(f"round of a {m.only}")
        if digits is None:
            return float_to_int(code, code.tmp("f64", m.f, "f64.nearest"))
        integers.check_size(code, digits)
        made = code.tmp("f64", m.f, digits.i, ("call", "k_round"))
        bail_unless_finite(code, made)  # infinity of a finite number is an error
        return Value(FLOAT, f=made)

    return code.dispatch(v, rounded)


def _divmod(code, a=None, b=None, *more):
    if b is None or more:
        return None
    # Of decimals, the rest has the error of both. Of others, either does.
    rest = arithmetic.binary(code, "Mod", a, b)
    return tuple_of([arithmetic.binary(code, "FloorDiv", a, b), rest])


def _pow(code, a=None, b=None, *more):
    return None if b is None or more else arithmetic.binary(code, "Pow", a, b)


def _ord(code, v=None, *more):
    if v is None or more or v.only != "str":
        return None
    point = code.tmp("i64", *code.text(v), ("call", "k_ord"))
    code.raise_if(TYPE_ERROR, point, ("i64.const", 0), "i64.lt_s")
    return Value(INT, point, lo=0, hi=0x10FFFF)


def _chr(code, v=None, *more):
    return None if v is None or more or v.only not in ("int", "bool") else code.kernel_text("k_chr", v.i)


def _digits(spec):
    def digits(code, v=None, *more):
        if v is None or more or v.only not in ("int", "bool"):
            return None
        return formatting.text_of(code, Value(INT, v.i, lo=v.lo, hi=v.hi), spec)

    return digits


def _format(code, v=None, spec=None, *more):
    if v is None or more or (spec is not None and type(spec.k) is not str):
        return None
    return formatting.text_of(code, v, "" if spec is None else spec.k)


def _tuple(code, v=None, *more):
    return v if v is not None and not more and v.items is not None else None


def float_to_int(code, f):
    """Return a float without a fraction as an int; bail if it doesn't fit."""
    below = [f, ("f64.const", -(2.0**63)), "f64.ge", f, ("f64.const", 2.0**63), "f64.lt"]
    code.bail_if(*below, "i32.and", "i32.eqz")
    return code.integer(f, "i64.trunc_f64_s")


def bail_unless_finite(code, *operands):
    """Bail for nan and infinities: special cases and errors of the interpreter."""
    for f in operands:
        code.bail_if(f, f, "f64.sub", ("f64.const", 0.0), "f64.ne")


_FUNCTIONS = {
    "min": _extreme("Lt"),
    "max": _extreme("Gt"),
    "abs": _abs,
    "len": _len,
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": _str,
    "repr": _repr,
    "round": _round,
    "divmod": _divmod,
    "pow": _pow,
    "ord": _ord,
    "chr": _chr,
    "tuple": _tuple,
    "decimal.Decimal": decimals.construct,
    "hex": _digits("#x"),
    "oct": _digits("#o"),
    "bin": _digits("#b"),
    "format": _format,
}


# ---- math


def _math(code, name, values):
    if name in ("floor", "ceil", "trunc") and [v.only for v in values] == ["decimal"]:
        return decimals.to_int(code, values[0], name)
    values = [v if v.only != "decimal" else Value(FLOAT, f=decimals.to_float(code, v)) for v in values]
    if any(v.only not in NUMBERS for v in values):
        known = all(v.only in (*NUMBERS, "none", "str") for v in values)
        return code.error(TYPE_ERROR) if known else code.unsupported(f"math.{name} here")
    if name in ("floor", "ceil", "trunc") and len(values) == 1:
        v = values[0]
        if v.only != "float":
            return Value(INT, v.i, lo=v.lo, hi=v.hi)
        return float_to_int(code, code.tmp("f64", v.f, f"f64.{name}"))
    if name == "log" and len(values) == 2:
        logarithms = [_math(code, "log", [v]) for v in values]
        return arithmetic.divide(code, *logarithms) if all(v.t for v in logarithms) else NEVER
    operands = [code.as_float(v) for v in values]
    if name in _OF_ONE and len(operands) == 1:
        return _OF_ONE[name](code, operands[0])
    if name == "copysign" and len(operands) == 2:
        return code.real(*operands, "f64.copysign")
    if (name in MATH and len(operands) == 1) or (name in ("atan2", "hypot", "fmod", "pow") and len(operands) == 2):
        return _kernel(code, name, operands)
    return code.unsupported(f"math.{name} here")


def _kernel(code, name, operands):
    if name in ("log", "log2", "log10"):
        code.bail_if(operands[0], ("f64.const", 0.0), "f64.gt", "i32.eqz")
    bail_unless_finite(code, *operands)
    if name == "atan2":
        code.bail_if(operands[0], ("f64.const", 0.0), "f64.eq")
    made = code.tmp("f64", *operands, ("call", f"k_{name}"))
    bail_unless_finite(code, made)
    return Value(FLOAT, f=made)


def _sqrt(code, x):
    code.raise_if(VALUE_ERROR, x, ("f64.const", 0.0), "f64.lt")
    return code.real(x, "f64.sqrt")


_OF_ONE = {
    "sqrt": _sqrt,
    "fabs": lambda code, x: code.real(x, "f64.abs"),
    "isnan": lambda code, x: code.boolean(x, x, "f64.ne"),
    "isfinite": lambda code, x: code.boolean(x, x, "f64.sub", ("f64.const", 0.0), "f64.eq"),
    "isinf": lambda code, x: code.boolean(x, "f64.abs", ("f64.const", math.inf), "f64.eq"),
    "radians": lambda code, x: code.real(x, ("f64.const", math.pi / 180.0), "f64.mul"),
    "degrees": lambda code, x: code.real(x, ("f64.const", 180.0 / math.pi), "f64.mul"),
}


# ---- constructors


def _timedelta(code, arguments, keywords):
    return dates.make_span(code, arguments, keywords)


def _ints(names, arguments, keywords):
    """Return arguments in their order; None if one is missing or no int."""
    given = dict(zip(names, arguments, strict=False)) | keywords
    parts = [given.get(name) for name in names]
    while parts and parts[-1] is None:
        parts.pop()
    fits = len(parts) >= 3 and len(arguments) <= len(names) and set(given) <= set(names)
    return parts if fits and all(part is not None and part.only == "int" for part in parts) else None


def _date(code, arguments, keywords):
    parts = _ints(("year", "month", "day"), arguments, keywords)
    return code.unsupported("date() here") if parts is None else dates.make_date(code, *parts)


def _datetime(code, arguments, keywords):
    names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    parts = _ints(names, arguments, keywords)
    return code.unsupported("datetime() here") if parts is None else dates.make_datetime(code, parts)


_WITH_KEYWORDS = {"datetime.timedelta": _timedelta, "datetime.date": _date, "datetime.datetime": _datetime}
