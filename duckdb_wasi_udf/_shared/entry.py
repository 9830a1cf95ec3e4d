"""Which function of a source text is meant, and what is said of text that is no source."""

from __future__ import annotations

import ast
import re
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# What a line of code begins with that people paste after a sentence of their own.
_CODE_LINE = re.compile(r"\s*(?:def|async def|class|import|from|@|lambda)\b")

# What an assignment or a call begins with: such a line is code with a mistake, not a sentence.
_STATEMENT = re.compile(r"\s*\w[\w.\[\]]*(?:\s*:[^=]+|\s*[-+*/%|&^])?\s*=|\s*\w[\w.]*\(")

_FENCES = ("```", "~~~")

# How much of a line an error quotes.
_LINE_CHARACTERS = 60

# Methods of the classes that are called in place of a function: of aggregates, and of functions over tables.
_ACTING = {"step", "process"}


def choose(tree: ast.Module, preferred: str | None, but: Sequence[str] = ()) -> str | tuple[str, ...] | None:
    """Return the name of the function that is meant, or a tuple of those that may be.

    It is the one named like `preferred`. Without one it is the only one that no other uses, as functions, classes,
    decorators and annotations use each other, directly or by way of a variable. If there is more than one, classes give
    way to functions, unless they are those of an aggregate or a table function.

    Args:
        tree: The parsed source.
        preferred: The SQL name, or None.
        but: Names that are meant only if there is no other.

    Returns:
        A name; a tuple of several, if that is ambiguous; None if the source defines none.
    """
    bound = _bound(tree.body)
    found = {name: node for name, node in bound.items() if _is_definition(node)}
    named = _like(preferred, found)
    if named is not None:
        return named
    found = _without(found, but)
    used = {name: _names(node) for name, node in bound.items()}
    found = _without(found, [name for name, node in found.items() if _is_script(name, node, used, found)])
    reached = {name: _reached(name, used) for name in found}
    chosen = [name for name in found if not any(name in reached[other] for other in found if other != name)]
    if len(chosen) > 1:
        chosen = [name for name in chosen if _acts(found[name])] or chosen
    if len(chosen) == 1:
        return chosen[0]
    return tuple(chosen or found) or None


def assigned(tree: ast.Module, preferred: str | None) -> str | None:
    """Return the variable that is named like the SQL name and may hold a function, as a `partial` or an alias does."""
    bound = _bound(tree.body)
    maybe: tuple[type[ast.AST], ...] = (ast.Call, ast.Name, ast.Attribute)
    if not any(map(_is_definition, bound.values())):
        maybe += (ast.ImportFrom,)  # beside definitions it is rather for their use
    return _like(preferred, [name for name, node in bound.items() if isinstance(node, maybe)])


def _without(found: dict[str, ast.AST], names: Sequence[str]) -> dict[str, ast.AST]:
    """Return what is found without some, unless nothing would be left."""
    return {name: node for name, node in found.items() if name not in names} or found


def _bound(body: Sequence[ast.stmt]) -> dict[str, ast.AST]:
    """Return what module-level statements bind: {name: the statement, or the value of an assignment}."""
    bound: dict[str, ast.AST] = {}
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bound.pop(name, None)
                bound[name] = statement
            case ast.Assign(targets=targets, value=value):
                names = [item for target in targets for item in ast.walk(target) if isinstance(item, ast.Name)]
                bound |= {name.id: value for name in names if isinstance(name.ctx, ast.Store)}
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                bound[name] = value
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                bound |= {alias.asname or alias.name: statement for alias in names}
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
                pass
            case ast.If() | ast.Try() | ast.With():
                inside = [inner for part in ("body", "orelse", "finalbody") for inner in getattr(statement, part, [])]
                handlers = [inner for handler in getattr(statement, "handlers", []) for inner in handler.body]
                bound |= _bound(inside + handlers)
    return bound


def _is_definition(node: ast.AST) -> bool:
    return isinstance(node, (*_FUNCTIONS, ast.ClassDef, ast.Lambda))


def _like(preferred: str | None, names: Iterable[str]) -> str | None:
    """Return the name that is spelled like a SQL name, which has no case; None without one."""
    if preferred is None or preferred in names:
        return preferred
    alike = [name for name in names if name.casefold() == preferred.casefold()]
    return alike[0] if len(alike) == 1 else None


def _acts(node: ast.AST) -> bool:
    """Return whether a definition is what SQL functions are made of, rather than a class beside it."""
    if not isinstance(node, ast.ClassDef):
        return True
    return any(isinstance(inner, _FUNCTIONS) and inner.name in _ACTING for inner in node.body)


