"""re.sub with a function, which is called for each match."""

import ast

from _udf_compiler import functions, variables
from _udf_compiler.comprehensions import room
from _udf_compiler.iterations import over_list
from _udf_compiler.loops import loop
from _udf_compiler.regexes import METHODS, all_matches, places_of, sub
from _udf_compiler.statics import static


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
    pieces, at = room(code, code.tmp("i32", count, count, "i32.add", ("i32.const", 1), "i32.add"))
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

    loop(code, over_list(code, found, f"match {made.number}"), replaced, ())
    add(("local.get", last), code.tmp("i32", start, length, "i32.add", ("local.get", last), "i32.sub"))
    number = [("local.get", at), ("local.get", pieces), "i32.sub", ("i32.const", 3), "i32.shr_u"]
    nothing = ("i32.const", 0)
    return code.kernel_text("k_join", nothing, nothing, ("local.get", pieces), *number)


def _result_of(code, function, match):
    """Return what the function of a sub returns for a match."""
    if not isinstance(function, ast.Lambda):
        return functions.call(code, static(code, function), [match], {})
    parameters = function.args
    if len(parameters.args) != 1 or len(ast.unparse(parameters)) != len(parameters.args[0].arg):
        return code.unsupported("a lambda with other parameters than the match", function)
    name = parameters.args[0].arg
    hidden, outer = f".{name}{id(function)}", code.renamed
    code.renamed = {**outer, name: hidden}
    variables.assign(code, name, match)
    try:
        return code.expr(function.body)
    finally:
        code.renamed = outer


METHODS["sub"] = _sub
