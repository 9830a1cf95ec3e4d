"""Explanations: exceptions as text for the host."""

import json
import reprlib
import sys
import traceback

import _udf

from _udf_guest.hints import add_hints
from duckdb_wasi_udf._shared import annotations as _annotations

# Bounds of an error's text: enough to find the mistake, little enough to print. All of it together stays below the
# host's bound of 4 MiB even if each character takes the 12 bytes of "\\ud83d\\ude00" in JSON.
_NAME_CHARACTERS = 200
_MESSAGE_CHARACTERS = 2_000
_TRACEBACK_FRAMES = 20
_TRACEBACK_LINE_CHARACTERS = 500
_TRACEBACK_CHARACTERS = 8_000
_ARGUMENTS_SHOWN = 20
_ARGUMENT_CHARACTERS = 400

# Frames that are left out of tracebacks: ours, and those of imports. Python leaves out those of its own importers only.
# "<_udf_" begins the names of what a definition wraps a function in (duckdb_wasi_udf/_guests/definition.py).
_OWN_FILES = ("/stdlib/_udf_", "<_udf_", _annotations.__file__, "<frozen importlib._bootstrap")

# A class's name, and what an exception says of others, whatever its class or metaclass says.
_class_name = type.__dict__["__qualname__"].__get__
_cause = BaseException.__dict__["__cause__"].__get__
_context = BaseException.__dict__["__context__"].__get__
_suppresses_context = BaseException.__dict__["__suppress_context__"].__get__
_suppress_context = BaseException.__dict__["__suppress_context__"].__set__
_frames_of = BaseException.__dict__["__traceback__"].__get__
_set_frames = BaseException.__dict__["__traceback__"].__set__
_members = BaseExceptionGroup.__dict__["exceptions"].__get__

_HOST_ERROR = _udf.HostError

# The number of exceptions that are looked at to see whether a host function's failure is behind one.
_CHAINED_EXCEPTIONS = 100

# How CPython ends what it says of integers that don't fit in a size or a C long.
_OVERFLOWS = ("C ssize_t", "C long", "index-sized integer", "C size_t", "C unsigned long", "range too large")

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
    host_error = _is_host_error(exception)
    _attempt(_add_hint, exception, slice(None))
    _attempt(_shorten, exception, slice(None))
    described = {
        "type": _attempt(_class_name, type(exception), slice(_NAME_CHARACTERS)),
        "message": _attempt(str, exception, slice(_MESSAGE_CHARACTERS)),
        "traceback": _attempt(_traceback, exception, slice(-_TRACEBACK_CHARACTERS, None)),
        "row": row if row >= 0 else None,
        "arguments": [
            _attempt(argument_repr.repr, value, slice(_ARGUMENT_CHARACTERS)) for value in arguments[:_ARGUMENTS_SHOWN]
        ],
        "host_error": host_error,
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


def _shorten(exception):
    """Say what the sandbox doesn't have, and then leave out how the standard library found that out."""
    found = _chain(exception)
    said = add_hints(exception)
    left_out = (*_OWN_FILES, "/stdlib/") if said else _OWN_FILES
    for error in found:
        frames = _without(_frames_of(error), left_out)
        if said and frames is None and error is not exception:
            continue
        _set_frames(error, frames or _without(_frames_of(error), _OWN_FILES))
    behind = found[1:2]
    if said and behind and _without(_frames_of(behind[0]), left_out) is None and _cause(exception) is None:
        _suppress_context(exception, True)  # noqa: FBT003 - a slot takes no keyword
    return ""


def _chain(exception):
    """Return an exception and those that its traceback shows before it."""
    found = []
    while exception is not None and len(found) < _CHAINED_EXCEPTIONS:
        found.append(exception)
        cause = _cause(exception)
        exception = cause if cause is not None or _suppresses_context(exception) else _context(exception)
    return found


def _add_hint(exception):
    """Add a note to an exception that comes from what is different in the sandbox."""
    if type(exception) is OverflowError and str(exception).endswith(_OVERFLOWS):
        exception.add_note(
            "Sizes have 32 bits in the sandbox: see 'Sizes and integers' in docs/reference/standard-library.md"
        )
    elif issubclass(type(exception), SystemExit):
        exception.add_note("A function can't end the process: return a value, or raise another exception")
    return ""


def _attempt(describe, value, shown):
    """Return the shown part of what `describe` says of a user's value. Its methods may raise or return anything."""
    try:
        return str.__getitem__(describe(value), shown)
    except MemoryError:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the user's
        return f"<not printable: {_class_name(type(error))[:_NAME_CHARACTERS]}>"


def _without(frames, files):
    """Return the frames of a traceback that aren't of certain files, linked to each other; None if that is none."""
    first = last = None
    while frames is not None:
        if not str.startswith(frames.tb_frame.f_code.co_filename, files):
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
    shown = traceback.TracebackException(
        type(exception), exception, _frames_of(exception), limit=-_TRACEBACK_FRAMES, compact=True, max_group_width=5
    )
    lines = "".join(shown.format()).split("\n")
    return "\n".join([line[:_TRACEBACK_LINE_CHARACTERS] for line in lines])
