"""Calls: of methods, of builtins, and of other functions of the source."""

import ast

from _udf_compiler import (
    builtin_calls,
    comprehensions,
    containers,
    dates,
    decimals,
    formatting,
    functions,
    lists,
    merging,
    reductions,
    regexes,
    spreading,
    structs,
    tables,
    texts,
    translation_tables,
)
from _udf_compiler.code import EXPRESSIONS, translates
from _udf_compiler.errors import ATTRIBUTE_ERROR
from _udf_compiler.narrowing import classes, plain
from _udf_compiler.shapes import kind_of
from _udf_compiler.statics import constant, known_name, static
from _udf_compiler.values import DATE, NEVER, Value

# Keyword arguments of methods and builtins, in the order of the positional ones.
_KEYWORDS = {
    "split": ("sep", "maxsplit"),
    "rsplit": ("sep", "maxsplit"),
    "isoformat": ("sep",),
    "round": ("number", "ndigits"),
    "splitlines": ("keepends",),
    "expandtabs": ("tabsize",),
    # Parameters without a name come by position only.
    "replace": ("", "", "count"),
    "int": ("", "base"),
}
_REDUCED = ("sum", "any", "all", "min", "max", "list", "set", "dict")


@translates(EXPRESSIONS, ast.Call)
def _call(code, node):
    if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
        plain = spreading.spread(code, node)
        return code.unsupported("* or ** in a call", node) if plain is None else code.expr(plain)
    made = regexes.call(code, node)
    if made is not None:
        return made
    found = static(code, node.func)
    if found is None:
        if isinstance(node.func, ast.Attribute):
            return _method(code, node)
        return code.unsupported(f"a call of {ast.unparse(node.func)}", node)
    if found.kind == "partial":
        return _partial(code, node, found)
    if found.kind == "function":
        arguments, keywords = _arguments(code, node)
        return NEVER if arguments is None else functions.call(code, found, arguments, keywords)
    if found.kind != "known":
        return code.unsupported(f"a call of {ast.unparse(node.func)}", node)
    return _known(code, node, found.name)


def _arguments(code, node):
    """Return the values of the positional arguments and of the keyword ones; (None, None) if the row ends here."""
    arguments = [code.expr(argument) for argument in node.args]
    keywords = {keyword.arg: code.expr(keyword.value) for keyword in node.keywords}
    if all(v.t for v in (*arguments, *keywords.values())):
        return arguments, keywords
    return None, None


def _partial(code, node, found):
    """Return a call of a functools.partial."""
    function, first, given = (code.scope.attribute(found, name) for name in ("func", "args", "keywords"))
    if function.kind not in ("function", "known") or first.kind != "value" or given.kind != "value":
        return code.unsupported(f"a call of {ast.unparse(node.func)}, a partial of this", node)
    arguments, keywords = _arguments(code, node)
    if arguments is None:
        return NEVER
    arguments = [*map(code.const, first.value), *arguments]
    keywords = {**{name: code.const(value) for name, value in given.value.items()}, **keywords}
    if function.kind == "function":
        return functions.call(code, function, arguments, keywords)
    return builtin_calls.call(code, function.name, _placed(function.name, arguments, keywords), keywords)


def _known(code, node, name):
    if name in _REDUCED and len(node.args) == 1 and not node.keywords:
        return reductions.reduction(code, name, node.args[0])
    if name == "sum" and _start_of_sum(node) is not None:
        return reductions.reduction(code, name, node.args[0], code.expr(_start_of_sum(node)))
    if name in _CONTAINERS:
        made = _CONTAINERS[name](code, node, {keyword.arg: keyword.value for keyword in node.keywords})
        if made is not None:
            return made
    if name == "isinstance" and len(node.args) == 2:
        wanted = classes(code, node.args[1])
        if wanted is None:
            return code.unsupported("isinstance of these classes", node)
        return code.dispatch(code.expr(node.args[0]), lambda member: code.const(plain(member.only) in wanted))
    if name == "len" and len(node.args) == 1:
        values = constant(code, node.args[0])
        if type(values) in (tuple, list, dict, set, frozenset):
            return code.const(len(values))
    arguments, keywords = _arguments(code, node)
    if arguments is None:
        return NEVER
    if name == "datetime.datetime.fromisoformat" and len(arguments) == 1 and arguments[0].only == "str":
        return dates.from_iso(code, arguments[0])
    if name in ("datetime.datetime.strptime", "datetime.date.fromisoformat"):
        return _parsed(code, name, arguments)
    arguments = _placed(name, arguments, keywords)
    return builtin_calls.call(code, name, arguments, keywords)


def _extreme(name):
    def extreme(code, node, keywords):
        if len(node.args) != 1 or not keywords or not set(keywords) <= {"default", "key"}:
            return None
        default = _early(code, keywords["default"]) if "default" in keywords else None
        return reductions.extreme(code, name, node.args[0], default, _key(code, keywords))

    return extreme


