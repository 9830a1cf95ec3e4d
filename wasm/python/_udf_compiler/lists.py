"""Lists that a function makes and changes: they live in the arena, as wasm/c/compiled/containers.h has them."""

from _udf_compiler import shapes
from _udf_compiler.emitter import CONTEXT
from _udf_compiler.errors import INDEX_ERROR, VALUE_ERROR
from _udf_compiler.integers import check_size
from _udf_compiler.values import INT, NUMBERS, STR, Value

# Fields of struct container.
DATA, COUNT, CAPACITY, LIVE = 0, 4, 8, 12
_MOST = 2**16  # items


def is_list(name):
    """Return whether a type is that of a list."""
    return name is not None and shapes.kind_of(name) == "list"


def shape_of(code, v):
    """Return the shape of a container."""
    return code.program.shapes.of(v.only)


def address(code, v):
    """Return the address of a container as an operand."""
    return code.tmp("i32", v.i, ("i64.const", 32), "i64.shr_u", "i32.wrap_i64")


def described(code, shape):
    """Return the address of what C has to know of a shape, as instructions."""
    offset = code.program.constants.half_words(shape.described())
    return [
        ("local.get", code.constants),
        ("i64.const", 32),
        "i64.shr_u",
        "i32.wrap_i64",
        ("i32.const", offset),
        "i32.add",
    ]


def new(code, purpose, kind="list", capacity=0):
    """Return an empty container that is made at this place."""
    shape = code.program.shapes.at((id(code), *code.place, purpose), kind)
    return code.kernel_text(
        "k_list_new",
        ("i32.const", shape.stride),
        *described(code, shape),
        ("i32.const", capacity),
        t=frozenset({shape.name}),
    )


def of_values(code, items, purpose="display"):
    """Return a list of values."""
    made = new(code, purpose, capacity=len(items))
    shape = shape_of(code, made)
    for item in items:
        code.program.shapes.take(code, shape.keys, item)
    at = address(code, made)
    data = code.tmp("i32", at, ("i32.load", DATA))
    for number, item in enumerate(items):
        place = code.tmp("i32", data, ("i32.const", number * shape.stride), "i32.add") if number else data
        shapes.store(code, place, shape.key_fields(), item)
    code.e(at, ("i32.const", len(items)), ("i32.store", COUNT))
    return made


def of_texts(code, packed, purpose):
    """Return a list of the texts that a kernel made: their address and their number."""
    shape = code.program.shapes.at((id(code), *code.place, purpose), "list")
    code.program.shapes.take(code, shape.keys, Value(STR))
    if shape.keys.fields != [STR]:
        return code.unsupported("a list of texts that other values come into")
    return code.kernel_text("k_list_of", *code.text(packed), *described(code, shape), t=frozenset({shape.name}))


def view(code, v):
    """Return address and number of the items of a list, as operands."""
    at = address(code, v)
    return code.tmp("i32", at, ("i32.load", DATA)), code.tmp("i32", at, ("i32.load", COUNT))


def length(code, v):
    """Return len(v)."""
    return code.integer(address(code, v), ("i64.load32_u", COUNT), lo=0, hi=_MOST)


def load_at(code, v, data, place):
    """Return the item at a place that there is."""
    shape = shape_of(code, v)
    at = code.tmp("i32", data, place, ("i32.const", shape.stride), "i32.mul", "i32.add")
    return shapes.load(code, at, shape.keys, shape.key_fields())


def _place(code, v, i):
    """Return the place of an index as an operand, after raising where there is none."""
    count = length(code, v).i
    place = i.i
    if i.lo < 0:
        place = code.tmp("i64", i.i, i.i, ("i64.const", 63), "i64.shr_s", count, "i64.and", "i64.add")
    code.raise_if(INDEX_ERROR, place, count, "i64.ge_u")
    return code.tmp("i32", place, "i32.wrap_i64")


def item(code, v, i):
    """Return v[i]."""
    place = _place(code, v, i)
    return load_at(code, v, view(code, v)[0], place)


def set_item(code, v, i, value):
    """Do v[i] = value. Returns whether control goes on."""
    shape = shape_of(code, v)
    code.program.shapes.take(code, shape.keys, value)
    place = _place(code, v, i)
    at = code.tmp("i32", view(code, v)[0], place, ("i32.const", shape.stride), "i32.mul", "i32.add")
    shapes.store(code, at, shape.key_fields(), value)
    return True


def append(code, v, value):
    """Do v.append(value)."""
    shape = shape_of(code, v)
    code.program.shapes.take(code, shape.keys, value)
    at = address(code, v)
    count = code.tmp("i32", at, ("i32.load", COUNT))
    with code.block("if", count, at, ("i32.load", CAPACITY), "i32.ge_u"):
        code.bail_if(CONTEXT, at, ("i32.const", 1), ("call", "k_list_room"), "i32.eqz")
    slot = code.tmp("i32", at, ("i32.load", DATA), count, ("i32.const", shape.stride), "i32.mul", "i32.add")
    shapes.store(code, slot, shape.key_fields(), value)
    code.e(at, count, ("i32.const", 1), "i32.add", ("i32.store", COUNT))


def scratch(code, shape, value):
    """Write a value into a slot of its own, with room for all of one; return its address."""
    at = shapes.room(code, shape.stride)
    shapes.store(code, at, shape.key_fields(), value)
    return at


def can_equal(shape, value):
    """Return whether a value may equal an item or key of a shape, by its types."""
    fields = shape.keys.fields
    if fields is None or shape.keys.is_tuple != (value.items is not None):
        return False
    items = [value] if value.items is None else value.items
    if len(items) != len(fields):
        return False
    return all(_can_be(item, t) for item, t in zip(items, fields, strict=True))


