"""Decimals: the decimal module's numbers in its default context, up to 38 digits. Others bail."""

import decimal

from _udf_compiler.errors import DECIMAL_DIVISION_BY_ZERO, INVALID_OPERATION, TYPE_ERROR
from _udf_compiler.values import BOOL, DECIMAL, INT, NONE, Value

# The numbers of operations and roundings: those of wasm/c/compiled/decimal_kernels.c, and of libmpdec.
_OPERATIONS = {name: n for n, name in enumerate(("Add", "Sub", "Mult", "Div", "FloorDiv", "Mod", "Pow"))}
_PLUS, _MINUS, _ABSOLUTE, _NORMALIZE, _SQRT = range(7, 12)
_ROUNDINGS = (
    decimal.ROUND_UP,
    decimal.ROUND_DOWN,
    decimal.ROUND_CEILING,
    decimal.ROUND_FLOOR,
    decimal.ROUND_HALF_UP,
    decimal.ROUND_HALF_DOWN,
    decimal.ROUND_HALF_EVEN,
    decimal.ROUND_05UP,
)
_HALF_EVEN = _ROUNDINGS.index(decimal.ROUND_HALF_EVEN)
# The numbers of these to an int.
ROUNDING_OF = {
    "trunc": _ROUNDINGS.index(decimal.ROUND_DOWN),
    "floor": _ROUNDINGS.index(decimal.ROUND_FLOOR),
    "ceil": _ROUNDINGS.index(decimal.ROUND_CEILING),
    "round": _HALF_EVEN,
}
_ERRORS = {
    "Div": (INVALID_OPERATION, DECIMAL_DIVISION_BY_ZERO),
    "FloorDiv": (INVALID_OPERATION, DECIMAL_DIVISION_BY_ZERO),
    "Mod": (INVALID_OPERATION,),
    "Pow": (INVALID_OPERATION,),
}
_EXACT = frozenset({"decimal", "int", "bool"})  # what Decimal mixes with
_FLIPPED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
_EXPONENT_AT = 16  # in struct decimal
_MOST_PLACES = 2**20


def use(code):
    """Note that the function depends on the context of the decimal module."""
    code.scope.lookups.find("decimals", 0, None)


def make(code, low, high, exponent, t=DECIMAL):
    """Return the decimal of the two halves of an integer, and an exponent."""
    use(code)
    return code.kernel_text("k_decimal_make", low, high, ("i32.const", exponent), t=t)


def as_decimal(code, v):
    """Return a Decimal, an int or a bool as a Decimal."""
    if v.only == "decimal":
        return v
    if type(v.k) in (int, bool):
        return code.const(decimal.Decimal(v.k))
    sign = code.tmp("i64", v.i, ("i64.const", 63), "i64.shr_s")
    return make(code, v.i, sign, 0)


def _place(code, v):
    return code.text(v)[0]


def _computed(code, number, a, b, errors=()):
    operands = ("i32.const", number), _place(code, a), _place(code, b)
    return code.kernel_text("k_decimal", *operands, errors=errors, t=DECIMAL)


def binary(code, op, a, b):
    """Return `a op b`, one of which is a Decimal."""
    if not {a.only, b.only} <= _EXACT or op not in _OPERATIONS:
        return code.error(TYPE_ERROR)
    return _computed(code, _OPERATIONS[op], as_decimal(code, a), as_decimal(code, b), _ERRORS.get(op, ()))


def compare(code, kind, a, b):
    """Return a comparison of which one is a Decimal. `kind` is that of an instruction."""
    if "float" in (a.only, b.only):
        use(code)
        if a.only == "float":
            a, b, kind = b, a, _FLIPPED[kind]
        order = code.kernel_number("k_decimal_compare_float", _place(code, a), b.f, kind="i32")
        return _ordered(code, kind, order)
    if not {a.only, b.only} <= _EXACT:
        return code.const(kind == "ne") if kind in ("eq", "ne") else code.error(TYPE_ERROR)
    x, y = (_place(code, as_decimal(code, v)) for v in (a, b))
    return _ordered(code, kind, code.kernel_number("k_decimal_compare", x, y, kind="i32"))


def _ordered(code, kind, order):
    """Return a comparison by what a kernel returned: -1, 0 or 1."""
    return code.boolean(order, ("i32.const", 0), f"i32.{kind}" + ("" if kind in ("eq", "ne") else "_s"))


def truth(code, v):
    """Return an operand that is 1 unless a Decimal is zero."""
    at = _place(code, v)
    return code.tmp("i32", at, ("i64.load", 0), at, ("i64.load", 8), "i64.or", ("i64.const", 0), "i64.ne")


def negate(code, v):
    """Return -v."""
    return _computed(code, _MINUS, v, v)


def positive(code, v):
    """Return +v, which rounds."""
    return _computed(code, _PLUS, v, v)


def absolute(code, v):
    """Return abs(v)."""
    return _computed(code, _ABSOLUTE, v, v)


def to_int(code, v, how):
    """Return a Decimal as an int; `how` is a key of ROUNDING_OF."""
    number = code.kernel_number("k_decimal_int", _place(code, v), ("i32.const", ROUNDING_OF[how]))
    return Value(INT, number)


