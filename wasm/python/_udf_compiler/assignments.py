"""Assignments, also augmented ones, to variables and items; and del."""

import ast

from _udf_compiler import arithmetic, comprehensions, lists, merging, patterns, tables, variables
from _udf_compiler.code import STATEMENTS, translates
from _udf_compiler.shapes import kind_of
from _udf_compiler.statics import known_name
from _udf_compiler.subscripts import item_of, replace_slice
from _udf_compiler.targets import bind, set_item
from _udf_compiler.translation_tables import table_of


@translates(STATEMENTS, ast.Assign)
def _assign(code, node):
    if isinstance(node.targets[0], ast.Name) and node.targets[0].id in code.local_constants:
        held = code.local_constants[node.targets[0].id]
        if isinstance(held, ast.Call) and patterns.pattern_of(code, held) is None and table_of(code, held) is None:
            code.unsupported(f"a call of {ast.unparse(held.func)}", node)
        return True
    v = _mapped(code, node.value, node.targets[0]) if len(node.targets) == 1 else None
    if v is None:
        v = code.expr(node.value)
    return all(bind(code, target, v) for target in node.targets) if v.t else False


def _mapped(code, value, target):
    """Return `a, b = map(function, (x, y))` as a tuple; None for anything else."""
    is_map = isinstance(value, ast.Call) and len(value.args) == 2 and known_name(code, value.func) == "map"
    if not is_map or not isinstance(target, ast.Tuple):
        return None
    if not isinstance(value.args[1], (ast.Tuple, ast.List)):
        return comprehensions.list_of(code, "list", value)
    calls = [ast.copy_location(ast.Call(value.args[0], [e], []), value) for e in value.args[1].elts]
    return code.expr(ast.copy_location(ast.Tuple(calls, ast.Load()), value))


@translates(STATEMENTS, ast.AnnAssign)
def _ann_assign(code, node):
    return node.value is None or bind(code, node.target, code.expr(node.value))


@translates(STATEMENTS, ast.AugAssign)
def _aug_assign(code, node):
    if isinstance(node.target, ast.Subscript):
        return _change_item(code, node)
    if not isinstance(node.target, ast.Name):
        code.unsupported("an assignment to other than variables", node)
        return False
    before = variables.read(code, node.target.id)
    if kind_of(before.only) is not None:
        return _change(code, node, before)
    v = arithmetic.binary(code, type(node.op).__name__, before, code.expr(node.value)) if before.t else before
    return bind(code, node.target, v)


def _change(code, node, v):
    """Translate `+=` of a list and the like, which change what other variables may refer to."""
    if kind_of(v.only) == "list" and isinstance(node.op, ast.Add):
        return comprehensions.extend(code, v, node.value)
    if kind_of(v.only) == "list" and isinstance(node.op, ast.Mult):
        count = code.expr(node.value)
        if count.only in ("int", "bool"):
            lists.replace(code, v, lists.repeated(code, v, count))
            return True
    if kind_of(v.only) == "set" and isinstance(node.op, ast.BitOr):
        other = code.expr(node.value)
        if kind_of(other.only) == "set":
            tables.add_all(code, v, other)
            return True
    if kind_of(v.only) == "dict" and isinstance(node.op, ast.BitOr):
        return merging.update(code, v, node.value, {})
    code.unsupported("this change of a container", node)
    return False


def _change_item(code, node):
    """Translate `v[i] += value`."""
    v = code.expr(node.target.value)
    i = code.expr(node.target.slice) if v.t else v
    if not v.t or not i.t:
        return False
    before = item_of(code, v, i)
    if not before.t:
        return False
    if kind_of(before.only) is not None:
        code.unsupported("this change of a container", node)
        return False
    value = code.expr(node.value)
    if not value.t:
        return False
    made = arithmetic.binary(code, type(node.op).__name__, before, value)
    return bool(made.t) and set_item(code, v, i, made)


@translates(STATEMENTS, ast.Delete)
def _delete(code, node):
    for target in node.targets:
        if not isinstance(target, ast.Subscript):
            code.unsupported("del of other than an item", node)
            return False
        v = code.expr(target.value)
        if isinstance(target.slice, ast.Slice):
            if not v.t or not replace_slice(code, v, target.slice, None):
                return False
            continue
        i = code.expr(target.slice) if v.t else v
        if not v.t or not i.t:
            return False
        kind = kind_of(v.only)
        if kind == "list" and i.only in ("int", "bool"):
            lists.call(code, v, "pop", [i])
        elif kind == "dict":
            if not tables.delete(code, v, i):
                return False
        else:
            code.unsupported("del of this item", node)
            return False
    return True
