"""Expressions other than calls."""

import ast

from _udf_compiler import arithmetic, comparison, containers, dates, formatting, narrowing, regexes, texts, variables
from _udf_compiler.code import EXPRESSIONS, translates
from _udf_compiler.errors import TYPE_ERROR
from _udf_compiler.statics import NO_CONSTANT, constant, static
from _udf_compiler.values import INT, ITEM_OF, LIST_OF, NEVER, NONE, NUMBERS, TAGS, Value, tuple_of, types

_OF_ISOCALENDAR = ("year", "week", "weekday")
_CONVERSIONS = (-1, ord("s"), ord("r"))


@translates(EXPRESSIONS, ast.Constant)
def _constant(code, node):
    return code.const(node.value)


@translates(EXPRESSIONS, ast.Name)
def _name(code, node):
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
    if _is_isocalendar(node.value) and v.items is not None and node.attr in _OF_ISOCALENDAR:
        return v.items[_OF_ISOCALENDAR.index(node.attr)]
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
    return arithmetic.binary(code, op, left, code.expr(node.right)) if left.t else NEVER


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
        if container.only in ITEM_OF:
            return code.unsupported("in a list that is computed")
        return comparison.contains(code, item, container)
    if type(values) not in (tuple, list, set, frozenset, dict):
        return code.unsupported("in this", node)
    return containers.contains(code, item, values)


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
    items = [code.expr(element) for element in node.elts]
    return as_list(code, items) if all(item.t for item in items) else NEVER


def as_list(code, items):
    """Return a list of values of one type, in the arena."""
    kinds = {item.only for item in items}
    name = LIST_OF.get(kinds.pop()) if len(kinds) == 1 else None
    if name is None or any(item.only == "bool" for item in items):
        return code.unsupported("a list that is changed or kept, or of values of several types")
    at = arithmetic.packed_list(code, items)
    high = [at, "i64.extend_i32_u", ("i64.const", 32), "i64.shl"]
    return Value(types(name), code.tmp("i64", *high, ("i64.const", len(items)), "i64.or"))


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
    if regexes.is_match(v):
        return code.dispatch(v, lambda m: regexes.item(code, m, i))
    if i.only != "int":
        return code.unsupported(f"a subscript that is a {i.only or 'value of several types'}", node)
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
        arithmetic.check_size(code, arguments[1])
    most = arguments[1].i if len(arguments) == 2 else ("i64.const", -1)
    arithmetic.check_size(code, i)
    return texts.split_item(code, v, separator, most, i)


def _slice(code, node):
    v, part = code.expr(node.value), node.slice
    step = None if part.step is None else code.expr(part.step)
    if not v.t:
        return NEVER
    if step is not None and step.only != "none" and step.k != 1:
        if step.k == -1 and part.lower is None and part.upper is None:
            return code.dispatch(v, lambda m: texts.reversed_(code, m) if m.only == "str" else _no_slice(code, m))
        return _stepped(code, node, v, step)
    bounds = []
    for bound, default in ((part.lower, texts.START), (part.upper, texts.STOP)):
        b = code.const(None) if bound is None else code.expr(bound)
        if b.t == NONE | INT:
            is_int = [b.tag, ("i32.const", TAGS["int"]), "i32.eq", "select"]
            b = Value(INT, code.tmp("i64", b.i, default, *is_int))
        if b.only not in ("int", "none"):
            return code.unsupported("a bound of a slice", node) if b.t else NEVER
        bounds.append((b, default))
    if v.items is not None:
        fixed = [b.k if b.only == "int" else None for b, _ in bounds]
        if any(b.only == "int" and type(b.k) is not int for b, _ in bounds):
            return code.unsupported("a slice of a tuple", node)
        return tuple_of(v.items[fixed[0] : fixed[1]])
    start, stop = (b.i if b.only == "int" else default for b, default in bounds)

    def cut(m):
        if m.only == "str":
            return texts.slice_(code, m, start, stop)
        return containers.list_slice(code, m, start, stop) if m.only in ITEM_OF else _no_slice(code, m)

    return code.dispatch(v, cut)


def _stepped(code, node, v, step):
    """Return v[start:stop:step]."""
    bounds = [code.const(None) if bound is None else code.expr(bound) for bound in (node.slice.lower, node.slice.upper)]
    if not all(part.t for part in (*bounds, step)):
        return NEVER
    if step.only != "int" or any(bound.only not in ("int", "none") for bound in bounds):
        return code.unsupported("a slice with such a step", node)
    if v.items is not None:
        parts = [bound.k for bound in bounds]
        if any(bound.only == "int" and bound.k is None for bound in bounds) or not step.k:
            return code.unsupported("a slice of a tuple", node)
        return tuple_of(v.items[slice(*parts, step.k)])

    def cut(m):
        return texts.stepped(code, m, bounds, step) if m.only in ("str", *ITEM_OF) else _no_slice(code, m)

    return code.dispatch(v, cut)


def _no_slice(code, v):
    return code.error(TYPE_ERROR) if v.only in ("none", "int", "float", "bool") else code.unsupported("a slice of it")
