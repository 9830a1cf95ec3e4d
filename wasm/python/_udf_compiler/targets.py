"""Targets of assignments, and the names that statements bind."""

import ast

from _udf_compiler import lists, subscripts, tables, variables
from _udf_compiler.errors import NotCompiledError
from _udf_compiler.shapes import kind_of


def bind(code, target, value):
    """Bind a target to a value. Returns whether control goes on."""
    if not value.t:
        return False
    if isinstance(target, ast.Name):
        variables.assign(code, target.id, value)
        return True
    if isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
        v = code.expr(target.value)
        i = code.expr(target.slice) if v.t else v
        return bool(i.t) and set_item(code, v, i, value)
    if isinstance(target, ast.Subscript):
        v = code.expr(target.value)
        return bool(v.t) and subscripts.replace_slice(code, v, target.slice, value)
    if not isinstance(target, (ast.Tuple, ast.List)):
        code.unsupported("an assignment to other than variables and items", target)
        return False
    starred = [number for number, e in enumerate(target.elts) if isinstance(e, ast.Starred)]
    items = variables.unpack(code, value, len(target.elts) - len(starred), *starred)
    targets = [e.value if isinstance(e, ast.Starred) else e for e in target.elts]
    return items is not None and all(bind(code, e, item) for e, item in zip(targets, items, strict=True))


def set_item(code, v, i, value):
    """Do v[i] = value. Returns whether control goes on."""
    kind = kind_of(v.only)
    if kind == "list" and i.only in ("int", "bool"):
        return lists.set_item(code, v, i, value)
    if kind == "dict":
        tables.set_item(code, v, i, value)
        return True
    code.unsupported("an assignment to an item of this")
    return False


def assigned_in(*nodes):
    """Return the names that statements may bind."""
    inside = [n for node in nodes for n in ast.walk(node)]
    captured = {n.name for n in inside if isinstance(n, ast.MatchAs) and n.name is not None}
    return captured | {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def local_names(node):
    """Return the names that a function binds, but not those of a comprehension's own.

    Raises:
        NotCompiledError: It has what has variables of its own, or declares some as another's.
    """
    found = set()

    def visit(parent):
        for child in ast.iter_child_nodes(parent):
            if isinstance(child, ast.Lambda):  # its variables are its own
                continue
            if isinstance(child, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
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
