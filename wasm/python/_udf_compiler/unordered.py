"""Comprehensions over sets, where it can't be seen in which order they go."""

import ast
import contextlib

from _udf_compiler import tables, variables
from _udf_compiler.errors import RAISED
from _udf_compiler.shapes import kind_of

# What matters of items: nothing but their truth, or their sum.
TRUTH, SUM = "truth", "sum"


def check(code, node):
    """Refuse a comprehension whose turns may change something."""
    parts = [part for generator in node.generators for part in (generator.iter, *generator.ifs)][1:]
    nodes = [n for part in (node.elt, *parts) for n in ast.walk(part)]
    looked_into = {id(operand) for n in nodes if isinstance(n, ast.Compare) for operand in _looked_into(n)}
    for n in nodes:
        is_container = isinstance(n, ast.Name) and id(n) not in looked_into and _is_container(code, n.id)
        if is_container or isinstance(n, ast.NamedExpr):
            code.unsupported("a loop over a set, whose order may be seen", n)


def _looked_into(node):
    pairs = zip(node.ops, node.comparators, strict=True)
    return [operand for op, operand in pairs if isinstance(op, (ast.In, ast.NotIn))]


def _is_container(code, name):
    name = code.renamed.get(name, name)
    return name in code.variables and any(kind_of(t) for t in variables.types_of(code, name))


def check_item(code, item, unordered):
    """Refuse items of which the first or the last matters among equals, or whose sum depends on the order."""
    plain = item.items is None and len(item.t) == 1 and item.t <= {*tables.EXACT, "bool"}
    if unordered != TRUTH and item.t and not plain:
        code.unsupported(f"a loop over a set that makes {item.only or 'values of several types'}")


@contextlib.contextmanager
def any_order(code):
    """Translate a turn: an exception leaves the row to the interpreter, as another turn may be the first."""
    handlers, code.handlers = code.handlers, [*code.handlers, (set(RAISED), code.bail_label)]
    try:
        yield
    finally:
        code.handlers = handlers
