"""Calls of `re`, methods of compiled patterns, and matches."""

import ast

from _udf_compiler import lists
from _udf_compiler.errors import INDEX_ERROR, TYPE_ERROR, NotCompiledError
from _udf_compiler.patterns import program_of, resolved
from _udf_compiler.statics import constant_text
from _udf_compiler.values import INT, NEVER, NONE, STR, TAGS, Value, tuple_of

_UNSET = 0xFFFFFFFF
_NONE = 1  # what no address is: see k_re_match
_MODES = {"search": 0, "match": 1, "fullmatch": 2}
_LENGTH = ("i64.const", 0xFFFFFFFF)
_SLOTS = 8  # where they are in a match (wasm/c/compiled/regex.c)
_MOST = 2**31


def call(code, node):
    """Return what a call of `re` or of a method of a pattern returns; None if it is another call."""
    made = resolved(code, node)
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
    """Return what a loop goes over where it goes over matches.

    Args:
        code: The function.
        node: What the loop is over.

    Returns:
        (list, type of its items, what makes an item of the loop of a match); None unless it is a call of finditer, or
        of findall for a pattern with several groups.
    """
    made = resolved(code, node) if isinstance(node, ast.Call) else None
    is_findall = made is not None and made.method == "findall" and made.pattern.groups > 1
    if made is None or (made.method != "finditer" and not is_findall):
        return None
    subject = code.without_none(code.expr(made.nodes["string"]), TYPE_ERROR)
    if subject.only != "str":
        return (code.unsupported(f"{made.method} of other than a str", node) if subject.t else NEVER), None, None
    item = (lambda match: _texts_of_groups(code, match)) if is_findall else (lambda match: match)
    return all_matches(code, made, subject), f"match {made.number}", item


def _texts_of_groups(code, match):
    """Return what findall makes of a match: a tuple of its groups, with empty texts for those that are missing."""
    parts = [_group(code, match, code.const(number + 1), "") for number in range(_pattern_of(code, match).groups)]
    return tuple_of(parts) if all(part.t for part in parts) else NEVER


# ---- calls


def _done(code, made, subject, arguments, node):
    """Return what a method does with a subject of one type."""
    if subject.only != "str":
        plain = subject.only in ("none", "bool", "int", "float", "date", "datetime", "timedelta")
        return code.error(TYPE_ERROR) if plain else code.unsupported(f"{made.method} of a {subject.only}", node)
    if any(bound.only != "int" for bound in arguments.values()):
        return code.unsupported(f"{made.method} with such a bound", node)
    return METHODS[made.method](code, made, subject, arguments, node)


def _matched(code, made, subject, arguments, node):
    mode = ("i32.const", _MODES[made.method])
    code.uses_arena = True
    program = program_of(code, made.pattern, keep_groups=True)
    found = code.tmp("i64", ("local.get", 0), program, *code.text(subject), mode, ("call", "k_re_match"))
    code.bail_if(found, ("i64.const", _NONE), "i64.eq")
    name = f"match {made.number}"
    tag = [("i32.const", TAGS["none"]), ("i32.const", TAGS[name]), found, "i64.eqz", "select"]
    return Value(NONE | {name}, found, tag=code.tmp("i32", *tag))


def _findall(code, made, subject, arguments, node):
    groups = made.pattern.groups
    if groups > 1 or (groups and 1 not in made.pattern.exact):
        return code.unsupported("findall of a pattern with more than one group, or a repeated one", node)
    program = program_of(code, made.pattern, keep_groups=groups == 1)
    found = code.kernel_text("k_re_all", program, *code.text(subject), ("i32.const", groups))
    return lists.of_texts(code, found, "findall")


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
    program = program_of(code, made.pattern, keep_groups=True)
    parts = code.kernel_text("k_re_split", program, *code.text(subject), _most(arguments, "maxsplit"))
    return lists.of_texts(code, parts, "split")


def _subn(code, made, subject, arguments, node):
    """Return pattern.subn(replacement, subject)."""
    if arguments:
        return code.unsupported("subn with a count", node)
    found = all_matches(code, made, subject)
    count = code.integer(found.i, _LENGTH, "i64.and", lo=0, hi=_MOST)
    text = METHODS["sub"](code, made, subject, arguments, node)
    return tuple_of([text, count]) if text.t else NEVER


def all_matches(code, made, subject):
    """Return all matches in a text: their address and their number."""
    program = program_of(code, made.pattern, keep_groups=True)
    return code.kernel_text("k_re_iter", program, *code.text(subject))


def sub(code, made, subject, arguments, node):
    """Return pattern.sub(replacement, subject) of a constant replacement."""
    replacement = made.nodes["repl"]
    replacement = constant_text(code, replacement)
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
    program = program_of(code, made.pattern, keep_groups=bool(groups - {0}))
    template = ("i32.const", code.program.constants.half_words(words))
    return code.kernel_text("k_re_sub", program, *code.text(subject), template, _most(arguments, "count"))


METHODS = dict.fromkeys(_MODES, _matched) | {"findall": _findall, "split": _split, "sub": sub, "subn": _subn}


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


def places_of(code, v, number):
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


def _group(code, v, which, missing=None):
    number = _number(code, v, which)
    if number is None:
        return NEVER
    base, start, end = places_of(code, v, number)

    def text():
        high = [base, start, "i32.add", "i64.extend_i32_u", ("i64.const", 32), "i64.shl"]
        return Value(STR, code.tmp("i64", *high, end, start, "i32.sub", "i64.extend_i32_u", "i64.or"))

    return _if_set(code, v, number, start, text, missing)


def _position(part):
    def position(code, v, which):
        number = _number(code, v, which)
        if number is None:
            return NEVER
        base, *places = places_of(code, v, number)

        def count():
            return Value(INT, code.tmp("i64", base, places[part], ("call", "k_len")), lo=0, hi=_MOST)

        return _if_set(code, v, number, places[0], count, -1)

    return position


def _span(code, v, which):
    parts = [_position(part)(code, v, which) for part in (0, 1)]
    return tuple_of(parts) if all(part.t for part in parts) else NEVER


_OF_MATCHES = {"group": _group, "start": _position(0), "end": _position(1), "span": _span}
