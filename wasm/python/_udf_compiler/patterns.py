"""Which pattern a name, an expression or a call of `re` means."""

import ast
import re
import types

from _udf_compiler.errors import NotCompiledError
from _udf_compiler.regex_program import Pattern
from _udf_compiler.statics import constant, constant_text, local_call, static
from _udf_compiler.values import TAGS

_MOST_PATTERNS = sum(name.startswith("match ") for name in TAGS)

# The parameters of the methods of a pattern, and of the functions of re behind the pattern. Those behind the mark are
# keywords only: by position, CPython 3.13 warns of them.
_PARAMETERS = {
    "search": ("string",),
    "match": ("string",),
    "fullmatch": ("string",),
    "findall": ("string",),
    "finditer": ("string",),
    "split": ("string", "maxsplit"),
    "sub": ("repl", "string", "count"),
    "subn": ("repl", "string", "count"),
}
_BY_KEYWORD = {"split": ("maxsplit",), "sub": ("count",), "subn": ("count",)}


class PatternCall:
    """A call of a method of a pattern.

    Attributes:
        number: The pattern's among those of the program.
        pattern: The pattern.
        method: The method.
        nodes: Its arguments by name.
    """

    def __init__(self, number, pattern, method, nodes):
        self.number, self.pattern, self.method, self.nodes = number, pattern, method, nodes


def resolved(code, node):
    """Return a call as a PatternCall; None if it is none of a pattern's."""
    found, nodes = static(code, node.func), node.args
    if found is not None and found.kind == "pattern method":
        (source, flags), method = _contents(found.value.__self__), found.value.__name__
        keywords = _keywords(node)
    elif found is not None and found.kind == "known" and found.name.startswith("re."):
        method = found.name.removeprefix("re.")
        if method not in _PARAMETERS or not nodes:
            return code.unsupported(f"a call of {found.name}", node)
        _guard_functions(code, found)
        keywords = _keywords(node)
        positional = [name for name in _PARAMETERS[method] if name not in _BY_KEYWORD.get(method, ())]
        flags = keywords.pop("flags", None)
        if len(nodes) > len(positional) + 1 and method not in _BY_KEYWORD and flags is None:
            *nodes, flags = nodes
        source, flags = _source(code, nodes[0], flags)
        if len(nodes) > len(positional) + 1:
            return code.unsupported(f"{ast.unparse(node.func)} with such arguments", node)
        nodes = nodes[1:]
    elif isinstance(node.func, ast.Attribute) and (contents := pattern_of(code, node.func.value)) is not None:
        (source, flags), method, keywords = contents, node.func.attr, _keywords(node)
    else:
        return None
    if method not in _PARAMETERS:
        return code.unsupported(f"{method} of a pattern", node)
    given = dict(zip(_PARAMETERS[method], nodes, strict=False))
    wanted = _PARAMETERS[method][: 1 + (method in ("sub", "subn"))]
    if len(nodes) > len(given) or keywords.keys() & given.keys() or not {*given, *keywords} >= set(wanted):
        return code.unsupported(f"{ast.unparse(node.func)} with such arguments", node)
    if not keywords.keys() <= set(_PARAMETERS[method]):
        return code.unsupported(f"{ast.unparse(node.func)} with such arguments", node)
    number, pattern = _known(code, source, flags)
    return PatternCall(number, pattern, method, given | keywords)


def _keywords(node):
    return {keyword.arg: keyword.value for keyword in node.keywords}


def _contents(pattern):
    return pattern.pattern, pattern.flags


def pattern_of(code, node):
    """Return (source, flags) of a node that is a compiled pattern, else None."""
    node = local_call(code, node)
    found = static(code, node)
    if found is not None:
        return _contents(found.value) if found.kind == "pattern" else None
    if isinstance(node, ast.Subscript):
        held = constant(code, node)
        return _contents(held) if type(held) is re.Pattern else None
    if not isinstance(node, ast.Call):
        return None
    function = static(code, node.func)
    if function is None or function.kind != "known" or function.name != "re.compile":
        return None
    keywords = _keywords(node)
    flags = node.args[1] if len(node.args) == 2 else keywords.pop("flags", None)
    if keywords or not 1 <= len(node.args) <= 2:
        return None
    _guard_functions(code, function)
    return _source(code, node.args[0], flags)


def _source(code, node, flags):
    """Return (source, flags) of a pattern that is passed to a function of re."""
    found = pattern_of(code, node)
    if found is not None:
        if flags is not None:
            code.unsupported("a compiled pattern with flags", node)
        return found
    source = constant_text(code, node)
    number = 0 if flags is None else _flags(code, flags)
    if type(source) is not str or number is None:
        code.unsupported("a regular expression that is computed", node)
    return source, number


def _flags(code, node):
    """Return flags as a number; None if they aren't constant."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitOr, ast.Add)):
        parts = [_flags(code, part) for part in (node.left, node.right)]
        return None if None in parts else parts[0] | parts[1]
    found = static(code, node)
    value = found.value if found is not None and found.kind == "flags" else constant(code, node)
    return int(value) if type(value) in (int, re.RegexFlag) else None


def _known(code, source, flags):
    """Return (number, pattern) of a pattern of the program."""
    patterns = code.program.patterns
    if type(source) is not str:
        code.unsupported("a regular expression of bytes")
    if (source, flags) not in patterns:
        if len(patterns) >= _MOST_PATTERNS:
            code.unsupported("so many regular expressions")
        try:
            patterns[source, flags] = len(patterns), Pattern(source, flags)
        except NotCompiledError as error:
            code.unsupported(error.construct)
    return patterns[source, flags]


def _guard_functions(code, found):
    """Guard what a function of re goes through on its way to a pattern."""
    lookups = code.scope.lookups
    inner = lookups.find("global", found.number, "_compile")
    compiler = None if inner is None else lookups.find("global", inner, "_compiler")
    if compiler is None or type(lookups.objects[compiler]) is not types.ModuleType:
        code.unsupported("a module re that was changed")
    lookups.find("attribute", compiler, "compile")


def program_of(code, pattern, *, keep_groups):
    """Return the operand of the program of a pattern."""
    return ("i32.const", code.program.constants.half_words(pattern.words(keep_groups=keep_groups)))