def _is_script(name: str, node: ast.AST, used: dict[str, set[str]], found: dict[str, ast.AST]) -> bool:
    """Return whether a function runs or tests the others: `main`, or `test_...`, without parameters."""
    if not isinstance(node, _FUNCTIONS) or not (name == "main" or name.startswith("test_")):
        return False
    arguments = node.args
    takes = arguments.posonlyargs or arguments.args or arguments.vararg
    return not takes and any(other in found for other in _reached(name, used) if other != name)


def _names(node: ast.AST) -> set[str]:
    """Return the names that a statement or value uses, those in annotations that are text included.

    A function's parameters and variables are its own, whatever else has their names.
    """
    names: set[str] = set()
    if isinstance(node, ast.Name):
        names.add(node.id)
    for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            names.update(re.findall(r"\w+", annotation.value))
    if not isinstance(node, (*_FUNCTIONS, ast.Lambda)):
        return names.union(*map(_names, ast.iter_child_nodes(node)))
    body = node.body if isinstance(node.body, list) else [node.body]
    outside = [child for child in ast.iter_child_nodes(node) if child not in body]  # decorators, defaults, annotations
    inside: set[str] = set().union(*map(_names, body))
    return names.union(*map(_names, outside)) | (inside - _own(node, body))


def _own(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, body: Sequence[ast.AST]) -> set[str]:
    """Return the names of a function's parameters and variables."""
    own = {parameter.arg for parameter in ast.walk(function.args) if isinstance(parameter, ast.arg)}
    pending, others = list(body), set()
    while pending:
        node = pending.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                own.add(name)
                continue
            case ast.Lambda():
                continue
            case ast.Name(id=name, ctx=ast.Store()):
                own.add(name)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                others.update(names)
        pending += ast.iter_child_nodes(node)
    return own - others


def _reached(name: str, used: dict[str, set[str]]) -> set[str]:
    """Return the names that one uses, and those that they use."""
    reached: set[str] = set()
    pending = [name]
    while pending:
        new = used.get(pending.pop(), set()) - reached
        reached |= new
        pending += new
    return reached


def ambiguous(names: Iterable[str]) -> TypeError:
    """Return the error for several functions of which any may be meant."""
    return TypeError(
        f"the code defines several functions that don't use each other: {', '.join(names)}; write the name of the one "
        "that is meant in the last line, pass it as entry, or name it like the SQL function"
    )


def missing(entry: str, tree: ast.Module) -> TypeError:
    """Return the error for a function that is asked for by name and isn't there."""
    names = ", ".join(name for name, node in _bound(tree.body).items() if _is_definition(node))
    return TypeError(f"the code defines no {entry!r}; it defines: {names or 'nothing'}")


def pasted(source: str, error: SyntaxError) -> SyntaxError | None:
    """Return the error for text that isn't only code, as chats and web pages have it; None if it isn't that.

    Args:
        source: The text.
        error: The SyntaxError that it gives.
    """
    lines = source.splitlines()
    for number, line in enumerate(lines, 1):
        if line.strip().startswith(_FENCES):
            return SyntaxError(
                f"the code is inside Markdown fences (line {number}: {_shown(line)}); pass only the lines between them"
            )
    text = source.strip()
    if len(text) > 1 and text[0] == text[-1] == "`":
        return SyntaxError("the code is inside Markdown fences (`...`); pass only what is between them")
    first = next((number for number, line in enumerate(lines) if _CODE_LINE.match(line)), None)
    if first is None:
        return None
    foreign = 0 if first else None
    rest = textwrap.dedent("\n".join(lines[first:]))
    try:
        compile(rest, "", "exec", ast.PyCF_ONLY_AST)
    except SyntaxError as after:
        end = (after.lineno or 1) - 1
        if end < 1 or not _is_code("\n".join(rest.splitlines()[:end])):
            return None
        if foreign is None:
            foreign = end
    if foreign is None or len(lines[foreign].split()) < 2 or (error.lineno or 0) < foreign + 1:
        return None
    if _STATEMENT.match(lines[foreign]):
        return None
    return SyntaxError(
        f"line {foreign + 1} is no Python: {_shown(lines[foreign])}; pass the code alone, without text around it"
    )


def _is_code(text: str) -> bool:
    try:
        compile(text, "", "exec", ast.PyCF_ONLY_AST)
    except SyntaxError:
        return False
    return True


def _shown(line: str) -> str:
    line = line.strip()
    return repr(line if len(line) <= _LINE_CHARACTERS else line[:_LINE_CHARACTERS] + "...")
