"""Ships a Python callable as source text: its code as written, the values and modules it uses by name."""

from __future__ import annotations

import ast
import base64
import dis
import inspect
import marshal
import sys
import textwrap
import types
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._instance import Definition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Version 2 of the marshal format: read alike by every Python since 2.5, floats exact.
_MARSHAL_VERSION = 2

_PLAIN_SCALARS = (type(None), bool, int, float, complex, str, bytes)
_PLAIN_CONTAINERS = (tuple, list, set, frozenset)


def define(function: Callable[..., Any] | str, name: str, *, return_null: bool) -> Definition:
    """The definition of a function for the guest.

    Args:
        function: source text (a lambda, or a module whose last function is meant), or a lambda or def of this process.
        name: how errors and tracebacks call it.
        return_null: an exception makes its row NULL instead of failing the query.

    Returns:
        What `GuestInstance` takes.

    Raises:
        SignatureError: the callable, or something it uses, can't be shipped; the message names it.
    """
    if isinstance(function, str):
        return Definition(label=name, source=function, name=name, return_null=return_null)
    if not isinstance(function, types.FunctionType):
        msg = f"{name}: a {type(function).__name__} can't be shipped to the guest; pass a lambda, a def, or source text"
        raise SignatureError(msg)
    if hasattr(function, "__wrapped__"):
        msg = f"{name}: a decorated function can't be shipped to the guest; pass the function without its decorator"
        raise SignatureError(msg)
    source, node = _source_of(function, name)
    values, imports = _names_used(function, node, name)
    captured = base64.b64encode(marshal.dumps(values, _MARSHAL_VERSION)).decode() if values else None
    return Definition(
        label=name,
        source=source,
        name=name,
        entry=None if isinstance(node, ast.Lambda) else node.name,
        captured=captured,
        imports=imports,
        return_null=return_null,
    )


# ---- the code as written -----------------------------------------------------------------------------------------

_Node = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef


def _source_of(function: types.FunctionType, name: str) -> tuple[str, _Node]:
    """The text of the function alone, without decorators, and its syntax tree."""
    try:
        lines, _ = inspect.findsource(function)
        tree = ast.parse("".join(lines))
    except (OSError, SyntaxError, IndexError) as error:
        msg = f"{name}: the source of {function.__qualname__} can't be found ({error}); pass the source as text"
        raise SignatureError(msg) from error
    nodes = [node for node in ast.walk(tree) if isinstance(node, _Node) and _is_code_of(function, node)]
    if not nodes:
        msg = f"{name}: the source file of {function.__qualname__} changed since it was run; pass the source as text"
        raise SignatureError(msg)
    node = max(nodes, key=lambda node: (node.lineno, node.col_offset))  # the innermost
    # Columns are bytes of UTF-8.
    text = [line.encode() for line in lines[node.lineno - 1 : node.end_lineno]]
    text[-1] = text[-1][: node.end_col_offset]
    indent = text[0][: node.col_offset]
    if isinstance(node, ast.Lambda):
        text[0] = text[0][node.col_offset :]
        return f"({b''.join(text).decode()}\n)", node
    if indent.strip():
        msg = f"{name}: the def of {function.__qualname__} doesn't start its line; put it on a line of its own"
        raise SignatureError(msg)
    return textwrap.dedent(b"".join(text).decode()), node


def _is_code_of(function: types.FunctionType, node: _Node) -> bool:
    code = function.__code__
    if not isinstance(node, ast.Lambda):
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        return node.name == code.co_name and code.co_firstlineno in (first, node.lineno)
    if code.co_name != "<lambda>" or node.lineno != code.co_firstlineno:
        return False
    # Several lambdas may start on one line: the right one is the tightest whose body spans all of the code.
    start = (node.body.lineno, node.body.col_offset)
    stop = (node.body.end_lineno, node.body.end_col_offset)
    spans = [span for span in code.co_positions() if None not in span and span[2:] != (0, 0)]
    return all(start <= (line, column) and (end, end_column) <= stop for line, end, column, end_column in spans)


# ---- what it uses ------------------------------------------------------------------------------------------------


def _names_used(function: types.FunctionType, node: _Node, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The values to capture and the imports to make, by global name."""
    closure = inspect.getclosurevars(function).nonlocals
    # Closures become globals of the shipped code. Defaults are evaluated when it is loaded.
    defaults = [*node.args.defaults, *(default for default in node.args.kw_defaults if default is not None)]
    in_defaults = {item.id for default in defaults for item in ast.walk(default) if isinstance(item, ast.Name)}
    values: dict[str, Any] = {}
    imports: dict[str, str] = {}
    for used in sorted({*_global_names(function.__code__), *closure, *in_defaults}):
        if used in closure:
            value = closure[used]
        elif used in function.__globals__:
            value = function.__globals__[used]
        else:
            continue  # a builtin, or a NameError of the user's own
        if value is function:
            continue  # recursion
        imported = _import_path(value)
        if imported is not None:
            imports[used] = imported
        elif _is_plain(value):
            values[used] = value
        else:
            msg = (
                f"{name}: the variable {used!r} is a {type(value).__name__}, which can't be shipped to the guest; "
                "plain values (numbers, str, bytes, lists, tuples, dicts, sets) and imports of the standard library can"
            )
            raise SignatureError(msg)
    return values, imports


def _global_names(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _import_path(value: object) -> str | None:
    """How the guest can import the same object: `module`, `module:attribute`, or None."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str):
        return None
    if module.partition(".")[0] not in sys.stdlib_module_names or module == "__main__":
        return None
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return f"{module}:{qualname}" if found is value else None


def _is_plain(value: Any) -> bool:
    """Whether marshal carries the value exactly; asked itself, it would turn any buffer into bytes."""
    kind = type(value)
    if kind in _PLAIN_SCALARS:
        return True
    if kind in _PLAIN_CONTAINERS:
        return all(map(_is_plain, value))
    return kind is dict and all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
