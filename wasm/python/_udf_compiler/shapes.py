"""Shapes: what the lists, sets and dicts that a function makes hold, found out while it is translated.

Each place of the source that makes a container has a shape. Where containers of two places meet, in a variable, a
result or a container, their shapes become one. A type is the name of a shape: "list 3", "dict 5".
"""

from _udf_compiler.context import ARENA_AT, ARENA_END
from _udf_compiler.emitter import CONTEXT
from _udf_compiler.errors import NotCompiledError
from _udf_compiler.values import BOOL, FLOAT, MAX, MIN, TAGS, Value, tuple_of

_KINDS = ("list", "set", "dict", "record", "struct")
MIXED = 255  # the type of a field that says its type itself: wasm/c/compiled/containers.h
_HEAD = 8  # bytes of a slot of a table before its fields


def kind_of(name):
    """Return "list", "set", "dict", "record" or "struct" for the name of a container's type, else None."""
    if name is None:
        return None
    kind, _, number = name.partition(" ")
    return kind if kind in _KINDS and number.isdecimal() else None


class Part:
    """The items of a list or set, or the keys or the values of a dict.

    Attributes:
        fields: The types of each field; None as long as nothing is known.
        is_tuple: They are tuples, of which each item is a field.
    """

    def __init__(self):
        self.fields, self.is_tuple = None, False

    def size(self):
        """Return the number of bytes."""
        return sum(16 if len(t) > 1 else 8 for t in self.fields or ())

    def offsets(self, start):
        """Return the (offset, types) of each field."""
        found = []
        for t in self.fields or ():
            found.append((start, t))
            start += 16 if len(t) > 1 else 8
        return found


class Shape:
    """What the containers of some places hold. All but dicts have `keys` alone.

    Attributes:
        kind: "list", "set", "dict", "record" for a tuple that is returned, or "struct" for a dict whose keys are known.
        names: The keys of a struct.
        keys: The items, or the keys.
        values: The values of a dict.
        defaults: What its dicts do about a key that isn't there: "plain", a name that a defaultdict calls, or that of
            Counter. There should be one.
    """

    def __init__(self, kind, number, names=()):
        self.kind, self.number, self.names = kind, number, names
        self.keys, self.values = Part(), Part()
        self.defaults = set()
        self.merged = None

    @property
    def default(self):
        """What its dicts do about a key that isn't there; None if that isn't known."""
        return next(iter(self.defaults)) if len(self.defaults) == 1 else None

    @property
    def name(self):
        """Its name as a type."""
        return f"{self.kind} {self.number}"

    @property
    def start(self):
        """The offset of the first field in a slot."""
        return _HEAD if self.kind in ("set", "dict") else 0

    @property
    def stride(self):
        """The number of bytes of a slot."""
        return self.start + self.keys.size() + self.values.size() or 8

    def key_fields(self):
        """Return the (offset, types) of the fields of an item or key."""
        return self.keys.offsets(self.start)

    def value_fields(self):
        """Return the (offset, types) of the fields of a value."""
        return self.values.offsets(self.start + self.keys.size())

    def described(self):
        """Return the fields that are compared, as C has them: their number, then the type and offset of each."""
        found = self.key_fields()
        words = [(TAGS[next(iter(t))] if len(t) == 1 else MIXED, offset) for offset, t in found]
        return [len(found), *[number for pair in words for number in pair]]


