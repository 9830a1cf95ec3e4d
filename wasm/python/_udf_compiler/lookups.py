"""The look-ups of a function's names, as of now.

Each is remembered, for the guards that notice a change, and for other instances, which make the same look-ups and
compare.
"""

import builtins
import collections
import datetime as dt
import decimal
import enum
import functools
import marshal
import math
import re
import sys
import types

from _udf_compiler.errors import CATCHABLE, NotCompiledError

# The kinds of guards: see wasm/c/compiled/guards.c.
NAME, DICT, LIST, SET, FUNCTION, CELL, DECIMALS, CLASS, PARTIAL = range(9)

# Bounds of constants: their guards are checked for each batch.
_MOST_ITEMS = 5_000
_MOST_BYTES = 200_000

# Objects that have a meaning of their own, by identity.
_BUILTINS = [
    "abs",
    "all",
    "any",
    "bin",
    "bool",
    "chr",
    "dict",
    "divmod",
    "enumerate",
    "filter",
    "float",
    "format",
    "frozenset",
    "hex",
    "int",
    "isinstance",
    "len",
    "list",
    "map",
    "max",
    "min",
    "next",
    "oct",
    "ord",
    "pow",
    "range",
    "repr",
    "reversed",
    "round",
    "set",
    "sorted",
    "str",
    "sum",
    "tuple",
    "zip",
]
KNOWN = {f"math.{name}": value for name, value in vars(math).items() if isinstance(value, types.BuiltinFunctionType)}
KNOWN |= {name: getattr(builtins, name) for name in _BUILTINS}
KNOWN |= {exception.__name__: exception for exception in CATCHABLE}
KNOWN |= {f"datetime.{name}": getattr(dt, name) for name in ("date", "datetime", "timedelta")}
KNOWN |= {"decimal.Decimal": decimal.Decimal}
KNOWN |= {f"collections.{name}": getattr(collections, name) for name in ("Counter", "defaultdict")}
_FUNCTIONS_OF_RE = ("compile", "search", "match", "fullmatch", "findall", "finditer", "split", "sub", "subn")
KNOWN |= {f"re.{name}": getattr(re, name) for name in _FUNCTIONS_OF_RE}
_NAME_OF = {id(value): name for name, value in KNOWN.items()}

_CONSTANTS = (type(None), bool, int, float, str, tuple, frozenset, dict, list, set)
_MARSHAL_VERSION = 0  # without references and interning, which depend on more than the value
_MISSING = object()
_GETCONTEXT = decimal.getcontext
# What marshal has no format for, and is constant too.
_BY_REPR = (dt.date, dt.datetime, dt.timedelta, decimal.Decimal)


class Lookups:
    """Look-ups from a function on.

    Attributes:
        objects: What was found, by number. The first is the function.
        guards: A list of guards, for as long as which all of it stays so.
    """

    def __init__(self, function):
        self.objects = []
        self.guards = []
        self._log = []
        self._numbers = {}
        self._guarded = {}
        self.find("entry", 0, None, function)

    @classmethod
    def repeated(cls, function, log):
        """Make the look-ups of another instance's log.

        Raises:
            NotCompiledError: Something else is found.
        """
        made = cls(function)
        for operation, _ in log[1:]:
            made.find(*operation)
        if made._log != log:
            raise NotCompiledError("its globals have other values than when it was compiled")
        return made

    @property
    def log(self):
        """The look-ups and what was found, as values that marshal carries."""
        return self._log

    def find(self, how, number, name, function=None):
        """Look something up.

        Args:
            how: "global", "free" (of a closure), "imported", "attribute", or "decimals" (their context).
            number: Of the object to start from.
            name: What is looked for.
            function: What "entry" finds.

        Returns:
            Its number; None if it isn't there.
        """
        operation = (how, number, name)
        if operation not in self._numbers:
            found = function if how == "entry" else _FINDERS[how](self, self.objects[number], name)
            self._numbers[operation] = None if found is _MISSING else len(self.objects)
            self._log.append((operation, _describe(found)))
            if found is not _MISSING:
                self.objects.append(found)
                self._guard(found)
        return self._numbers[operation]

    def _global(self, function, name):
        for namespace in (function.__globals__, function.__builtins__):
            value = namespace.get(name, _MISSING)
            self.guards.append((NAME, namespace, name) if value is _MISSING else (NAME, namespace, name, value))
            if value is not _MISSING:
                break
        return value

    def _free(self, function, name):
        cell = function.__closure__[function.__code__.co_freevars.index(name)]
        try:
            value = cell.cell_contents
        except ValueError:
            return _MISSING
        self.guards.append((CELL, cell, value))
        return value

    def _imported(self, function, name):
        """Find what `import name` inside a function gives."""
        importer = function.__builtins__.get("__import__")
        value = sys.modules.get(name, _MISSING)
        if importer is not builtins.__import__ or value is _MISSING:
            return _MISSING
        self.guards.append((NAME, function.__builtins__, "__import__", importer))
        self.guards.append((NAME, sys.modules, name, value))
        return value

    def _attribute(self, of, name):
        if isinstance(of, type):
            return self._of_class(of, name)
        if type(of) is functools.partial:
            return {"func": of.func, "args": of.args, "keywords": of.keywords}[name]
        namespace = vars(of)
        if isinstance(of, enum.Enum):
            return self._of_member(of, namespace, name)
        value = namespace.get(name, _MISSING)
        if value is not _MISSING:
            self.guards.append((NAME, namespace, name, value))
        return value

    def _of_class(self, of, name):
        """Find a class's attribute that its metaclass doesn't know."""
        found = [vars(base)[name] for base in of.__mro__ if name in vars(base)]
        if not found or any(name in vars(base) for base in type(of).__mro__):
            return _MISSING
        self.guards += [(CLASS, of, name, found[0]), (CLASS, type(of), name)]
        value = found[0]
        return value.__func__ if type(value) is staticmethod else value

    def _of_member(self, of, namespace, name):
        """Find the name or the value of a member of an Enum."""
        wanted = vars(enum.Enum).get(name)
        found = [vars(base)[name] for base in type(of).__mro__ if name in vars(base)]
        stored = f"_{name}_"
        if name not in ("name", "value") or found[0] is not wanted or stored not in namespace:
            return _MISSING
        self.guards += [(CLASS, type(of), name, wanted), (NAME, namespace, stored, namespace[stored])]
        return namespace[stored]

    def _decimals(self, function, name):
        self.guards.append((DECIMALS, _GETCONTEXT, decimal.Context))
        return _GETCONTEXT

    def _guard(self, value):
        """Guard the contents of what can change."""
        if id(value) in self._guarded or len(self._guarded) > _MOST_ITEMS:
            return
        kind = type(value)
        if kind is types.FunctionType:
            self._guarded[id(value)] = value
            self.guards.append((FUNCTION, value, value.__code__, value.__defaults__, value.__kwdefaults__))
        elif kind is functools.partial:
            self._guarded[id(value)] = value
            self.guards.append((PARTIAL, value, value.func, value.args, value.keywords))
        elif kind in (dict, list, set, tuple, frozenset) and _is_constant(value):
            self._guarded[id(value)] = value
            items = tuple(value) if kind is not dict else tuple([part for item in value.items() for part in item])
            if kind in (dict, list, set):
                self.guards.append(({dict: DICT, list: LIST, set: SET}[kind], value, items))
            for item in items:
                if type(item) in (dict, list, set, tuple, frozenset):
                    self._guard(item)


