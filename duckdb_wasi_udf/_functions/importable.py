"""What the guest can import instead of having it shipped: of the standard library and of the sandbox's packages."""

from __future__ import annotations

import functools
import importlib.machinery
import re
import sys
import types
import typing

from duckdb_wasi_udf._functions.refusal import compiled_package
from duckdb_wasi_udf._shared.column import Column
from duckdb_wasi_udf._shared.columns import Columns, wanted_columns
from duckdb_wasi_udf._shared.interval import Interval

CachedFunction = type(functools.cache(len))
CompiledMethod = type(re.compile("").sub)  # of some classes; others have types.BuiltinMethodType

# What has a module and a name of its own, by which it may be found there.
_NAMED = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    CompiledMethod,
    types.MethodType,
    CachedFunction,
    typing.TypeVar,
    typing.ParamSpec,
    typing.TypeVarTuple,
    typing.NewType,
)

_OURS = {id(kind): f"duckdb_wasi_udf:{kind.__name__}" for kind in (Column, Columns, Interval, wanted_columns)}
_OWN_PACKAGE = "duckdb_wasi_udf"

# Modules that other systems have under another name.
_SYSTEM_MODULES = {"nt": "os", "posix": "os", "ntpath": "os.path", "posixpath": "os.path"}


class Importable:
    """Finds what the guest can import."""

    def __init__(self, packages: frozenset[str]) -> None:
        """Remember the packages.

        Args:
            packages: the top-level names of modules beside the standard library.
        """
        self._names = sys.stdlib_module_names | packages | {"numpy"}
        self._objects: dict[str, dict[int, str]] = {}  # of modules, by ids

    def has(self, module: object) -> bool:
        """Return whether the guest has a module of this name."""
        return isinstance(module, str) and module.partition(".")[0] in self._names

    def path(self, value: object) -> str | None:
        """Return how the guest imports the same object: `module`, `module:attribute`, or None."""
        if id(value) in _OURS:
            return _OURS[id(value)]
        if isinstance(value, types.ModuleType):
            name = value.__name__
            if name in (_OWN_PACKAGE, "host") or self.has(name):
                return _SYSTEM_MODULES.get(name, name)
            return None
        if not isinstance(value, _NAMED):
            return self._path_of_object(value)
        module = getattr(value, "__module__", None)
        if not isinstance(module, str) or not self.has(module):
            return None
        for attribute in ("__qualname__", "__name__"):
            path = getattr(value, attribute, None)
            if isinstance(path, str) and _attribute(module, path) is value:
                return f"{_SYSTEM_MODULES.get(module, module)}:{path}"
        found = self._names_in("types").get(id(value))
        return None if found is None else f"types:{found}"  # such as the type of functions

    def _path_of_object(self, value: object) -> str | None:
        """Return the path of an object that is in the module of its class, such as `dataclasses.MISSING`."""
        module = type(value).__module__
        if module == "builtins" or not self.has(module):
            return None
        found = self._names_in(module).get(id(value))
        return None if found is None else f"{module}:{found}"

    def _names_in(self, module: str) -> dict[int, str]:
        found = self._objects.get(module)
        if found is None:
            variables = vars(sys.modules[module]) if module in sys.modules else {}
            found = self._objects[module] = {id(value): name for name, value in variables.items()}
        return found

    def why_not_shippable(self, kind: type) -> str | None:
        """Return why a class that isn't importable can't be shipped either; None if it may be."""
        package = str(kind.__module__).partition(".")[0]
        if package == _OWN_PACKAGE:
            return "it belongs to the host's side of duckdb_wasi_udf"
        if package in self._names:
            return None if kind.__flags__ & _HEAP_TYPE else f"the module {kind.__module__} doesn't have it by this name"
        if is_compiled(package):
            return compiled_package(package)
        if not kind.__flags__ & _HEAP_TYPE or any(_is_compiled_method(value, kind) for value in vars(kind).values()):
            return f"its class {kind.__qualname__} is not written in Python"
        return None


def _is_compiled_method(value: object, kind: type) -> bool:
    compiled = isinstance(value, (types.MethodDescriptorType, types.WrapperDescriptorType))
    return compiled and getattr(value, "__objclass__", None) is kind


_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made while Python runs, as by a class statement


def _attribute(module: str, qualname: str) -> object:
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def is_compiled(package: str) -> bool:
    """Return whether a package, by its top-level name, has loaded modules that are machine code."""
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    for name, module in list(sys.modules.items()):
        if name == package or name.startswith(f"{package}."):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and file.endswith(suffixes):
                return True
    return False
