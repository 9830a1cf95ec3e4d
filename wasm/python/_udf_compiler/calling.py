"""Calls of a function that is passed: a lambda of the source, or what a name means."""

import ast

from _udf_compiler import variables
from _udf_compiler.values import NEVER


def apply(code, function, values):
    """Return what the function of a node makes of values."""
    if not all(v.t for v in values):
        return NEVER
    if isinstance(function, ast.Lambda):
        return _lambda(code, function, values)
    names = [f".applied{id(function)}x{number}" for number in range(len(values))]
    code.names.update(names)
    for name, v in zip(names, values, strict=True):
        variables.assign(code, name, v)
    synthetic = code.program.synthetic
    if (id(function), len(values)) not in synthetic:
        call = ast.Call(function, [ast.Name(name, ast.Load()) for name in names], [])
        synthetic[id(function), len(values)] = ast.copy_location(call, function)
    return code.expr(synthetic[id(function), len(values)])


def _lambda(code, node, values):
    arguments = node.args
    plain = not (
        arguments.defaults or arguments.kw_defaults or arguments.vararg or arguments.kwarg or arguments.kwonlyargs
    )
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    if not plain or len(names) != len(values) or any(isinstance(n, ast.NamedExpr) for n in ast.walk(node.body)):
        return code.unsupported("this lambda", node)
    before = code.renamed
    code.renamed = {**before, **{name: f".{name}{id(node)}" for name in names}}
    try:
        for name, v in zip(names, values, strict=True):
            variables.assign(code, name, v)
        return code.expr(node.body)
    finally:
        code.renamed = before
