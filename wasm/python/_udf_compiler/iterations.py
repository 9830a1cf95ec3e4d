"""Walks over what a loop can go over: ranges, texts, lists, constants, and combinations of them."""

import ast

from _udf_compiler import regexes, texts
from _udf_compiler.containers import pick
from _udf_compiler.errors import TYPE_ERROR
from _udf_compiler.expressions import as_list
from _udf_compiler.integers import operate
from _udf_compiler.statics import NO_CONSTANT, constant, known_name
from _udf_compiler.values import INT, ITEM_OF, MAX, MIN, STR, Value, tuple_of
from _udf_compiler.variables import load_item

_MOST = 16_000  # items of a list that is made


class Iteration:
    """One walk, whose beginning has been emitted.

    Attributes:
        more: The instructions of the condition that there is another item.
        item: Emits what reads the item; returns it.
        advance: Emits what goes on to the next, with the label behind the loop.
        most: An operand that is at least the number of items; None if it isn't known.
    """

    def __init__(self, more, item, advance, most=None):
        self.more, self.item, self.advance, self.most = more, item, advance, most


def over(code, node):
    """Begin a walk over the value of a node. None if the row ends here."""
    values = constant(code, node)
    if values is NO_CONSTANT:
        values = _constant_view(code, node)
    if values is not NO_CONSTANT and type(values) in (tuple, list, dict):
        return _over_constants(code, list(values))
    if type(values) in (set, frozenset):
        code.unsupported("a loop over a set")
        return None
    matches = regexes.matches(code, node)
    if matches is not None:
        return over_list(code, *matches) if matches[0].t else None
    name = known_name(code, node.func) if isinstance(node, ast.Call) else None
    if name == "enumerate" and [keyword.arg for keyword in node.keywords] == ["start"] and len(node.args) == 1:
        return _enumerate(code, [*node.args, node.keywords[0].value])
    if name in _CALLS and not node.keywords:
        return _CALLS[name](code, node.args)
    return over_value(code, code.expr(node))


def over_value(code, v):
    """Begin a walk over a value. None if the row ends here."""
    v = code.without_none(v, TYPE_ERROR)
    if not v.t:
        return None
    if v.items is not None:
        v = as_list(code, v.items)
    if v.only == "str":
        return _over_text(code, v)
    if v.only in ITEM_OF:
        return over_list(code, v)
    if v.only in ("int", "float", "bool"):
        code.raise_(TYPE_ERROR)
        return None
    code.unsupported(f"a loop over a {v.only or 'value of several types'}")
    return None