class Shapes:
    """All shapes of a program.

    Attributes:
        changed: One of them has become another since this was last set.
    """

    def __init__(self):
        self._places, self._all = {}, []
        self.changed = False

    def at(self, place, kind, names=()):
        """Return the shape of what is made at a place, the same in each translation."""
        key = place, kind, names
        if key not in self._places:
            self._places[key] = Shape(kind, len(self._all), names)
            self._all.append(self._places[key])
        return self._found(self._places[key])

    def of(self, name):
        """Return the shape that is a type."""
        return self._found(self._all[int(name.partition(" ")[2])])

    def _found(self, shape):
        while shape.merged is not None:
            shape = shape.merged
        return shape

    def joined(self, t):
        """Return types with one shape for each kind of container."""
        found, others = {}, set()
        for name in t:
            kind = kind_of(name)
            if kind is None:
                others.add(name)
            elif kind in found:
                found[kind] = self.unify(found[kind], self.of(name))
            else:
                found[kind] = self.of(name)
        if not found:
            return t
        return frozenset({*others, *[self._found(shape).name for shape in found.values()]})

    def unify(self, a, b):
        """Make one shape of two of a kind; return it."""
        a, b = self._found(a), self._found(b)
        if a is b:
            return a
        if a.names != b.names:
            raise NotCompiledError("dicts with different keys in one place")
        if b.number < a.number:
            a, b = b, a
        b.merged = a
        self.changed = True
        a.defaults |= b.defaults
        for mine, other in ((a.keys, b.keys), (a.values, b.values)):
            if other.fields is not None:
                self._take(mine, other.fields, is_tuple=other.is_tuple)
        return a

    def hold(self, part, fields):
        """Let a part hold values of some types: one value, or the fields of a struct."""
        self._take(part, fields, is_tuple=False)

    def take(self, code, part, v):
        """Let a part hold a value, too."""
        if not v.t:
            return
        fields = [self._inside(code, number, item) for number, item in enumerate(v.items or ())]
        fields = [v.t] if v.items is None else fields
        if not all(fields):  # nothing is known of it yet
            return
        if not self._take(part, fields, is_tuple=v.items is not None):
            code.unsupported("a container of values of several types, some of which are tuples")

    def _inside(self, code, number, item):
        """Return the types of a tuple's item. One that is a tuple itself is kept as a record."""
        if item.items is None:
            return item.t
        shape = self.at((id(code), *code.place, "inside", number, len(item.items)), "record")
        self.take(code, shape.keys, item)
        return frozenset({shape.name})

    def _take(self, part, fields, *, is_tuple):
        if part.fields is None:
            part.fields, part.is_tuple = [self.joined(t) for t in fields], is_tuple
            self.changed = True
            return True
        if part.is_tuple != is_tuple or len(part.fields) != len(fields):
            return False
        for number, t in enumerate(fields):
            joined = self.joined(part.fields[number] | t)
            if joined != part.fields[number]:
                part.fields[number] = joined
                self.changed = True
        return True


def room(code, stride):
    """Return the address of bytes of the arena."""
    code.uses_arena = True
    at = code.tmp("i32", CONTEXT, ("i32.load", ARENA_AT))
    code.bail_if(at, ("i32.const", stride), "i32.add", CONTEXT, ("i32.load", ARENA_END), "i32.gt_u")
    code.e(CONTEXT, at, ("i32.const", stride), "i32.add", ("i32.store", ARENA_AT))
    return at


def record(code, shape, v):
    """Return a tuple as a value in the arena, of a shape that holds it."""
    at = room(code, shape.stride)
    store(code, at, shape.key_fields(), v)
    return Value(frozenset({shape.name}), code.tmp("i64", at, "i64.extend_i32_u", ("i64.const", 32), "i64.shl"))


def store(code, at, fields, v):
    """Write a value, which the part holds, at an address."""
    items = [v] if v.items is None else v.items
    for (offset, t), part in zip(fields, items, strict=False):
        item = part
        if v.items is not None and item.items is not None:
            item = record(code, code.program.shapes.of(next(name for name in t if kind_of(name) == "record")), item)
        if len(t) > 1:
            tag = item.tag if item.tag is not None else ("i32.const", TAGS[item.only])
            code.e(at, tag, ("i32.store", offset + 8))
        if item.t == FLOAT:
            code.e(at, item.f, ("f64.store", offset))
        elif not item.t & FLOAT:
            code.e(at, item.i if item.i is not None else ("i64.const", 0), ("i64.store", offset))
        else:
            with code.block("if", item.tag, ("i32.const", TAGS["float"]), "i32.eq"):
                code.e(at, item.f, ("f64.store", offset), "else", at, item.i, ("i64.store", offset))


def load(code, at, part, fields):
    """Return the value at an address. The row bails as long as nothing is known of it: it is never reached then."""
    if part.fields is None:
        code.bail()
        return Value(frozenset())
    items = [load_field(code, at, offset, t) for offset, t in fields]
    return tuple_of(items) if part.is_tuple else items[0]


def load_field(code, at, offset, t):
    """Return the value of one field."""
    if any(kind_of(name) == "record" for name in t):
        if len(t) > 1:
            return code.unsupported("a tuple in a container that is something else too")
        shape = code.program.shapes.of(next(iter(t)))
        return load(code, code.tmp("i32", at, ("i32.load", offset + 4)), shape.keys, shape.key_fields())
    i = code.tmp("i64", at, ("i64.load", offset)) if t - FLOAT else None
    f = code.tmp("f64", at, ("f64.load", offset)) if t & FLOAT else None
    tag = code.tmp("i32", at, ("i32.load", offset + 8)) if len(t) > 1 else None
    lo, hi = (0, 1) if t == BOOL else (MIN, MAX)
    return Value(t, i, f, tag, lo, hi)
