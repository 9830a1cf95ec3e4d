"""Operators over all types that have them."""

from _udf_compiler import decimals, integers, lists, tables
from _udf_compiler.context import ARENA_AT, ARENA_END
from _udf_compiler.emitter import CONTEXT
from _udf_compiler.errors import OVERFLOW_ERROR, TYPE_ERROR, ZERO_DIVISION
from _udf_compiler.shapes import kind_of
from _udf_compiler.values import (
    DAY_US,
    FLOAT,
    MAX_DAY,
    MAX_US,
    MIN_DAY,
    MIN_US,
    NEVER,
    NUMBERS,
    TIMEDELTA,
    Value,
    tuple_of,
)

_EXACT = 2**53  # integers up to here are exact as floats
_SPANS = ("date", "datetime", "timedelta")


def binary(code, op, a, b):
    """Return `a op b`. `op` is the name of a node of ast."""
    if not a.t or not b.t:
        return NEVER
    if a.items is not None or b.items is not None:
        return _of_tuples(code, op, a, b)
    return code.over((a, b), lambda x, y: _binary(code, op, x, y))


def _binary(code, op, a, b):
    x, y = a.only, b.only
    if x in NUMBERS and y in NUMBERS:
        if op == "Div":
            return divide(code, a, b)
        return _of_floats(code, op, a, b) if "float" in (x, y) else integers.operate(code, op, a, b)
    if "str" in (x, y):
        return _of_texts(code, op, a, b)
    if "decimal" in (x, y):
        return decimals.binary(code, op, a, b)
    if x in _SPANS or y in _SPANS:
        return _of_dates(code, op, a, b)
    if {kind_of(x), kind_of(y)} != {None}:
        return _of_containers(code, op, a, b)
    return code.error(TYPE_ERROR)


def _of_containers(code, op, a, b):
    kinds = kind_of(a.only), kind_of(b.only)
    if op == "Add" and kinds == ("list", "list"):
        return lists.concatenated(code, a, b)
    if op == "Mult" and "list" in kinds and {a.only, b.only} & {"int", "bool"}:
        return lists.repeated(code, a, b) if kinds[0] == "list" else lists.repeated(code, b, a)
    if kinds == ("set", "set"):
        return tables.operate(code, op, a, b)
    return code.unsupported("this operator of a container")


def _of_tuples(code, op, a, b):
    if op == "Add" and a.items is not None and b.items is not None:
        return tuple_of(a.items + b.items)
    return code.unsupported("an operator of a tuple")


def _of_texts(code, op, a, b):
    x, y = a.only, b.only
    if op == "Add" and x == y:
        return code.kernel_text("k_concat", *code.text(a), *code.text(b))
    if op == "Mult" and {x, y} == {"str", "int"}:
        text, count = (a, b) if x == "str" else (b, a)
        integers.check_size(code, count)
        return code.kernel_text("k_repeat", *code.text(text), count.i)
    if (op == "Mod" and x == "str") or (op == "Mult" and ({x, y} == {"str", "bool"})):
        return code.unsupported("the operator % of a str that is no constant" if op == "Mod" else "a str times a bool")
    return code.error(TYPE_ERROR)


def divide(code, a, b):
    """Return a / b of two numbers."""
    if b.only == "float":
        if not b.k:
            code.raise_if(ZERO_DIVISION, b.f, ("f64.const", 0.0), "f64.eq")
    elif not b.k:
        code.raise_if(ZERO_DIVISION, b.i, "i64.eqz")
    if b.k is not None and not b.k:
        return NEVER
    if "float" not in (a.only, b.only):
        for v in (a, b):
            if v.lo < -_EXACT or v.hi > _EXACT:
                code.bail_if(v.i, ("i64.const", _EXACT), "i64.add", ("i64.const", 2 * _EXACT), "i64.gt_u")
    return code.real(code.as_float(a), code.as_float(b), "f64.div")


def _of_floats(code, op, a, b):
    x, y = code.as_float(a), code.as_float(b)
    if op in ("Add", "Sub", "Mult"):
        return code.real(x, y, {"Add": "f64.add", "Sub": "f64.sub", "Mult": "f64.mul"}[op])
    if op in ("FloorDiv", "Mod"):
        if not b.k:
            code.raise_if(ZERO_DIVISION, y, ("f64.const", 0.0), "f64.eq")
        return code.real(x, y, ("call", "k_frem" if op == "Mod" else "k_ffloordiv"))
    if op == "Pow":
        made = code.tmp("f64", x, y, ("call", "k_fpow"))
        code.bail_if(made, made, "f64.ne")
        return Value(FLOAT, f=made)
    return code.error(TYPE_ERROR)


