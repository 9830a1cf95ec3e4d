"""Says what can't be shipped: which object of a value, why, and what to do."""

from __future__ import annotations

import functools
import sysconfig
import types
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Enough for what people write beside a function; the message does without the path beyond it.
_MOST_OBJECTS = 100_000

INSIDE = "make it inside the function, or convert it to values of Python's own types"


class RefusedError(Exception):
    """An object can't be shipped.

    Attributes:
        culprit: the object, which may be anywhere inside of what was to be shipped.
        why: the reason.
        cure: what to do.
    """

    def __init__(self, culprit: object, why: str, cure: str) -> None:
        super().__init__(why)
        self.culprit = culprit
        self.why = why
        self.cure = cure


def module_refused(module: types.ModuleType) -> RefusedError:
    """Return the error of a module that the guest can't import."""
    why = "the sandbox has the standard library and the packages of Sandbox(packages=[...]) only"
    folders = tuple(sysconfig.get_paths()[name] for name in ("purelib", "platlib"))
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not file.startswith(folders):
        cure = f"import what you use of it by name, as in `from {module.__name__} import ...`: it is shipped then"
    else:
        cure = "use something else, or grant it with packages=[...] if it is written in Python"
    return RefusedError(module, why, cure)


def compiled_package(package: str) -> str:
    """Return why nothing of a package can be shipped that has machine code."""
    return f"the package {package} has compiled code, and the sandbox runs Python only"


def kind_of(value: object) -> str:
    """Return what an object is, in an error."""
    if isinstance(value, types.ModuleType):
        return f"the module {value.__name__}"
    if isinstance(value, type):
        return f"the class {value.__qualname__}"
    if isinstance(value, types.FunctionType):
        return f"the function {value.__qualname__}"
    return f"a {type(value).__name__}"


def find_path(value: object, wanted: object) -> str | None:
    """Return how to reach an object from a value, such as `['a'][1].lock`; None if it isn't found."""
    seen = {id(value)}
    pending: deque[tuple[str, object]] = deque([("", value)])
    while pending and len(seen) < _MOST_OBJECTS:
        path, found = pending.popleft()
        for step, part in _parts(found):
            if part is wanted:
                return path + step
            if id(part) not in seen:
                seen.add(id(part))
                pending.append((path + step, part))
    return None


def _parts(value: Any) -> Iterator[tuple[str, object]]:
    kind = type(value)
    if issubclass(kind, dict):
        for key, item in dict.items(value):
            yield f"[{_key(key)}]", item
    elif issubclass(kind, (list, tuple)):
        yield from ((f"[{number}]", item) for number, item in enumerate(kind.__iter__(value)))
    if issubclass(kind, (types.FunctionType, types.ModuleType)):
        return
    if issubclass(kind, functools.partial):
        yield from ((f".{name}", getattr(value, name)) for name in ("func", "args", "keywords"))
    if issubclass(kind, types.MethodType):
        yield ".__self__", value.__self__
    try:
        attributes = dict(object.__getattribute__(value, "__dict__"))
    except AttributeError:
        attributes = {}
    if issubclass(kind, type):
        attributes = dict(type.__dict__["__dict__"].__get__(value))
    yield from ((f".{name}", item) for name, item in attributes.items())
    for base in kind.__mro__:
        for name, slot in vars(base).items():
            if isinstance(slot, types.MemberDescriptorType) and not issubclass(kind, type):
                item = slot.__get__(value, kind) if _is_set(slot, value) else None
                yield f".{name}", item


def _is_set(slot: types.MemberDescriptorType, value: object) -> bool:
    try:
        slot.__get__(value)
    except AttributeError:
        return False
    return True


def _key(key: object) -> str:
    return repr(key)[:40] if isinstance(key, (str, int, float, bytes, bool)) else f"a {type(key).__name__}"
