"""Calls of `re`, methods of compiled patterns, and matches."""

import ast
import re
import types

from _udf_compiler.errors import INDEX_ERROR, TYPE_ERROR, NotCompiledError
from _udf_compiler.regex_program import Pattern
from _udf_compiler.statics import constant, constant_text, local_call, static
from _udf_compiler.values import INT, LIST_OF, NEVER, NONE, STR, TAGS, Value, tuple_of
from _udf_compiler.values import types as types_of

_TEXTS = types_of(LIST_OF["str"])
_UNSET = 0xFFFFFFFF
_NONE = 1  # what no address is: see k_re_match
_MODES = {"search": 0, "match": 1, "fullmatch": 2}
_SLOTS = 8  # where they are in a match (wasm/c/compiled/regex.c)
_MOST_PATTERNS = sum(name.startswith("match ") for name in TAGS)
_MOST = 2**31

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
}
_BY_KEYWORD = {"split": ("maxsplit",), "sub": ("count",)}


class _Call:
    """A call of a method of a pattern.

    Attributes:
        number: The pattern's among those of the program.
        pattern: The pattern.
        method: The method.
        nodes: Its arguments by name.
    """

    def __init__(self, number, pattern, method, nodes):
        self.number, self.pattern, self.method, self.nodes = number, pattern, method, nodes


def call(code, node):
    """Return what a call of `re` or of a method of a pattern returns; None if it is another call."""
    made = _resolved(code, node)
    if made is None:
        return None
    if made.method == "finditer":
        return code.unsupported("finditer outside of a loop", node)
    arguments = {}
    for name, argument in made.nodes.items():
        if name != "repl":
            arguments[name] = code.expr(argument)
            if not arguments[name].t:
                return NEVER
    return code.dispatch(arguments.pop("string"), lambda subject: _done(code, made, subject, arguments, node))


def matches(code, node):
    """Return (list, type of its items) of a call of finditer; None if a node is something else."""
    made = _resolved(code, node) if isinstance(node, ast.Call) else None
    if made is None or made.method != "finditer":
        return None
    subject = code.without_none(code.expr(made.nodes["string"]), TYPE_ERROR)
    if subject.only != "str":
        return (code.unsupported("finditer of other than a str", node) if subject.t else NEVER), None
    found = code.kernel_text("k_re_iter", _program(code, made.pattern, keep_groups=True), *code.text(subject), t=_TEXTS)
    return found, f"match {made.number}"


# ---- which pattern


def _resolved(code, node):
    """Return a call as a _Call; None if it is none of a pattern's."""
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
    wanted = _PARAMETERS[method][: 1 + (method == "sub")]
    if len(nodes) > len(given) or keywords.keys() & given.keys() or not {*given, *keywords} >= set(wanted):
        return code.unsupported(f"{ast.unparse(node.func)} with such arguments", node)
    if not keywords.keys() <= set(_PARAMETERS[method]):
        return code.unsupported(f"{ast.unparse(node.func)} with such arguments", node)
    number, pattern = _known(code, source, flags)
    return _Call(number, pattern, method, given | keywords)


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
    found = static(code, node)
    if found is not None and found.kind == "pattern":
        if flags is not None:
            code.unsupported("a compiled pattern with flags", node)
        return _contents(found.value)
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


def _program(code, pattern, *, keep_groups):
    return ("i32.const", code.program.constants.half_words(pattern.words(keep_groups=keep_groups)))


# ---- calls


def _done(code, made, subject, arguments, node):
    """Return what a method does with a subject of one type."""
    if subject.only != "str":
        plain = subject.only in ("none", "bool", "int", "float", "date", "datetime", "timedelta")
        return code.error(TYPE_ERROR) if plain else code.unsupported(f"{made.method} of a {subject.only}", node)
    if any(bound.only != "int" for bound in arguments.values()):
        return code.unsupported(f"{made.method} with such a bound", node)
    return _DONE[made.method](code, made, subject, arguments, node)


def _matched(code, made, subject, arguments, node):
    mode = ("i32.const", _MODES[made.method])
    code.uses_arena = True
    program = _program(code, made.pattern, keep_groups=True)
    found = code.tmp("i64", ("local.get", 0), program, *code.text(subject), mode, ("call", "k_re_match"))
    code.bail_if(found, ("i64.const", _NONE), "i64.eq")
    name = f"match {made.number}"
    tag = [("i32.const", TAGS["none"]), ("i32.const", TAGS[name]), found, "i64.eqz", "select"]
    return Value(NONE | {name}, found, tag=code.tmp("i32", *tag))


def _findall(code, made, subject, arguments, node):
    groups = made.pattern.groups
    if groups > 1 or (groups and 1 not in made.pattern.exact):
        return code.unsupported("findall of a pattern with more than one group, or a repeated one", node)
    program = _program(code, made.pattern, keep_groups=groups == 1)
    return code.kernel_text("k_re_all", program, *code.text(subject), ("i32.const", groups), t=_TEXTS)


def _most(arguments, name):
    return arguments[name].i if name in arguments else ("i64.const", 0)


