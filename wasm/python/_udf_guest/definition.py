"""Definitions: the code that makes a function, run once for each instance."""

import __future__

import ast
import base64
import functools
import inspect
import itertools
import json
import linecache
import marshal
import pkgutil
import sys
import textwrap
import types

import _udf

from _udf_guest.description import describe
from _udf_guest.explanation import argument_repr

MODULE_NAME = "__udf__"

# The source texts of this instance by file name, for the compiler: several units may have one name.
sources = {}

# Bounds of what goes to the host.
_DESCRIPTION_BYTES = 100_000
_CODE_CHARACTERS = 100_000


def define(text):
    """Compile a definition.

    Args:
        text: A JSON object with these keys.
            "units": Pieces of code, each with a namespace of its own. The last one makes the function.
            "return_null": Whether an exception makes its row NULL.
            "by_batch": Whether the function takes columns, whatever its annotations say.
            "table": Whether it returns rows.
            "described": Whether an earlier instance has described it, and its arguments need no conversion.
            A unit has these keys.
            "source": Python code, a lambda or a module.
            "name": Its name in tracebacks.
            "entry": The name of what it makes, or null for the last function it defines.
            "code": What an earlier instance compiled it to, or null.
            "captured": Values the code finds as globals, a base64-encoded marshal dictionary, or null.
            "imports": Globals by import, {name: "module" or "module:attribute"}.
            "links": Globals from other units, {name: number of the unit}.

    Returns:
        (function, return_null, by_batch, is_async, description). With `is_async` the function returns coroutines.
        The description is UTF-8 JSON for the host: see `describe`. It also has "plain", whether arguments need no
        conversion, and "codes", what the units were compiled to, unless that is too long. It is empty if the function
        is described.
    """
    definition = json.loads(text)
    units = definition["units"]
    namespaces = []
    made = {}
    for number, unit in enumerate(units):
        last = number == len(units) - 1
        module = types.ModuleType(MODULE_NAME if last else f"{MODULE_NAME}.{number}")
        sys.modules[module.__name__] = module
        namespace = module.__dict__
        namespaces.append(namespace)
        if unit["captured"] is not None:
            namespace.update(marshal.loads(base64.b64decode(unit["captured"])))
        for name, imported in unit["imports"].items():
            namespace[name] = pkgutil.resolve_name(imported)
        namespace.update({name: made[link] for name, link in unit["links"].items() if link in made})
        made[number], unit["code"] = _load(unit, namespace, definition["table"])
    for namespace, unit in zip(namespaces, units, strict=True):  # units that use each other, or themselves
        namespace.update({name: made[link] for name, link in unit["links"].items()})
    function = made[len(units) - 1]
    by_batch, converters, description = definition["by_batch"], [], b"{}"
    if not definition["described"]:
        described, converters = describe(function, namespaces[-1], by_batch=by_batch, table=definition["table"])
        by_batch = described["by_batch"]
        described["plain"] = not any(converters)
        described["schema"] = definition["table"] and _has_schema(namespaces[0], made[0])
        description = json.dumps(described).encode()
        if len(description) > _DESCRIPTION_BYTES:
            raise TypeError("the function has too many parameters; give it fewer, or take the rest as *args")
        codes = [unit["code"] for unit in units]
        if sum(map(len, codes)) <= _CODE_CHARACTERS:
            description = json.dumps(described | {"codes": codes}).encode()
    is_async = inspect.iscoroutinefunction(function)
    if is_async and by_batch:
        raise TypeError("a function of the batch shape can't be async")
    if is_async and definition["table"]:
        function, is_async = _awaiting(function), False
    if any(converters):
        function = _converting(function, converters)
    return function, definition["return_null"], by_batch, is_async, description


def _has_schema(namespace, function):
    """Return whether a function `schema` beside a table function says its columns."""
    schema = namespace.get("schema")
    return isinstance(schema, types.FunctionType) and schema is not function


def _load(unit, namespace, table):
    """Run a unit's code. Return what it makes, and what it was compiled to, base64-encoded."""
    source = unit["source"].strip("\n")
    if source[:1].isspace():  # written inside an indented SQL string
        source = textwrap.dedent(source)
    filename = f"<{unit['name']}>"
    sources.setdefault(filename, []).append(source)
    lines = [line + "\n" for line in source.splitlines()]
    linecache.cache[filename] = (len(source), None, lines, filename)  # lets tracebacks show the lines
    code = unit["code"]
    if code is None:
        compiled = _compile(source, filename, unit["entry"], table)
        code = base64.b64encode(marshal.dumps(compiled)).decode()
    else:
        compiled = marshal.loads(base64.b64decode(code))
    statements, result, entry = compiled
    exec(statements, namespace)
    function = namespace[entry] if result is None else eval(result, namespace)
    if not callable(function):
        raise TypeError(
            f"the code is {argument_repr.repr(function)}, not a function; write a lambda, such as "
            "'lambda x: x + 1', or a def"
        )
    return function, code


def _compile(source, filename, entry, table):
    """Return (statements, the last expression or None, the name of what they make)."""
    # Annotations stay text: the host reads them, and code needn't import what it only names there.
    flags = __future__.annotations.compiler_flag
    tree = compile(source, filename, "exec", ast.PyCF_ONLY_AST | flags, dont_inherit=True)
    result = None
    if entry is None and tree.body and isinstance(tree.body[-1], ast.Expr):
        expression = ast.Expression(tree.body.pop().value)
        result = compile(expression, filename, "eval", flags, dont_inherit=True)
    elif entry is None:
        entry = _last_definition(tree, but="schema" if table else None)
    return compile(tree, filename, "exec", flags, dont_inherit=True), result, entry


def _last_definition(tree, but):
    """Return the name of the last function or class. One named `but` is meant only if there is no other."""
    names = []
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.append(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda()):
                names.append(name)
    if names:
        return next((name for name in reversed(names) if name != but), names[-1])
    raise TypeError("the code defines no function; write a lambda, such as 'lambda x: x + 1', or a def")


def _converting(function, converters):
    """Return the function over arguments that are converted to what its annotations name."""

    @functools.wraps(function)
    def converting(*arguments):
        given = itertools.zip_longest(arguments, converters[: len(arguments)])
        return function(*[value if value is None or not convert else convert(value) for value, convert in given])

    return converting


def _awaiting(function):
    """Return a plain function for a coroutine function. It returns the same."""

    @functools.wraps(function)
    def awaiting(*arguments):
        return _udf.run(function(*arguments))

    return awaiting
