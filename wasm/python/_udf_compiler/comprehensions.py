"""Comprehensions, and lists, sets and dicts made of the items of something."""

import ast

from _udf_compiler import arithmetic, lists, merging, tables, variables
from _udf_compiler.code import EXPRESSIONS, translates
from _udf_compiler.iterations import is_view, over, over_value
from _udf_compiler.loops import loop
from _udf_compiler.shapes import kind_of
from _udf_compiler.statics import NO_CONSTANT, constant, known_name
from _udf_compiler.unordered import SUM, any_order, check, check_item
from _udf_compiler.unrolling import turns
from _udf_compiler.values import NEVER, Value, tuple_of

_GENERATORS = (ast.GeneratorExp, ast.ListComp)


_NO_MAPPINGS = ("filter", "zip", "enumerate", "map", "sorted", "list", "reversed", "str", "range")


def _hidden(node, name):
    return f".{name}{id(node)}"


def each(code, node, changed, action, *, unordered=False, as_comprehension=False):
    """Do `action` with each item of a node: of a comprehension, a display, or anything that a loop goes over.

    Args:
        code: The function.
        node: The node.
        changed: The variables that `action` may change.
        action: What is done.
        unordered: The order of a set doesn't matter; TRUTH or SUM if only that of its items does.
        as_comprehension: The node is a comprehension, and items are what it makes: of one of a dict, pairs.

    Returns:
        False if the row ends here.
    """
    if isinstance(node, (ast.Tuple, ast.List)) and not any(isinstance(e, ast.Starred) for e in node.elts):
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
    if not isinstance(node, _GENERATORS) and not as_comprehension:
        walk = over(code, node, unordered=unordered)
        if walk is not None and walk.is_set and unordered == SUM:
            return loop(code, walk, lambda item: (check_item(code, item, unordered), action(item)), changed)
        return walk is not None and loop(code, walk, action, changed)
    outer = code.renamed
    try:
        with code.block() as out:
            return _level(code, node, 0, changed, out, action, unordered)
    finally:
        code.renamed = outer


def _level(code, node, depth, changed, out, action, unordered):
    """Go over one `for` of a comprehension. `out` is the label behind all of it."""
    if depth == len(node.generators):
        inner, code.loops[-1] = code.loops[-1], (out, out, [])  # a break is one of all loops
        action(_element(code, node))
        code.loops[-1] = inner
        return True
    generator = node.generators[depth]
    if generator.is_async:
        code.unsupported("async for")
    made = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
    one_by_one = turns(code, generator.iter, generator.target, [*made, *generator.ifs])
    if one_by_one is not None:
        return _unrolled(code, node, depth, changed, out, action, one_by_one, unordered)
    walk = over(code, generator.iter, unordered=unordered and not isinstance(node, ast.DictComp))
    if walk is None:
        return False
    hidden, stored = _names(node, generator)
    inside = lambda: _level(code, node, depth + 1, changed, out, action, unordered)  # noqa: E731
    if not walk.is_set:
        return loop(code, walk, _turn(code, node, depth, hidden, inside), {*changed, *stored})
    check(code, node)

    def act(item):
        check_item(code, item, unordered)
        with code.block() as following:  # a break goes on with the next: another turn may raise
            code.loops.append((following, following, []))
            given(item)
            code.loops.pop()

    given, action = action, act
    with any_order(code):
        return loop(code, walk, _turn(code, node, depth, hidden, inside), {*changed, *stored})


def _element(code, node):
    """Return the item of a comprehension's turn."""
    if not isinstance(node, ast.DictComp):
        return code.expr(node.elt)
    key = code.expr(node.key)
    return tuple_of([key, code.expr(node.value)]) if key.t else NEVER


def _unrolled(code, node, depth, changed, out, action, one_by_one, unordered):
    """Translate each turn of one `for` of a comprehension by itself."""
    _, stored = _names(node, node.generators[depth])
    outer, renamed = code.bound, code.renamed
    code.loops.append((out, out, []))
    for constants in one_by_one:
        code.flow.forget({*changed, *stored})
        code.bound = {**outer, **constants}
        code.renamed = {name: other for name, other in renamed.items() if name not in constants}
        with code.block() as skip:
            for test in node.generators[depth].ifs:
                code.e(code.condition(code.expr(test)), "i32.eqz", ("br_if", skip))
            _level(code, node, depth + 1, changed, out, action, unordered)
        code.flow.forget({*changed, *stored})
    code.bound, code.renamed = outer, renamed
    code.loops.pop()
    return True


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
    return list_of(code, "list", node)


@translates(EXPRESSIONS, ast.SetComp)
def _collected_set(code, node):
    return set_of(code, "set", node, as_comprehension=True)


