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

from _udf_guest import shipped
from _udf_guest.description import describe
from _udf_guest.explanation import argument_repr
from _udf_guest.numpy_part import numpy_part
from _udf_guest.shipped import MODULE_NAME
from _udf_guest.sources import sources
from duckdb_wasi_udf._shared.entry import ambiguous, assigned, choose, missing, pasted

# Bounds of what goes to the host.
_DESCRIPTION_BYTES = 2_500_000
_CODE_CHARACTERS = 100_000

# Functions beside a table function that say something of its rows.
_BESIDE = ("schema", "cardinality")


def define(text):
    """Compile a definition.

    Args:
        text: A JSON object with these keys.
            "units": Pieces of code, each with a namespace of its own. The last one makes the function.
            "return_null": Whether an exception makes its row NULL.
            "by_batch": Whether the function takes columns, whatever its annotations say.
            "table": Whether it returns rows.
            "described": Whether an earlier instance has described it, and its arguments are converted to arrays or not.
            "arrays": Which of them become arrays, as that instance described it; an empty text if none does.
            A unit has these keys.
            "source": Python code, a lambda or a module.
            "name": Its name in tracebacks.
            "entry": The name of what it makes, or null for what the source says: see `_load`.
            "preferred": The SQL name of the function, or null: see `entry.choose`.
            "code": What an earlier instance compiled it to, or null.
            "captured": Values the code finds as globals, a base64-encoded marshal dictionary, or null.
            "imports": Globals by import, {name: "module" or "module:attribute"}.
            "links": Globals from other units, {name: number of the unit}.
            "kind": "module", "function" or "values": see `Unit`. If it is missing, "module".

    Returns:
        (function, return_null, by_batch, is_async, description). With `is_async` the function returns coroutines.
        The description is UTF-8 JSON for the host: see `describe`. It also has "plain", whether arguments need no
        conversion, and "codes", what the units were compiled to, unless that is too long. It is empty if the function
        is described.
    """
    definition = json.loads(text)
    numpy = numpy_part()
    if numpy is not None:
        numpy.seed()
    units = definition["units"]
    made, namespaces = _make(units, table=definition["table"])
    function = made[len(units) - 1]
    by_batch, converters, description = definition["by_batch"], [], b"{}"
    if not definition["described"]:
        described, converters = describe(function, namespaces[-1], by_batch=by_batch, table=definition["table"])
        by_batch = described["by_batch"]
        described["arrays"] = numpy.recipe_of(converters) if numpy is not None and any(converters) else ""
        described["plain"] = bool(described["arrays"]) or not any(converters)
        for name in _BESIDE if definition["table"] else ():
            described[name] = _is_beside(namespaces[0].get(name), made.get(0))
        description = json.dumps(described).encode()
        if len(description) > _DESCRIPTION_BYTES:
            raise TypeError("the function has too many parameters; give it fewer, or take the rest as *args")
        codes = [unit["code"] or "" for unit in units]
        if sum(map(len, codes)) <= _CODE_CHARACTERS:
            description = json.dumps(described | {"codes": codes}).encode()
    elif definition["arrays"]:
        converters = numpy.converters_of(definition["arrays"])
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
    if is_async and by_batch:
        raise TypeError("a function of the batch shape can't be async")
    if is_async and definition["table"]:
        function, is_async = _awaiting(function), False
    if any(converters):
        function = _converting(function, converters)
    elif definition["table"]:
        function = _calling(function)
    return function, definition["return_null"], by_batch, is_async, description


def _make(units, *, table):
    """Run the units.

    Returns:
        (what each makes, by its number; the namespace of each)
    """
    namespaces = []
    made = {}
    for number, unit in enumerate(units):
        kind = unit.get("kind", "module")
        if kind != "module":
            if kind == "values":
                made[number], namespace = shipped.load(unit["source"], units)
            namespaces.append(namespace if kind == "values" else {})
            continue
        module = types.ModuleType(f"{MODULE_NAME}.wrapper{number}" if unit["links"] else MODULE_NAME)
        sys.modules[module.__name__] = module
        namespace = module.__dict__
        namespaces.append(namespace)
        if unit["captured"] is not None:
            namespace.update(marshal.loads(base64.b64decode(unit["captured"])))
        for name, imported in unit["imports"].items():
            namespace[name] = _import(imported)
        namespace.update({name: made[link] for name, link in unit["links"].items()})
        made[number], unit["code"] = _load(unit, namespace, table)
    return made, namespaces


