"""Sets and dicts that a function makes and changes: tables in the arena, in the order in which their keys came."""

from _udf_compiler import lists, shapes
from _udf_compiler.errors import KEY_ERROR
from _udf_compiler.iteration import Iteration
from _udf_compiler.lists import COUNT, DATA, LIVE, address, shape_of
from _udf_compiler.values import NEVER, tuple_of

_INDEX_SIZE = 20  # of struct container
_ALIVE = 4  # of a slot
EXACT = ("int", "str", "date", "datetime", "timedelta", "none")  # types of which equal values are the same


def is_table(name):
    """Return whether a type is that of a set or dict."""
    return name is not None and shapes.kind_of(name) in ("set", "dict")


PLAIN, COUNTER = "plain", "collections.Counter"


def new(code, purpose, kind, default=PLAIN):
    """Return an empty set or dict that is made at this place; `default` is one of Shape.defaults."""
    made = lists.new(code, purpose, kind)
    shape = shape_of(code, made)
    if default not in shape.defaults:
        shape.defaults.add(default)
        code.program.shapes.changed = True
    return made


def length(code, v):
    """Return len(v)."""
    return code.integer(address(code, v), ("i64.load32_u", LIVE), lo=0, hi=2**16)


def find(code, v, key):
    """Return the operand of the address of the slot of a key, 0 if it isn't there."""
    shape = shape_of(code, v)
    if not lists.can_equal(shape, key):
        return ("i32.const", 0)
    code.program.shapes.take(code, shape.keys, key)
    return code.kernel_number("k_table_find", address(code, v), lists.scratch(code, shape, key), kind="i32")


def contains(code, v, key):
    """Return `key in v`."""
    return code.boolean(find(code, v, key), ("i32.const", 0), "i32.ne")


def add(code, v, key):
    """Add a key unless it is there; return the operand of the address of its slot."""
    shape = shape_of(code, v)
    code.program.shapes.take(code, shape.keys, key)
    return code.kernel_number("k_table_add", address(code, v), lists.scratch(code, shape, key), kind="i32")


def set_item(code, v, key, value):
    """Do v[key] = value."""
    shape = shape_of(code, v)
    code.program.shapes.take(code, shape.values, value)
    shapes.store(code, add(code, v, key), shape.value_fields(), value)


def value_at(code, v, slot):
    """Return the value in a slot."""
    shape = shape_of(code, v)
    return shapes.load(code, slot, shape.values, shape.value_fields())


def look_up(code, v, key, default):
    """Return v[key]; `default` makes the value of a key that isn't there."""
    slot = find(code, v, key)
    if slot[0] == "i32.const":
        return default()
    is_there = code.tmp("i32", slot, ("i32.const", 0), "i32.ne")
    return code.branch(is_there, lambda: value_at(code, v, slot), default)


def item(code, v, key):
    """Return v[key] of a dict."""
    default = shape_of(code, v).default
    if default is None:
        return code.unsupported("dicts with different defaults in one variable")
    if default == PLAIN:
        return look_up(code, v, key, lambda: code.error(KEY_ERROR))
    if default == COUNTER:
        return look_up(code, v, key, lambda: code.const(0))

    def made():
        value = _default(code, default)
        set_item(code, v, key, value)
        return value

    return look_up(code, v, key, made)


def _default(code, name):
    if name in ("list", "set", "dict"):
        return new(code, "default", name) if name != "list" else lists.new(code, "default")
    return code.const({"int": 0, "float": 0.0, "str": "", "bool": False}[name])


DEFAULTS = frozenset({"list", "set", "dict", "int", "float", "str", "bool"})


def remove(code, v, key, missing):
    """Remove a key; where it isn't there, `missing` is done. Returns whether control goes on."""
    slot = find(code, v, key)
    if slot[0] == "i32.const":
        return bool(missing().t)

    def removed():
        code.tmp("i32", address(code, v), slot, ("call", "k_table_remove"))
        return code.const(None)

    is_there = code.tmp("i32", slot, ("i32.const", 0), "i32.ne")
    return bool(code.branch(is_there, removed, missing).t)


