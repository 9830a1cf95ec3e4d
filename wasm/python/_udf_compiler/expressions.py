"""Expressions other than calls."""

import ast

from _udf_compiler import (
    arithmetic,
    comparison,
    comprehensions,
    containers,
    dates,
    decimals,
    formatting,
    lists,
    merging,
    narrowing,
    structs,
    tables,
    variables,
)
from _udf_compiler.code import EXPRESSIONS, translates
from _udf_compiler.errors import TYPE_ERROR
from _udf_compiler.shapes import kind_of
from _udf_compiler.statics import NO_CONSTANT, constant, static
from _udf_compiler.values import INT, NEVER, NONE, NUMBERS, Value, tuple_of

_OF_ISOCALENDAR = ("year", "week", "weekday")
_MOST_CONSTANTS = 32
_CONVERSIONS = (-1, ord("s"), ord("r"))


@translates(EXPRESSIONS, ast.Constant)
def _constant(code, node):
    return code.const(node.value)


@translates(EXPRESSIONS, ast.Name)
def _name(code, node):
    if node.id in code.bound and node.id not in code.renamed:
        return _as_value(code, static(code, node), node.id, node)
    if node.id in code.local_constants and node.id not in code.renamed:
        return code.unsupported(f"{node.id} as a value", node)
    if node.id in code.renamed or node.id in code.names:
        return variables.read(code, node.id)
    found = static(code, node)
    if found is None:
        return code.unsupported(f"the name {node.id}, which isn't defined", node)
    return _as_value(code, found, node.id, node)


def _as_value(code, found, name, node):
    kind = type(found.value)
    if found.kind == "value" and kind not in (dict, list, set, frozenset):
        return code.const(found.value)
    what = f"{name} as a value" if found.kind != "opaque" else f"{name}, which is a {kind.__name__}"
    return code.unsupported(what, node)


@translates(EXPRESSIONS, ast.Attribute)
def _attribute(code, node):
    found = static(code, node)
    if found is not None:
        return _as_value(code, found, ast.unparse(node), node)
    base = static(code, node.value)
    if base is not None and base.kind != "value":
        return code.unsupported(ast.unparse(node), node)
    v = code.expr(node.value)
    if v.items is not None and _is_isocalendar(node.value) and node.attr in dates.ISO_FIELDS:
        return v.items[dates.ISO_FIELDS.index(node.attr)]
    return code.dispatch(v, lambda member: dates.attribute(code, member, node.attr))


