"""Subscripts and slices."""

import ast

from _udf_compiler import containers, integers, lists, regexes, structs, tables, texts
from _udf_compiler.code import EXPRESSIONS, translates
from _udf_compiler.errors import TYPE_ERROR, VALUE_ERROR
from _udf_compiler.shapes import kind_of
from _udf_compiler.statics import NO_CONSTANT, constant, static
from _udf_compiler.values import INT, NEVER, NONE, TAGS, Value, tuple_of


@translates(EXPRESSIONS, ast.Subscript)
def _subscript(code, node):
    known = constant(code, node)
    if known is not NO_CONSTANT and type(known) not in (dict, list, set, frozenset):
        return code.const(known)
    values = constant(code, node.value)
    if isinstance(node.slice, ast.Slice):
        return _slice(code, node)
    if type(values) is dict:
        return containers.look_up(code, values, code.expr(node.slice), None)
    if _is_split(code, node.value):
        return _split_item(code, node)
    if type(values) in (tuple, list):
        i = code.expr(node.slice)
        if i.items is not None:
            return code.error(TYPE_ERROR)
        return code.dispatch(i, lambda member: _constant_item(code, values, member))
    v = code.expr(node.value)
    i = code.expr(node.slice)
    if not v.t or not i.t:
        return NEVER
    return item_of(code, v, i)


def item_of(code, v, i):
    """Return v[i] of what is computed."""
    if regexes.is_match(v):
        return code.dispatch(v, lambda m: regexes.item(code, m, i))
    if kind_of(v.only) == "dict":
        return tables.item(code, v, i)
    if kind_of(v.only) == "struct":
        return structs.item(code, v, i)
    if i.only == "bool":
        i = Value(INT, i.i, lo=i.lo, hi=i.hi)
    if i.only != "int":
        return code.unsupported(f"a subscript that is a {i.only or 'value of several types'}")
    if v.items is not None:
        return containers.tuple_item(code, v, i)
    return code.dispatch(v, lambda m: texts.item(code, m, i) if m.only == "str" else containers.subscript(code, m, i))


def _constant_item(code, values, i):
    if i.only in ("int", "bool"):
        return containers.constant_item(code, values, i)
    return (
        code.error(TYPE_ERROR) if i.only in ("none", "str", "float") else code.unsupported("a subscript of this type")
    )


def _is_split(code, node):
    """Return whether a node is s.split(separator) or s.split(separator, most) of a constant separator."""
    if not isinstance(node, ast.Call) or node.keywords or len(node.args) not in (1, 2):
        return False
    is_method = isinstance(node.func, ast.Attribute) and node.func.attr == "split" and static(code, node.func) is None
    separator = constant(code, node.args[0]) if is_method else None
    return type(separator) is str and separator != ""


def _split_item(code, node):
    """Return s.split(separator)[i]."""
    call = node.value
    v, *arguments = [code.expr(part) for part in (call.func.value, *call.args)]
    i = code.expr(node.slice)
    if not all(x.t for x in (v, *arguments, i)):
        return NEVER
    separator = arguments[0]
    plain = (
        v.only == separator.only == "str"
        and separator.k
        and i.only == "int"
        and all(a.only == "int" for a in arguments[1:])
    )
    if not plain:
        return code.unsupported("an item of this split", node)
    if len(arguments) == 2:
        integers.check_size(code, arguments[1])
    most = arguments[1].i if len(arguments) == 2 else ("i64.const", -1)
    integers.check_size(code, i)
    return texts.split_item(code, v, separator, most, i)


