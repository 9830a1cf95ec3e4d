"""Comprehensions, and the builtins that go over their items: sum, any, all, min, max and list."""

import ast

from _udf_compiler import arithmetic, variables
from _udf_compiler.code import EXPRESSIONS, translates
from _udf_compiler.comparison import compare
from _udf_compiler.context import ARENA_AT, ARENA_END
from _udf_compiler.emitter import CONTEXT
from _udf_compiler.errors import VALUE_ERROR
from _udf_compiler.iterations import over
from _udf_compiler.loops import loop
from _udf_compiler.nodes import mapped
from _udf_compiler.values import LIST_OF, NEVER, Value, types

_GENERATORS = (ast.GeneratorExp, ast.ListComp)
_MOST = 16_000


def _hidden(node, name):
    return f".{name}{id(node)}"


def _each(code, node, changed, action):
    """Do `action` with each item of a node: of a comprehension, a display, or anything that a loop goes over.

    Returns:
        False if the row ends here.
    """
    if isinstance(node, (ast.Tuple, ast.List)):
        items = [code.expr(element) for element in node.elts]
        if not all(item.t for item in items):
            return False
        with code.block() as out:
            code.loops.append((out, out, []))
            for item in items:
                action(item)
                code.flow.forget(changed)
            code.loops.pop()
        return True
    if not isinstance(node, _GENERATORS):
        walk = over(code, node)
        return walk is not None and loop(code, walk, action, changed)
    outer = code.renamed
    try:
        with code.block() as out:
            return _level(code, node, 0, changed, out, action)
    finally:
        code.renamed = outer


def _level(code, node, depth, changed, out, action):
    """Go over one `for` of a comprehension. `out` is the label behind all of it."""
    if depth == len(node.generators):
        inner, code.loops[-1] = code.loops[-1], (out, out, [])  # a break is one of all loops
        action(code.expr(node.elt))
        code.loops[-1] = inner
        return True
    generator = node.generators[depth]
    if generator.is_async:
        code.unsupported("async for")
    walk = over(code, generator.iter)
    if walk is None:
        return False
    hidden, stored = _names(node, generator)
    inside = lambda: _level(code, node, depth + 1, changed, out, action)  # noqa: E731
    return loop(code, walk, _turn(code, node, depth, hidden, inside), {*changed, *stored})


def _bind(code, target, item):
    if isinstance(target, ast.Name):
        variables.assign(code, target.id, item)
        return
    if not isinstance(target, (ast.Tuple, ast.List)):
        code.unsupported("the target of a comprehension")
        return
    items = variables.unpack(code, item, len(target.elts))
    for element, value in zip(target.elts, items or (), strict=False):
        _bind(code, element, value)


def _turn(code, node, depth, hidden, inside):
    """Return what a loop of a comprehension does with an item."""
    generator = node.generators[depth]

    def turn(item):
        before, code.renamed = code.renamed, {**code.renamed, **hidden}
        _bind(code, generator.target, item)
        with code.block() as skip:
            for test in generator.ifs:
                code.e(code.condition(code.expr(test)), "i32.eqz", ("br_if", skip))
            inside()
        code.renamed = before

    return turn


def _names(node, generator):
    """Return the hidden names of a loop's variables, and the names that may change in it."""
    names = [n.id for n in ast.walk(generator.target) if isinstance(n, ast.Name)]
    hidden = {name: _hidden(generator, name) for name in names}
    stored = {n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}
    return hidden, {*hidden.values(), *stored}


@translates(EXPRESSIONS, ast.ListComp)
def _collected(code, node):
    """Return the list of a comprehension, in the arena."""
    if len(node.generators) != 1 or node.generators[0].is_async:
        return code.unsupported("a list of a comprehension over two iterables", node)
    outer = code.renamed
    walk = over(code, node.generators[0].iter)
    if walk is None:
        return NEVER
    start, at = room(code, walk.most)
    kinds = set()
    hidden, changed = _names(node, node.generators[0])

    def append():
        item = code.expr(node.elt)
        if item.t:
            kinds.add(item.only)
        if item.t and item.only in LIST_OF:
            store = (item.f, ("f64.store", 0)) if item.only == "float" else (item.i, ("i64.store", 0))
            code.e(("local.get", at), *store, ("local.get", at), ("i32.const", 8), "i32.add", ("local.set", at))

    try:
        loop(code, walk, _turn(code, node, 0, hidden, append), changed)
    finally:
        code.renamed = outer
    if len(kinds) > 1 or not kinds <= set(LIST_OF) - {"bool"}:
        return code.unsupported("a list of bools, or of values of several types", node)
    name = LIST_OF[kinds.pop()] if kinds else LIST_OF["str"]
    count = [("local.get", at), ("local.get", start), "i32.sub", ("i32.const", 3), "i32.shr_u", "i64.extend_i32_u"]
    high = [("local.get", start), "i64.extend_i32_u", ("i64.const", 32), "i64.shl"]
    return Value(types(name), code.tmp("i64", *high, *count, "i64.or"))