def _is_isocalendar(node):
    """Return whether a node is a call of isocalendar, whose tuple has names."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "isocalendar"


@translates(EXPRESSIONS, ast.BinOp)
def _bin_op(code, node):
    op = type(node.op).__name__
    template = constant(code, node.left) if op == "Mod" else None
    if type(template) is str:
        right = code.expr(node.right)
        return formatting.percent(code, template, right.items or [right]) if right.t else NEVER
    if op == "Add" and isinstance(node.left, ast.BinOp) and isinstance(node.left.op, ast.Add) and not code.handlers:
        return _sum(code, node)
    left = code.expr(node.left)
    if op == "BitOr" and kind_of(left.only) == "dict":
        right = code.expr(node.right)
        return merging.joined(code, left, right) if right.t else NEVER
    return arithmetic.binary(code, op, left, _operand(code, node.right, left)) if left.t else NEVER


def _operand(code, node, left):
    """Return the right operand of an operator: a constant set if the left one is a set."""
    values = constant(code, node) if kind_of(left.only) == "set" else NO_CONSTANT
    if type(values) not in (set, frozenset) or len(values) > _MOST_CONSTANTS:
        return code.expr(node)
    made = tables.new(code, "operand", "set")
    for value in sorted(values, key=repr):
        tables.add(code, made, code.const(value))
    return made


def _sum(code, node):
    """Return a + b + c, in one piece if they are texts."""
    operands = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        operands.append(node.right)
        node = node.left
    values = [code.expr(operand) for operand in (node, *reversed(operands))]
    if all(v.only == "str" for v in values):
        return arithmetic.concatenated(code, values)
    made, *rest = values
    for v in rest:
        made = arithmetic.binary(code, "Add", made, v)
    return made


@translates(EXPRESSIONS, ast.UnaryOp)
def _unary_op(code, node):
    if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and type(node.operand.value) is int:
        return code.const(-node.operand.value)
    v = code.expr(node.operand)
    if not v.t:
        return NEVER
    if isinstance(node.op, ast.Not):
        return code.negated(v)
    if v.items is not None:
        return code.error(TYPE_ERROR)
    action = {ast.USub: arithmetic.negate, ast.UAdd: _positive, ast.Invert: _inverted}[type(node.op)]
    return code.dispatch(v, lambda member: action(code, member))


def _positive(code, v):
    if v.only == "bool":
        return Value(INT, v.i, lo=0, hi=1)
    if v.only == "decimal":
        return decimals.positive(code, v)
    return v if v.only in (*NUMBERS, "timedelta") else code.error(TYPE_ERROR)


def _inverted(code, v):
    if v.only == "int":
        return code.integer(v.i, ("i64.const", -1), "i64.xor", lo=-1 - v.hi, hi=-1 - v.lo)
    return code.unsupported(f"the operator ~ of a {v.only}") if v.only == "bool" else code.error(TYPE_ERROR)


@translates(EXPRESSIONS, ast.BoolOp)
def _bool_op(code, node):
    is_and = isinstance(node.op, ast.And)

    def chain(values):
        v = code.expr(values[0])
        if len(values) == 1 or not v.t:
            return v
        c = code.truth(v)

        def rest():
            return narrowing.narrowed(code, values[0], outcome=is_and, action=lambda: chain(values[1:]))

        def keep():
            return narrowing.narrowed(code, values[0], outcome=not is_and, action=lambda: _known_truth(v, not is_and))

        return code.branch(c, rest, keep) if is_and else code.branch(c, keep, rest)

    return chain(node.values)


def _known_truth(v, truth):
    """Return a value that is known to be true or false."""
    return v.of(v.t - NONE) if truth and len(v.t) > 1 and v.items is None else v


@translates(EXPRESSIONS, ast.IfExp)
def _if_exp(code, node):
    v = code.expr(node.test)
    if not v.t:
        return NEVER
    c = code.truth(v)

    def part(which, *, outcome):
        if isinstance(c, bool):
            return narrowing.narrowed(code, node.test, outcome=outcome, action=lambda: code.expr(which))
        made = NEVER
        with code.optional() as failed:
            made = narrowing.narrowed(code, node.test, outcome=outcome, action=lambda: code.expr(which))
        return NEVER if failed else made

    return code.branch(c, lambda: part(node.body, outcome=True), lambda: part(node.orelse, outcome=False))


@translates(EXPRESSIONS, ast.Compare)
def _compare(code, node):
    def chain(left, ops, comparators):
        op, right = ops[0], None
        if isinstance(op, (ast.In, ast.NotIn)):
            made = _in(code, left, comparators[0])
            if isinstance(op, ast.NotIn):
                made = code.negated(made)
        else:
            right = code.expr(comparators[0])
            made = comparison.compare(code, type(op).__name__, left, right)
        if len(ops) == 1 or not made.t:
            return made
        if right is None:
            return code.unsupported("a comparison after in", node)
        following = lambda: chain(right, ops[1:], comparators[1:])  # noqa: E731
        return code.branch(code.truth(made), following, lambda: code.const(value=False))

    left = code.expr(node.left)
    return chain(left, node.ops, node.comparators) if left.t else NEVER


def _in(code, item, node):
    values = constant(code, node)
    if values is NO_CONSTANT and isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        options = [code.expr(element) for element in node.elts]
        if any(not option.t for option in options) or not item.t:
            return NEVER
        return (
            code.dispatch(item, lambda member: _in_display(code, member, options))
            if item.items is None
            else (comparison.any_equal(code, item, options))
        )
    if values is NO_CONSTANT or type(values) is str:
        container = code.expr(node)
        if container.items is not None:
            return code.dispatch(item, lambda member: _in_display(code, member, container.items))
        if not item.t or not container.t:
            return NEVER
        kind = kind_of(container.only)
        if kind is not None:
            if item.items is None and len(item.t) > 1:
                return code.dispatch(item, lambda member: _in_container(code, kind, member, container))
            return _in_container(code, kind, item, container)
        return comparison.contains(code, item, container)
    if type(values) not in (tuple, list, set, frozenset, dict):
        return code.unsupported("in this", node)
    return containers.contains(code, item, values)


def _in_container(code, kind, item, container):
    return {"list": lists, "struct": structs}.get(kind, tables).contains(code, container, item)


def _in_display(code, item, options):
    """Return whether a value is among others. The same nan is, though it isn't equal."""
    if item.only == "float" and any("float" in option.t and option.k is None for option in options):
        code.bail_if(item.f, item.f, "f64.ne")
    return comparison.any_equal(code, item, options)


@translates(EXPRESSIONS, ast.NamedExpr)
def _named(code, node):
    v = code.expr(node.value)
    variables.assign(code, node.target.id, v)
    return v


@translates(EXPRESSIONS, ast.Tuple)
def _tuple(code, node):
    items = [code.expr(element) for element in node.elts]
    return tuple_of(items) if all(item.t for item in items) else NEVER


@translates(EXPRESSIONS, ast.List)
def _list(code, node):
    if any(isinstance(element, ast.Starred) for element in node.elts):
        return comprehensions.starred(code, node)
    items = [code.expr(element) for element in node.elts]
    return lists.of_values(code, items) if all(item.t for item in items) else NEVER


@translates(EXPRESSIONS, ast.Set)
def _set(code, node):
    items = [code.expr(element) for element in node.elts]
    if not all(item.t for item in items):
        return NEVER
    made = tables.new(code, "display", "set")
    for item in items:
        tables.add(code, made, item)
    return made


@translates(EXPRESSIONS, ast.Dict)
def _dict(code, node):
    if None in node.keys:
        return merging.display(code, node)
    items = [(code.expr(key), code.expr(value)) for key, value in zip(node.keys, node.values, strict=True)]
    if not all(key.t and value.t for key, value in items):
        return NEVER
    made = tables.new(code, "display", "dict")
    for key, value in items:
        tables.set_item(code, made, key, value)
    return made


@translates(EXPRESSIONS, ast.JoinedStr)
def _joined(code, node):
    parts = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(part.value)
            continue
        if part.conversion not in _CONVERSIONS:
            return code.unsupported("the conversion !a in an f-string", node)
        v = code.expr(part.value)
        if part.conversion != -1:
            v = formatting.repr_of(code, v) if part.conversion == ord("r") else formatting.text_of(code, v)
        spec = "" if part.format_spec is None else _spec(code, part.format_spec)
        if not v.t or spec is None:
            return NEVER
        parts.append((v, spec))
    return formatting.pieces(code, parts)


def _spec(code, node):
    """Return a format as a text, or as a value if it is computed; None if the row ends here."""
    constant_parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
    if len(constant_parts) == len(node.values):
        return "".join(constant_parts)
    made = code.expr(node)
    return made if made.t else None
