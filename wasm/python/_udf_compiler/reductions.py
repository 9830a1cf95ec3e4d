"""What goes over items and returns a value: sum, any, all, min, max, sorted and sort, Counter.most_common."""

import ast

from _udf_compiler import calling, comprehensions, lists, tables, variables
from _udf_compiler.comparison import compare
from _udf_compiler.comprehensions import append, each
from _udf_compiler.errors import TYPE_ERROR, VALUE_ERROR
from _udf_compiler.iterations import over_value
from _udf_compiler.loops import loop
from _udf_compiler.shapes import kind_of
from _udf_compiler.sums import Sum
from _udf_compiler.unordered import SUM, TRUTH
from _udf_compiler.values import NEVER


def _hidden(node, name):
    return f".{name}{id(node)}"


def reduction(code, name, node, start=None):
    """Return sum, any, all, min, max or list of the items of a node; sum may have a value that it starts from."""
    return _REDUCTIONS[name](code, name, node) if start is None else _sum(code, name, node, start)


def _sum(code, name, node, start=None):
    start = code.const(0) if start is None else start
    if start.only not in ("int", "bool", "float", "decimal"):
        return code.unsupported("sum from this value", node) if start.t else NEVER
    total = Sum(code, node, start)

    def add(item):
        code.dispatch(code.without_none(item, TYPE_ERROR), total.add)

    if not each(code, node, {total.name}, add, unordered=SUM if start.only in ("int", "bool") else False):
        return NEVER
    return total.result()


def _any(code, name, node):
    result = code.local("i32")
    code.e(("i32.const", int(name == "all")), ("local.set", result))

    def test(item):
        if not item.t:
            return
        c = code.condition(item)
        with code.block("if", c, *(["i32.eqz"] if name == "all" else [])):
            code.e(("i32.const", int(name == "any")), ("local.set", result), ("br", code.loops[-1][0]))

    return code.boolean(("local.get", result)) if each(code, node, (), test, unordered=TRUTH) else NEVER


def first(code, node, default):
    """Return next() of an iterator that is made for it. `default` is a value; None to leave a row without one.

    The items behind the first are not looked at.
    """
    hidden, found = _hidden(node, "first"), code.local("i32")
    code.e(("i32.const", 0), ("local.set", found))

    def take(item):
        if item.t:
            variables.assign(code, hidden, item)
            code.e(("i32.const", 1), ("local.set", found), ("br", code.loops[-1][0]))

    if not each(code, node, {hidden}, take):
        return NEVER
    if default is None:  # it raises StopIteration
        code.bail_if(("local.get", found), "i32.eqz")
        return variables.read(code, hidden)
    return code.branch(("local.get", found), lambda: variables.read(code, hidden), lambda: default)


def extreme(code, name, node, default=None, key=None):
    """Return min or max of the items of a node; without items the default, if there is one.

    Args:
        code: The function.
        name: "min" or "max".
        node: The node.
        default: A value.
        key: The node of a function whose results are compared.
    """
    best, best_key, found = _hidden(node, "best"), _hidden(node, "key"), code.local("i32")
    op = "Lt" if name == "min" else "Gt"
    code.e(("i32.const", 0), ("local.set", found))

    def better(item):
        if not item.t:
            return

        its_key = item if key is None else calling.apply(code, key, [item])
        if not its_key.t:
            return

        def is_better():
            return code.boolean_of(compare(code, op, its_key, variables.read(code, best_key)))

        taken = code.branch(("local.get", found), is_better, lambda: code.const(value=True))
        with code.block("if", code.condition(taken) if taken.t else ("i32.const", 0)):
            code.e(("i32.const", 1), ("local.set", found))
            variables.assign(code, best_key, its_key)
            if key is not None:
                variables.assign(code, best, item)

    if not each(code, node, {best, best_key}, better, unordered=key is None):
        return NEVER
    if key is None:
        best = best_key
    if default is not None:
        return code.branch(("local.get", found), lambda: variables.read(code, best), lambda: default)
    code.raise_if(VALUE_ERROR, ("local.get", found), "i32.eqz")
    return variables.read(code, best)


def most_common(code, v, count):
    """Return v.most_common(count) of a Counter: the most frequent first, else in the order they came."""
    if tables.shape_of(code, v).default != tables.COUNTER:
        return code.unsupported("most_common of a dict")
    pairs, counts = lists.new(code, "pairs"), lists.new(code, "counts")

    def pick(item):
        if item.t:
            lists.append(code, pairs, item)
            lists.append(code, counts, item.items[1])

    loop(code, tables.over(code, v, "items"), pick, ())
    lists.sort(code, pairs, counts, ("i32.const", 1))
    if count is None:
        return pairs
    zero = ("i64.const", 0)
    stop = code.tmp("i64", count.i, zero, count.i, zero, "i64.gt_s", "select")
    return lists.sliced(code, pairs, zero, stop, ("i64.const", 1), 3)


def ordered(code, node, key, descending):
    """Return sorted() of the items of a node. `key` is the node of a function, `descending` an operand."""
    made = lists.new(code, "sorted")
    if not each(code, node, (), lambda item: append(code, made, item), unordered=key is None):
        return NEVER
    lists.sort(code, made, made if key is None else _keys(code, made, key), descending)
    return made


def sort(code, v, key, descending):
    """Do v.sort(). Returns whether control goes on."""
    if key is not None and _sees_containers(code, key):  # while keys are made, the list is empty
        code.unsupported("a key that looks at lists")
    lists.sort(code, v, v if key is None else _keys(code, v, key), descending)
    return True


def _sees_containers(code, key):
    """Return whether a function may refer to a container other than by its argument."""
    own = {a.arg for a in key.args.args} if isinstance(key, ast.Lambda) else ()
    names = {n.id for n in ast.walk(key) if isinstance(n, ast.Name)} - set(own)
    held = [
        code.variables[code.renamed.get(name, name)] for name in names if code.renamed.get(name, name) in code.variables
    ]
    return any(kind_of(t) for variable in held for t in variable.t)


def _keys(code, v, key):
    """Return the list of the keys that a list is sorted by."""
    keys = lists.new(code, "keys")

    def append(item):
        made = calling.apply(code, key, [item])
        if made.t:
            lists.append(code, keys, made)

    walk = over_value(code, v)
    loop(code, walk, append, ())
    return keys


_REDUCTIONS = {"sum": _sum, "any": _any, "all": _any, "min": extreme, "max": extreme}
_REDUCTIONS |= {"list": comprehensions.list_of, "set": comprehensions.set_of, "dict": comprehensions.dict_of}