@translates(EXPRESSIONS, ast.DictComp)
def _collected_dict(code, node):
    return _of_pairs(code, "dict", node, as_comprehension=True)


def extend(code, v, node):
    """Do v.extend() with the items of a node. Returns whether control goes on."""
    if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)) and constant(code, node) is NO_CONSTANT:
        other = code.expr(node)
        if lists.is_list(other.only):  # it may be the same list
            t = code.program.shapes.joined(v.t | other.t)
            lists.extend_by(code, Value(t, v.i), Value(t, other.i))
            return True
        if not other.t:
            return False
        walk = over_value(code, other)
        return walk is not None and loop(code, walk, lambda item: append(code, v, item), ())
    return each(code, node, (), lambda item: append(code, v, item))


def starred(code, node):
    """Return a list of a display with * in it."""
    made = lists.new(code, "display")
    for element in node.elts:
        if isinstance(element, ast.Starred):
            if not each(code, element.value, (), lambda item: append(code, made, item)):
                return NEVER
            continue
        item = code.expr(element)
        if not item.t:
            return NEVER
        append(code, made, item)
    return made


def update(code, v, node):
    """Do v.update() of a set. Returns whether control goes on."""
    other = code.expr(node) if isinstance(node, ast.Name) and constant(code, node) is NO_CONSTANT else None
    if other is not None and not other.t:
        return False

    def add(item):
        if item.t:
            tables.add(code, v, item)

    if other is not None:
        if not tables.is_exact(code, v):
            code.unsupported("update of a set of floats, or of values of several types")
        walk = over_value(code, other, unordered=True)
        return walk is not None and loop(code, walk, add, ())
    return each(code, node, (), add)


def append(code, v, item):
    """Append an item to a list, unless the row ends before."""
    if item.t:
        lists.append(code, v, item)


def list_of(code, name, node):
    """Return list() of the items of a node."""
    made = lists.new(code, name)
    return made if each(code, node, (), lambda item: append(code, made, item)) else NEVER


def set_of(code, name, node, *, as_comprehension=False):
    """Return set() of the items of a node."""
    made = tables.new(code, name, "set")

    def add(item):
        if item.t:
            tables.add(code, made, item)

    going = each(code, node, (), add, unordered=True, as_comprehension=as_comprehension)
    return made if going else NEVER


def _mapping(code, node):
    """Return the dict that a node is, as a constant, or its value; None for what a loop has to go over as a node."""
    values = constant(code, node)
    if values is not NO_CONSTANT:
        return values if type(values) is dict else None
    if isinstance(node, (*_GENERATORS, ast.Tuple, ast.List)) or is_view(node):
        return None
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        return None
    if isinstance(node, ast.Call) and known_name(code, node.func) in _NO_MAPPINGS:
        return None
    return code.expr(node)


def dict_of(code, name, node):
    """Return dict() of a dict, or of pairs."""
    mapping = _mapping(code, node)
    if mapping is None:
        return _of_pairs(code, name, node)
    made = tables.new(code, name, "dict")
    if type(mapping) is dict:
        merging.merge_constant(code, made, mapping)
        return made
    return made if mapping.t and merging.merge(code, made, mapping) else NEVER


def _of_pairs(code, name, node, *, as_comprehension=False):
    made = tables.new(code, name, "dict")

    def add(item):
        pair = variables.unpack(code, item, 2) if item.t else None
        if pair is not None:
            tables.set_item(code, made, *pair)

    return made if each(code, node, (), add, as_comprehension=as_comprehension) else NEVER


def from_keys(code, node, value):
    """Return dict.fromkeys() of the items of a node."""
    made = tables.new(code, "keys", "dict")

    def add(item):
        if item.t:
            tables.set_item(code, made, item, value)

    return made if each(code, node, (), add) else NEVER


def counter(code, node):
    """Return Counter() of the items of a node."""
    v = _mapping(code, node)
    if type(v) is dict or (v is not None and kind_of(v.only) in ("dict", "struct")):
        return code.unsupported("a Counter of a dict", node)
    made = tables.new(code, "counter", "dict", tables.COUNTER)

    def count(item):
        if not item.t:
            return
        before = tables.look_up(code, made, item, lambda: code.const(0))
        code.program.shapes.take(code, tables.shape_of(code, made).values, code.const(1))
        if before.t:
            tables.set_item(code, made, item, arithmetic.binary(code, "Add", before, code.const(1)))

    if v is None:
        return made if each(code, node, (), count) else NEVER
    walk = over_value(code, v)
    return made if walk is not None and loop(code, walk, count, ()) else NEVER


def collected(code, v):
    """Return the list of the items of a value."""
    made = lists.new(code, "collected")
    walk = over_value(code, v)
    return made if walk is not None and loop(code, walk, lambda item: append(code, made, item), ()) else NEVER
