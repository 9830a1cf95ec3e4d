"""Integers of 64 bits. What would not fit bails: Python's have no bounds."""

from _udf_compiler.errors import VALUE_ERROR, ZERO_DIVISION
from _udf_compiler.values import BOOL, INT, MAX, MIN, NEVER, Value

_MOST_POWER = 64


def operate(code, op, a, b):
    """Return `a op b` of two ints or bools. `op` is the name of a node of ast."""
    if a.only == b.only == "bool" and op in ("BitAnd", "BitOr", "BitXor"):
        return Value(BOOL, code.tmp("i64", a.i, b.i, _BITS[op]), lo=0, hi=1)
    return _OPERATIONS[op](code, op, a, b)


def negate(code, v):
    """Return -v."""
    return code.const(-v.k) if type(v.k) is int else _add(code, "Sub", code.const(0), v)


def absolute(code, v):
    """Return abs(v)."""
    if v.lo == MIN:
        code.bail_if(v.i, ("i64.const", MIN), "i64.eq")
    sign = code.tmp("i64", v.i, ("i64.const", 63), "i64.shr_s")
    hi = MAX if v.lo == MIN else max(abs(v.lo), abs(v.hi))
    return code.integer(v.i, sign, "i64.xor", sign, "i64.sub", lo=0, hi=hi)


def check_size(code, v):
    """Bail where a number is too large for the guest's C, which then raises OverflowError."""
    if v.lo < -(2**31) or v.hi >= 2**31:
        code.bail_if(v.i, ("i64.const", 2**31), "i64.add", ("i64.const", 2**32), "i64.ge_u")


def floor_divide_by(code, x, by):
    """Return the instructions of x // by for a positive constant."""
    if by & (by - 1) == 0:
        return [x, ("i64.const", by.bit_length() - 1), "i64.shr_s"]
    quotient = code.tmp("i64", x, ("i64.const", by), "i64.div_s")
    rest = [x, quotient, ("i64.const", by), "i64.mul", "i64.sub"]
    return [quotient, *rest, ("i64.const", 63), "i64.shr_s", "i64.add"]


def _clipped(lo, hi):
    return {"lo": max(lo, MIN), "hi": min(hi, MAX)}


def _add(code, op, a, b):
    x, y, add = a.i, b.i, op == "Add"
    lo, hi = (a.lo + b.lo, a.hi + b.hi) if add else (a.lo - b.hi, a.hi - b.lo)
    made = code.tmp("i64", x, y, "i64.add" if add else "i64.sub")
    if lo < MIN or hi > MAX:
        if b.lo >= 0 or b.hi <= 0:
            up = (b.lo >= 0) == add
            code.bail_if(made, x, "i64.lt_s" if up else "i64.gt_s")
        elif add and (a.lo >= 0 or a.hi <= 0):
            code.bail_if(made, y, "i64.lt_s" if a.lo >= 0 else "i64.gt_s")
        else:  # the sign differs from both, or from that of the minuend
            other = [y, made] if add else [x, y]
            code.bail_if(x, made, "i64.xor", *other, "i64.xor", "i64.and", ("i64.const", 0), "i64.lt_s")
    return Value(INT, made, **_clipped(lo, hi))


def _multiply(code, op, a, b):
    corners = [p * q for p in (a.lo, a.hi) for q in (b.lo, b.hi)]
    lo, hi = min(corners), max(corners)
    if lo < MIN or hi > MAX:
        if a.k is not None:
            a, b = b, a
        if b.k is not None and b.k not in (0, -1):
            _check_factor(code, a.i, b.k)
        else:
            _check_product(code, a.i, b.i)
    return code.integer(a.i, b.i, "i64.mul", **_clipped(lo, hi))


