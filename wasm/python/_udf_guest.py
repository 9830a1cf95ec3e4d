"""The Python half of the guest: turns a definition into a function and an exception into text.

Imported once, while the snapshot is made, together with the modules that functions use most: they are part of every
instance from its first instruction.
"""

import __future__
import ast
import base64
import gc
import inspect
import json
import linecache
import marshal
import pkgutil
import reprlib
import sys
import textwrap
import traceback
import types

# Part of the snapshot because functions use them, not because this module does. Not `random`, nor what imports it: its
# state would be the same in every instance.
import _strptime  # noqa: F401
import bisect  # noqa: F401
import calendar  # noqa: F401
import collections  # noqa: F401
import copy  # noqa: F401
import csv  # noqa: F401
import dataclasses  # noqa: F401
import datetime  # noqa: F401
import decimal  # noqa: F401
import difflib  # noqa: F401
import enum  # noqa: F401
import fractions  # noqa: F401
import functools  # noqa: F401
import hashlib  # noqa: F401
import heapq  # noqa: F401
import html  # noqa: F401
import io  # noqa: F401
import itertools  # noqa: F401
import math  # noqa: F401
import operator  # noqa: F401
import re  # noqa: F401
import string  # noqa: F401
import struct  # noqa: F401
import time  # noqa: F401
import typing  # noqa: F401
import unicodedata  # noqa: F401
import urllib.parse  # noqa: F401
import uuid  # noqa: F401
import zoneinfo  # noqa: F401

import builtins

import _udf
import _udf_aggregate
import _udf_compiler
import _udf_map
import _udf_packages
import _udf_table
from duckdb_wasi_udf._shared import annotations as _annotations

MODULE_NAME = "__udf__"


def _help(thing):
    """Print what there is to say of a thing; without `site` there is no `help`, and pydoc's own wants a terminal."""
    import pydoc

    print(pydoc.render_doc(thing, "Help on %s", renderer=pydoc.plaintext))


builtins.help = _help

# Bounds of an error's text: enough to find the mistake, little enough to print. All of it together stays below the host's
# bound of 256 KiB even if each character takes the 12 bytes of "\\ud83d\\ude00" in JSON.
_NAME_CHARACTERS = 200
_MESSAGE_CHARACTERS = 2_000
_TRACEBACK_FRAMES = 20
_TRACEBACK_LINE_CHARACTERS = 500
_TRACEBACK_CHARACTERS = 8_000
_ARGUMENTS_SHOWN = 20
_ARGUMENT_CHARACTERS = 400

# Bounds of a description.
_ANNOTATION_CHARACTERS = 200
_DESCRIPTION_BYTES = 100_000
_CODE_CHARACTERS = 100_000

# The collector looks at new objects when there are so many more than before, 2000 by default: fewer than a batch of async
# rows has coroutines, none of which is garbage.
_COLLECTED_AFTER = 10_000

# Frames that tracebacks come without: ours, and those of imports, which Python leaves out around its own importers only.
_OWN_FILES = (
    __file__,
    _udf_aggregate.__file__,
    _udf_compiler.__file__,
    _udf_map.__file__,
    _udf_table.__file__,
    _annotations.__file__,
    _udf_packages.__file__,
    "/stdlib/_udf_importer.py",  # frozen, so it has no __file__
    "<frozen importlib._bootstrap>",
)

# A class's name, and what an exception says of others, whatever its class or metaclass says.
_class_name = type.__dict__["__qualname__"].__get__
_cause = BaseException.__dict__["__cause__"].__get__
_context = BaseException.__dict__["__context__"].__get__
_suppresses_context = BaseException.__dict__["__suppress_context__"].__get__
_members = BaseExceptionGroup.__dict__["exceptions"].__get__

_HOST_ERROR = _udf.HostError

# How many exceptions are looked at to see whether a host function's failure is behind one.
_CHAINED_EXCEPTIONS = 100

_argument_repr = reprlib.Repr(maxstring=100, maxother=100, maxlong=50)