def _check_bounds(code, arguments):
    """Bail where a bound is too large for the guest's C."""
    for bound in arguments.values():
        if bound.lo < -_MOST or bound.hi >= _MOST:
            code.bail_if(bound.i, ("i64.const", _MOST), "i64.add", ("i64.const", 2 * _MOST), "i64.ge_u")


def _split(code, made, subject, arguments, node):
    if len(made.pattern.sure & made.pattern.exact) < made.pattern.groups:
        return code.unsupported("split by a pattern with groups that may be missing", node)
    _check_bounds(code, arguments)
    program = _program(code, made.pattern, keep_groups=True)
    return code.kernel_text("k_re_split", program, *code.text(subject), _most(arguments, "maxsplit"), t=_TEXTS)


def _sub(code, made, subject, arguments, node):
    replacement = constant_text(code, made.nodes["repl"])
    if type(replacement) is not str:
        return code.unsupported("sub with a replacement that is computed", node)
    try:
        parts = made.pattern.template(replacement)
    except NotCompiledError as error:
        return code.unsupported(error.construct, node)
    groups = {part for part in parts if type(part) is int}
    if not groups <= {0} | made.pattern.exact:
        return code.unsupported("sub with a repeated group", node)
    _check_bounds(code, arguments)
    words = [len(parts)]
    for part in parts:
        words += (_UNSET, part) if type(part) is int else code.program.constants.text(part)
    program = _program(code, made.pattern, keep_groups=bool(groups - {0}))
    template = ("i32.const", code.program.constants.half_words(words))
    return code.kernel_text("k_re_sub", program, *code.text(subject), template, _most(arguments, "count"))


_DONE = dict.fromkeys(_MODES, _matched) | {"findall": _findall, "split": _split, "sub": _sub}


# ---- matches


def is_match(v):
    """Return whether a value may be a match."""
    return any(name.startswith("match ") for name in v.t)


def item(code, v, i):
    """Return v[i] of a value of one type."""
    if v.only == "none":
        return code.error(TYPE_ERROR)
    return _group(code, v, i) if is_match(v) else code.unsupported("a subscript of what is sometimes a match")


def match_method(code, v, name, arguments):
    """Return v.name(*arguments) of a match."""
    if name == "group" and len(arguments) > 1:
        parts = [_group(code, v, argument) for argument in arguments]
        return tuple_of(parts) if all(part.t for part in parts) else NEVER
    if name == "groups" and not arguments:
        parts = [_group(code, v, code.const(number + 1)) for number in range(_pattern_of(code, v).groups)]
        return tuple_of(parts) if all(part.t for part in parts) else NEVER
    if len(arguments) > 1 or name not in _OF_MATCHES:
        return code.unsupported(f"{name} of a match")
    return _OF_MATCHES[name](code, v, arguments[0] if arguments else code.const(0))


def _pattern_of(code, v):
    number = int(v.only.removeprefix("match "))
    return next(pattern for known, pattern in code.program.patterns.values() if known == number)


def _number(code, v, which):
    """Return the number of a group; None if the row ends here."""
    pattern = _pattern_of(code, v)
    number = pattern.names.get(which.k) if which.only == "str" else which.k
    if which.k is None or type(which.k) not in (int, bool, str):
        code.unsupported("a group that is computed")
        return None
    if number is None or not 0 <= number <= pattern.groups:
        code.raise_(INDEX_ERROR)
        return None
    if number and number not in pattern.exact:
        code.unsupported("a group that is repeated")
        return None
    return int(number)


def _places(code, v, number):
    """Return the operands of the text's address, and of where a group begins and ends in it."""
    at = code.tmp("i32", v.i, ("i64.const", 32), "i64.shr_u", "i32.wrap_i64")
    base = code.tmp("i32", at, ("i32.load", 4))  # the high half of the text
    return base, *[code.tmp("i32", at, ("i32.load", _SLOTS + 8 * number + part)) for part in (0, 4)]


def _if_set(code, v, number, start, make, missing):
    """Return what `make` does if a group is part of the match, else a constant."""
    if number == 0 or number in _pattern_of(code, v).sure:
        return make()
    is_set = code.tmp("i32", start, ("i32.const", -1), "i32.ne")
    return code.branch(is_set, make, lambda: code.const(missing))


def _group(code, v, which):
    number = _number(code, v, which)
    if number is None:
        return NEVER
    base, start, end = _places(code, v, number)

    def text():
        high = [base, start, "i32.add", "i64.extend_i32_u", ("i64.const", 32), "i64.shl"]
        return Value(STR, code.tmp("i64", *high, end, start, "i32.sub", "i64.extend_i32_u", "i64.or"))

    return _if_set(code, v, number, start, text, None)


def _position(part):
    def position(code, v, which):
        number = _number(code, v, which)
        if number is None:
            return NEVER
        base, *places = _places(code, v, number)

        def count():
            return Value(INT, code.tmp("i64", base, places[part], ("call", "k_len")), lo=0, hi=_MOST)

        return _if_set(code, v, number, places[0], count, -1)

    return position


def _span(code, v, which):
    parts = [_position(part)(code, v, which) for part in (0, 1)]
    return tuple_of(parts) if all(part.t for part in parts) else NEVER


_OF_MATCHES = {"group": _group, "start": _position(0), "end": _position(1), "span": _span}
