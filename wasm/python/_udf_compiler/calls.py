"""Calls: of methods, of builtins, and of other functions of the source."""

import ast

from _udf_compiler import (
    builtin_calls,
    comprehensions,
    containers,
    dates,
    formatting,
    functions,
    regexes,
    texts,
    translation_tables,
)
from _udf_compiler.code import EXPRESSIONS, translates
from _udf_compiler.errors import ATTRIBUTE_ERROR
from _udf_compiler.narrowing import classes
from _udf_compiler.nodes import mapped
from _udf_compiler.statics import constant, static
from _udf_compiler.values import DATE, ITEM_OF, NEVER, Value

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
_REDUCED = ("sum", "any", "all", "min", "max", "list")


@translates(EXPRESSIONS, ast.Call)
def _call(code, node):
    if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
        return code.unsupported("* or ** in a call", node)
    made = regexes.call(code, node)
    if made is not None:
        return made
    found = static(code, node.func)
    if found is None:
        if isinstance(node.func, ast.Attribute):
            return _method(code, node)
        return code.unsupported(f"a call of {ast.unparse(node.func)}", node)
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


def _known(code, node, name):
    if name in _REDUCED and len(node.args) == 1 and not node.keywords:
        return comprehensions.reduction(code, name, node.args[0])
    if name in ("min", "max") and len(node.args) == 1 and [keyword.arg for keyword in node.keywords] == ["default"]:
        return comprehensions.extreme(code, name, node.args[0], code.expr(node.keywords[0].value))
    if name == "isinstance" and len(node.args) == 2:
        wanted = classes(code, node.args[1])
        if wanted is None:
            return code.unsupported("isinstance of these classes", node)
        return code.dispatch(code.expr(node.args[0]), lambda member: code.const(member.only in wanted))
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
        parts = _joined_parts(code, node.args[0])
        return code.dispatch(v, lambda member: texts.call(code, member, name, [parts])) if parts.t else NEVER
    if name == "translate" and len(node.args) == 1 and not node.keywords:
        return translation_tables.translate(code, v, node.args[0])
    arguments, keywords = _arguments(code, node)
    if arguments is None:
        return NEVER
    if name == "format" and type(v.k) is str:
        return formatting.format_method(code, v.k, arguments, keywords)
    arguments = _placed(name, arguments, keywords)
    return code.dispatch(v, lambda member: _method_of(code, member, name, arguments, keywords))


def _joined_parts(code, node):
    """Return what a text joins as a list."""
    if isinstance(node, ast.GeneratorExp):
        return comprehensions.reduction(code, "list", node)
    found = static(code, node.func)
    if (
        found is not None
        and found.kind == "known"
        and found.name in ("reversed", "map")
        and len(node.args) == 2 - (found.name == "reversed")
    ):
        if found.name == "reversed":
            return comprehensions.reduction(code, "list", node)
        function = node.args[0]
        call = lambda item: ast.copy_location(ast.Call(function, [item], []), node)  # noqa: E731
        return code.expr(mapped(code, node.args[1], call))
    return code.expr(node)


def _method_of(code, v, name, arguments, keywords):
    if v.only in ("date", "datetime", "timedelta"):
        return dates.call(code, v, name, arguments, keywords)
    if keywords:
        return code.unsupported(f"keyword arguments of {name}")
    if v.only == "str":
        return texts.call(code, v, name, arguments)
    if regexes.is_match(v):
        return regexes.match_method(code, v, name, arguments)
    if v.only in ITEM_OF or v.items is not None:
        return code.unsupported(f"list.{name}")
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
