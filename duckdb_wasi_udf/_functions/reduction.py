"""Says how each object is pickled for the guest, but for functions and classes: see `shipment`."""

from __future__ import annotations

import copyreg
import enum
import functools
import types
import typing
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._functions.importable import CachedFunction, CompiledMethod
from duckdb_wasi_udf._functions.refusal import INSIDE, RefusedError

if TYPE_CHECKING:
    from duckdb_wasi_udf._functions.importable import Importable

Reduction = tuple[Any, ...]

_NEW: Any = getattr(copyreg, "__newobj__")  # noqa: B009 - unknown to its type stubs

# Protocol 5 would pickle buffers of numpy and the like out of band.
_PROTOCOL = 4


class GuestMethod:
    """A method of the guest's loader, which the pickle names and calls there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> None:
        """Say that it can be called, which `pickle` wants of whatever a reduction begins with."""
        raise AssertionError(self.name)


def reduction_of(value: Any, importable: Importable, *, is_trial: bool) -> Reduction:
    """Return what `object.__reduce_ex__` would, in terms of what the guest has.

    Args:
        value: an object that the guest can't import: no function, class or module.
        importable: what it can.
        is_trial: nothing is shipped now, so that the users' own pickling methods aren't called.

    Raises:
        RefusedError: it can't be pickled.
    """
    kind = type(value)
    special = _SPECIAL.get(kind)
    if special is not None:
        return tuple(special(value))
    if importable.path(kind) is None and not importable.has(kind.__module__):
        why = importable.why_not_shippable(kind)
        if why is not None:
            raise RefusedError(value, why, INSIDE)
        if isinstance(value, enum.Enum):
            if getattr(value, "_name_", None) in kind.__members__:
                return GuestMethod("member"), (kind, value._name_)
            return kind, (value._value_,)  # several flags
        if is_trial:
            return object, ()
    try:
        make = copyreg.dispatch_table.get(kind)
        reduced = value.__reduce_ex__(_PROTOCOL) if make is None else make(value)
    except Exception as error:
        raise RefusedError(value, str(error) or type(error).__name__, INSIDE) from error
    if isinstance(reduced, str):
        return _named(value, kind, reduced, importable)
    if reduced[0] is _NEW and _has_slots(reduced) and not hasattr(kind, "__setstate__"):
        filled = (*reduced, None, None)[:5]
        return *filled, GuestMethod("set_slots")
    if isinstance(value, BaseException) and reduced[0] is kind and not importable.path(kind):
        # Without its __init__, whose parameters needn't be the error's arguments.
        return _NEW, (kind, *reduced[1]), *reduced[2:]
    return tuple(reduced)


def _named(value: Any, kind: type, name: str, importable: Importable) -> Reduction:
    """Return the reduction of an object that says it is pickled by its name."""
    module = getattr(value, "__module__", None) or kind.__module__
    if importable.has(module):
        return GuestMethod("imported"), (f"{module}:{name}",)
    return _NEW, (kind,), object.__getstate__(value)


def _has_slots(reduced: Reduction) -> bool:
    return len(reduced) > 2 and isinstance(reduced[2], tuple)


def _builtin(value: types.BuiltinFunctionType) -> Reduction:
    owner = value.__self__
    if owner is None or isinstance(owner, types.ModuleType):
        why = f"it is compiled code of {getattr(value, '__module__', None) or 'no module'}"
        raise RefusedError(value, why, INSIDE)
    return getattr, (owner, value.__name__)


def _type_variable(value: Any) -> Reduction:
    keywords = {"bound": value.__bound__, "covariant": value.__covariant__, "contravariant": value.__contravariant__}
    return GuestMethod("call"), (typing.TypeVar, (value.__name__, *value.__constraints__), keywords)


def single_dispatch(make: Any, function: Any) -> Reduction:
    """Return how to make again what `make` made: a function that dispatches on the type of its first argument."""
    others = [(kind, each) for kind, each in function.registry.items() if kind is not object]
    return GuestMethod("single_dispatch"), (make, function.registry[object], others)


def _cached(value: Any) -> Reduction:
    own = {name: each for name, each in vars(value).items() if not name.startswith("__")}
    return GuestMethod("lru_cache"), (value.__wrapped__, value.cache_parameters()), own or None


def _cached_property(value: Any) -> Reduction:
    return functools.cached_property, (value.func,), {"attrname": value.attrname}


_SPECIAL: dict[type, Any] = {
    types.BuiltinFunctionType: _builtin,
    CompiledMethod: _builtin,
    types.CellType: lambda _: (GuestMethod("cell"), ()),
    types.MethodType: lambda value: (types.MethodType, (value.__func__, value.__self__)),
    types.MappingProxyType: lambda value: (types.MappingProxyType, (dict(value),)),
    property: lambda value: (property, (value.fget, value.fset, value.fdel, value.__doc__)),
    staticmethod: lambda value: (staticmethod, (value.__func__,)),
    classmethod: lambda value: (classmethod, (value.__func__,)),
    functools.singledispatchmethod: lambda value: single_dispatch(functools.singledispatchmethod, value.dispatcher),
    functools.cached_property: _cached_property,
    CachedFunction: _cached,
    typing.TypeVar: _type_variable,
    typing.ParamSpec: lambda value: (typing.ParamSpec, (value.__name__,)),
    typing.TypeVarTuple: lambda value: (typing.TypeVarTuple, (value.__name__,)),
    typing.NewType: lambda value: (typing.NewType, (value.__name__, value.__supertype__)),
    typing.ForwardRef: lambda value: (typing.ForwardRef, (value.__forward_arg__,)),
}
if hasattr(typing, "TypeAliasType"):
    _SPECIAL[typing.TypeAliasType] = lambda value: (typing.TypeAliasType, (value.__name__, value.__value__))
