"""Finds the names that functions and annotations use."""

from __future__ import annotations

import ast
import builtins
import contextlib
import dis
import inspect
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb_wasi_udf._functions.source import FunctionNode

_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})


def global_names(code: types.CodeType) -> Iterator[str]:
    """Return the names that a code, or one inside it, looks up in its globals."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in _LOADS:
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from global_names(constant)


def annotation_names(text: str) -> set[str]:
    """Return the names in an annotation's text, and in the texts in it."""
    with contextlib.suppress(SyntaxError, ValueError):
        return set(_names(ast.parse(text.strip(), mode="eval").body))
    return set()


def _names(annotation: ast.expr) -> Iterator[str]:
    for item in ast.walk(annotation):
        if isinstance(item, ast.Name):
            yield item.id
        elif isinstance(item, ast.Constant) and isinstance(item.value, str):  # an annotation in quotes, or none at all
            yield from annotation_names(item.value)


def docstring(node: FunctionNode) -> str | None:
    """Return the docstring that a function is compiled with."""
    if isinstance(node, ast.Lambda):
        return None
    return ast.get_docstring(node, clean=False)


def annotations_of(function: types.FunctionType, node: FunctionNode) -> dict[str, tuple[str | None, Any]]:
    """Return the annotations of a function: (as it is written, the value) of each.

    The first is None where the text doesn't say in the function's globals what the value is: it names a local class,
    or a global that is another one now, or somebody set the annotation later.
    """
    written = {} if isinstance(node, ast.Lambda) else _written(node)
    found: dict[str, tuple[str | None, Any]] = {}
    for name, value in inspect.get_annotations(function).items():
        expression = written.get(name)
        text = None if expression is None else ast.unparse(expression)
        if (
            expression is not None
            and not isinstance(value, str)
            and not _means(expression, value, function.__globals__)
        ):
            text = None
        found[name] = text, value
    return found


def _written(node: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, ast.expr]:
    given = node.args
    parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    written = {each.arg: each.annotation for each in parameters if each is not None and each.annotation is not None}
    return written if node.returns is None else written | {"return": node.returns}


def _means(expression: ast.expr, value: object, variables: dict[str, Any]) -> bool:
    """Return whether an annotation can be read in these globals, by its names."""
    if isinstance(expression, ast.Name) and expression.id in variables:
        return variables[expression.id] is value
    return all(name in variables or hasattr(builtins, name) for name in _names(expression))
