"""Walks over what a loop can go over: ranges, texts, lists, constants, and combinations of them."""

import ast

from _udf_compiler import calling, filtering, lists, regexes, structs, tables, texts
from _udf_compiler.containers import pick
from _udf_compiler.errors import TYPE_ERROR, VALUE_ERROR
from _udf_compiler.integers import operate
from _udf_compiler.iteration import Iteration
from _udf_compiler.shapes import kind_of
from _udf_compiler.statics import NO_CONSTANT, constant, known_name, static
from _udf_compiler.values import INT, MAX, MIN, NEVER, STR, Value, tuple_of


def over(code, node, *, unordered=False):
    """Begin a walk over the value of a node. None if the row ends here. `unordered`: the order doesn't matter."""
    values = constant(code, node)
    if values is NO_CONSTANT:
        values = _constant_view(code, node)
    if values is not NO_CONSTANT and type(values) in (tuple, list, dict):
        return _over_constants(code, list(values))
    if type(values) in (set, frozenset):
        if not unordered:
            code.unsupported("a loop over a set")
            return None
        walk = _over_constants(code, sorted(values, key=repr))
        walk.is_set = True
        return walk
    matches = regexes.matches(code, node)
    if matches is not None:
        found, name, item = matches
        return over_packed(code, found, name, item) if found.t else None
    name = known_name(code, node.func) if isinstance(node, ast.Call) else None
    if name == "enumerate" and [keyword.arg for keyword in node.keywords] == ["start"] and len(node.args) == 1:
        return _enumerate(code, [*node.args, node.keywords[0].value])
    if name in _CALLS and not node.keywords:
        return _CALLS[name](code, node.args)
    if is_view(node) and static(code, node.func) is None:
        v = code.expr(node.func.value)
        if structs.is_struct(v.only):
            v = structs.as_dict(code, v)
        if kind_of(v.only) == "dict":
            return tables.over(code, v, node.func.attr)
        if not v.t:
            return None
        code.unsupported(f"a loop over {node.func.attr}()")
        return None
    return over_value(code, code.expr(node), unordered=unordered)


def over_value(code, v, *, unordered=False):
    """Begin a walk over a value. None if the row ends here. `unordered`: the order doesn't matter."""
    v = code.without_none(v, TYPE_ERROR)
    if not v.t:
        return None
    if v.items is not None:
        v = lists.of_values(code, v.items, "items")
    if v.only == "str":
        return _over_text(code, v)
    if structs.is_struct(v.only):
        v = structs.as_dict(code, v)
        if not v.t:
            return None
    kind = kind_of(v.only)
    if kind == "list":
        return _over_list(code, v)
    if kind == "dict" or (kind == "set" and unordered):
        return tables.over(code, v)
    if v.only in ("int", "float", "bool"):
        code.raise_(TYPE_ERROR)
        return None
    code.unsupported(f"a loop over a {kind_of(v.only) or v.only or 'value of several types'}")
    return None


def is_view(node):
    """Return whether a node is d.items() and the like of something."""
    is_method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    return is_method and not node.args and not node.keywords and node.func.attr in ("items", "keys", "values")


def _constant_view(code, node):
    """Return the items of D.items() and the like of a constant dict."""
    if is_view(node):
        mapping = constant(code, node.func.value)
        if type(mapping) is dict:
            return list(getattr(mapping, node.func.attr)())
    return NO_CONSTANT


def _counted(code, count, item):
    """Walk over numbers from 0 to below an operand."""
    at = code.local("i32")
    code.e(("i32.const", 0), ("local.set", at))
    place = ("local.get", at)

    def advance(out):
        code.e(place, ("i32.const", 1), "i32.add", ("local.set", at))

    return Iteration([place, count, "i32.lt_u"], lambda: item(place), advance)


def _over_constants(code, values):
    if not values:
        return _counted(code, ("i32.const", 0), lambda place: code.const(None))
    return _counted(code, ("i32.const", len(values)), lambda place: pick(code, values, place))


def over_packed(code, v, name, make=lambda item: item):
    """Begin a walk over items of 8 bytes that a kernel made.

    Args:
        code: The function.
        v: The items, like a text.
        name: Their type.
        make: Makes what the walk yields of an item.
    """
    start, count = code.text(v)

    def item(place):
        address = code.tmp("i32", start, place, ("i32.const", 3), "i32.shl", "i32.add")
        return make(Value(frozenset({name}), code.tmp("i64", address, ("i64.load", 0))))

    return _counted(code, count, item)