def _constant_view(code, node):
    """Return the items of D.items() and the like of a constant dict."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args and not node.keywords:
        mapping = constant(code, node.func.value)
        if type(mapping) is dict and node.func.attr in ("items", "keys", "values"):
            return list(getattr(mapping, node.func.attr)())
    return NO_CONSTANT


def _counted(code, count, item, most=None):
    """Walk over numbers from 0 to below an operand."""
    at = code.local("i32")
    code.e(("i32.const", 0), ("local.set", at))
    place = ("local.get", at)

    def advance(out):
        code.e(place, ("i32.const", 1), "i32.add", ("local.set", at))

    return Iteration([place, count, "i32.lt_u"], lambda: item(place), advance, most or count)


def _over_constants(code, values):
    if not values:
        return _counted(code, ("i32.const", 0), lambda place: code.const(None))
    return _counted(code, ("i32.const", len(values)), lambda place: pick(code, values, place))


def over_list(code, v, name=None):
    """Begin a walk over a list, of items of a type that isn't said by the list's own if there is a name."""
    start, count = code.text(v)

    def item(place):
        address = code.tmp("i32", start, place, ("i32.const", 3), "i32.shl", "i32.add")
        loaded = load_item(code, v.only, address)
        return loaded if name is None else Value(frozenset({name}), loaded.i)

    return _counted(code, count, item)


def _over_list_reversed(code, v):
    start, count = code.text(v)

    def item(place):
        last = [count, ("i32.const", 1), "i32.sub", place, "i32.sub"]
        address = code.tmp("i32", start, *last, ("i32.const", 3), "i32.shl", "i32.add")
        return load_item(code, v.only, address)

    return _counted(code, count, item)


def _over_text(code, v):
    start, length = code.text(v)
    end = code.tmp("i32", start, length, "i32.add")
    at, size = code.local("i32"), code.local("i32")
    place = ("local.get", at)
    code.e(start, ("local.set", at))

    def item():
        byte = code.tmp("i32", place, ("i32.load8_u", 0))
        steps = [op for first in (0xC0, 0xE0, 0xF0) for op in (byte, ("i32.const", first), "i32.ge_u", "i32.add")]
        code.e(("i32.const", 1), *steps, ("local.set", size))
        high = [place, "i64.extend_i32_u", ("i64.const", 32), "i64.shl"]
        return Value(STR, code.tmp("i64", *high, ("local.get", size), "i64.extend_i32_u", "i64.or"))

    def advance(out):
        code.e(place, ("local.get", size), "i32.add", ("local.set", at))

    return Iteration([place, end, "i32.lt_u"], item, advance, length)


def _range(code, arguments):
    values = [code.without_none(code.expr(argument), TYPE_ERROR) for argument in arguments]
    if any(not v.t for v in values):
        return None
    if not 1 <= len(values) <= 3 or any(v.only not in ("int", "bool") for v in values):
        code.unsupported("range of other than ints")
        return None
    start, stop = (code.const(0), values[0]) if len(values) == 1 else values[:2]
    step = values[2].k if len(values) == 3 else 1
    if type(step) is not int or step == 0:
        code.unsupported("a range whose step is no constant")
        return None
    at = code.local("i64")
    place, up = ("local.get", at), step > 0
    code.e(start.i, ("local.set", at))
    lo, hi = (start.lo, stop.hi - 1) if up else (stop.lo + 1, start.hi)
    wraps = stop.hi + step > MAX if up else stop.lo + step < MIN

    def item():
        return Value(INT, code.tmp("i64", place), lo=max(min(lo, MAX), MIN), hi=min(max(hi, MIN), MAX))

    def advance(out):
        following = [place, ("i64.const", step), "i64.add"]
        if wraps:  # the end of all integers is the end of the range too
            after = code.tmp("i64", *following)
            code.e(after, place, "i64.lt_s" if up else "i64.gt_s", ("br_if", out), after, ("local.set", at))
        else:
            code.e(*following, ("local.set", at))

    distance = code.tmp("i64", *((stop.i, start.i) if up else (start.i, stop.i)), "i64.sub")
    most = ("i64.const", _MOST)
    clipped = [distance, most, distance, most, "i64.lt_u", "select"]  # a negative one too, of an empty range
    return Iteration(
        [place, stop.i, "i64.lt_s" if up else "i64.gt_s"], item, advance, code.tmp("i32", *clipped, "i32.wrap_i64")
    )


def _enumerate(code, arguments):
    if len(arguments) not in (1, 2):
        code.unsupported("enumerate here")
        return None
    inner = over(code, arguments[0])
    start = code.expr(arguments[1]) if len(arguments) == 2 else code.const(0)
    if inner is None or start.only != "int":
        if inner is not None:
            code.unsupported("enumerate from other than an int")
        return None
    at = code.local("i64")
    code.e(start.i, ("local.set", at))
    known = Value(INT, ("local.get", at), lo=start.lo, hi=min(start.hi + 2**31, MAX))

    def item():
        number = Value(INT, code.tmp("i64", known.i), lo=known.lo, hi=known.hi)
        return tuple_of([number, inner.item()])

    def advance(out):
        code.e(operate(code, "Add", known, code.const(1)).i, ("local.set", at))
        inner.advance(out)

    return Iteration(inner.more, item, advance, inner.most)


def _zip(code, arguments):
    walks = [over(code, argument) for argument in arguments]
    if not walks or None in walks:
        if not walks:
            code.unsupported("zip of nothing")
        return None

    def advance(out):
        for walk in walks:
            walk.advance(out)

    more = [*walks[0].more, *[op for walk in walks[1:] for op in (*walk.more, "i32.and")]]
    return Iteration(more, lambda: tuple_of([walk.item() for walk in walks]), advance, walks[0].most)


def _reversed(code, arguments):
    if len(arguments) != 1:
        code.unsupported("reversed here")
        return None
    values = constant(code, arguments[0])
    if type(values) in (tuple, list):
        return _over_constants(code, list(values)[::-1])
    v = code.expr(arguments[0])
    if v.items is not None:
        v = as_list(code, v.items)
    if v.only == "str":
        return _over_text(code, texts.reversed_(code, v))
    if v.only in ITEM_OF:
        return _over_list_reversed(code, v)
    if v.t:
        code.unsupported(f"reversed of a {v.only or 'value of several types'}")
    return None


_CALLS = {"range": _range, "enumerate": _enumerate, "zip": _zip, "reversed": _reversed}