def _check_factor(code, x, k):
    """Bail unless x * k fits."""
    low, high = (-(-MIN // k), MAX // k) if k > 0 else (-(MAX // -k), -MIN // -k)
    if high - low <= MAX:
        code.bail_if(x, ("i64.const", low), "i64.sub", ("i64.const", high - low), "i64.gt_u")
    else:
        code.bail_if(x, ("i64.const", low), "i64.lt_s", x, ("i64.const", high), "i64.gt_s", "i32.or")


def _check_product(code, x, y):
    """Bail unless x * y fits. Factors of 32 bits always do."""
    half = ("i64.const", 2**31)
    large = [
        x,
        half,
        "i64.add",
        y,
        half,
        "i64.add",
        "i64.or",
        ("i64.const", 32),
        "i64.shr_u",
        ("i64.const", 0),
        "i64.ne",
    ]
    with code.block("if", *large), code.block() as zero:
        code.e(x, "i64.eqz", ("br_if", zero))
        code.bail_if(x, ("i64.const", -1), "i64.eq")  # MIN / -1 would trap
        code.bail_if(x, y, "i64.mul", x, "i64.div_s", y, "i64.ne")


def _check_divisor(code, b):
    """Raise for 0. Returns False if it is 0 for sure."""
    if b.lo <= 0 <= b.hi:
        code.raise_if(ZERO_DIVISION, b.i, "i64.eqz")
    return b.lo != 0 or b.hi != 0


def _modulo(code, op, a, b):
    if not _check_divisor(code, b):
        return NEVER
    x, y, positive = a.i, b.i, b.lo >= 0
    if positive:
        lo, hi = 0, b.hi - 1
    else:
        lo, hi = (b.lo + 1, 0) if b.hi <= 0 else (min(b.lo + 1, 0), max(b.hi - 1, 0))
    if b.k is not None and b.k > 0 and b.k & (b.k - 1) == 0:
        return code.integer(x, ("i64.const", b.k - 1), "i64.and", lo=0, hi=hi)
    if a.lo >= 0 and positive:
        return code.integer(x, y, "i64.rem_s", lo=0, hi=min(hi, a.hi))
    rest = code.tmp("i64", x, y, "i64.rem_s")
    if positive:  # a negative rest is too small by the divisor
        return code.integer(rest, rest, ("i64.const", 63), "i64.shr_s", y, "i64.and", "i64.add", lo=lo, hi=hi)
    return code.integer(rest, y, ("i64.const", 0), *_rest_of_other_sign(rest, y), "select", "i64.add", lo=lo, hi=hi)


def _rest_of_other_sign(rest, y):
    """Return the condition for which C's division rounds up."""
    differ = [rest, y, "i64.xor", ("i64.const", 0), "i64.lt_s"]
    return [rest, ("i64.const", 0), "i64.ne", *differ, "i32.and"]


def _floor_divide(code, op, a, b):
    if not _check_divisor(code, b):
        return NEVER
    x, y = a.i, b.i
    if b.k is not None and b.k > 0:
        return code.integer(*floor_divide_by(code, x, b.k), lo=a.lo // b.k, hi=a.hi // b.k)
    if a.lo == MIN and b.lo <= -1 <= b.hi:
        code.bail_if(x, ("i64.const", MIN), "i64.eq", y, ("i64.const", -1), "i64.eq", "i32.and")
    quotient = code.tmp("i64", x, y, "i64.div_s")
    if a.lo >= 0 and b.lo >= 0:
        return Value(INT, quotient, lo=0, hi=a.hi)
    rest = code.tmp("i64", x, quotient, y, "i64.mul", "i64.sub")
    return code.integer(quotient, *_rest_of_other_sign(rest, y), "i64.extend_i32_u", "i64.sub")


def _bits(code, op, a, b):
    lo, hi = MIN, MAX
    if op == "BitAnd" and (a.lo >= 0 or b.lo >= 0):
        lo, hi = 0, min(v.hi for v in (a, b) if v.lo >= 0)
    return code.integer(a.i, b.i, _BITS[op], lo=lo, hi=hi)


def _shift_right(code, op, a, b):
    if b.lo < 0:
        code.raise_if(VALUE_ERROR, b.i, ("i64.const", 0), "i64.lt_s")
    most = ("i64.const", 63)
    distance = [b.i, most, b.i, most, "i64.lt_u", "select"]
    return code.integer(a.i, *distance, "i64.shr_s", lo=min(a.lo, 0), hi=max(a.hi, 0))


def _shift_left(code, op, a, b):
    if b.lo < 0:
        code.raise_if(VALUE_ERROR, b.i, ("i64.const", 0), "i64.lt_s")
    code.bail_if(b.i, ("i64.const", 62), "i64.gt_u")
    made = code.tmp("i64", a.i, b.i, "i64.shl")
    code.bail_if(made, b.i, "i64.shr_s", a.i, "i64.ne")
    return Value(INT, made)


def _power(code, op, a, b):
    if type(b.k) is not int or not 0 <= b.k <= _MOST_POWER:
        return code.unsupported("a power of an int whose exponent is no small constant")
    made, square, exponent = None, a, b.k
    while exponent:
        if exponent & 1:
            made = square if made is None else _multiply(code, op, made, square)
        exponent >>= 1
        if exponent:
            square = _multiply(code, op, square, square)
    return code.const(1) if made is None else Value(INT, made.i, lo=made.lo, hi=made.hi)


def _matrix(code, op, a, b):
    return code.unsupported("the operator @")


_BITS = {"BitAnd": "i64.and", "BitOr": "i64.or", "BitXor": "i64.xor"}
_OPERATIONS = {
    "Add": _add,
    "Sub": _add,
    "Mult": _multiply,
    "FloorDiv": _floor_divide,
    "Mod": _modulo,
    "BitAnd": _bits,
    "BitOr": _bits,
    "BitXor": _bits,
    "RShift": _shift_right,
    "LShift": _shift_left,
    "Pow": _power,
    "MatMult": _matrix,
}
