"""Syntax trees that stand for others."""

import ast


def mapped(code, node, make):
    """Return the node of `[make(item) for item in node]`, the same one each time."""
    if id(node) not in code.program.synthetic:
        target = ast.Name(".item", ast.Store())
        made = ast.ListComp(make(ast.Name(".item", ast.Load())), [ast.comprehension(target, node, [], 0)])
        code.program.synthetic[id(node)] = ast.copy_location(made, node)
    return code.program.synthetic[id(node)]
