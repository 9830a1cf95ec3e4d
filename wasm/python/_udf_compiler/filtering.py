"""Walks over filter(): an item is looked for when the one before is done with, as CPython does."""

import ast

from _udf_compiler import calling, variables
from _udf_compiler.iteration import Iteration


def over_filter(code, node, inner):
    """Walk over filter(function, ...).

    Args:
        code: The function.
        node: The node of the function; None as a constant for the items' own truth.
        inner: The walk over the items.
    """
    hidden, going = f".filtered{id(node)}", code.local("i32")
    code.names.add(hidden)

    def passes():
        v = variables.read(code, hidden)
        is_none = isinstance(node, ast.Constant) and node.value is None
        return v if is_none or not v.t else calling.apply(code, node, [v])

    def find():
        """Go on to an item that passes, or to the end."""
        with code.block() as found:
            with code.block() as out:
                top = code.label()
                code.e(("loop", top), *inner.more, "i32.eqz", ("br_if", out))
                item = inner.item()
                if item.t:
                    variables.assign(code, hidden, item)
                    code.flow.forget([hidden])
                    test = passes()
                    if test.t:
                        code.e(("i32.const", 1), ("local.set", going), code.condition(test), ("br_if", found))
                    inner.advance(out)
                code.e(("br", top), "end")
            code.e(("i32.const", 0), ("local.set", going))

    def advance(out):
        inner.advance(out)
        find()

    def item():
        code.flow.forget([hidden])
        return variables.read(code, hidden)

    find()
    return Iteration([("local.get", going)], item, advance)
