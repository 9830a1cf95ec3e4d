"""Ships Python callables as source text: their code as written, with the values, modules, functions and classes it
uses.

Each function or class becomes a unit with a namespace of its own, as it has in this process; the one that is called
comes last. What can't be shipped is refused by name, before the first row.
"""

from __future__ import annotations
import __future__

import ast
import contextlib
import dis
import functools
import inspect
import sys
import textwrap
import types
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._guests.definition import Definition, Unit, encode_values
from duckdb_wasi_udf._shared.column import Column
from duckdb_wasi_udf._shared.columns import Columns
from duckdb_wasi_udf._shared.interval import Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PLAIN_SCALARS = (type(None), bool, int, float, complex, str, bytes)
_PLAIN_CONTAINERS = (tuple, list, set, frozenset)

_Cached = type(functools.cache(len))


def ship(
    function: Callable[..., Any] | str,
    name: str,
    *,
    return_null: bool,
    by_batch: bool = False,
    modules: frozenset[str] = frozenset(),
    entry: str | None = None,
) -> Definition:
    """Return the definition of a function for the guest.

    Args:
        function: source text (a lambda or a module), or a callable of this process: a lambda or def, decorated or not,
            a `functools.partial` or `functools.cache` of one.
        name: how errors and tracebacks call it.
        return_null: an exception makes its row NULL instead of failing the query.
        by_batch: it takes columns, whatever its annotations say.
        modules: what the guest can import beside the standard library, by its top-level names; what a callable uses of
            these is imported there, not shipped.
        entry: the name of the function that is meant in source text; None to go by the rule of `_udf_guest.entry`.

    Returns:
        What `GuestInstance` takes.

    Raises:
        SignatureError: the callable, or something it uses, can't be shipped; the message names it.
    """
    if isinstance(function, str):
        return Definition.from_source(
            function, name, entry=entry, preferred=name, return_null=return_null, by_batch=by_batch
        )
    if entry is not None:
        msg = f"{name}: entry={entry!r} names a function in source text; leave it out with a callable"
        raise SignatureError(msg)
    shipment = _Shipment(name, sys.stdlib_module_names | modules)
    shipment.add(function, None)
    return Definition(label=name, units=shipment.units(), return_null=return_null, by_batch=by_batch)


