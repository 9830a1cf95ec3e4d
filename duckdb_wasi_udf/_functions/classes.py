"""Describes classes as they are now, so that the guest can build the same: see `_udf_guest.shipped` there.

Nothing of a class statement runs again. What decorators and metaclasses of the standard library generate, as for
dataclasses and enumerations, the guest generates itself; all else are attributes, with the values they have now.
"""

from __future__ import annotations

import abc
import dataclasses
import enum
import inspect
import types
import typing
from dataclasses import dataclass, field
from typing import Any

# Attributes that each class gets by itself, or that are shipped in another way.
_OF_ITSELF = frozenset(
    [
        "__module__",
        "__qualname__",
        "__dict__",
        "__weakref__",
        "__doc__",
        "__slots__",
        "__annotations__",
        "__annotate__",
        "__annotate_func__",
        "__annotations_cache__",
        "__orig_bases__",
        "__firstlineno__",
        "__static_attributes__",
        "__abstractmethods__",
        "_abc_impl",
        "__dataclass_fields__",
        "__dataclass_params__",
    ]
)
_OF_ENUMS = frozenset(
    [
        "__new__",
        "__new_member__",
        "_new_member_",
        "_generate_next_value_",
        "_member_names_",
        "_member_map_",
        "_value2member_map_",
        "_member_type_",
        "_use_args_",
        "_value_repr_",
        "_unhashable_values_",
        "_hashable_values_",
        "_unhashable_values_map_",
        "_boundary_",
        "_flag_mask_",
        "_singles_mask_",
        "_all_bits_",
        "_inverted_",
        "_sort_order_",
    ]
)
_OF_TYPED_DICTS = (
    "__total__",
    "__required_keys__",
    "__optional_keys__",
    "__readonly_keys__",
    "__mutable_keys__",
)
# What the decorator `dataclass` generates unless the class has its own; for some it objects if it has.
_OF_DATACLASSES = frozenset(
    [
        "__init__",
        "__repr__",
        "__eq__",
        "__lt__",
        "__le__",
        "__gt__",
        "__ge__",
        "__hash__",
        "__setattr__",
        "__delattr__",
        "__replace__",
        "__getstate__",
        "__setstate__",
        "__match_args__",
    ]
)
_DATACLASS_PARAMETERS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_FIELD_PARAMETERS = ("default", "default_factory", "init", "repr", "hash", "compare", "metadata", "kw_only")
_FIELD_KINDS = {"_FIELD": "field", "_FIELD_CLASSVAR": "class", "_FIELD_INITVAR": "init"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassParts:
    """What the guest builds a class of.

    Attributes:
        maker: the method of the guest's loader that makes the empty class.
        arguments: what it takes after the metaclass, the name and the module, or after the last two.
        metaclass: the metaclass; None for makers that know it.
        state: what `fill_class` takes: attributes that are set before the class is made a dataclass, the arguments for
            that, and those that are set after.
        later: plain values, which may refer to the class and its instances.
        annotations: the annotations of the class itself.
        members: the attributes of an enumeration's members.
        registered: the classes that were registered with an abstract class.
    """

    maker: str
    metaclass: type | None
    arguments: tuple[Any, ...]
    state: tuple[dict[str, Any], tuple[Any, ...] | None, dict[str, Any]]
    later: dict[str, Any]
    annotations: dict[str, Any]
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    registered: list[type] = field(default_factory=list)


def parts_of(kind: type) -> ClassParts:
    """Return what a class consists of."""
    own = dict(vars(kind))
    annotations = dict(own.get("__annotations__", {}))
    if typing.is_typeddict(kind):
        attributes = {name: getattr(kind, name) for name in _OF_TYPED_DICTS if hasattr(kind, name)}
        return ClassParts(
            maker="new_typed_dict",
            metaclass=None,
            arguments=(kind.__qualname__, attributes),
            state=({}, None, {}),
            later={},
            annotations=annotations,
        )
    namespace = {"__qualname__": kind.__qualname__}
    namespace |= {name: own[name] for name in ("__doc__", "__slots__", "__orig_bases__") if name in own}
    metaclass: type | None = type(kind)
    members: dict[str, dict[str, Any]] = {}
    before = {name: value for name, value in own.items() if name not in _OF_ITSELF and not _is_of_python(value)}
    after: dict[str, Any] = {}
    dataclass_arguments = None
    if isinstance(kind, enum.EnumMeta):
        maker = "new_enum"
        arguments: tuple[Any, ...] = (kind.__bases__, namespace, _members(kind), getattr(kind, "_boundary_", None))
        members = {name: _attributes(member) for name, member in _items(kind)}
        generated = _OF_ENUMS | set(kind.__members__)
        before = {
            name: value for name, value in before.items() if name not in generated and not _is_from(value, "enum")
        }
    elif is_named_tuple(kind):
        maker, metaclass = "new_named_tuple", None
        arguments = (kind.__bases__, kind.__qualname__, own["_fields"])
        after = {"_field_defaults": before.pop("_field_defaults")}
        before = {
            name: value
            for name, value in before.items()
            if name not in {"_fields", "__class_getitem__", *own["_fields"]}
            and not _is_from(value, "collections", f"namedtuple_{kind.__name__}")
        }
    else:
        maker, arguments = "new_class", (kind.__bases__, namespace)
        if getattr(kind, "_is_protocol", False):
            before = {name: value for name, value in before.items() if not _is_from(value, "typing")}
        if "__dataclass_params__" in own:
            dataclass_arguments = _dataclass(kind, annotations)
            before = {name: value for name, value in before.items() if not _is_of_dataclasses(name, value)}
            after = {name: before.pop(name) for name in _OF_DATACLASSES & set(before)}
    structure = {name: value for name, value in before.items() if _is_structure(name, value)}
    return ClassParts(
        maker=maker,
        metaclass=metaclass,
        arguments=arguments,
        state=(structure, dataclass_arguments, after),
        later={name: value for name, value in before.items() if name not in structure},
        annotations=annotations,
        members={name: attributes for name, attributes in members.items() if attributes},
        registered=_registered(kind),
    )


def is_named_tuple(kind: type) -> bool:
    """Return whether `collections.namedtuple` or `typing.NamedTuple` made a class itself."""
    own = vars(kind)
    return (
        tuple in kind.__bases__ and isinstance(own.get("_fields"), tuple) and {"_make", "_field_defaults"} <= set(own)
    )


def _registered(kind: type) -> list[type]:
    dump = getattr(abc, "_get_dump", None)  # there is no other way to know
    if dump is None or not isinstance(kind, abc.ABCMeta):
        return []
    return [found for reference in dump(kind)[0] if (found := reference()) is not None]


def _is_structure(name: str, value: object) -> bool:
    """Return whether an attribute is needed before the class has instances: methods, and what Python looks for."""
    return (name.startswith("__") and name.endswith("__")) or hasattr(type(value), "__get__")


def _is_of_python(value: object) -> bool:
    return isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType))