def _is_beside(found, function):
    """Return whether something is a function beside a table function, which says its columns or number of rows."""
    return isinstance(found, types.FunctionType) and found is not function


def _import(path):
    """Return what a shipped function finds by import. That a module isn't there is no fault of `pkgutil`."""
    try:
        return pkgutil.resolve_name(path)
    except ModuleNotFoundError as error:
        if not path.startswith(str(error.name)):
            raise  # a module that was found imports it
        missing_module = error.with_traceback(None)
    raise missing_module


def _load(unit, namespace, table):
    """Run a unit's code. Return what it makes, and what it was compiled to, base64-encoded.

    What it makes is the value of its last line if that can be called, and otherwise the function that `choose` finds.
    So an example of its use may come last. That runs in the first instance only.
    """
    source = unit["source"].strip("\n")
    if source[:1].isspace():  # written inside an indented SQL string
        source = textwrap.dedent(source)
    filename = f"<{unit['name']}>"
    sources.setdefault(filename, []).append(source)
    lines = [line + "\n" for line in source.splitlines()]
    linecache.cache[filename] = (len(source), None, lines, filename)  # lets tracebacks show the lines
    code = unit["code"]
    compiled = marshal.loads(base64.b64decode(code)) if code else _compile(source, filename, unit, table)
    statements, result, entry, variable = compiled
    exec(statements, namespace)
    if variable is not None and callable(namespace.get(variable)):
        entry = variable
    function = None if result is None else eval(result, namespace)
    if result is None or (entry is not None and not callable(function)):
        if isinstance(entry, tuple):
            raise ambiguous(entry)
        if entry not in namespace:
            raise missing(entry, ast.parse(source))
        function, compiled = namespace[entry], (statements, None, entry, None)
    if not callable(function):
        raise TypeError(
            f"the code is {argument_repr.repr(function)}, not a function; write a lambda, such as "
            "'lambda x: x + 1', or a def"
        )
    return function, code or base64.b64encode(marshal.dumps(compiled)).decode()


def _compile(source, filename, unit, table):
    """Return (statements, the last expression or None, what `choose` says or the name that was asked for, a variable).

    The variable is None, or has the SQL name: if it holds a function, that one is meant.
    """
    # Annotations stay text: the host reads them, and code needn't import what it only names there.
    flags = __future__.annotations.compiler_flag
    try:
        tree = compile(source, filename, "exec", ast.PyCF_ONLY_AST | flags, dont_inherit=True)
    except SyntaxError as error:
        explained = pasted(source, error)
        if explained is None:
            raise
        raise explained from None
    result, variable, entry = None, None, unit["entry"]
    if entry is None:
        last = tree.body[-1] if tree.body else None
        entry = choose(tree, unit["preferred"], but=_BESIDE if table else ())
        variable = assigned(tree, unit["preferred"])
        named = variable is not None or _is_named(entry, unit["preferred"])
        if isinstance(last, ast.Expr) and not (isinstance(last.value, (ast.Call, ast.Await)) and named):
            result = compile(ast.Expression(tree.body.pop().value), filename, "eval", flags, dont_inherit=True)
        elif entry is None and variable is None:
            raise TypeError("the code defines no function; write a lambda, such as 'lambda x: x + 1', or a def")
    return compile(tree, filename, "exec", flags, dont_inherit=True), result, entry, variable


def _is_named(entry, preferred):
    """Return whether the function that was chosen is the one with the SQL name."""
    return isinstance(entry, str) and preferred is not None and entry.casefold() == preferred.casefold()


def _converting(function, converters):
    """Return the function over arguments that are converted to what its annotations name."""

    @functools.wraps(function)
    def converting(*arguments):
        given = itertools.zip_longest(arguments, converters[: len(arguments)])
        return function(*[value if value is None or not convert else convert(value) for value, convert in given])

    return converting


def _calling(function):
    """Return the function with a frame that calls it: what looks at its caller's globals finds none in C."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def calling(*arguments):
            yield from function(*arguments)

    else:

        @functools.wraps(function)
        def calling(*arguments):
            return function(*arguments)

    return calling


def _awaiting(function):
    """Return a plain function for a coroutine function. It returns the same."""

    @functools.wraps(function)
    def awaiting(*arguments):
        return _udf.run(function(*arguments))

    return awaiting
