"""Explanations: exceptions as text for the host."""

import json
import reprlib
import sys
import traceback

import _udf

from duckdb_wasi_udf._shared import annotations as _annotations

# Bounds of an error's text: enough to find the mistake, little enough to print. All of it together stays below the
# host's bound of 256 KiB even if each character takes the 12 bytes of "\\ud83d\\ude00" in JSON.
_NAME_CHARACTERS = 200
_MESSAGE_CHARACTERS = 2_000
_TRACEBACK_FRAMES = 20
_TRACEBACK_LINE_CHARACTERS = 500
_TRACEBACK_CHARACTERS = 8_000
_ARGUMENTS_SHOWN = 20
_ARGUMENT_CHARACTERS = 400

# Frames that are left out of tracebacks: ours, and those of imports. Python leaves out those of its own importers only.
_OWN_FILES = ("/stdlib/_udf_", _annotations.__file__, "<frozen importlib._bootstrap>")

# A class's name, and what an exception says of others, whatever its class or metaclass says.
_class_name = type.__dict__["__qualname__"].__get__
_cause = BaseException.__dict__["__cause__"].__get__
_context = BaseException.__dict__["__context__"].__get__
_suppresses_context = BaseException.__dict__["__suppress_context__"].__get__
_members = BaseExceptionGroup.__dict__["exceptions"].__get__

_HOST_ERROR = _udf.HostError

# The number of exceptions that are looked at to see whether a host function's failure is behind one.
_CHAINED_EXCEPTIONS = 100

argument_repr = reprlib.Repr(maxstring=100, maxother=100, maxlong=50)


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
            _attempt(argument_repr.repr, value, slice(_ARGUMENT_CHARACTERS)) for value in arguments[:_ARGUMENTS_SHOWN]
        ],
        "host_error": _is_host_error(exception),
    }
    return json.dumps(described).encode()


def _is_host_error(exception):
    """Return whether a `HostError` is among what its traceback shows: itself, its causes, or inside a group."""
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
    """List the host functions in the error of one that isn't there.

    A `__getattr__` of the module could do it too, but would slow all calls.
    """
    host = sys.modules.get("host")
    if type(exception) is AttributeError and host is not None and exception.obj is host and type(exception.name) is str:
        exception.args = (host._missing(exception.name),)
    return ""


def _attempt(describe, value, shown):
    """Return the shown part of what `describe` says of a user's value. Its methods may raise or return anything."""
    try:
        return str.__getitem__(describe(value), shown)
    except MemoryError:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the user's
        return f"<not printable: {_class_name(type(error))[:_NAME_CHARACTERS]}>"


def _without_own(frames):
    """Return the frames of a traceback that aren't ours, linked to each other."""
    first = last = None
    while frames is not None:
        if not str.startswith(frames.tb_frame.f_code.co_filename, _OWN_FILES):
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
