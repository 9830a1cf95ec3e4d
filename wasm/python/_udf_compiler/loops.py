"""Loops."""

import ast

from _udf_compiler import narrowing, variables
from _udf_compiler.code import STATEMENTS, translates
from _udf_compiler.iterations import over
from _udf_compiler.statements import block, leave
from _udf_compiler.targets import assigned_in, bind
from _udf_compiler.unrolling import turns

_PLAIN = (str, int, float, bool)


def loop(code, walk, body, changed, otherwise=()):
    """Emit a loop.

    Args:
        code: The function.
        walk: An Iteration.
        body: Translates what is done with an item.
        changed: The variables that may change in it.
        otherwise: The statements of its else.

    Returns:
        True: control goes on behind it.
    """
    code.flow.forget(changed)
    before = code.flow.copy()
    with code.block() as after:
        with code.block() as out:
            top = code.label()
            code.e(("loop", top), *walk.more, "i32.eqz", ("br_if", out))
            item = walk.item()
            with code.block() as following:
                code.loops.append((after, following, []))
                body(item)
                code.loops.pop()
            walk.advance(out)
            code.e(("br", top), "end")
        code.flow = before.copy()
        code.flow.forget(changed)
        if otherwise:
            block(code, otherwise)
    code.flow = before
    code.flow.forget(changed)
    return True


@translates(STATEMENTS, ast.For)
def _for(code, node):
    each = turns(code, node.iter, node.target, node.body)
    if each is not None:
        return _unrolled(code, node, each)
    walk = over(code, node.iter)
    if walk is None:
        return False

    def body(item):
        if bind(code, node.target, item):
            block(code, node.body)

    return loop(code, walk, body, assigned_in(node), node.orelse)


def _unrolled(code, node, each):
    """Translate each turn of a loop by itself."""
    changed, outer = assigned_in(node), code.bound
    code.flow.forget(changed)
    plain = {name for name in each[0] if all(type(constants[name]) in _PLAIN for constants in each)}
    for name in each[0].keys() - plain:
        variables.unbind(code, name)
    before = code.flow.copy()
    with code.block() as after:
        for constants in each:
            code.flow = before.copy()
            with code.block() as following:
                code.loops.append((after, following, []))
                for name in sorted(plain):  # for what comes behind the loop
                    variables.assign(code, name, code.const(constants[name]))
                code.bound = {**outer, **constants}
                block(code, node.body)
                code.bound = outer
                code.loops.pop()
        code.flow = before.copy()
        if node.orelse:
            block(code, node.orelse)
    code.flow = before
    return True


@translates(STATEMENTS, ast.While)
def _while(code, node):
    changed = assigned_in(node)
    code.flow.forget(changed)
    before, endless = code.flow.copy(), False
    with code.block() as after:
        with code.block() as out:
            top = code.label()
            code.e(("loop", top))
            c = code.truth(code.expr(node.test))
            breaks = []
            if c is False:
                code.e(("br", out))
            elif c is not True:
                code.e(c, "i32.eqz", ("br_if", out))
            with code.block() as following:
                code.loops.append((after, following, breaks))
                if c is not False:
                    narrowing.narrowed(code, node.test, outcome=True, action=lambda: block(code, node.body))
                code.loops.pop()
            code.e(("br", top), "end")
            endless = c is True
        code.flow = before.copy()
        code.flow.forget(changed)
        if node.orelse and not endless:
            block(code, node.orelse)
    code.flow = before
    code.flow.forget(changed)
    return not endless or bool(breaks)


@translates(STATEMENTS, ast.Break)
def _break(code, node):
    after, _, breaks = code.loops[-1]
    if _leave(code):
        breaks.append(node)
        code.e(("br", after))
    return False


def _leave(code):
    """Do the finally of each try that was entered in the innermost loop. Returns whether control goes on."""
    return leave(code, sum(loops < len(code.loops) for _, _, loops in code.finals))


@translates(STATEMENTS, ast.Continue)
def _continue(code, node):
    if _leave(code):
        code.e(("br", code.loops[-1][1]))
    return False
