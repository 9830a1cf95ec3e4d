"""Dicts whose keys are known before any row: STRUCT arguments. They live in the arena, and don't change."""

from _udf_compiler import lists, shapes, tables
from _udf_compiler.errors import KEY_ERROR
from _udf_compiler.values import NEVER


def is_struct(name):
    """Return whether a type is that of a dict whose keys are known."""
    return shapes.kind_of(name) == "struct"


def names_of(code, v):
    """Return the keys."""
    return lists.shape_of(code, v).names


def _field(code, v, name):
    shape = lists.shape_of(code, v)
    fields = shape.key_fields()
    if not fields:  # nothing is known of it yet
        code.bail()
        return NEVER
    return shapes.load_field(code, lists.address(code, v), *fields[shape.names.index(name)])


def look_up(code, v, key, missing):
    """Return v[key]; `missing` makes the value of a key that isn't there."""
    if key.only != "str":
        return missing() if key.only in ("none", "int", "float", "bool") else code.unsupported("this key of a dict")
    if type(key.k) is not str:
        return code.unsupported("a key that isn't constant, of a dict that is an argument")
    return _field(code, v, key.k) if key.k in names_of(code, v) else missing()


def item(code, v, key):
    """Return v[key]."""
    return look_up(code, v, key, lambda: code.error(KEY_ERROR))


def contains(code, v, key):
    """Return `key in v`."""
    found = look_up(code, v, key, lambda: code.const(value=False))
    return code.const(value=True) if found.t and key.only == "str" and key.k in names_of(code, v) else found


def as_dict(code, v):
    """Return a dict of its items, for a loop over them."""
    made = tables.new(code, "struct", "dict")
    for name in names_of(code, v):
        value = _field(code, v, name)
        if not value.t:
            return NEVER
        tables.set_item(code, made, code.const(name), value)
    return made


def call(code, v, name, arguments):
    """Return v.name(*arguments); None for what isn't here."""
    if name == "get" and len(arguments) in (1, 2):
        default = arguments[1] if len(arguments) == 2 else code.const(None)
        return look_up(code, v, arguments[0], lambda: default)
    return as_dict(code, v) if name == "copy" and not arguments else None