def define(text):
    """Compile a definition.

    Args:
        text: JSON object. "units": pieces of code, each with a namespace of its own, the last of which makes the
            function; "return_null": whether an exception makes its row NULL; "by_batch": whether the function takes
            columns, whatever its annotations say; "table": whether it gives rows; "described": whether an earlier
            instance has described it and its arguments need no conversion. A unit has "source": Python code, a lambda
            or a module; "name": what tracebacks call it; "entry": the name of what it makes, or null for the last
            function it defines; "code": what an earlier instance compiled it to, or null; "captured": values the code finds as globals, a base64-encoded marshal dictionary, or
            null; "imports": what it finds as globals by import, {global name: "module" or "module:attribute"};
            "links": what it finds as globals from other units, {global name: number of the unit}.

    Returns:
        (function, return_null, by_batch, is_async, description): with `is_async` the function gives coroutines; description
        is UTF-8 JSON for the host, see `_describe`; further "plain": its arguments need no conversion, and "codes": what
        the units were compiled to, if that is not too long. It is empty for a function that is described.
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
    for namespace, unit in zip(namespaces, units):  # units that use each other, or themselves
        namespace.update({name: made[link] for name, link in unit["links"].items()})
    function = made[len(units) - 1]
    by_batch, converters, description = definition["by_batch"], [], b"{}"
    if not definition["described"]:
        described, converters = _describe(function, namespaces[-1], by_batch=by_batch, table=definition["table"])
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
    """Whether a function of that name beside a table function tells its columns."""
    schema = namespace.get("schema")
    return isinstance(schema, types.FunctionType) and schema is not function


def _load(unit, namespace, table):
    """Run a unit's code: what it makes, and what it was compiled to, base64-encoded."""
    source = unit["source"].strip("\n")
    if source[:1].isspace():  # written inside an indented SQL string
        source = textwrap.dedent(source)
    filename = f"<{unit['name']}>"
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
            f"the code is {_argument_repr.repr(function)}, not a function; write a lambda, such as "
            "'lambda x: x + 1', or a def"
        )
    return function, code


def _compile(source, filename, entry, table):
    """(statements, the last expression or None, the name of what they make)."""
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
    """The name of the last function or class; one named `but` is only meant when there is no other."""
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


def _describe(function, namespace, *, by_batch, table):
    """What the host needs to know to bind the function, and what makes its arguments the classes it wants.

    Args:
        function: the function.
        namespace: the globals of its code.
        by_batch: it takes columns, whatever its annotations say.
        table: it gives rows, one of which is what "returns" tells about.

    Returns:
        ({"name", "by_batch", "parameters", "returns"}, converters); `define` adds "schema". Parameters, each {"name", "kind", "required"} with
        the keys of `_meaning`, are None when the function can't be inspected; "returns" is that of the result. The converters are
        those of the positional parameters, None for most.
    """
    name = str(getattr(function, "__name__", type(function).__name__))[:_NAME_CHARACTERS]
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # builtins such as str.upper may have none
        returns = _meaning(inspect.Signature.empty, namespace)[0]
        return {"name": name, "by_batch": by_batch, "parameters": None, "returns": returns}, []
    namespace = getattr(inspect.unwrap(function), "__globals__", namespace)
    parameters, converters = [], []
    found = [_meaning(parameter.annotation, namespace) for parameter in signature.parameters.values()]
    columns = {meaning["column"] for meaning, _ in found if meaning["annotation"] is not None}
    if columns == {True, False}:
        raise TypeError("some parameters are annotated with Column and others not; a function takes columns or values")
    by_batch = by_batch or columns == {True}
    if by_batch and table:
        raise TypeError(
            "a table function is called once, with values; give its parameters other annotations than Column"
        )
    for parameter, (meaning, convert) in zip(signature.parameters.values(), found):
        required = parameter.default is parameter.empty
        parameters.append(meaning | {"name": parameter.name, "kind": parameter.kind.name, "required": required})
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            converters.append(None if by_batch else convert)
    read = _annotations.read
    if by_batch or table:
        read = _annotations.read_batch if by_batch else _annotations.read_rows
    returns = _meaning(signature.return_annotation, namespace, read)[0]
    return {"name": name, "by_batch": by_batch, "parameters": parameters, "returns": returns}, converters


def _meaning(annotation, namespace, read=_annotations.read):
    """({"annotation": its text, "sql", "none", "json", "column": see Meaning, "problem": why it has none}, converter)."""
    nothing = {"sql": None, "none": False, "json": False, "column": False}
    if annotation is inspect.Signature.empty:
        return {"annotation": None, "problem": None} | nothing, None
    text = annotation if isinstance(annotation, str) else str(getattr(annotation, "__name__", annotation))
    described = {"annotation": text[:_ANNOTATION_CHARACTERS], "problem": None}
    try:
        meaning = read(annotation, namespace)
    except (_annotations.UnsupportedAnnotationError, RecursionError, TypeError) as error:
        return described | nothing | {"problem": str(error)[:_ANNOTATION_CHARACTERS]}, None
    said = {"sql": meaning.sql, "none": meaning.none, "json": meaning.json, "column": meaning.column}
    return described | said, meaning.convert


def _converting(function, converters):
    """The function with its arguments made what its annotations name."""

    @functools.wraps(function)
    def converting(*arguments):
        given = itertools.zip_longest(arguments, converters[: len(arguments)])
        return function(*[value if value is None or not convert else convert(value) for value, convert in given])

    return converting


def _awaiting(function):
    """A coroutine function as one that returns what it returns."""

    @functools.wraps(function)
    def awaiting(*arguments):
        return _udf.run(function(*arguments))

    return awaiting


def driver(n_arguments, by_batch):
    """What calls a function: `driver(...)(function, rows, returned)`.

    For rows it appends to `returned` what the function returns for each. It is Python because the interpreter calls a
    function from its own loop without a detour through C, which takes a third off the time of a short one.

    Args:
        n_arguments: how many arguments a row has.
        by_batch: the function is called once with columns.
    """
    if by_batch:
        return _drive_batch
    # A copy of its own, which specializes for its function.
    return types.FunctionType(_driver_code(n_arguments).replace(), {})


