"""A function of Python to a WebAssembly module, or the reason why not."""

import functools
import inspect
import json
import marshal
import types

# They register what they translate.
import _udf_compiler.assignments
import _udf_compiler.calls
import _udf_compiler.expressions
import _udf_compiler.loops
import _udf_compiler.replacements
import _udf_compiler.subscripts  # noqa: F401
from _udf_compiler.encoder import assemble, fits
from _udf_compiler.errors import NotCompiledError
from _udf_compiler.functions import Program
from _udf_compiler.lookups import Lookups
from _udf_compiler.rows import RowLoop
from duckdb_wasi_udf._shared.kernels import KERNELS

_MOST_ROUNDS = 20
# Of functions that call each other, up to 200 deep: half a megabyte of the machine's stack at most.
_MOST_RECURSIVE_LOCALS = 300
_MOST_NOTES = 5
_MOST_CHARACTERS = 200
_MARSHAL_VERSION = 2


def translate(function, arguments, declared, recipe):
    """Translate a function, or check that what another instance made of it holds here.

    Args:
        function: The function.
        arguments: (SQL type, whether NULL arrives as None, unit of time) of each argument.
        declared: The SQL type of its results; None to go by what it returns.
        recipe: What `translate` made in another instance; empty to translate.

    Returns:
        (description, module, recipe, constants, guards, result type). The description is JSON: "compiled", and "why"
        and "line" if it isn't. "left" lists what is left to the interpreter, row by row, as [line, construct], "lines"
        where code of another line begins, as [offset in the module, line]. The
        description and the module are empty if there is a recipe that holds.
    """
    try:
        function = _uncached(function, arguments)
        _check_kind(function)
        return _repeat(function, recipe) if recipe else _translate(function, arguments, declared)
    except NotCompiledError as error:
        return (
            _described(compiled=False, why=error.construct[:_MOST_CHARACTERS], line=error.line),
            b"",
            b"",
            b"",
            (),
            "",
        )
    except RecursionError:
        return _described(compiled=False, why="code that nests too deep", line=None), b"", b"", b"", (), ""


def _uncached(function, arguments):
    """Return what functools.cache wraps. Floats are equal to others that differ (0.0 and -0.0), so there it counts."""
    is_cached = type(function) is functools._lru_cache_wrapper
    return (
        function.__wrapped__ if is_cached and not {name for name, *_ in arguments} & {"FLOAT", "DOUBLE"} else function
    )


def _check_kind(function):
    if type(function) is not types.FunctionType:
        raise NotCompiledError(f"it is no plain function but a {type(function).__name__}")
    if function.__code__.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise NotCompiledError("it is async, or a generator")


def _described(**fields):
    return json.dumps(fields).encode()


def _recurses(helpers):
    """Return whether one of some functions calls itself, perhaps through others."""
    called = {
        name: {op[1] for op in function.ops if op[0] == "call"} & set(helpers) for name, function in helpers.items()
    }
    while called:
        leaves = [name for name, names in called.items() if not names & set(called)]
        if not leaves:
            return True
        for name in leaves:
            del called[name]
    return False


def _repeat(function, recipe):
    log, constants, result = marshal.loads(recipe)
    guards = Lookups.repeated(function, log).guards
    return b"", b"", b"", constants, tuple(guards), result


def _translate(function, arguments, declared):
    program = Program(Lookups(function))
    rows = RowLoop(program, arguments, declared)
    for _ in range(_MOST_ROUNDS):
        program.start()
        changed = rows.translate()
        for helper in list(program.helpers.values()):
            changed |= helper.translate()
        changed |= program.shapes.changed
        if not changed and all(helper.function or helper.error for helper in program.helpers.values()):
            break
    else:
        raise NotCompiledError("variables whose types depend on each other in too many ways")
    left = sorted(program.notes.values(), key=lambda error: error.line or 0)
    if rows.results.kind is None or not rows.code.result:
        raise left[0] if left else NotCompiledError("it returns nothing")
    helpers = {helper.label: helper.function for helper in program.helpers.values() if helper.function}
    functions = {"run": rows.function} | helpers
    module, lines = assemble(functions, KERNELS, "run")
    if not fits(functions.values(), module):
        raise NotCompiledError("so much code in one function")
    if _recurses(helpers) and sum(len(function.locals) for function in helpers.values()) > _MOST_RECURSIVE_LOCALS:
        raise NotCompiledError("so much code in functions that call themselves")
    guards = tuple(program.lookups.guards)
    constants = bytes(program.constants)
    recipe = marshal.dumps((program.lookups.log, constants, rows.results.kind), _MARSHAL_VERSION)
    notes = [[error.line, error.construct[:_MOST_CHARACTERS]] for error in left[:_MOST_NOTES]]
    return _described(compiled=True, left=notes, lines=lines), module, recipe, constants, guards, rows.results.kind