_FINDERS = {
    "global": Lookups._global,
    "free": Lookups._free,
    "imported": Lookups._imported,
    "attribute": Lookups._attribute,
    "decimals": Lookups._decimals,
}


def _count(value):
    if type(value) is dict:
        return 1 + sum(_count(item) for item in value.values())
    if type(value) in (tuple, frozenset, list, set):
        return 1 + sum(map(_count, value))
    return 1


def _dumped(value):
    """Return what marshal makes of a value; None if it can't, or if it is too much."""
    try:
        if type(value) not in _CONSTANTS or _count(value) > _MOST_ITEMS:
            return None
        data = marshal.dumps(_portable(value), _MARSHAL_VERSION)
    except (ValueError, RecursionError):  # an object of the user's somewhere inside
        return None
    return data if len(data) <= _MOST_BYTES else None


def _portable(value):
    """Return a value with what marshal can't carry exchanged for what nothing else is."""
    kind = type(value)
    if kind in _BY_REPR:
        return (..., repr(value))
    if kind is re.Pattern and _is_plain(value):
        return (..., "re.compile", value.pattern, value.flags)
    if kind is dict:
        return {_portable(key): _portable(item) for key, item in value.items()}
    return kind([_portable(item) for item in value]) if kind in (tuple, list) else value


def _is_constant(value):
    return _dumped(value) is not None


def _is_plain(pattern):
    """Return whether a pattern was compiled from a str, and not from one of a class of the user's."""
    return type(pattern.pattern) is str


def _describe_holder(value):
    """Return what says what an object is whose attributes are looked up, or a pattern; None for any other."""
    kind = type(value)
    if kind is re.Pattern and _is_plain(value):
        return ("pattern", value.pattern, value.flags)
    if isinstance(value, types.BuiltinMethodType) and type(value.__self__) is re.Pattern and _is_plain(value.__self__):
        return ("pattern method", value.__name__, value.__self__.pattern, value.__self__.flags)
    if kind is re.RegexFlag:
        return ("flags", int(value))
    if isinstance(value, type) and type(value) in (type, enum.EnumType):
        return ("class", str(value.__qualname__))
    if kind is types.SimpleNamespace:
        return ("namespace",)
    if kind is functools.partial:
        return ("partial",)
    if isinstance(value, enum.Enum) and type(kind) is enum.EnumType:
        return ("member",)
    return None


def _describe(value):
    """Return what another instance has to find too, as values that marshal carries."""
    kind = type(value)
    if value is _MISSING:
        return ("missing",)
    if id(value) in _NAME_OF:
        return ("known", _NAME_OF[id(value)])
    if kind is types.ModuleType:
        return ("module", str(value.__name__))
    if kind is types.FunctionType:
        code = marshal.dumps(value.__code__, _MARSHAL_VERSION)
        return ("function", code, _dumped(value.__defaults__), _dumped(value.__kwdefaults__))
    described = _describe_holder(value)
    if described is not None:
        return described
    if kind in _BY_REPR:
        return ("value", repr(value).encode())
    data = _dumped(value)
    return ("opaque",) if data is None else ("value", data)


def meaning(value):
    """Return what a found object is to the compiler.

    Returns:
        ("known", its name in KNOWN), or None with "opaque" for what it can't look into, or with "module", "function",
        "value", "class", "namespace", "member" (of an Enum), "partial", and of re "pattern", "pattern method", "flags".
    """
    kind, *rest = _describe(value)
    return kind, rest[0] if kind == "known" else None