def room(code, most):
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


# ---- reductions


def reduction(code, name, node):
    """Return sum, any, all, min, max or list of the items of a node."""
    return _REDUCTIONS[name](code, name, node)


def _list(code, name, node):
    if isinstance(node, _GENERATORS):
        return _collected(code, node)
    return _collected(code, mapped(code, node, lambda item: item))


def _sum(code, name, node):
    total = _hidden(node, "total")
    variables.assign(code, total, code.const(0))
    real, rest, found, kinds = code.local("f64"), code.local("f64"), code.local("i32"), set()
    for local in (real, rest):
        code.e(("f64.const", 0.0), ("local.set", local))
    code.e(("i32.const", 0), ("local.set", found))

    def add(item):
        if not item.t:
            return
        if item.t <= {"int", "bool"}:
            kinds.add("int")
            variables.assign(code, total, arithmetic.binary(code, "Add", variables.read(code, total), item))
        elif item.only == "float":
            kinds.add("float")
            _add_exactly(code, item.f, real, rest)
            code.e(("i32.const", 1), ("local.set", found))
        else:
            code.unsupported("sum of these values", node)
        if len(kinds) > 1:
            code.unsupported("sum of ints and floats", node)

    if not _each(code, node, {total}, add):
        return NEVER
    if "float" not in kinds:
        return variables.read(code, total)
    f, c = ("local.get", real), ("local.get", rest)
    useful = [c, ("f64.const", 0.0), "f64.ne", c, c, "f64.sub", ("f64.const", 0.0), "f64.eq", "i32.and"]
    return code.branch(
        ("local.get", found), lambda: code.real(f, c, "f64.add", f, *useful, "select"), lambda: code.const(0)
    )


def _add_exactly(code, x, real, rest):
    """Add to a sum as CPython does since 3.12: with what is lost by rounding, after Neumaier (bltinmodule.c)."""
    f, c = ("local.get", real), ("local.get", rest)
    t = code.tmp("f64", f, x, "f64.add")
    larger = [f, t, "f64.sub", x, "f64.add"]
    smaller = [x, t, "f64.sub", f, "f64.add"]
    lost = [*larger, *smaller, f, "f64.abs", x, "f64.abs", "f64.ge", "select"]
    code.e(c, *lost, "f64.add", ("local.set", rest), t, ("local.set", real))


def _any(code, name, node):
    result = code.local("i32")
    code.e(("i32.const", int(name == "all")), ("local.set", result))

    def test(item):
        if not item.t:
            return
        c = code.condition(item)
        with code.block("if", c, *(["i32.eqz"] if name == "all" else [])):
            code.e(("i32.const", int(name == "any")), ("local.set", result), ("br", code.loops[-1][0]))

    return code.boolean(("local.get", result)) if _each(code, node, (), test) else NEVER


def extreme(code, name, node, default=None):
    """Return min or max of the items of a node; without items the default, if there is one."""
    best, found = _hidden(node, "best"), code.local("i32")
    op = "Lt" if name == "min" else "Gt"
    code.e(("i32.const", 0), ("local.set", found))

    def better(item):
        if not item.t:
            return

        def chosen():
            known = variables.read(code, best)
            is_better = compare(code, op, item, known)
            return code.branch(code.truth(is_better), lambda: item, lambda: known) if is_better.t else NEVER

        value = code.branch(("local.get", found), chosen, lambda: item)
        code.e(("i32.const", 1), ("local.set", found))
        variables.assign(code, best, value)

    if not _each(code, node, {best}, better):
        return NEVER
    if default is not None:
        return code.branch(("local.get", found), lambda: variables.read(code, best), lambda: default)
    code.raise_if(VALUE_ERROR, ("local.get", found), "i32.eqz")
    return variables.read(code, best)


_REDUCTIONS = {"sum": _sum, "any": _any, "all": _any, "min": extreme, "max": extreme, "list": _list}
