"""Documents that hold one value: JSON, YAML, MessagePack, CBOR.

Documents may be hostile. The libraries bound the depth of what they read, and the size of what is read follows from
that of the document, with exceptions that are refused: values that a document refers to again (YAML's aliases, CBOR's
shared values and strings), and YAML deeper than PyYAML's C code can bear.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import cbor2
import orjson
import ormsgpack
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

# PyYAML's composer recurses in C without a limit: 100,000 brackets end the process.
_YAML_DEPTH = 100
_YAML_INTEGER_BITS = 64

# CBOR's tags for values and strings used again, and for types that SQL doesn't have: bigfloat, rational, regular
# expression, MIME message, addresses, set, complex (https://www.iana.org/assignments/cbor-tags).
_CBOR_REFUSED = (5, 25, 28, 29, 30, 35, 36, 52, 54, 258, 260, 261, 43000)


class Format(NamedTuple):
    """A format of documents.

    Attributes:
        document: the SQL type of a document.
        loads: the value that a document holds.
        dumps: the document of a value.
    """

    document: str
    loads: Callable[[Any], Any]
    dumps: Callable[[Any], Any]


def documents(name: str) -> Format | None:
    """Return the format of a name, None when there is none."""
    return _FORMATS.get(name)


def _plain(value: Any) -> Any:
    """Return text for a value that has no form of its own in a format."""
    if isinstance(value, (Decimal, dt.timedelta)):
        return str(value)
    msg = f"the format has no {type(value).__name__}"
    raise TypeError(msg)


def to_json(value: Any) -> str:
    """Return a value as JSON text."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()


def _to_msgpack(value: Any) -> bytes:
    return ormsgpack.packb(value, default=_plain, option=ormsgpack.OPT_NON_STR_KEYS)


def _from_msgpack(document: bytes) -> Any:
    return ormsgpack.unpackb(document, option=ormsgpack.OPT_NON_STR_KEYS)


def _refuse(*_: Any) -> Any:
    msg = "values used again, and types that SQL doesn't have, aren't read"
    raise ValueError(msg)


def _cbor_timestamp(encoder: cbor2.CBOREncoder, value: dt.datetime) -> None:
    if value.tzinfo is None:  # CBOR has instants only
        encoder.encode(value.isoformat())
    else:
        encoder.encode_datetime(value)


def _cbor_text(encoder: cbor2.CBOREncoder, value: Any) -> None:
    encoder.encode(value.isoformat() if isinstance(value, dt.time) else _plain(value))


def _to_cbor(value: Any) -> bytes:
    return cbor2.dumps(value, default=_cbor_text, encoders={dt.datetime: _cbor_timestamp})


def _from_cbor(document: bytes) -> Any:
    # Keys of maps are text or bytes: those of all else can be made to have one hash, for hours of work.
    refused = dict.fromkeys(_CBOR_REFUSED, _refuse)
    return cbor2.loads(document, semantic_decoders=refused, strict_hashable_types=True)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Makes plain values only, and no integer of more than 64 bits: as keys, those can be made to have one hash."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Do as PyYAML does, with a check."""
        value: int = super().construct_yaml_int(node)
        if value.bit_length() > _YAML_INTEGER_BITS:
            msg = f"integers of more than {_YAML_INTEGER_BITS} bits aren't read"
            raise ValueError(msg)
        return value


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes plain values only, each in full."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's method
        return True


for _kind in (Decimal, dt.timedelta, dt.time):
    _Dumper.add_representer(_kind, lambda dumper, value: dumper.represent_str(str(value)))


def _to_yaml(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False)
    return text


def _from_yaml(document: str) -> Any:
    depth = 0
    for event in yaml.parse(document, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _YAML_DEPTH or isinstance(event, yaml.AliasEvent):
            msg = f"aliases, and collections nested more than {_YAML_DEPTH} deep, aren't read"
            raise ValueError(msg)
    return yaml.load(document, _Loader)  # noqa: S506 - a safe loader


_FORMATS = {
    "json": Format("VARCHAR", orjson.loads, to_json),
    "yaml": Format("VARCHAR", _from_yaml, _to_yaml),
    "msgpack": Format("BLOB", _from_msgpack, _to_msgpack),
    "cbor": Format("BLOB", _from_cbor, _to_cbor),
}
