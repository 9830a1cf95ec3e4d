"""Names of nodes of the syntax tree for messages, and their identity."""

_NAMES = {
    "Await": "await",
    "ClassDef": "a class",
    "Delete": "del",
    "FunctionDef": "a function inside the function",
    "Global": "global",
    "Lambda": "a lambda inside the function",
    "GeneratorExp": "a generator expression here",
    "Nonlocal": "nonlocal",
    "Starred": "a starred expression",
    "With": "with",
    "Yield": "yield",
    "YieldFrom": "yield from",
}


def name_of(node):
    """Return what a user calls a node."""
    name = type(node).__name__
    return _NAMES.get(name, name)


def place_of(node):
    """Return what identifies a node of the source; () for one that isn't in it."""
    if getattr(node, "lineno", None) is None:
        return ()
    return type(node).__name__, node.lineno, node.col_offset, node.end_lineno, node.end_col_offset