def delete(code, v, key):
    """Do del v[key]. Returns whether control goes on."""
    default = shape_of(code, v).default
    if default is None:
        return bool(code.unsupported("dicts with different defaults in one variable").t)
    return remove(code, v, key, lambda: code.const(None) if default == COUNTER else code.error(KEY_ERROR))


def clear(code, v):
    """Do v.clear()."""
    at = address(code, v)
    for field in (COUNT, LIVE, _INDEX_SIZE):
        code.e(at, ("i32.const", 0), ("i32.store", field))


def over(code, v, what="keys"):
    """Begin a walk over the keys, the values or the items. A change of their number bails."""
    shape = shape_of(code, v)
    at = address(code, v)
    count, live = code.tmp("i32", at, ("i32.load", COUNT)), code.tmp("i32", at, ("i32.load", LIVE))
    place = code.local("i32")
    slot = [at, ("i32.load", DATA), ("local.get", place), ("i32.const", shape.stride), "i32.mul", "i32.add"]

    def skip():
        """Go on to a slot that is in use."""
        with code.block() as found:
            top = code.label()
            code.e(("loop", top), ("local.get", place), count, "i32.ge_u", ("br_if", found))
            code.e(*slot, ("i32.load", _ALIVE), ("br_if", found))
            code.e(("local.get", place), ("i32.const", 1), "i32.add", ("local.set", place), ("br", top), "end")

    def loaded():
        here = code.tmp("i32", *slot)
        key = shapes.load(code, here, shape.keys, shape.key_fields()) if what != "values" else None
        value = shapes.load(code, here, shape.values, shape.value_fields()) if what != "keys" else None
        if any(v is not None and not v.t for v in (key, value)):
            return NEVER
        return value if key is None else key if value is None else tuple_of([key, value])

    def advance(out):
        same = [at, ("i32.load", COUNT), count, "i32.ne", at, ("i32.load", LIVE), live, "i32.ne", "i32.or"]
        code.bail_if(*same)
        code.e(("local.get", place), ("i32.const", 1), "i32.add", ("local.set", place))
        skip()

    code.e(("i32.const", 0), ("local.set", place))
    skip()
    walk = Iteration([("local.get", place), count, "i32.lt_u"], loaded, advance)
    walk.is_set = shape.kind == "set"
    return walk


# ---- operators of sets


def is_exact(code, *sets):
    """Return whether equal items of sets are the same values."""
    parts = [shape_of(code, v).keys for v in sets]
    return all(len(t) == 1 and t <= set(EXACT) for part in parts for t in part.fields or ())


def subset(code, a, b):
    """Return whether all items of a set are in another."""
    result = code.local("i32")
    code.e(("i32.const", 1), ("local.set", result))
    walk = over(code, a)
    with code.block() as out:
        top = code.label()
        code.e(("loop", top), *walk.more, "i32.eqz", ("br_if", out))
        found = walk.item()
        if found.t:
            with code.block("if", *_missing(code, b, found)):
                code.e(("i32.const", 0), ("local.set", result), ("br", out))
            walk.advance(out)
        code.e(("br", top), "end")
    return code.boolean(("local.get", result))


def _missing(code, v, key):
    return [find(code, v, key), "i32.eqz"]


def add_all(code, made, v, *, unless_in=None, only_in=None):
    """Add the items of a set to another, those alone that a third one hasn't or has."""
    walk = over(code, v)
    with code.block() as out:
        top = code.label()
        code.e(("loop", top), *walk.more, "i32.eqz", ("br_if", out))
        found = walk.item()
        if found.t:
            condition = [("i32.const", 1)]
            if unless_in is not None:
                condition = _missing(code, unless_in, found)
            elif only_in is not None:
                condition = [find(code, only_in, found), ("i32.const", 0), "i32.ne"]
            with code.block("if", *condition):
                add(code, made, found)
            walk.advance(out)
        code.e(("br", top), "end")