def _of_dates(code, op, a, b):
    x, y = a.only, b.only
    if op == "Sub" and x == y:
        if x == "timedelta":
            return checked_span(code, integers.operate(code, "Sub", a, b))
        scale = [("i64.const", DAY_US), "i64.mul"] if x == "date" else []
        return Value(TIMEDELTA, code.tmp("i64", a.i, b.i, "i64.sub", *scale))
    if op in ("Add", "Sub") and y == "timedelta" and x in ("date", "datetime"):
        return _shifted(code, op, a, b)
    if op == "Add" and x == "timedelta" and y in ("date", "datetime"):
        return _shifted(code, op, b, a)
    if op == "Add" and x == y == "timedelta":
        return checked_span(code, integers.operate(code, "Add", a, b))
    if "timedelta" in (x, y) and op in ("Mult", "Div", "FloorDiv", "Mod"):
        return _scaled_span(code, op, a, b)
    return code.error(TYPE_ERROR)


def _scaled_span(code, op, a, b):
    """Return a timedelta times an int, or the quotient of two."""
    x, y = a.only, b.only
    if op == "Mult" and {x, y} == {"timedelta", "int"}:
        return checked_span(code, integers.operate(code, "Mult", a, b))
    if x == y == "timedelta" and op == "Div":
        return divide(code, a, b)
    if x == y == "timedelta" and op == "FloorDiv":
        return integers.operate(code, "FloorDiv", a, b)
    if x == y == "timedelta" and op == "Mod":
        return checked_span(code, integers.operate(code, "Mod", a, b))
    if x == "timedelta" and y in ("int", "bool") and op == "FloorDiv":
        return checked_span(code, integers.operate(code, "FloorDiv", a, b))
    if x == "timedelta" and y in ("int", "bool") and op == "Div":
        return checked_span(code, _divided_evenly(code, a, b))
    return code.unsupported(f"{x} {op} {y}")


def _divided_evenly(code, a, b):
    """Return a / b of integers, rounded half to even."""
    quotient = integers.operate(code, "FloorDiv", a, b)
    if not quotient.t:
        return NEVER
    rest = integers.operate(code, "Mult", integers.operate(code, "Mod", a, b), code.const(2))
    positive = code.tmp("i32", b.i, ("i64.const", 0), "i64.gt_s")
    more = code.tmp("i32", rest.i, b.i, "i64.gt_s", rest.i, b.i, "i64.lt_s", positive, "select")
    odd = [quotient.i, ("i64.const", 1), "i64.and", "i32.wrap_i64"]
    up = code.tmp("i64", more, rest.i, b.i, "i64.eq", *odd, "i32.and", "i32.or", "i64.extend_i32_u")
    return integers.operate(code, "Add", quotient, Value(quotient.t, up, lo=0, hi=1))


def checked_span(code, v):
    """Return a timedelta of microseconds, up to 146,000 years."""
    if not v.t:
        return NEVER
    code.bail_if(v.i, ("i64.const", 2**62), "i64.add", ("i64.const", 0), "i64.lt_s")
    return Value(TIMEDELTA, v.i)


def _shifted(code, op, when, span):
    """Return a date or datetime plus or minus a timedelta. Of a date only its days count, rounded down."""
    distance = span.i
    low, high = (MIN_DAY, MAX_DAY) if when.only == "date" else (MIN_US, MAX_US)
    if when.only == "date":
        distance = code.tmp("i64", *integers.floor_divide_by(code, span.i, DAY_US))
    else:
        code.bail_if(distance, ("i64.const", 2**61), "i64.add", ("i64.const", 2**62), "i64.gt_u")
    made = code.tmp("i64", when.i, distance, "i64.add" if op == "Add" else "i64.sub")
    code.raise_if(OVERFLOW_ERROR, made, ("i64.const", low), "i64.sub", ("i64.const", high - low), "i64.gt_u")
    return Value(when.t, made)


def negate(code, v):
    """Return -v of a value of one type."""
    if v.only == "float":
        return Value(FLOAT, f=code.tmp("f64", v.f, "f64.neg"), k=None if v.k is None else -v.k)
    if v.only in ("int", "bool"):
        return integers.negate(code, v)
    if v.only == "timedelta":
        return checked_span(code, integers.operate(code, "Sub", code.const(0), v))
    if v.only == "decimal":
        return decimals.negate(code, v)
    return code.error(TYPE_ERROR)


def concatenated(code, parts):
    """Return texts, one after the other."""
    if any(not v.t for v in parts):
        return NEVER
    if len(parts) < 2:
        return parts[0] if parts else code.const("")
    if len(parts) == 2:
        return code.kernel_text("k_concat", *code.text(parts[0]), *code.text(parts[1]))
    nothing = ("i32.const", 0)
    return code.kernel_text("k_join", nothing, nothing, packed_list(code, parts), ("i32.const", len(parts)))


def packed_list(code, parts):
    """Write values of 64 bits one after the other into the arena; return the operand of their address."""
    code.uses_arena = True
    at, size = code.tmp("i32", CONTEXT, ("i32.load", ARENA_AT)), 8 * len(parts)
    code.bail_if(at, ("i32.const", size), "i32.add", CONTEXT, ("i32.load", ARENA_END), "i32.gt_u")
    for number, v in enumerate(parts):
        code.e(at, *((v.f, ("f64.store", 8 * number)) if v.only == "float" else (v.i, ("i64.store", 8 * number))))
    code.e(CONTEXT, at, ("i32.const", size), "i32.add", ("i32.store", ARENA_AT))
    return at
