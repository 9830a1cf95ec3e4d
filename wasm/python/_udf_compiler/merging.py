"""Dicts made of others: copies, `|`, update, and displays with `**`."""

import ast

from _udf_compiler import structs, tables, variables
from _udf_compiler.iterations import is_view, over_value
from _udf_compiler.loops import loop
from _udf_compiler.shapes import kind_of
from _udf_compiler.statics import NO_CONSTANT, constant
from _udf_compiler.values import NEVER

_MOST_CONSTANTS = 32


def merge(code, made, v):
    """Set the items of a dict, or of pairs, in another dict. Returns whether control goes on."""
    v = structs.as_dict(code, v) if structs.is_struct(v.only) else v

    def add(item):
        pair = variables.unpack(code, item, 2) if item.t else None
        if pair is not None:
            tables.set_item(code, made, *pair)

    walk = tables.over(code, v, "items") if kind_of(v.only) == "dict" else over_value(code, v)
    return walk is not None and loop(code, walk, add, ())


def merge_constant(code, made, values):
    """Set the items of a constant dict in another dict."""
    if len(values) > _MOST_CONSTANTS:
        code.unsupported("a copy of such a large constant")
    for key, value in values.items():
        tables.set_item(code, made, code.const(key), code.const(value))


def merge_node(code, made, node):
    """Set what a node has, a dict or pairs, in another dict. Returns whether control goes on."""
    values = constant(code, node)
    if values is not NO_CONSTANT and type(values) is dict:
        merge_constant(code, made, values)
        return True
    if is_view(node) or isinstance(node, (ast.GeneratorExp, ast.ListComp)):
        code.unsupported("an update from this", node)
    v = code.expr(node)
    return bool(v.t) and merge(code, made, v)


def update(code, v, node, keywords):
    """Do v.update(node, **keywords) of a dict. Returns whether control goes on."""
    if tables.shape_of(code, v).default == tables.COUNTER:
        code.unsupported("update of a Counter", node)
    values = {name: code.expr(value) for name, value in keywords.items()}
    if not all(value.t for value in values.values()):
        return False
    if node is not None and not merge_node(code, v, node):
        return False
    for name, value in values.items():
        tables.set_item(code, v, code.const(name), value)
    return True


def joined(code, a, b):
    """Return a | b of two dicts."""
    default = tables.shape_of(code, a).default
    if kind_of(b.only) not in ("dict", "struct") or default in (None, tables.COUNTER):
        return code.unsupported("the operator | of this")
    made = tables.new(code, "joined", "dict", default)
    return made if merge(code, made, a) and merge(code, made, b) else NEVER


def display(code, node):
    """Return a dict display with ** in it."""
    made = tables.new(code, "display", "dict")
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            if not _is_mapping(code, value):
                return code.unsupported("** of this in a dict", node)
            if not merge_node(code, made, value):
                return NEVER
            continue
        k = code.expr(key)
        v = code.expr(value) if k.t else k
        if not v.t:
            return NEVER
        tables.set_item(code, made, k, v)
    return made


def _is_mapping(code, node):
    """Return whether a node is a dict for sure: only those go after **."""
    if type(constant(code, node)) is dict or isinstance(node, (ast.Dict, ast.DictComp)):
        return True
    is_variable = isinstance(node, ast.Name) and (node.id in code.names or node.id in code.renamed)
    t = variables.types_of(code, code.renamed.get(node.id, node.id)) if is_variable else ()
    return bool(t) and all(kind_of(name) in ("dict", "struct") for name in t)
