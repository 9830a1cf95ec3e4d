"""Targets of assignments, and the names that statements bind."""

import ast

from _udf_compiler import variables
from _udf_compiler.errors import NotCompiledError

_SUBS = ("sub", "subn")


def bind(code, target, value):
    """Bind a target to a value. Returns whether control goes on."""
    if not value.t:
        return False
    if isinstance(target, ast.Name):
        variables.assign(code, target.id, value)
        return True
    if not isinstance(target, (ast.Tuple, ast.List)) or any(isinstance(e, ast.Starred) for e in target.elts):
        code.unsupported("an assignment to other than variables", target)
        return False
    items = variables.unpack(code, value, len(target.elts))
    return items is not None and all(bind(code, e, item) for e, item in zip(target.elts, items, strict=True))


def assigned_in(*nodes):
    """Return the names that statements may bind."""
    inside = [n for node in nodes for n in ast.walk(node)]
    captured = {n.name for n in inside if isinstance(n, ast.MatchAs) and n.name is not None}
    return captured | {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def is_replacement(node, parent):
    """Return whether a lambda is what re.sub calls for each match: its body is translated where it is."""
    is_sub = isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) and parent.func.attr in _SUBS
    has_own = any(isinstance(n, (ast.NamedExpr, ast.Lambda)) for n in ast.walk(node.body))
    return is_sub and node in parent.args and not has_own


def local_names(node):
    """Return the names that a function binds, but not those of a comprehension's own.

    Raises:
        NotCompiledError: It has what has variables of its own, or declares some as another's.
    """
    found = set()

    def visit(parent):
        for child in ast.iter_child_nodes(parent):
            if isinstance(child, ast.Lambda) and is_replacement(child, parent):
                continue
            if isinstance(child, (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.AsyncFunctionDef)):
                raise NotCompiledError("a function or class inside the function", child.lineno)
            if isinstance(child, (ast.Global, ast.Nonlocal)):
                raise NotCompiledError(type(child).__name__.lower(), child.lineno)
            if isinstance(child, (ast.Yield, ast.YieldFrom, ast.Await)):
                raise NotCompiledError("yield or await", child.lineno)
            if isinstance(child, (ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)):
                found.update(n.target.id for n in ast.walk(child) if isinstance(n, ast.NamedExpr))
                continue
            if isinstance(child, ast.Name) and isinstance(child.ctx, (ast.Store, ast.Del)):
                found.add(child.id)
            if isinstance(child, (ast.ExceptHandler, ast.MatchAs)) and child.name is not None:
                found.add(child.name)
            visit(child)

    for statement in node.body if isinstance(node, ast.FunctionDef) else [ast.Expr(node.body)]:
        visit(ast.Module([statement], []))
    return found