def _drive_batch(function, rows, returned):
    rows.take(function(*rows.columns()))


@functools.cache
def _driver_code(n_arguments):
    names = ", ".join(f"a{i}" for i in range(n_arguments))
    source = f"def driver(function, rows, returned):\n for {names or '_'} in rows: returned.append(function({names}))\n"
    namespace = {}
    exec(compile(source, __file__, "exec"), namespace)
    return namespace["driver"].__code__


def explain(exception, row, arguments):
    """Describe an exception for the host.

    Args:
        exception: what was raised.
        row: the row of the batch, from 0; -1 when it belongs to no row.
        arguments: the values the function was called with.

    Returns:
        UTF-8 JSON: "type", "message", "traceback", "row" (null without one), "arguments" (their reprs), "host_error"
        (whether a host function's failure is the exception or behind it).
    """
    _attempt(_name_host_functions, exception, slice(None))
    described = {
        "type": _attempt(_class_name, type(exception), slice(_NAME_CHARACTERS)),
        "message": _attempt(str, exception, slice(_MESSAGE_CHARACTERS)),
        "traceback": _attempt(_traceback, exception, slice(-_TRACEBACK_CHARACTERS, None)),
        "row": row if row >= 0 else None,
        "arguments": [
            _attempt(_argument_repr.repr, value, slice(_ARGUMENT_CHARACTERS)) for value in arguments[:_ARGUMENTS_SHOWN]
        ],
        "host_error": _is_host_error(exception),
    }
    return json.dumps(described).encode()


def _is_host_error(exception):
    """Whether it is a `HostError`, or one is among those that its traceback shows: its causes, or inside a group."""
    pending = [exception]
    for _ in range(_CHAINED_EXCEPTIONS):
        if not pending:
            return False
        error = pending.pop()
        if issubclass(type(error), _HOST_ERROR):
            return True
        cause, context = _cause(error), _context(error)
        if cause is None and not _suppresses_context(error):
            cause = context
        if cause is not None:
            pending.append(cause)
        if issubclass(type(error), BaseExceptionGroup):
            pending.extend(_members(error)[:_CHAINED_EXCEPTIONS])
    return False


def _name_host_functions(exception):
    """Have the error of a host function that isn't there say which are; a module's `__getattr__` would slow all calls."""
    host = sys.modules.get("host")
    if type(exception) is AttributeError and host is not None and exception.obj is host and type(exception.name) is str:
        exception.args = (host._missing(exception.name),)
    return ""


def _attempt(describe, value, shown):
    """The shown part of what `describe` says of a value of the user's, whose own methods may raise or return anything."""
    try:
        return str.__getitem__(describe(value), shown)
    except MemoryError:
        raise
    except BaseException as error:
        return f"<not printable: {_class_name(type(error))[:_NAME_CHARACTERS]}>"


def _without_own(frames):
    """The frames of a traceback that aren't ours, linked to each other."""
    first = last = None
    while frames is not None:
        if frames.tb_frame.f_code.co_filename not in _OWN_FILES:
            if last is None:
                first = frames
            elif last.tb_next is not frames:
                last.tb_next = frames
            last = frames
        frames = frames.tb_next
    if last is not None:
        last.tb_next = None
    return first


def _traceback(exception):
    frames = _without_own(exception.__traceback__)
    shown = traceback.TracebackException(
        type(exception), exception, frames, limit=-_TRACEBACK_FRAMES, compact=True, max_group_width=5
    )
    lines = "".join(shown.format()).split("\n")
    return "\n".join([line[:_TRACEBACK_LINE_CHARACTERS] for line in lines])


def _warm_up():
    """Leave in the snapshot what a first definition would make each instance do again.

    The interpreter specializes code it has run a few times and the allocators have pages ready then, so a fresh instance
    writes to fewer pages, each of which it has to copy; a frozen collector leaves the old objects' pages alone.
    """
    source = "import re\nP = re.compile('a')\ndef f(x: int, y: str | None = None) -> float:\n    return x + 1\n"
    unit = {"source": source, "name": "warm-up", "entry": None, "captured": None, "imports": {}, "links": {}}
    flags = {"return_null": False, "by_batch": False, "table": False}
    code = None
    for _ in range(100):  # from the source and from what that was compiled to, in turns
        text = json.dumps({"units": [unit | {"code": code}], "described": code is not None} | flags)
        function, *_, description = define(text)
        code = json.loads(description)["codes"][0] if code is None else None
        function(1)
        try:
            function("1")
        except TypeError as error:
            explain(error, 0, ("1",))
    for n_arguments in range(1, 5):
        driver(n_arguments, False)
    linecache.clearcache()
    del sys.modules[MODULE_NAME]
    assert "random" not in sys.modules
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER, *gc.get_threshold()[1:])


_warm_up()
