"""What can be said of source text before a row of it runs: the function that is meant, and what it imports."""

import ast
import functools
import importlib
import inspect
import json
import textwrap
from collections import deque

from _udf_guest.hints import add_hints

from duckdb_wasi_udf._shared.entry import choose

# Bounds of what goes to the host.
_IMPORTS = 100
_PARAMETERS = 100
_CHARACTERS = 200

_FORGIVEN = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


def inspect_source(source, entry):
    """Read source text without running it. What it imports is imported, to see whether it can be.

    Args:
        source: The text.
        entry: The name of the function that is meant, or None.

    Returns:
        JSON: "name" of the function, None if there is none or any of several; "kind", which is "row", "async", "table"
        for a generator, or "class"; "parameters", each with "name", "annotation" and "required"; "returns"; "imports",
        each with "name", "line" and "missing", which says why it can't be imported, or None.
    """
    source = source.strip("\n")
    try:
        tree = ast.parse(textwrap.dedent(source) if source[:1].isspace() else source)  # as it is loaded
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return json.dumps({"name": None, "kind": None, "parameters": [], "returns": None, "imports": []})
    name = entry or choose(tree, None)
    found = [node for node in ast.walk(tree) if getattr(node, "name", None) == name and _is_definition(node)]
    node = found[-1] if found and isinstance(name, str) else _last_lambda(tree)
    described = _function(node) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) else {}
    if isinstance(node, ast.ClassDef):
        described = {"kind": "class"}
    nothing = {"kind": None, "parameters": [], "returns": None}
    shown = name[:_CHARACTERS] if isinstance(name, str) else None
    return json.dumps(nothing | described | {"name": shown, "imports": _imports(tree)})


def listing(function):
    """Make a function that returns a list of what a generator yields; one without an end reaches a limit."""
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def listed(*arguments):
            return [value async for value in function(*arguments)]

    else:

        @functools.wraps(function)
        def listed(*arguments):
            return list(function(*arguments))

    return listed


def _is_definition(node):
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


def _last_lambda(tree):
    last = tree.body[-1] if tree.body else None
    value = getattr(last, "value", None)
    return value if isinstance(value, ast.Lambda) else None


def _function(node):
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    parameters = [_parameter(argument, required=i < required) for i, argument in enumerate(positional)]
    if arguments.vararg is not None:
        parameters.append(_parameter(arguments.vararg, required=False))
    kind = "table" if _yields(node) else "async" if isinstance(node, ast.AsyncFunctionDef) else "row"
    return {"kind": kind, "parameters": parameters[:_PARAMETERS], "returns": _text(getattr(node, "returns", None))}


def _parameter(argument, *, required):
    return {"name": argument.arg[:_CHARACTERS], "annotation": _text(argument.annotation), "required": required}


def _text(annotation):
    return None if annotation is None else ast.unparse(annotation)[:_CHARACTERS]


def _yields(function):
    """Return whether a function yields itself, not one inside it."""
    pending = [function.body] if isinstance(function, ast.Lambda) else list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if not _is_definition(node) and not isinstance(node, ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))
    return False


def _imports(tree):
    """Return what a text imports anywhere, except where it does without: in `try`, and under `TYPE_CHECKING`."""
    imports = {}
    pending = deque([(tree, False)])
    while pending:
        node, optional = pending.popleft()
        if isinstance(node, ast.Import) and not optional:
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not optional and not node.level:
            names = [node.module]
        else:
            names = []
        for name in names:
            imports.setdefault(name[:_CHARACTERS], node.lineno)
        forgiving = isinstance(node, ast.Try) and any(map(_forgives, node.handlers))
        only_for_types = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for field, value in ast.iter_fields(node):
            inside = optional or (field == "body" and (forgiving or only_for_types))
            items = value if isinstance(value, list) else [value]
            pending.extend((item, inside) for item in items if isinstance(item, ast.AST))
    listed = list(imports.items())[:_IMPORTS]
    return [{"name": name, "line": line, "missing": _missing(name)} for name, line in listed]


def _forgives(handler):
    """Return whether an `except` catches that a module isn't there."""
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in _FORGIVEN for kind in kinds)


def _missing(name):
    """Return why a module can't be imported; None if it can."""
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - a package may raise anything
        add_hints(error)
        return f"{type(error).__name__}: {error}"[: 2 * _CHARACTERS]
    return None