def _slice(code, node):
    v, part = code.expr(node.value), node.slice
    if code.handlers and not _is_simple(part.step):
        return code.unsupported("a step that may raise", node)  # it is computed before the bounds
    step = None if part.step is None else code.expr(part.step)
    if not v.t:
        return NEVER
    if step is not None and step.only != "none" and step.k != 1:
        return _stepped(code, v, part, step)
    bounds = _bounds(code, part)
    if bounds is None:
        return NEVER
    if v.items is not None:
        fixed = [b.k if b.only == "int" else None for b, _ in bounds]
        if any(b.only == "int" and type(b.k) is not int for b, _ in bounds):
            return code.unsupported("a slice of a tuple", node)
        return tuple_of(v.items[fixed[0] : fixed[1]])
    start, stop = (b.i if b.only == "int" else default for b, default in bounds)

    def cut(m):
        if m.only == "str":
            return texts.slice_(code, m, start, stop)
        if kind_of(m.only) == "list":
            return lists.sliced(code, m, start, stop, ("i64.const", 1), 3)
        return _no_slice(code, m)

    return code.dispatch(v, cut)


def _is_simple(node):
    """Return whether a node raises nothing: it is a number, or None."""
    operand = node.operand if isinstance(node, ast.UnaryOp) else node
    return operand is None or isinstance(operand, ast.Constant)


def _bounds(code, part):
    """Return the (value, default) of the bounds of a slice without a step; None if the row ends here."""
    bounds = []
    for bound, default in ((part.lower, texts.START), (part.upper, texts.STOP)):
        b = code.const(None) if bound is None else code.expr(bound)
        if b.t == NONE | INT:
            is_int = [b.tag, ("i32.const", TAGS["int"]), "i32.eq", "select"]
            b = Value(INT, code.tmp("i64", b.i, default, *is_int))
        if b.only not in ("int", "none"):
            if b.t:
                code.unsupported("a bound of a slice")
            return None
        bounds.append((b, default))
    return bounds


def _stepped(code, v, part, step):
    """Return v[start:stop:step]."""
    if step.k == -1 and part.lower is None and part.upper is None and v.only == "str":
        return texts.reversed_(code, v)
    bounds = [code.const(None) if bound is None else code.expr(bound) for bound in (part.lower, part.upper)]
    if not step.t or not all(b.t for b in bounds):
        return NEVER
    if step.only != "int" or any(b.only not in ("int", "none") for b in bounds):
        return code.unsupported("a slice with such a step")
    if v.items is not None:
        if any(b.only == "int" and b.k is None for b in bounds) or not step.k:
            return code.unsupported("a slice of a tuple")
        return tuple_of(v.items[slice(*[b.k for b in bounds], step.k)])

    def cut(m):
        if m.only == "str":
            return texts.stepped(code, m, bounds, step)
        if kind_of(m.only) != "list":
            return _no_slice(code, m)
        code.raise_if(VALUE_ERROR, step.i, "i64.eqz")
        given = sum(bit for bit, b in zip((1, 2), bounds, strict=True) if b.only == "int")
        start, stop = (b.i if b.only == "int" else ("i64.const", 0) for b in bounds)
        return lists.sliced(code, m, start, stop, step.i, given)

    return code.dispatch(v, cut)


def replace_slice(code, v, part, value):
    """Do v[a:b] = value of a list, or del v[a:b] for None. Returns whether control goes on."""
    if kind_of(v.only) != "list" or part.step is not None:
        code.unsupported("a change of this slice")
    bounds = _bounds(code, part)
    if bounds is None:
        return False
    zero = ("i64.const", 0)
    if value is None:
        other = lists.sliced(code, v, zero, zero, ("i64.const", 1), 3)
    elif kind_of(value.only) == "list":
        other = value
    else:
        code.unsupported("a slice that other than a list is assigned to")
    t = code.program.shapes.joined(v.t | other.t)
    start, stop = (b.i if b.only == "int" else zero for b, _ in bounds)
    given = sum(bit for bit, (b, _) in zip((1, 2), bounds, strict=True) if b.only == "int")
    lists.splice(code, Value(t, v.i), start, stop, given, Value(t, other.i))
    return True


def _no_slice(code, v):
    return code.error(TYPE_ERROR) if v.only in ("none", "int", "float", "bool") else code.unsupported("a slice of it")
