"""What the outcome of a test says of the types of variables."""

import ast

from _udf_compiler import shapes, variables
from _udf_compiler.statics import known_name
from _udf_compiler.values import BOOL, DATE, DATETIME, DECIMAL, FLOAT, NONE, STR, TIMEDELTA, types

_CLASSES = {
    "int": types("int", "bool"),
    "float": FLOAT,
    "str": STR,
    "bool": BOOL,
    "datetime.date": DATE | DATETIME,
    "datetime.datetime": DATETIME,
    "datetime.timedelta": TIMEDELTA,
    "decimal.Decimal": DECIMAL,
    "list": types("list"),
    "set": types("set"),
    "dict": types("dict", "struct"),
    "tuple": types("tuple"),
}


def narrowed(code, test, *, outcome, action):
    """Return action(), translated knowing the outcome of a test."""
    for name, t in _facts(code, test, outcome).items():
        variables.narrow(code, name, t)
    return action()


def classes(code, node):
    """Return the types of the classes that isinstance is called with; None if they aren't known."""
    if isinstance(node, ast.Tuple):
        parts = [classes(code, element) for element in node.elts]
        return None if None in parts else frozenset().union(*parts)
    return _CLASSES.get(known_name(code, node))


def plain(name):
    """Return a type without what it holds: "list" of "list 3"."""
    return "tuple" if name.startswith("tuple of ") else shapes.kind_of(name) or name


def _variable(code, node):
    """Return the name of a variable that is bound for sure."""
    is_one = isinstance(node, ast.Name) and node.id in code.names and node.id not in code.renamed
    return node.id if is_one and node.id in code.flow.assigned else None


def _facts(code, test, outcome):
    """Return the types that variables have where a test has an outcome."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _facts(code, operand, not outcome)
        case ast.BoolOp(op=op, values=values) if isinstance(op, ast.And) == outcome:
            return {name: t for value in values for name, t in _facts(code, value, outcome).items()}
        case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot() as op], comparators=[ast.Constant(value=None)]):
            name = _variable(code, left)
            if name is None:
                return {}
            is_none = isinstance(op, ast.Is) == outcome
            return {name: NONE if is_none else variables.types_of(code, name) - NONE}
        case ast.Call(args=[argument, wanted], keywords=[]) if known_name(code, test.func) == "isinstance":
            name, t = _variable(code, argument), classes(code, wanted)
            if name is None or t is None:
                return {}
            current = variables.types_of(code, name)
            return {name: frozenset([one for one in current if (plain(one) in t) == outcome])}
        case ast.NamedExpr(target=target) if outcome:
            return _facts(code, target, outcome)
        case ast.Name() if outcome and _variable(code, test):
            return {test.id: variables.types_of(code, test.id) - NONE}
    return {}
