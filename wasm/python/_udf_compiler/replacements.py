"""re.sub with a function, which is called for each match."""

import ast

from _udf_compiler import calling, functions
from _udf_compiler.context import ARENA_AT, ARENA_END
from _udf_compiler.emitter import CONTEXT
from _udf_compiler.iterations import over_packed
from _udf_compiler.loops import loop
from _udf_compiler.regexes import METHODS, all_matches, places_of, sub
from _udf_compiler.statics import static

_MOST = 16_000  # pieces


def _sub(code, made, subject, arguments, node):
    """Return pattern.sub(replacement, subject)."""
    replacement = made.nodes["repl"]
    function = static(code, replacement)
    if isinstance(replacement, ast.Lambda) or (function is not None and function.kind == "function"):
        return _sub_by_function(code, made, subject, arguments, node)
    return sub(code, made, subject, arguments, node)


def _sub_by_function(code, made, subject, arguments, node):
    """Return the text with what a function returns in place of each match."""
    if arguments:
        return code.unsupported("sub with a function and a count", node)
    found = all_matches(code, made, subject)
    start, length = code.text(subject)
    count = code.tmp("i32", found.i, "i32.wrap_i64")
    pieces, at = _room(code, code.tmp("i32", count, count, "i32.add", ("i32.const", 1), "i32.add"))
    last = code.local("i32")
    code.e(start, ("local.set", last))

    def add(address, size):
        packed = [address, "i64.extend_i32_u", ("i64.const", 32), "i64.shl", size, "i64.extend_i32_u", "i64.or"]
        code.e(("local.get", at), *packed, ("i64.store", 0))
        code.e(("local.get", at), ("i32.const", 8), "i32.add", ("local.set", at))

    def replaced(match):
        base, begins, ends = places_of(code, match, 0)
        add(("local.get", last), code.tmp("i32", base, begins, "i32.add", ("local.get", last), "i32.sub"))
        code.e(base, ends, "i32.add", ("local.set", last))
        text = _result_of(code, made.nodes["repl"], match)
        if text.t and text.only != "str":
            code.unsupported("a replacement that is no str", node)
        if text.t:
            add(*code.text(text))

    loop(code, over_packed(code, found, f"match {made.number}"), replaced, ())
    add(("local.get", last), code.tmp("i32", start, length, "i32.add", ("local.get", last), "i32.sub"))
    number = [("local.get", at), ("local.get", pieces), "i32.sub", ("i32.const", 3), "i32.shr_u"]
    nothing = ("i32.const", 0)
    return code.kernel_text("k_join", nothing, nothing, ("local.get", pieces), *number)


def _result_of(code, function, match):
    """Return what the function of a sub returns for a match."""
    if isinstance(function, ast.Lambda):
        return calling.apply(code, function, [match])
    return functions.call(code, static(code, function), [match], {})


def _room(code, most):
    """Take room for as many items from the arena, before what they are made of takes more of it.

    Returns:
        The numbers of two locals: where it begins, and where the next item goes.
    """
    code.uses_arena = True
    start, at = code.local("i32"), code.local("i32")
    code.bail_if(most, ("i32.const", _MOST), "i32.gt_u")
    code.e(CONTEXT, ("i32.load", ARENA_AT), ("local.set", start))
    end = code.tmp("i32", ("local.get", start), most, ("i32.const", 3), "i32.shl", "i32.add")
    code.bail_if(end, CONTEXT, ("i32.load", ARENA_END), "i32.gt_u")
    code.e(CONTEXT, end, ("i32.store", ARENA_AT), ("local.get", start), ("local.set", at))
    return start, at


METHODS["sub"] = _sub