def _can_be(item, t):
    if item.items is not None:
        return any(shapes.kind_of(name) == "record" for name in t)
    return item.t & t or (item.t & NUMBERS and t & NUMBERS)


def find(code, v, value, *, counted=False):
    """Return the place of the first item that equals a value, -1 if there is none; or their number."""
    shape = shape_of(code, v)
    if not can_equal(shape, value):
        return code.const(0 if counted else -1)
    code.program.shapes.take(code, shape.keys, value)
    operands = address(code, v), scratch(code, shape, value), ("i32.const", int(counted))
    return Value(INT, code.kernel_number("k_list_find", *operands), lo=-1, hi=_MOST)


def contains(code, v, value):
    """Return `value in v`."""
    return code.boolean(find(code, v, value).i, ("i64.const", 0), "i64.ge_s")


def sliced(code, v, start, stop, step, given):
    """Return v[start:stop:step] of operands; the bits of `given` say which of them there are."""
    operands = address(code, v), start, stop, step, ("i32.const", given)
    return code.kernel_text("k_list_slice", *operands, t=v.t)


def copy(code, v):
    """Return a copy."""
    zero = ("i64.const", 0)
    return sliced(code, v, zero, zero, ("i64.const", 1), 0)


def concatenated(code, a, b):
    """Return a + b of two lists."""
    joined = code.program.shapes.joined(a.t | b.t)
    made = copy(code, Value(joined, a.i))
    extend_by(code, made, Value(joined, b.i))
    return made


def extend_by(code, v, other):
    """Do v.extend(other) of a list of the same shape."""
    operands = CONTEXT, address(code, v), address(code, other)
    code.bail_if(*operands, ("call", "k_list_extend"), "i32.eqz")


def splice(code, v, start, stop, given, other):
    """Do v[start:stop] = other of operands; the bits of `given` say which of them there are."""
    operands = CONTEXT, address(code, v), start, stop, ("i32.const", given), address(code, other)
    code.bail_if(*operands, ("call", "k_list_splice"), "i32.eqz")


def repeated(code, v, n):
    """Return v * n."""
    check_size(code, n)
    return code.kernel_text("k_list_repeat", address(code, v), n.i, t=v.t)


def replace(code, v, made):
    """Let a list have the items of another, which nothing else refers to."""
    at, other = address(code, v), address(code, made)
    for field in (DATA, COUNT, CAPACITY):
        code.e(at, other, ("i32.load", field), ("i32.store", field))


def equal(code, kind, a, b):
    """Return a == b or a != b of two lists."""
    code.program.shapes.joined(a.t | b.t)
    same = code.tmp("i32", address(code, a), address(code, b), ("call", "k_list_equal"))
    code.bail_if(same, ("i32.const", 2), "i32.eq")
    return code.boolean(same) if kind == "eq" else code.boolean(same, "i32.eqz")


def sort(code, v, keys, descending):
    """Sort a list by a list of keys, which may be the list itself. `descending` is an operand."""
    shape = shape_of(code, keys)
    fields = shape.keys.fields or []
    if not shape.keys.is_tuple and any(t == {"none"} for t in fields):
        code.unsupported("sorting values that may be None")
    operands = CONTEXT, address(code, v), address(code, keys), descending
    code.bail_if(*operands, ("call", "k_list_sort"), "i32.eqz")


# ---- methods


def call(code, v, name, arguments):
    """Return v.name(*arguments); None for what isn't here."""
    method = _METHODS.get((name, len(arguments)))
    return None if method is None else method(code, v, *arguments)


def _append(code, v, value):
    append(code, v, value)
    return code.const(None)


def _insert(code, v, i, value):
    if i.only not in ("int", "bool"):
        return None
    shape = shape_of(code, v)
    code.program.shapes.take(code, shape.keys, value)
    check_size(code, i)
    gap = code.tmp("i32", CONTEXT, address(code, v), i.i, ("call", "k_list_open"))
    code.bail_if(gap, "i32.eqz")
    shapes.store(code, gap, shape.key_fields(), value)
    return code.const(None)


def _pop(code, v, i=None):
    i = code.const(-1) if i is None else i
    if i.only not in ("int", "bool"):
        return None
    check_size(code, i)
    place = _place(code, v, i)
    found = load_at(code, v, view(code, v)[0], place)
    code.tmp("i32", address(code, v), place, ("call", "k_list_close"))
    return found


def _found(code, v, value):
    place = find(code, v, value)
    code.raise_if(VALUE_ERROR, place.i, ("i64.const", 0), "i64.lt_s")
    return Value(INT, place.i, lo=0, hi=_MOST)


def _remove(code, v, value):
    place = _found(code, v, value)
    code.tmp("i32", address(code, v), place.i, "i32.wrap_i64", ("call", "k_list_close"))
    return code.const(None)


def _reverse(code, v):
    code.tmp("i32", address(code, v), ("call", "k_list_reverse"))
    return code.const(None)


def _clear(code, v):
    code.e(address(code, v), ("i32.const", 0), ("i32.store", COUNT))
    return code.const(None)


_METHODS = {
    ("append", 1): _append,
    ("insert", 2): _insert,
    ("pop", 0): _pop,
    ("pop", 1): _pop,
    ("remove", 1): _remove,
    ("reverse", 0): _reverse,
    ("clear", 0): _clear,
    ("copy", 0): copy,
    ("index", 1): _found,
    ("count", 1): lambda code, v, value: find(code, v, value, counted=True),
}