def to_float(code, v):
    """Return float(v) as an operand."""
    return code.kernel_number("k_decimal_float", _place(code, v), kind="f64")


def rounded(code, v, digits):
    """Return round(v, digits) for an int."""
    code.bail_if(digits.i, ("i64.const", _MOST_PLACES), "i64.add", ("i64.const", 2 * _MOST_PLACES), "i64.gt_u")
    exponent = code.tmp("i32", ("i32.const", 0), digits.i, "i32.wrap_i64", "i32.sub")
    return _quantized(code, v, exponent, _HALF_EVEN)


def _quantized(code, v, exponent, rounding):
    operands = _place(code, v), exponent, ("i32.const", rounding)
    return code.kernel_text("k_decimal_quantize", *operands, errors=(INVALID_OPERATION,), t=DECIMAL)


def text(code, v, spec=""):
    """Return str(v), or format(v, spec) of a format that is one."""
    if not spec:
        return code.kernel_text("k_decimal_text", _place(code, v))
    if not spec.isascii() or "\0" in spec or spec[-1] in "nN":
        return code.unsupported(f"the format {spec!r} of a Decimal")
    return code.kernel_text("k_decimal_format", _place(code, v), *code.text(code.const(spec)))


def construct(code, v=None, *more):
    """Return Decimal(v); None for what is left to the interpreter."""
    if more:
        return None
    if v is None:
        return code.const(decimal.Decimal(0))

    def made(m):
        if m.only in _EXACT:
            return as_decimal(code, m)
        if m.only == "none":
            return code.error(TYPE_ERROR)
        if m.only != "str":
            return code.unsupported(f"Decimal of a {m.only}")
        if m.k is not None:
            try:
                return code.const(decimal.Decimal(m.k))
            except decimal.InvalidOperation:
                return code.error(INVALID_OPERATION)
        use(code)
        return code.kernel_text("k_decimal_parse", *code.text(m), errors=(INVALID_OPERATION,), t=DECIMAL)

    return code.dispatch(v, made)


# ---- methods


def call(code, v, name, arguments, keywords):
    """Return v.name(*arguments, **keywords) of a Decimal."""
    method = _METHODS.get(name)
    made = None if method is None else method(code, v, name, arguments, keywords)
    return code.unsupported(f"Decimal.{name}") if made is None else made


def _rounding(given, default=_HALF_EVEN):
    """Return the number of a rounding that is passed, None if it isn't known."""
    if given is None or given.t == NONE:
        return default
    return _ROUNDINGS.index(given.k) if type(given.k) is str and given.k in _ROUNDINGS else None


def _given(names, arguments, keywords):
    """Return arguments by name; None if they don't fit."""
    given = dict(zip(names, arguments, strict=False)) | keywords
    fits = (
        len(arguments) <= len(names) and set(given) <= set(names) and not set(names[: len(arguments)]) & set(keywords)
    )
    return given if fits else None


def _quantize(code, v, name, arguments, keywords):
    given = _given(("exp", "rounding"), arguments, keywords)
    rounding = None if given is None else _rounding(given.get("rounding"))
    if rounding is None or "exp" not in given or given["exp"].only not in _EXACT:
        return None
    if type(given["exp"].k) is decimal.Decimal:
        exponent = ("i32.const", given["exp"].k.as_tuple().exponent)
    elif given["exp"].only == "decimal":
        exponent = code.tmp("i32", _place(code, given["exp"]), ("i32.load", _EXPONENT_AT))
    else:
        exponent = ("i32.const", 0)
    return _quantized(code, v, exponent, rounding)


def _to_integral(code, v, name, arguments, keywords):
    given = _given(("rounding",), arguments, keywords)
    rounding = None if given is None else _rounding(given.get("rounding"))
    if rounding is None:
        return None
    return code.kernel_text("k_decimal_integral", _place(code, v), ("i32.const", rounding), t=DECIMAL)


def _of_itself(number, *errors):
    def method(code, v, name, arguments, keywords):
        return None if arguments or keywords else _computed(code, number, v, v, errors)

    return method


def _same(*, answer):
    def method(code, v, name, arguments, keywords):
        return None if arguments or keywords else code.const(answer)

    return method


def _is_zero(code, v, name, arguments, keywords):
    return None if arguments or keywords else code.negated(v)


def _is_signed(code, v, name, arguments, keywords):
    if arguments or keywords:
        return None
    c = code.tmp("i32", _place(code, v), ("i32.load", _EXPONENT_AT + 4))
    return Value(BOOL, code.tmp("i64", c, "i64.extend_i32_u"), lo=0, hi=1, c=c)


def _itself(code, v, name, arguments, keywords):
    return None if arguments or keywords else v


_METHODS = {
    "quantize": _quantize,
    "to_integral_value": _to_integral,
    "to_integral": _to_integral,
    "normalize": _of_itself(_NORMALIZE),
    "sqrt": _of_itself(_SQRT, INVALID_OPERATION),
    "is_zero": _is_zero,
    "is_signed": _is_signed,
    "is_nan": _same(answer=False),  # none is here
    "is_infinite": _same(answer=False),
    "is_finite": _same(answer=True),
    "conjugate": _itself,
}
