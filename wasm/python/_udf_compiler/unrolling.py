"""Loops over a few constants, of which each turn is translated by itself: what has to be constant then is."""

import ast

from _udf_compiler.statics import constant

_MOST_TURNS = 8

# Methods and functions that take a pattern, a format or a table, which have to be constant.
_WANT_CONSTANTS = frozenset(
    {
        "findall",
        "finditer",
        "fullmatch",
        "match",
        "search",
        "split",
        "strftime",
        "strptime",
        "sub",
        "subn",
        "translate",
    }
)


def turns(code, iterable, target, body):
    """Return what each turn of a loop binds, as a dict of constants by name; None if the loop is none to unroll.

    Args:
        code: The function.
        iterable: The node of what the loop goes over.
        target: The node of what it binds.
        body: The nodes of what it does.
    """
    names = [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]
    inside = [n for node in body for n in ast.walk(node)]
    stored = {n.id for n in inside if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    if stored & set(names) or not any(_wants(n, names) for n in inside):
        return None
    values = constant(code, iterable)
    if type(values) not in (tuple, list) or not 0 < len(values) <= _MOST_TURNS:
        return None
    bound = [_bound(target, value) for value in values]
    return None if None in bound else bound


def _wants(node, names):
    """Return whether a node is a call that wants one of some variables to be constant."""
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    named = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    of = [function.value] if isinstance(function, ast.Attribute) else []
    used = [n.id for part in (*of, *node.args[:2]) for n in ast.walk(part) if isinstance(n, ast.Name)]
    return named in _WANT_CONSTANTS and bool(set(used) & set(names))


def _bound(target, value):
    """Return what a target binds of a constant, by name; None if it doesn't fit."""
    if isinstance(target, ast.Name):
        return {target.id: value}
    if not isinstance(target, (ast.Tuple, ast.List)) or type(value) is not tuple or len(value) != len(target.elts):
        return None
    made = {}
    for element, item in zip(target.elts, value, strict=True):
        if not isinstance(element, ast.Name):
            return None
        made[element.id] = item
    return made