class _Shipment:
    """The units of one function, each before those that use it, as far as they don't use each other."""

    def __init__(self, label: str, importable: frozenset[str]) -> None:
        self._label = label
        self._importable = importable
        self._units: dict[int, dict[str, Any]] = {}  # by the id of the object, which `_alive` keeps valid
        self._alive: dict[int, object] = {}

    def units(self) -> tuple[Unit, ...]:
        """Return the finished units."""
        numbers = {key: number for number, key in enumerate(self._units)}
        finished = []
        for unit in self._units.values():
            links = {name: numbers[key] for name, key in unit["links"].items()}
            finished.append(Unit(**(unit | {"links": links})))
        return tuple(finished)

    def add(self, value: object, used_as: str | None) -> int:
        """Add a function or class with all it uses; the key of its unit.

        Args:
            value: what to ship.
            used_as: the variable it was found in; None for the function that is to be called.
        """
        if id(value) in self._alive:
            return id(value)
        self._alive[id(value)] = value
        captured: dict[str, Any] = {}
        imports: dict[str, str] = {}
        links: dict[str, int] = {}
        annotated: dict[str, Any] = {}
        if isinstance(value, functools.partial):
            source, entry = "_partial(_function, *_arguments, **_keywords)", None
            imports["_partial"] = "functools:partial"
            parts: dict[str, object] = {"_function": value.func, "_arguments": value.args, "_keywords": value.keywords}
        elif isinstance(value, _Cached):
            source, entry = "_lru_cache(**_parameters)(_function)", None
            imports["_lru_cache"] = "functools:lru_cache"
            parts = {"_function": value.__wrapped__, "_parameters": value.cache_parameters()}
        elif isinstance(value, (types.FunctionType, type)):
            source, node = self._source_of(value)
            entry = None if isinstance(node, ast.Lambda) else node.name
            parts = _used(value, source, node)
            annotated = {name: found for name, found in _annotated(value, node).items() if name not in parts}
        else:
            what = f"the variable {used_as!r} is a" if used_as else "this is a"
            msg = (
                f"{self._label}: {what} {type(value).__name__}, which can't be shipped to the guest; what can: "
                "functions and classes written in Python, plain values (numbers, str, bytes, lists, tuples, dicts, "
                "sets), imports of the standard library and of the sandbox's packages, and source text"
            )
            raise SignatureError(msg)
        for name, found in sorted(parts.items()):
            self._sort(name, found, captured, imports, links)
        for name, found in sorted(annotated.items()):
            with contextlib.suppress(SignatureError):  # what the guest doesn't find it reports with the annotation
                self._sort(name, found, captured, imports, links)
        self._units[id(value)] = {
            "source": source,
            "name": self._label if used_as is None else getattr(value, "__name__", used_as),
            "entry": entry,
            "captured": encode_values(captured) if captured else None,
            "imports": imports,
            "links": links,
        }
        return id(value)

    def _sort(
        self, name: str, value: object, captured: dict[str, Any], imports: dict[str, str], links: dict[str, int]
    ) -> None:
        """Put a variable where it belongs: imported in the guest, carried as a value, or shipped itself."""
        imported = _import_path(value, self._importable)
        if imported is not None:
            imports[name] = imported
        elif _is_plain(value):
            captured[name] = value
        else:
            links[name] = self.add(value, name)

    # ---- the code as written -------------------------------------------------------------------------------------

    def _source_of(self, value: types.FunctionType | type) -> tuple[str, _Node]:
        """Return the text of the function or class alone, and its syntax tree.

        A function comes without its decorators: what they made of it is what is shipped. A class keeps them.
        """
        try:
            # The code, since a function that wraps another would be taken for the other.
            lines, _ = inspect.findsource(value if isinstance(value, type) else value.__code__)
            tree = ast.parse("".join(lines))
        except (OSError, SyntaxError, IndexError, TypeError) as error:
            raise self._no_source(value, f"can't be found ({error})") from error
        nodes = [node for node in ast.walk(tree) if isinstance(node, _Node) and _is_source_of(value, node)]
        if not nodes:
            raise self._no_source(value, "is not where it was when it was run")
        node = max(nodes, key=lambda node: (node.lineno, node.col_offset))  # the innermost
        first = _first_line(node) if isinstance(node, ast.ClassDef) else node.lineno
        # Columns are bytes of UTF-8.
        text = [line.encode() for line in lines[first - 1 : node.end_lineno]]
        text[-1] = text[-1][: node.end_col_offset]
        if isinstance(node, ast.Lambda):
            text[0] = text[0][node.col_offset :]
            return f"({b''.join(text).decode()}\n)", node
        if lines[node.lineno - 1].encode()[: node.col_offset].strip():
            raise self._no_source(value, "shares its first line with other code")
        return textwrap.dedent(b"".join(text).decode()), node

    def _no_source(self, value: types.FunctionType | type, why: str) -> SignatureError:
        return SignatureError(f"{self._label}: the source of {value.__qualname__} {why}; pass the source as text")


_Node = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _is_source_of(value: types.FunctionType | type, node: _Node) -> bool:
    if isinstance(value, type):
        return isinstance(node, ast.ClassDef) and node.name == value.__name__ and _same_methods(value, node)
    code = value.__code__
    if isinstance(node, ast.Lambda):
        return code.co_name == "<lambda>" and node.lineno == code.co_firstlineno and _spans(node.body, code)
    if isinstance(node, ast.ClassDef):
        return False
    return node.name == code.co_name and code.co_firstlineno in (_first_line(node), node.lineno)


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    """Return the line of its first decorator, or its own."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _same_methods(value: type, node: ast.ClassDef) -> bool:
    """Return whether the class's methods are those of the node: a file may have several classes of one name."""
    assert node.end_lineno is not None
    lines = range(node.lineno, node.end_lineno + 1)
    return all(method.__code__.co_firstlineno in lines for method in _methods(value))