def _over_list(code, v):
    """Walk over a list, which may change meanwhile."""
    at, place = lists.address(code, v), code.local("i32")
    code.e(("i32.const", 0), ("local.set", place))

    def item():
        return lists.load_at(code, v, code.tmp("i32", at, ("i32.load", lists.DATA)), ("local.get", place))

    def advance(out):
        code.e(("local.get", place), ("i32.const", 1), "i32.add", ("local.set", place))

    return Iteration([("local.get", place), at, ("i32.load", lists.COUNT), "i32.lt_u"], item, advance)


def _over_list_reversed(code, v):
    """Walk over a list from its end. The row bails if its length changes."""
    at = lists.address(code, v)
    count = code.tmp("i32", at, ("i32.load", lists.COUNT))

    def item(place):
        code.bail_if(at, ("i32.load", lists.COUNT), count, "i32.ne")
        last = code.tmp("i32", count, ("i32.const", 1), "i32.sub", place, "i32.sub")
        return lists.load_at(code, v, code.tmp("i32", at, ("i32.load", lists.DATA)), last)

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

    return Iteration([place, end, "i32.lt_u"], item, advance)


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
        return _range_by(code, *values)
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

    return Iteration([place, stop.i, "i64.lt_s" if up else "i64.gt_s"], item, advance)


def _range_by(code, start, stop, step):
    """Walk over a range whose step is computed."""
    code.raise_if(VALUE_ERROR, step.i, "i64.eqz")
    at = code.local("i64")
    place, up = ("local.get", at), code.tmp("i32", step.i, ("i64.const", 0), "i64.gt_s")
    code.e(start.i, ("local.set", at))

    def advance(out):
        after = code.tmp("i64", place, step.i, "i64.add")
        code.e(after, place, "i64.lt_s", up, "i32.eq", ("br_if", out), after, ("local.set", at))

    more = [place, stop.i, "i64.lt_s", place, stop.i, "i64.gt_s", up, "select"]
    lo, hi = min(start.lo, stop.lo), max(start.hi, stop.hi)
    return Iteration(more, lambda: Value(INT, code.tmp("i64", place), lo=lo, hi=hi), advance)


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

    return Iteration(inner.more, item, advance)


def _map(code, arguments):
    """Walk over map(function, *iterables)."""
    if len(arguments) < 2:
        code.unsupported("map here")
        return None
    if any(isinstance(n, ast.Call) for argument in arguments[1:-1] for n in ast.walk(argument)):
        code.unsupported("map over several calls")
        return None
    walks = [over(code, argument) for argument in arguments[1:]]
    if None in walks:
        return None

    def advance(out):
        for walk in walks:
            walk.advance(out)

    def item():
        values = [walk.item() for walk in walks]
        return calling.apply(code, arguments[0], values) if all(v.t for v in values) else NEVER

    more = [*walks[0].more, *[op for walk in walks[1:] for op in (*walk.more, "i32.and")]]
    return Iteration(more, item, advance)


def _zip(code, arguments):
    # The first is asked for an item before it is known that another has none.
    inside = [n for argument in arguments[:-1] for n in ast.walk(argument)]
    if any(isinstance(n, ast.Call) and known_name(code, n.func) == "map" for n in inside):
        code.unsupported("zip of a map")
        return None
    walks = [over(code, argument) for argument in arguments]
    if not walks or None in walks:
        if not walks:
            code.unsupported("zip of nothing")
        return None

    def advance(out):
        for walk in walks:
            walk.advance(out)

    more = [*walks[0].more, *[op for walk in walks[1:] for op in (*walk.more, "i32.and")]]
    return Iteration(more, lambda: tuple_of([walk.item() for walk in walks]), advance)


def _reversed(code, arguments):
    if len(arguments) != 1:
        code.unsupported("reversed here")
        return None
    values = constant(code, arguments[0])
    if type(values) in (tuple, list):
        return _over_constants(code, list(values)[::-1])
    v = code.expr(arguments[0])
    if v.items is not None:
        v = lists.of_values(code, v.items, "items")
    if v.only == "str":
        return _over_text(code, texts.reversed_(code, v))
    if lists.is_list(v.only):
        return _over_list_reversed(code, v)
    if v.t:
        code.unsupported(f"reversed of a {v.only or 'value of several types'}")
    return None


def _filter(code, arguments):
    if len(arguments) != 2:
        code.unsupported("filter here")
        return None
    inner = over(code, arguments[1])
    return None if inner is None else filtering.over_filter(code, arguments[0], inner)


_CALLS = {"filter": _filter, "range": _range, "enumerate": _enumerate, "zip": _zip, "reversed": _reversed, "map": _map}
