"""Comparisons, identity, and `in` a display or a text."""

from _udf_compiler import decimals, lists, tables
from _udf_compiler.errors import TYPE_ERROR
from _udf_compiler.shapes import kind_of
from _udf_compiler.values import BOOL, NEVER, NUMBERS, TAGS, Value

_KINDS = {"Lt": "lt", "LtE": "le", "Gt": "gt", "GtE": "ge", "Eq": "eq", "NotEq": "ne"}
_FLIPPED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
_EXACT = 2**53
_INLINE_BYTES = 16  # constants up to here are compared without a call


def compare(code, op, a, b):
    """Return `a op b`. `op` is the name of a node of ast, not of In or NotIn."""
    if not a.t or not b.t:
        return NEVER
    if op in ("Is", "IsNot"):
        return _identity(code, op, a, b)
    if a.items is not None or b.items is not None:
        return _tuples(code, op, a, b)
    return code.over((a, b), lambda x, y: _compare(code, _KINDS[op], x, y))


def _signed(kind):
    return f"i64.{kind}" + ("" if kind in ("eq", "ne") else "_s")


def _compare(code, kind, a, b):
    x, y = a.only, b.only
    if x in NUMBERS and y in NUMBERS:
        return _numbers(code, kind, a, b)
    if x == y and x in ("date", "datetime", "timedelta"):
        return code.boolean(a.i, b.i, _signed(kind))
    if x == y == "str":
        if kind in ("eq", "ne"):
            c = equal_texts(code, a, b)
            return code.boolean(c, "i32.eqz") if kind == "ne" else code.boolean(c)
        return code.boolean(*code.text(a), *code.text(b), ("call", "k_cmp"), ("i32.const", 0), f"i32.{kind}_s")
    if "decimal" in (x, y):
        return decimals.compare(code, kind, a, b)
    kinds = kind_of(x), kind_of(y)
    if kinds == ("list", "list") and kind in ("eq", "ne"):
        return lists.equal(code, kind, a, b)
    if kinds == ("set", "set"):
        return tables.compare(code, kind, a, b)
    if kinds != (None, None) and (kind not in ("eq", "ne") or kinds[0] == kinds[1]):
        return code.unsupported("this comparison of containers")
    # A match equals itself only. Whether two are the same one isn't known.
    if x == y != "none" or {x, y} == {"date", "datetime"}:
        return code.unsupported(f"a comparison of {x} with {y}")
    if kind in ("eq", "ne"):
        return code.const((x == y) == (kind == "eq"))  # of None with itself, or of types that are never equal
    return code.error(TYPE_ERROR)


def _numbers(code, kind, a, b):
    if a.only == b.only == "float":
        return code.boolean(a.f, b.f, f"f64.{kind}")
    if "float" not in (a.only, b.only):
        return code.boolean(a.i, b.i, _signed(kind))
    integer, real = (b, a) if a.only == "float" else (a, b)
    if integer.lo >= -_EXACT and integer.hi <= _EXACT:
        return code.boolean(code.as_float(a), code.as_float(b), f"f64.{kind}")
    if a.only == "float":
        kind = _FLIPPED[kind]
    c = code.tmp("i32", integer.i, real.f, ("call", "k_cmp_if"))  # -1, 0, 1, and 2 for nan
    number, how = {
        "lt": (-1, "eq"),
        "eq": (0, "eq"),
        "ne": (0, "ne"),
        "le": (0, "le_s"),
        "gt": (1, "eq"),
        "ge": (1, "le_u"),
    }[kind]
    return code.boolean(c, ("i32.const", number), f"i32.{how}")


def _identity(code, op, a, b):
    if b.only != "none":
        a, b = b, a
    if b.only == "none":
        if "none" not in a.t:
            return code.const(op == "IsNot")
        if a.only == "none":
            return code.const(op == "Is")
        return code.boolean(a.tag, ("i32.const", TAGS["none"]), "i32.eq" if op == "Is" else "i32.ne")
    if type(a.k) is bool:
        a, b = b, a
    if type(b.k) is not bool:
        return code.unsupported("the operator is")
    same = code.dispatch(a, lambda m: _compare(code, "eq", m, b) if m.only == "bool" else code.const(value=False))
    return same if op == "Is" else code.negated(same)


def _tuples(code, op, a, b):
    if a.items is None or b.items is None or len(a.items) != len(b.items):
        return code.unsupported("a comparison of tuples of different lengths")
    return _compare_items(code, op, a.items, b.items)


def _compare_items(code, op, left, right):
    """Compare item by item: the first that differ decide."""
    if not left:
        return code.const(op in ("LtE", "GtE", "Eq"))
    same = compare(code, "Eq", left[0], right[0])
    if not same.t:
        return NEVER

    def differ():
        return code.const(op == "NotEq") if op in ("Eq", "NotEq") else compare(code, op, left[0], right[0])

    return code.branch(code.truth(same), lambda: _compare_items(code, op, left[1:], right[1:]), differ)


def equal_texts(code, a, b):
    """Return an operand that is 1 if two texts are equal."""
    if a.k is not None:
        a, b = b, a
    data = None if b.k is None else b.k.encode()
    if data is None or len(data) > _INLINE_BYTES:
        return code.tmp("i32", *code.text(a), *code.text(b), ("call", "k_equal"))
    at, length = code.text(a)
    result = code.local("i32")
    code.e(("i32.const", 0), ("local.set", result))
    with code.block() as end:
        code.e(length, ("i32.const", len(data)), "i32.ne", ("br_if", end))
        for offset, size in _pieces(len(data)):
            load = {8: "i64.load", 4: "i64.load32_u", 2: "i64.load16_u", 1: "i64.load8_u"}[size]
            word = int.from_bytes(data[offset : offset + size], "little", signed=size == 8)
            code.e(at, (load, offset), ("i64.const", word), "i64.ne", ("br_if", end))
        code.e(("i32.const", 1), ("local.set", result))
    return ("local.get", result)


def _pieces(length):
    """Yield (offset, size) of loads that cover the bytes of a text; the last may overlap the one before."""
    offset = 0
    while offset < length:
        size = next(size for size in (8, 4, 2, 1) if size <= length - offset)
        left = length - offset
        wider = size * 2
        if size < left and wider <= 8 and wider <= length:  # one load in place of two or three
            offset, size = length - wider, wider
        yield offset, size
        offset += size


def contains(code, item, container):
    """Return `item in container` for a text."""

    def inside(member):
        if member.only == "str":
            return code.dispatch(item, lambda text: _in_text(code, text, member))
        return code.error(TYPE_ERROR) if member.only == "none" else code.unsupported(f"in a {member.only}")

    return code.dispatch(container, inside) if item.t and container.t else NEVER


def _in_text(code, text, container):
    if text.only != "str":
        return code.error(TYPE_ERROR)
    return code.boolean(*code.text(container), *code.text(text), ("call", "k_contains"))


def any_equal(code, item, options):
    """Return whether a value equals one of some others."""
    result = code.local("i32")
    code.e(("i32.const", 1), ("local.set", result))
    with code.block() as end:
        for option in options:
            made = compare(code, "Eq", item, option)
            if made.t:
                code.e(code.condition(made), ("br_if", end))
        code.e(("i32.const", 0), ("local.set", result))
    c = ("local.get", result)
    return Value(BOOL, code.tmp("i64", c, "i64.extend_i32_u"), lo=0, hi=1, c=c)