def _methods(value: type) -> list[types.FunctionType]:
    """Return the methods written in a class, but not those it was given (as by `dataclass`)."""
    found: list[Any] = []
    for member in vars(value).values():
        if isinstance(member, property):
            found += [member.fget, member.fset, member.fdel]
        else:
            found.append(getattr(member, "__func__", member))
    prefix = f"{value.__qualname__}."
    return [
        function
        for function in found
        if isinstance(function, types.FunctionType)
        and function.__qualname__.startswith(prefix)
        and function.__globals__ is vars(sys.modules[value.__module__])
        and not function.__code__.co_filename.startswith("<string")
    ]


def _spans(body: ast.expr, code: types.CodeType) -> bool:
    """Return whether the body of a lambda spans all of the code; of several on one line, the tightest is the one."""
    start, stop = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    positions = [position for position in code.co_positions() if None not in position and position[2:] != (0, 0)]
    return all(start <= (line, column) and (end, end_column) <= stop for line, end, column, end_column in positions)


# ---- what it uses ------------------------------------------------------------------------------------------------


def _used(value: types.FunctionType | type, source: str, node: _Node) -> dict[str, Any]:
    """Return the variables the code finds outside itself, by name; names that don't exist are left to the guest."""
    if isinstance(value, type):
        functions = _methods(value)
        flags = __future__.annotations.compiler_flag
        names = set(_global_names(compile(source, "<class>", "exec", flags, dont_inherit=True))) - set(vars(value))
        variables = vars(sys.modules[value.__module__])
    else:
        functions = [value]
        assert not isinstance(node, ast.ClassDef)
        # Defaults are evaluated when the code is loaded.
        defaults = [*node.args.defaults, *(default for default in node.args.kw_defaults if default is not None)]
        in_defaults = {item.id for default in defaults for item in ast.walk(default) if isinstance(item, ast.Name)}
        names = {*_global_names(value.__code__), *in_defaults}
        variables = value.__globals__
    closure: dict[str, Any] = {}  # becomes globals of the shipped code
    for function in functions:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if name != "__class__":
                closure[name] = cell.cell_contents
    # A namespace's own names, such as __name__, are those of the guest's.
    used = {name for name in names if name in variables and not (name.startswith("__") and name.endswith("__"))}
    return {name: variables[name] for name in used} | closure


def _annotated(value: types.FunctionType | type, node: _Node) -> dict[str, Any]:
    """Return the variables that annotations name, which the code itself needn't use."""
    if isinstance(node, ast.Lambda):
        return {}
    if isinstance(node, ast.ClassDef):
        annotations = [statement.annotation for statement in node.body if isinstance(statement, ast.AnnAssign)]
    else:
        given = node.args
        parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg]
        written = [node.returns, *(parameter.annotation for parameter in parameters if parameter is not None)]
        annotations = [annotation for annotation in written if annotation is not None]
    names = {name for annotation in annotations for name in _names(annotation)}
    variables = vars(sys.modules[value.__module__]) if isinstance(value, type) else value.__globals__
    found = {name: variables[name] for name in names if name in variables}
    return {
        name: value for name, value in found.items() if not isinstance(value, types.ModuleType) or _is_stdlib(value)
    }


def _is_stdlib(module: types.ModuleType) -> bool:
    return module.__name__.partition(".")[0] in sys.stdlib_module_names


def _names(annotation: ast.expr) -> Iterator[str]:
    for item in ast.walk(annotation):
        if isinstance(item, ast.Name):
            yield item.id
        elif isinstance(item, ast.Constant) and isinstance(item.value, str):  # an annotation in quotes, or none at all
            with contextlib.suppress(SyntaxError, ValueError):
                yield from _names(ast.parse(item.value, mode="eval").body)


def _global_names(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _import_path(value: object, importable: frozenset[str]) -> str | None:
    """Return how the guest can import the same object: `module`, `module:attribute`, or None."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str):
        return None
    if value in (Column, Columns, Interval):
        return f"duckdb_wasi_udf:{qualname}"
    if module.partition(".")[0] not in importable or module == "__main__":
        return None
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return f"{module}:{qualname}" if found is value else None


def _is_plain(value: Any) -> bool:
    """Return whether marshal carries the value exactly; asked itself, it would turn any buffer into bytes."""
    kind = type(value)
    if kind in _PLAIN_SCALARS:
        return True
    if kind in _PLAIN_CONTAINERS:
        return all(map(_is_plain, value))
    return kind is dict and all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