def _key(code, keywords):
    """Return the node of a key function, None if there is none."""
    key = keywords.get("key")
    return None if key is None or (isinstance(key, ast.Constant) and key.value is None) else key


def _early(code, node):
    """Return an argument that is computed before those in front of it. That must not be noticed."""
    simple = (ast.Constant, ast.Name, ast.UnaryOp, ast.unaryop, ast.Compare, ast.cmpop, ast.expr_context, ast.Tuple)
    if code.handlers and not all(isinstance(n, simple) for n in ast.walk(node)):
        return code.unsupported("an argument that may raise", node)
    return code.expr(node)


def _descending(code, keywords):
    """Return the operand of `reverse`."""
    if "reverse" not in keywords:
        return ("i32.const", 0)
    return code.condition(_early(code, keywords["reverse"]))


def _sorted(code, node, keywords):
    if len(node.args) != 1 or not set(keywords) <= {"key", "reverse"}:
        return None
    return reductions.ordered(code, node.args[0], _key(code, keywords), _descending(code, keywords))


def _empty(kind):
    def empty(code, node, keywords):
        if node.args or keywords:
            return None
        return lists.new(code, kind) if kind == "list" else tables.new(code, kind, kind)

    return empty


def _dict(code, node, keywords):
    if len(node.args) > 1 or (node.args and not keywords):
        return None
    made = tables.new(code, "dict", "dict")
    return made if merging.update(code, made, *(node.args or [None]), keywords) else NEVER


def _from_keys(code, node, keywords):
    if keywords or not 1 <= len(node.args) <= 2:
        return code.unsupported("this call of dict.fromkeys", node)
    value = code.const(None) if len(node.args) == 1 else code.expr(node.args[1])
    return comprehensions.from_keys(code, node.args[0], value) if value.t else NEVER


def _defaultdict(code, node, keywords):
    name = known_name(code, node.args[0]) if len(node.args) == 1 and not keywords else None
    if name not in tables.DEFAULTS:
        return code.unsupported("a defaultdict of this", node)
    return tables.new(code, name, "dict", name)


def _counter(code, node, keywords):
    if keywords or len(node.args) > 1:
        return code.unsupported("this call of Counter", node)
    return (
        comprehensions.counter(code, node.args[0]) if node.args else tables.new(code, "counter", "dict", tables.COUNTER)
    )


def _next(code, node, keywords):
    made = node.args and not keywords and len(node.args) <= 2 and _is_fresh(code, node.args[0])
    if not made:
        return code.unsupported("next of an iterator that is kept", node)
    default = _early(code, node.args[1]) if len(node.args) == 2 else None
    return NEVER if default is not None and not default.t else reductions.first(code, node.args[0], default)


def _is_fresh(code, node):
    """Return whether a node makes an iterator that nothing else refers to."""
    name = known_name(code, node.func) if isinstance(node, ast.Call) else None
    return isinstance(node, ast.GeneratorExp) or name in ("filter", "map", "zip", "enumerate", "reversed")


_CONTAINERS = {
    "next": _next,
    "min": _extreme("min"),
    "max": _extreme("max"),
    "sorted": _sorted,
    "list": _empty("list"),
    "set": _empty("set"),
    "dict": _dict,
    "dict.fromkeys": _from_keys,
    "collections.defaultdict": _defaultdict,
    "collections.Counter": _counter,
}


def _start_of_sum(node):
    """Return the node of what a sum starts from, None if there is none, or if its order in the call may matter."""
    start = None
    if len(node.args) == 2 and not node.keywords:
        start = node.args[1]
    elif len(node.args) == 1 and [keyword.arg for keyword in node.keywords] == ["start"]:
        start = node.keywords[0].value
    constructed = start.args[0] if isinstance(start, ast.Call) and len(start.args) == 1 else start
    return start if isinstance(constructed, (ast.Constant, ast.Name)) else None


def _placed(name, arguments, keywords):
    """Move keyword arguments to their places, as far as the function has places for them."""
    names = _KEYWORDS.get(name, ())[len(arguments) :]
    placed = list(arguments)
    for keyword in names:
        if keyword not in keywords:
            break
        placed.append(keywords.pop(keyword))
    return placed


def _parsed(code, name, arguments):
    """Return datetime.strptime(text, format) or date.fromisoformat(text)."""
    text, formats = arguments[0], arguments[1:]
    if name.endswith("fromisoformat"):
        formats = [code.const("%Y-%m-%d")]
    if text.only != "str" or len(formats) != 1 or type(formats[0].k) is not str:
        return code.unsupported(f"{name} here")
    made = dates.strptime(code, text, formats[0].k)
    if name.endswith("fromisoformat") and made.t:
        return Value(DATE, dates.day_of(code, made))
    return made


# ---- methods