def _is_from(value: object, *modules: str) -> bool:
    """Return whether an attribute is a function of one of the modules."""
    function = getattr(value, "__func__", value) if isinstance(value, (classmethod, staticmethod)) else value
    return isinstance(function, types.FunctionType) and function.__globals__.get("__name__") in modules


def _is_of_dataclasses(name: str, value: object) -> bool:
    """Return whether the decorator generates a method, without `slots`, which the guest does without."""
    if name not in _OF_DATACLASSES - {"__getstate__", "__setstate__"} or not isinstance(value, types.FunctionType):
        return False
    return _is_from(value, "dataclasses") or inspect.unwrap(value).__code__.co_filename == "<string>"


def _dataclass(kind: type, annotations: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the class's own fields, and the parameters of the decorator."""
    fields = {}
    for name in annotations:
        found: Any = vars(kind)["__dataclass_fields__"].get(name)
        if found is None:  # KW_ONLY, which its fields say too
            continue
        given = {parameter: getattr(found, parameter) for parameter in _FIELD_PARAMETERS}
        given = {parameter: value for parameter, value in given.items() if value is not dataclasses.MISSING}
        given["metadata"] = dict(found.metadata) or None
        fields[name] = (_FIELD_KINDS[found._field_type.name], given)
    parameters = {name: getattr(vars(kind)["__dataclass_params__"], name) for name in _DATACLASS_PARAMETERS}
    return fields, parameters | {"match_args": "__match_args__" in vars(kind)}


def _members(kind: enum.EnumMeta) -> list[tuple[str, Any, tuple[Any, ...]]]:
    """Return the members of an enumeration: name, value, and what its data type is made of."""
    data_type = getattr(kind, "_member_type_", object)
    return [
        (name, member._value_, () if data_type is object else _content(member, data_type))
        for name, member in _items(kind)
    ]


def _items(kind: enum.EnumMeta) -> list[tuple[str, Any]]:
    return list(kind.__members__.items())


def _content(member: Any, data_type: type) -> tuple[Any, ...]:
    """Return what a member has of its data type, as the arguments of `__new__`, whatever its own methods say."""
    if issubclass(data_type, int):
        return (int.__index__(member),)
    if issubclass(data_type, str):
        return (str.__str__(member),)
    if issubclass(data_type, float):
        return (float.__float__(member),)
    if issubclass(data_type, bytes):
        return (bytes(memoryview(member)),)
    if issubclass(data_type, tuple):
        return tuple(tuple.__iter__(member)) if is_named_tuple(data_type) else (tuple(tuple.__iter__(member)),)
    if isinstance(member._value_, data_type):
        reduced: Any = member._value_.__reduce_ex__(4)
        make, arguments = reduced[:2]
        return tuple(arguments) if make is data_type else tuple(arguments[1:])
    return ()


def _attributes(member: Any) -> dict[str, Any]:
    """Return what a member has beside its value, such as what `__init__` sets."""
    return {name: value for name, value in vars(member).items() if not (name.startswith("_") and name.endswith("_"))}
