"""Finds the source text of functions: in files, notebook cells, and whatever else `linecache` knows."""

from __future__ import annotations

import ast
import contextlib
import dis
import functools
import inspect
import linecache
import re
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

FunctionNode = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef

# Of texts in cells: IPython makes one of what follows a magic such as %%time, and `exec` takes one.
_MAY_DEFINE = re.compile(r"\bdef |\blambda\b")


class SourceNotFoundError(Exception):
    """The source isn't there; the text completes "the source of f ..."."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text of one function.

    Attributes:
        text: a def without its decorators, as it is indented; or a lambda in parentheses.
        node: its syntax tree.
        inside: the name of the innermost class it is written in; None without one.
    """

    text: str
    node: FunctionNode
    inside: str | None


def find_source(function: types.FunctionType) -> Source:
    """Return the source of a function.

    Raises:
        SourceNotFoundError: there is none, or it isn't that of the function any more.
    """
    code = function.__code__
    try:
        lines, _ = inspect.findsource(code)  # of the code: a function may say that it wraps another
    except (OSError, TypeError, IndexError):
        lines = []
    parsed = _parse("".join(lines))
    if parsed is not None:
        found = parsed.same(code) or parsed.at_its_line(code)
        if found is None:
            msg = "is not where it was when it was run: the file has changed since"
            raise SourceNotFoundError(msg)
        return parsed.source(found)
    for text in _cells():
        parsed = _parse(text)
        if parsed is not None and (found := parsed.same(code)) is not None:
            return parsed.source(found)
    msg = f"can't be found: it was made of text that wasn't kept ({code.co_filename})"
    raise SourceNotFoundError(msg)


@functools.lru_cache(maxsize=8)  # a file with many functions is parsed once
def _parse(text: str) -> _Parsed | None:
    if text.strip():
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            return _Parsed(text)
    return None


def _cells() -> Iterator[str]:
    """Return the texts of notebook cells, and of others that are no files, newest first; and the texts in them."""
    entries = [entry for entry in linecache.cache.values() if len(entry) == 4 and entry[1] is None]
    for entry in reversed(entries):
        text = "".join(entry[2])
        yield text
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and _MAY_DEFINE.search(node.value):
                    yield node.value


class _Function(NamedTuple):
    """A function of a text: its code as this Python compiles it, its syntax tree, and the class it is in."""

    code: types.CodeType
    node: FunctionNode
    inside: str | None


class _Parsed:
    """A text with its functions."""

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines(keepends=True)
        nodes = list(_functions(ast.parse(text), None))
        # Which code is whose says its first line, once each function has a line of its own.
        numbered = ast.parse(text)
        for number, (node, _) in enumerate(_functions(numbered, None), 1):
            decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
            for marked in (node, *decorators[:1]):
                marked.lineno = marked.end_lineno = number
                marked.col_offset = marked.end_col_offset = 0
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # as in cells
        codes = _inner_codes(compile(numbered, "<text>", "exec", flags, dont_inherit=True))
        by_number = {code.co_firstlineno: code for code in codes if code.co_flags & inspect.CO_OPTIMIZED}
        self._functions = [
            _Function(by_number[number], node, inside)
            for number, (node, inside) in enumerate(nodes, 1)
            if number in by_number
        ]

    def same(self, code: types.CodeType) -> _Function | None:
        """Return the function that compiles to this code, wherever it is; of several the one closest to its line."""
        same = [each for each in self._functions if _do_the_same(each.code, code)]
        return min(same, key=lambda each: abs(_first_line(each.node) - code.co_firstlineno), default=None)

    def at_its_line(self, code: types.CodeType) -> _Function | None:
        """Return the function of this name at the code's line.

        Its code may differ a little: pytest rewrites the assertions of tests, and other tools do the like.
        """
        for each in self._functions:
            if (
                each.code.co_name == code.co_name
                and code.co_firstlineno in (_first_line(each.node), each.node.lineno)
                and _parameters(each.code) == _parameters(code)
                and _words(each.code) <= _words(code)
            ):
                return each
        return None

    def source(self, found: _Function) -> Source:
        """Return what was found as text."""
        _, node, inside = found
        # Columns are bytes of UTF-8.
        text = [line.encode() for line in self.lines[node.lineno - 1 : node.end_lineno]]
        text[-1] = text[-1][: node.end_col_offset]
        if isinstance(node, ast.Lambda):
            text[0] = text[0][node.col_offset :]
            return Source(text=f"({b''.join(text).decode()}\n)", node=node, inside=inside)
        if text[0][: node.col_offset].strip():
            msg = "shares its first line with other code"
            raise SourceNotFoundError(msg)
        return Source(text=b"".join(text).decode(), node=node, inside=inside)


def _functions(node: ast.AST, inside: str | None) -> Iterator[tuple[FunctionNode, str | None]]:
    """Return all functions below a node, each with the class it is in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode):
            yield child, inside
        yield from _functions(child, child.name if isinstance(child, ast.ClassDef) else inside)


def _inner_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _inner_codes(constant)


def _parameters(code: types.CodeType) -> tuple[object, ...]:
    number = code.co_argcount + code.co_kwonlyargcount
    starred = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    return code.co_varnames[:number], code.co_posonlyargcount, code.co_kwonlyargcount, starred


def _words(code: types.CodeType) -> set[tuple[str, str]]:
    """Return the names, constants and operators of a code."""
    words = {("name", name) for name in code.co_names}
    words |= {("constant", repr(value)) for value in code.co_consts if not isinstance(value, types.CodeType)}
    operators = ("BINARY_OP", "COMPARE_OP", "CONTAINS_OP", "IS_OP", "UNARY_NOT")
    return words | {(each.opname, each.argrepr) for each in dis.get_instructions(code) if each.opname in operators}


def _do_the_same(one: types.CodeType, other: types.CodeType) -> bool:
    """Return whether two codes differ in nothing but where they are."""
    if one is other:
        return True
    return (
        one.co_name == other.co_name
        and _parameters(one) == _parameters(other)
        and one.co_code == other.co_code
        and (one.co_names, one.co_varnames, one.co_freevars) == (other.co_names, other.co_varnames, other.co_freevars)
        and len(one.co_consts) == len(other.co_consts)
        and all(map(_same_constant, one.co_consts, other.co_consts))
    )


def _same_constant(one: object, other: object) -> bool:
    if isinstance(one, types.CodeType) and isinstance(other, types.CodeType):
        return _do_the_same(one, other)
    if isinstance(one, frozenset):
        return one == other
    return type(one) is type(other) and repr(one) == repr(other)


def _first_line(node: FunctionNode) -> int:
    """Return the line of its first decorator, or its own."""
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])
