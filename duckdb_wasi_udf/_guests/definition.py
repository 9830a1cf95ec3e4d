"""What the guest needs to build a function: pieces of code, and how it is to be called."""

from __future__ import annotations

import base64
import hashlib
import json
import marshal
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

# Version 2 of the marshal format: read alike by every Python since 2.5, floats exact.
_MARSHAL_VERSION = 2

# Of the name that code gives its function, as much as errors show.
_NAME_CHARACTERS = 200


def encode_values(values: dict[str, Any]) -> str:
    """Return values as `Unit.captured` has them."""
    return base64.b64encode(marshal.dumps(values, _MARSHAL_VERSION)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A piece of code with a namespace of its own.

    Attributes:
        source: Python code that makes a function or class.
        name: the file name of the code in tracebacks, without its angle brackets.
        entry: the name of what it makes; None for the value of its last line, or the function that the guest chooses
            (`_shared.entry.choose`).
        preferred: the SQL name of the function, which is chosen if it is there; None without one.
        captured: a marshal dictionary of values the code finds as globals, base64-encoded; None without any.
        imports: what it finds as globals by import: {global name: "module" or "module:attribute"}.
        links: what it finds as globals from other units: {global name: number of the unit}.
        code: what an instance compiled it to, for others of the same function: `GuestInstance.compiled`.
        kind: "module": the source is run. "function": it is that of one function of a callable that was shipped.
            "values": it is the callable itself, pickled and base64-encoded: see `_functions.shipment`.
        free: of a function, the names of the variables it has of functions around it.
        inside: of a function, the class it is written in; None without one.
    """

    source: str
    name: str
    entry: str | None = None
    preferred: str | None = None
    captured: str | None = None
    imports: dict[str, str] = field(default_factory=dict)
    links: dict[str, int] = field(default_factory=dict)
    code: str | None = None
    kind: Literal["module", "function", "values"] = "module"
    free: tuple[str, ...] = ()
    inside: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What the guest needs to build a function.

    Attributes:
        label: how errors name the function.
        anonymous: nobody named it: errors name it as its code does, once an instance has described it.
        units: its code; the last unit makes the function.
        return_null: an exception makes its row NULL, or all rows of its batch, instead of failing the query.
        by_batch: it is called once a batch with columns, whatever its annotations say.
        table: it gives rows; the description of its result is that of one.
        hidden_arguments: the number of leading arguments that aren't the user's; errors don't show them.
        hidden_last: the number of trailing arguments that aren't the user's.
        inline: it is the code of a query, without a name.
        described: an instance has described it already, and found nothing that every instance has to know.
        arrays: which of its arguments become arrays, as that instance says it to others; empty if none does.
    """

    label: str
    units: tuple[Unit, ...]
    return_null: bool = False
    by_batch: bool = False
    table: bool = False
    hidden_arguments: int = 0
    hidden_last: int = 0
    inline: bool = False
    described: bool = False
    arrays: str = ""
    anonymous: bool = False

    @classmethod
    def from_source(
        cls,
        source: str,
        label: str,
        *,
        name: str | None = None,
        entry: str | None = None,
        preferred: str | None = None,
        **options: Any,
    ) -> Definition:
        """Return the definition of a function that is all in one text.

        Args:
            source: the text.
            label: how errors name the function.
            name: its file name in tracebacks; the label by default.
            entry: as for `Unit`.
            preferred: likewise.
            options: further fields.
        """
        unit = Unit(source=source, name=name or label, entry=entry, preferred=preferred)
        return cls(label=label, units=(unit,), **options)

    def wrapped(self, by: str, **values: Any) -> Definition:
        """Return the definition of what a function of the guest's makes of this one.

        Args:
            by: "module:function" in wasm/python. It is called with the function.
            values: further arguments: values that marshal carries.
        """
        unit = Unit(
            source=f"_wrap(_function, {''.join(f'{name}={name}, ' for name in values)})",
            name=f"_udf_{by.rpartition(':')[2]}",  # which the guest leaves out of tracebacks
            captured=encode_values(values) if values else None,
            imports={"_wrap": by},
            links={"_function": len(self.units) - 1},
        )
        return replace(self, units=(*self.units, unit))

    def named(self, description: dict[str, Any]) -> Definition:
        """Return an anonymous definition with the name that its code has, if that is one.

        Args:
            description: what the guest says of the function, which is not trusted.
        """
        name = str(description.get("name", ""))[:_NAME_CHARACTERS]
        return replace(self, label=name, anonymous=False) if self.anonymous and name.isidentifier() else self

    @property
    def is_text(self) -> bool:
        """True if there is nothing but source text. A shipped callable has more."""
        return len(self.units) == 1 and self.units[0].kind == "module" and not self.units[0].imports

    @property
    def lines(self) -> list[str]:
        """Lines of the source text as the guest numbers them; none if there are several units of the user's."""
        users = [unit for unit in self.units if unit.kind != "values" and not unit.name.startswith("_udf_")]
        return users[0].source.strip("\n").splitlines() if len(users) == 1 else []

    @property
    def source_hash(self) -> str:
        """SHA-256, in hexadecimal, of the source text; of a shipped callable, of all that was shipped."""
        return hashlib.sha256(self.units[0].source.encode() if self.is_text else self.encode()).hexdigest()

    @property
    def full_hash(self) -> str:
        """SHA-256, in hexadecimal, of all that makes the function what it is; not of what it was compiled to."""
        units = [replace(unit, code=None) for unit in self.units]  # whose repr has all fields
        parts = (units, self.return_null, self.by_batch, self.table)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def described_as(self, description: dict[str, Any]) -> Definition:
        """Return it with what an instance says of it, as far as that spares other instances work.

        Args:
            description: what the instance says: `GuestInstance.description`.
        """
        codes = description.get("codes")
        if not isinstance(codes, list) or len(codes) != len(self.units):
            return self  # too long
        units = tuple(replace(unit, code=str(code)) for unit, code in zip(self.units, codes, strict=True))
        return replace(
            self,
            units=units,
            by_batch=bool(description.get("by_batch")),
            described=bool(description.get("plain")),
            arrays=str(description.get("arrays", "")),
        )

    def encode(self) -> bytes:
        """Return the JSON that `udf_define` takes."""
        units = [asdict(unit) for unit in self.units]
        flags = {"return_null": self.return_null, "by_batch": self.by_batch, "table": self.table}
        return json.dumps({"units": units, "described": self.described, "arrays": self.arrays} | flags).encode()
