"""What names and attributes mean before any row: constants, modules, functions and builtins."""

import ast
import contextlib
import re

from _udf_compiler.lookups import meaning

NO_CONSTANT = object()

# Methods of builtin classes that are called through the class.
_OF_CLASSES = frozenset(
    {
        "datetime.datetime.strptime",
        "datetime.date.fromisoformat",
        "datetime.datetime.fromisoformat",
        "str.maketrans",
        "dict.fromkeys",
    }
)
# Functions and methods whose results, of constants, a variable may stand for.
_MAKERS = frozenset({"compile", "maketrans"})
_HAVE_ATTRIBUTES = ("module", "class", "namespace", "member", "partial")
_DISPLAYS = (ast.Tuple, ast.List, ast.Set, ast.Dict)


class Static:
    """What a name stands for.

    Attributes:
        kind: "value", "known", "function", "opaque" or another: see lookups.meaning.
        name: Its name among those that are known.
        value: The object; None for a method of a class.
        number: Its number among the look-ups.
    """

    def __init__(self, kind, name, value, number):
        self.kind, self.name, self.value, self.number = kind, name, value, number


class Scope:
    """The names of one function.

    Attributes:
        lookups: The look-ups of the translation.
        function: The function.
        number: Its number among them.
        imported: What `import` in it has bound so far, by name.
        local_imports: The names that it imports anywhere.
    """

    def __init__(self, lookups, number):
        self.lookups, self.number = lookups, number
        self.function = lookups.objects[number]
        self.imported = {}
        self.local_imports = frozenset()

    def find(self, name):
        """Return what a name means that is no variable; None if it isn't there."""
        if name in self.imported:
            return self.imported[name]
        if name in self.local_imports:  # before it is imported
            return None
        free = name in self.function.__code__.co_freevars
        return self._static(self.lookups.find("free" if free else "global", self.number, name))

    def import_(self, module, attribute=None):
        """Return what an import gives; None if it isn't there yet."""
        found = self._static(self.lookups.find("imported", self.number, module))
        return found if attribute is None or found is None else self.attribute(found, attribute)

    def attribute(self, of, name):
        """Return what an attribute of something means; None if it isn't known before any row."""
        if of.kind in _HAVE_ATTRIBUTES and not name.startswith("__"):
            return self._static(self.lookups.find("attribute", of.number, name))
        full = f"{of.name}.{name}"
        return Static("known", full, None, None) if of.kind == "known" and full in _OF_CLASSES else None

    def _static(self, number):
        if number is None:
            return None
        value = self.lookups.objects[number]
        return Static(*meaning(value), value, number)


def static(code, node):
    """Return what an expression means before any row, as a Static; None if it is computed."""
    if isinstance(node, ast.Name) and node.id in code.bound and node.id not in code.renamed:
        value = code.bound[node.id]
        return Static("pattern" if type(value) is re.Pattern else "value", None, value, None)
    if isinstance(node, ast.Name) and node.id not in code.renamed and (node.id not in code.names):
        return code.scope.find(node.id)
    if isinstance(node, ast.Attribute):
        base = static(code, node.value)
        return None if base is None else code.scope.attribute(base, node.attr)
    return None


def constant(code, node):
    """Return the value of a node that is the same in every row, else NO_CONSTANT."""
    found = static(code, node)
    if found is not None:
        return found.value if found.kind == "value" else NO_CONSTANT
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id not in code.renamed and node.id in code.local_constants:
        return code.local_constants[node.id]
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return _item(constant(code, node.value), node.slice.value)
    if isinstance(node, _DISPLAYS):
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return NO_CONSTANT
    return NO_CONSTANT


def constant_text(code, node):
    """Return the value of a node that is the same in every row, also of a sum of texts, else NO_CONSTANT."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [constant_text(code, part) for part in (node.left, node.right)]
        return parts[0] + parts[1] if all(type(part) is str for part in parts) else NO_CONSTANT
    return constant(code, node)


def local_call(code, node):
    """Return the call that a variable stands for, which is one of `local_constants`; any other node as it is."""
    if isinstance(node, ast.Name) and node.id not in code.renamed:
        held = code.local_constants.get(node.id)
        return held if isinstance(held, ast.Call) else node
    return node


def local_constants(node):
    """Return the variables of a function that hold a constant collection and do nothing but be looked into.

    Variables that hold a compiled pattern or a table of str.maketrans have the call that made it in place of a value.
    """
    if not isinstance(node, ast.FunctionDef):
        return {}
    found = _made_first(node.body)
    calls = {name for name, value in found.items() if isinstance(value, ast.Call)}
    uses = dict.fromkeys(found, 0)
    looked_into = dict.fromkeys(found, 1)  # the assignment
    for n in ast.walk(node):
        if isinstance(n, ast.Name) and n.id in uses:
            uses[n.id] += 1
        for child in _looked_into(n, calls):
            if isinstance(child, ast.Name) and child.id in uses:
                looked_into[child.id] += 1
    return {name: value for name, value in found.items() if uses[name] == looked_into[name]}


def _parts(values):
    return [*values, *values.values()] if isinstance(values, dict) else values


def _made_first(statements):
    """Return what assignments at the beginning of a function bind to a constant collection or a call, by name."""
    found, seen = {}, set()
    for statement in statements:
        seen |= {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name not in seen:  # not read before
                if isinstance(value, (ast.List, ast.Set, ast.Dict)):
                    with contextlib.suppress(ValueError, TypeError, RecursionError):
                        held = ast.literal_eval(value)
                        if not any(isinstance(v, (list, dict, set)) for v in _parts(held)):  # they may be changed
                            found[name] = held
                elif isinstance(value, ast.Call) and getattr(value.func, "attr", None) in _MAKERS:
                    found[name] = value
            case ast.Expr(value=ast.Constant()) | ast.Assign() | ast.Import() | ast.ImportFrom():
                pass
            case _:  # what comes later may be skipped
                break
    return found


def _looked_into(node, calls):
    """Return the operands of a node that it looks into without keeping or changing them.

    Args:
        node: The node.
        calls: The variables that hold what a call made, of which methods are called.
    """
    match node:
        case ast.Subscript(value=value, ctx=ast.Load()):
            return [value]
        case ast.Attribute(value=value, attr="get" | "items"):
            return [value]
        case ast.Attribute(value=value, ctx=ast.Load()) if isinstance(value, ast.Name):
            return [value] if value.id in calls else []
        case ast.Call(func=ast.Attribute(attr="translate"), args=[argument], keywords=[]):
            return [argument]
        case ast.Compare(ops=ops, comparators=comparators):
            pairs = zip(ops, comparators, strict=True)
            return [operand for op, operand in pairs if isinstance(op, (ast.In, ast.NotIn))]
        case ast.For(iter=iterable) | ast.comprehension(iter=iterable):
            return [iterable]
        case ast.Call(func=ast.Name(id="len"), args=[argument], keywords=[]):
            return [argument]
    return []


def _item(values, key):
    """Return the item of a constant at a constant place, if there is one."""
    if type(values) not in (dict, tuple, list):
        return NO_CONSTANT
    try:
        return values[key]
    except (LookupError, TypeError):
        return NO_CONSTANT


def known_name(code, node):
    """Return the name in lookups.KNOWN of what a node means, else None."""
    found = static(code, node)
    return found.name if found is not None and found.kind == "known" else None
