"""Calls with * and ** of what has known contents, as calls without them."""

import ast

from _udf_compiler import variables
from _udf_compiler.lists import shape_of
from _udf_compiler.shapes import kind_of
from _udf_compiler.statics import NO_CONSTANT, constant
from _udf_compiler.values import Value

_MOST = 32


def spread(code, node):
    """Return a call as one without * and **; None where they have no known contents."""
    arguments, keywords = [], []
    for argument in node.args:
        parts = _items(code, argument.value) if isinstance(argument, ast.Starred) else [argument]
        if parts is None:
            return None
        arguments += parts
    for keyword in node.keywords:
        parts = _named(code, keyword.value) if keyword.arg is None else [keyword]
        if parts is None:
            return None
        keywords += parts
    if len({keyword.arg for keyword in keywords}) < len(keywords):  # the interpreter has the error for it
        return None
    key = "spread", id(node), len(arguments), tuple([keyword.arg for keyword in keywords])
    if key not in code.program.synthetic:
        code.program.synthetic[key] = ast.copy_location(ast.Call(node.func, arguments, keywords), node)
    return code.program.synthetic[key]


def _at(node, key):
    return ast.copy_location(ast.Subscript(node, ast.copy_location(ast.Constant(key), node), ast.Load()), node)


def _items(code, node):
    """Return nodes of the items of a tuple or list."""
    if isinstance(node, (ast.Tuple, ast.List)):
        return None if any(isinstance(e, ast.Starred) for e in node.elts) else node.elts
    values = constant(code, node)
    if type(values) in (tuple, list) and len(values) <= _MOST:
        return [_at(node, number) for number in range(len(values))]
    names = _types(code, node)
    if len(names) == 1 and names[0].startswith("tuple of "):
        return [_at(node, number) for number in range(int(names[0].removeprefix("tuple of ")))]
    return None


def _named(code, node):
    """Return keyword arguments of the items of a dict with constant keys."""
    if isinstance(node, ast.Dict):
        if not all(isinstance(key, ast.Constant) and type(key.value) is str for key in node.keys):
            return None
        pairs = [(key.value, value) for key, value in zip(node.keys, node.values, strict=True)]
    else:
        values, names = constant(code, node), _types(code, node)
        if type(values) is dict and all(type(key) is str for key in values) and len(values) <= _MOST:
            keys = values
        elif len(names) == 1 and kind_of(names[0]) == "struct":
            keys = shape_of(code, Value(frozenset(names))).names
        else:
            return None
        pairs = [(key, _at(node, key)) for key in keys]
    return [ast.copy_location(ast.keyword(name, value), node) for name, value in pairs]


def _types(code, node):
    """Return the types of a variable that is bound for sure; none for anything else."""
    if not isinstance(node, ast.Name) or constant(code, node) is not NO_CONSTANT:
        return ()
    name = code.renamed.get(node.id, node.id)
    return tuple(variables.types_of(code, name)) if name in code.flow.assigned else ()