def operate(code, op, a, b):
    """Return a | b, a & b, a - b or a ^ b of two sets."""
    if op not in ("BitOr", "BitAnd", "Sub", "BitXor"):
        return code.unsupported("this operator of sets")
    made = new(code, op, "set")
    if not is_exact(code, a, b):
        return code.unsupported("an operator of sets of floats, or of values of several types")
    if op == "BitOr":
        add_all(code, made, a)
        add_all(code, made, b)
    elif op == "BitAnd":
        add_all(code, made, a, only_in=b)
    else:
        add_all(code, made, a, unless_in=b)
        if op == "BitXor":
            add_all(code, made, b, unless_in=a)
    return made


def compare(code, kind, a, b):
    """Return a comparison of two sets. `kind` is that of an instruction."""
    sizes = [length(code, v).i for v in (a, b)]
    if kind in ("ge", "gt"):
        a, b, kind, sizes = b, a, {"ge": "le", "gt": "lt"}[kind], sizes[::-1]
    fits = code.tmp("i32", *sizes, {"eq": "i64.eq", "ne": "i64.eq", "le": "i64.le_u", "lt": "i64.lt_u"}[kind])
    same = code.branch(fits, lambda: subset(code, a, b), lambda: code.const(value=False))
    return code.negated(same) if kind == "ne" else same


# ---- methods


def call(code, v, name, arguments):
    """Return v.name(*arguments) of a set or dict; None for what isn't here."""
    method = _METHODS.get((shapes.kind_of(v.only), name, len(arguments)))
    return None if method is None else method(code, v, *arguments)


def _add(code, v, key):
    add(code, v, key)
    return code.const(None)


def _discard(code, v, key):
    return code.const(None) if remove(code, v, key, lambda: code.const(None)) else NEVER


def _remove(code, v, key):
    return code.const(None) if remove(code, v, key, lambda: code.error(KEY_ERROR)) else NEVER


def _clear(code, v):
    clear(code, v)
    return code.const(None)


def _get(code, v, key, default=None):
    return look_up(code, v, key, lambda: code.const(None) if default is None else default)


def _setdefault(code, v, key, default=None):
    value = code.const(None) if default is None else default
    code.program.shapes.take(code, shape_of(code, v).values, value)

    def made():
        set_item(code, v, key, value)
        return value

    return look_up(code, v, key, made)


def _pop(code, v, key, default=None):
    def popped(slot):
        value = value_at(code, v, slot)
        code.tmp("i32", address(code, v), slot, ("call", "k_table_remove"))
        return value

    slot = find(code, v, key)

    def missing():
        return code.error(KEY_ERROR) if default is None else default

    if slot[0] == "i32.const":
        return missing()
    return code.branch(code.tmp("i32", slot, ("i32.const", 0), "i32.ne"), lambda: popped(slot), missing)


def _of_two(op):
    def method(code, v, other):
        return operate(code, op, v, other) if shapes.kind_of(other.only) == "set" else None

    return method


def _relation(kind):
    def method(code, v, other):
        return compare(code, kind, v, other) if shapes.kind_of(other.only) == "set" else None

    return method


_METHODS = {
    ("set", "add", 1): _add,
    ("set", "discard", 1): _discard,
    ("set", "remove", 1): _remove,
    ("set", "clear", 0): _clear,
    ("set", "union", 1): _of_two("BitOr"),
    ("set", "intersection", 1): _of_two("BitAnd"),
    ("set", "difference", 1): _of_two("Sub"),
    ("set", "symmetric_difference", 1): _of_two("BitXor"),
    ("set", "issubset", 1): _relation("le"),
    ("set", "issuperset", 1): _relation("ge"),
    ("dict", "clear", 0): _clear,
    ("dict", "get", 1): _get,
    ("dict", "get", 2): _get,
    ("dict", "setdefault", 1): _setdefault,
    ("dict", "setdefault", 2): _setdefault,
    ("dict", "pop", 1): _pop,
    ("dict", "pop", 2): _pop,
}