def _method(code, node):
    name, base = node.func.attr, static(code, node.func.value)
    if base is not None and base.name == "str" and node.args and not node.keywords:
        return _text_method(code, node, name)
    if base is not None and base.kind != "value":
        return code.unsupported(f"a call of {ast.unparse(node.func)}", node)
    values = constant(code, node.func.value)
    if type(values) is dict and name == "get":
        return _get(code, node, values)
    v = code.expr(node.func.value)
    v = code.without_none(v, ATTRIBUTE_ERROR)  # before the arguments are computed
    if not v.t:
        return NEVER
    if name == "join" and len(node.args) == 1 and isinstance(node.args[0], (ast.GeneratorExp, ast.Call)):
        parts = _as_parts(code, _joined_parts(code, node.args[0]))
        return code.dispatch(v, lambda member: texts.call(code, member, name, [parts])) if parts.t else NEVER
    made = _changed_by_nodes(code, node, name, v)
    if made is not None:
        return made
    if name == "translate" and len(node.args) == 1 and not node.keywords:
        return translation_tables.translate(code, v, node.args[0])
    arguments, keywords = _arguments(code, node)
    if arguments is None:
        return NEVER
    if name == "join" and len(arguments) == 1:
        arguments = [_as_parts(code, arguments[0])]
    if name == "format" and type(v.k) is str:
        return formatting.format_method(code, v.k, arguments, keywords)
    arguments = _placed(name, arguments, keywords)
    return code.dispatch(v, lambda member: _method_of(code, member, name, arguments, keywords))


def _text_method(code, node, name):
    """Return str.name(text, *arguments)."""
    arguments, _ = _arguments(code, node)
    if arguments is None:
        return NEVER
    if arguments[0].only != "str" or name in ("join", "format"):
        return code.unsupported(f"str.{name} of this", node)
    return texts.call(code, arguments[0], name, arguments[1:])


def _changed_by_nodes(code, node, name, v):
    """Return a method of a container that goes over its argument, or calls it; None for any other."""
    kind = kind_of(v.only)
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    going = None
    if kind == "list" and name == "extend" and len(node.args) == 1 and not keywords:
        going = comprehensions.extend(code, v, node.args[0])
    elif kind == "list" and name == "sort" and not node.args and set(keywords) <= {"key", "reverse"}:
        going = reductions.sort(code, v, _key(code, keywords), _descending(code, keywords))
    elif kind == "dict" and name == "update" and len(node.args) <= 1 and None not in keywords:
        going = merging.update(code, v, *(node.args or [None]), keywords)
    elif kind == "set" and name == "update" and len(node.args) == 1 and not keywords:
        going = comprehensions.update(code, v, node.args[0])
    if going is None:
        return None
    return code.const(None) if going else NEVER


def _as_parts(code, v):
    """Return a dict's keys or a text's characters as a list, and what else is joined as it is."""
    return comprehensions.collected(code, v) if kind_of(v.only) == "dict" or v.only == "str" else v


def _joined_parts(code, node):
    """Return what a text joins as a list."""
    if isinstance(node, ast.GeneratorExp):
        return reductions.reduction(code, "list", node)
    found = static(code, node.func)
    if (
        found is not None
        and found.kind == "known"
        and found.name in ("reversed", "map", "filter")
        and len(node.args) == 2 - (found.name == "reversed")
    ):
        return reductions.reduction(code, "list", node)
    return code.expr(node)


def _method_of(code, v, name, arguments, keywords):
    if v.only == "decimal":
        return decimals.call(code, v, name, arguments, keywords)
    if v.only in ("date", "datetime", "timedelta"):
        return dates.call(code, v, name, arguments, keywords)
    if keywords:
        return code.unsupported(f"keyword arguments of {name}")
    if v.only == "str":
        return texts.call(code, v, name, arguments)
    if regexes.is_match(v):
        return regexes.match_method(code, v, name, arguments)
    kind = kind_of(v.only)
    if name == "most_common" and kind == "dict" and [a.only for a in arguments] in ([], ["int"]):
        return reductions.most_common(code, v, *(arguments or [None]))
    if kind is not None or v.items is not None:
        methods = {"list": lists, "struct": structs}.get(kind, tables)
        made = None if kind is None else methods.call(code, v, name, arguments)
        return code.unsupported(f"{kind or 'tuple'}.{name}") if made is None else made
    if v.only == "float" and name == "is_integer" and not arguments:
        whole = [v.f, v.f, "f64.floor", "f64.eq", v.f, v.f, "f64.sub", ("f64.const", 0.0), "f64.eq", "i32.and"]
        return code.boolean(*whole)
    return code.unsupported(f"the method {name} of a {v.only}")


def _get(code, node, mapping):
    """Return mapping.get(key, default) of a constant dict. The default is computed in any case."""
    arguments, keywords = _arguments(code, node)
    if arguments is None:
        return NEVER
    if keywords or len(arguments) not in (1, 2):
        return code.unsupported("this call of dict.get", node)
    default = arguments[1] if len(arguments) == 2 else code.const(None)
    return containers.look_up(code, mapping, arguments[0], lambda: default)
