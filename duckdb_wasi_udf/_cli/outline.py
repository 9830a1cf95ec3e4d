"""What a file of functions defines. This runs in the sandbox: a file that isn't trusted may be made to crash a parser,
and may have syntax that the host's Python doesn't know.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

_MANY = {"Iterator", "Iterable", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator", "Columns"}


class Item(NamedTuple):
    """One definition of a file.

    Attributes:
        name: its name.
        kind: "scalar", "aggregate" or "table" if it becomes a SQL function; "map" for a class that `run` can use;
            "helper" for all else; "error" if the file is no Python.
        line: where it begins, counted from 1.
        used: another definition uses it.
        note: why it is a helper, or what the error is.
        parameters: the names of the positional parameters; of a class over rows, those of its `process`.
        required: the number of those without a default.
    """

    name: str
    kind: str
    line: int
    used: bool
    note: str
    parameters: list[str]
    required: int


def outline(source: str) -> list[Item]:
    """Return the functions and classes at the top of a source text."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        return [_problem(error, error.lineno or 1)]
    except (ValueError, RecursionError, MemoryError) as error:
        return [_problem(error, 1)]
    definitions = dict(_definitions(tree.body))
    used = {name: _names(node) for name, node in definitions.items()}
    items = []
    for name, node in definitions.items():
        kind, note = _class_kind(node) if isinstance(node, ast.ClassDef) else _function_kind(node)
        if kind != "helper" and name.startswith("_"):
            kind, note = "helper", "its name begins with an underscore"
        by_others = any(name in names for other, names in used.items() if other != name)
        parameters, required = _parameters(node)
        items.append(Item(name, kind, node.lineno, by_others, note, parameters, required))
    return items


def _problem(error: Exception, line: int) -> Item:
    note = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    return Item(name="", kind="error", line=line, used=False, note=note, parameters=[], required=0)


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> tuple[list[str], int]:
    """Return the names of what a function, or the `process` of a class, takes by position, and how much it needs."""
    skipped = 0
    if isinstance(node, ast.ClassDef):
        methods = [inner for inner in node.body if isinstance(inner, _FUNCTIONS) and inner.name == "process"]
        if not methods:
            return [], 0
        node, skipped = methods[-1], 1
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)][skipped:]
    return names, max(len(names) - len(node.args.defaults), 0)


def _definitions(
    body: Iterable[ast.stmt],
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    for node in body:
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            yield node.name, node
        elif isinstance(node, (ast.If, ast.Try, ast.With)) and "__name__" not in ast.dump(getattr(node, "test", node)):
            for part in ("body", "orelse", "finalbody"):
                yield from _definitions(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from _definitions(handler.body)


def _names(node: ast.AST) -> set[str]:
    names = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            names.add(inner.id)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            names.update(re.findall(r"\w+", inner.value) if inner.value.isidentifier() else [])
    return names


def _function_kind(node: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, str]:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args, *filter(None, [arguments.vararg])]
    bare = [argument.arg for argument in positional if argument.annotation is None]
    if bare:
        return "helper", f"its parameter {bare[0]} has no annotation"
    if node.returns is None:
        return "helper", "its result has no annotation"
    if isinstance(node.returns, ast.Constant) and node.returns.value is None:
        return "helper", "it returns nothing"
    if any(default is None for default in arguments.kw_defaults):
        return "helper", "it needs keyword arguments, which SQL doesn't pass"
    return "table" if _head(node.returns) in _MANY else "scalar", ""


def _class_kind(node: ast.ClassDef) -> tuple[str, str]:
    methods = {inner.name: inner for inner in node.body if isinstance(inner, _FUNCTIONS)}
    if "process" in methods:
        return "map", ""
    if "step" not in methods or "finish" not in methods:
        return "helper", "it is a class without the methods step and finish"
    step = methods["step"].args
    bare = [argument.arg for argument in [*step.posonlyargs, *step.args][1:] if argument.annotation is None]
    if bare or methods["finish"].returns is None:
        return "helper", f"its {'step' if bare else 'finish'} has no annotations"
    return "aggregate", ""


def _head(annotation: ast.expr) -> str:
    """Return the name that an annotation begins with, without the module it is of."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return ""
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    return annotation.attr if isinstance(annotation, ast.Attribute) else getattr(annotation, "id", "")
