"""What a function takes and returns: its description by the guest, annotations and declared SQL types made into one
signature.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from duckdb_wasi_udf._errors import ProtocolError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VARIANT = "VARIANT"

# Annotations and the SQL types they stand for.
ANNOTATIONS = {
    "bool": "BOOLEAN",
    "int": "BIGINT",
    "float": "DOUBLE",
    "str": "VARCHAR",
    "bytes": "BLOB",
    "date": "DATE",
    "time": "TIME",
    "datetime": "TIMESTAMP",
}

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")

# The Arrow type the guest builds for a declared SQL result type; DuckDB narrows integers and floats, and says so when a
# value doesn't fit. VARIANT is inferred.
_RESULT_TYPES: dict[str, pa.DataType | None] = {
    "BOOLEAN": pa.bool_(),
    **dict.fromkeys(_INTEGERS, pa.int64()),
    "UBIGINT": pa.uint64(),
    "FLOAT": pa.float64(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "BLOB": pa.binary(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP_S": pa.timestamp("us"),
    "TIMESTAMP_MS": pa.timestamp("us"),
    "TIMESTAMP_NS": pa.timestamp("us"),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
    VARIANT: None,
}

_PARAMETER_TYPES = frozenset(_RESULT_TYPES) - {VARIANT}

_DECIMAL = re.compile(r"DECIMAL\((\d{1,2}),(\d{1,2})\)")


def _arrow_result_type(sql_type: str) -> pa.DataType | None:
    """The Arrow type the guest builds for a SQL type; None for VARIANT.

    Raises:
        KeyError: there is none.
    """
    if decimal := _DECIMAL.fullmatch(sql_type):
        return pa.decimal128(*map(int, decimal.groups()))
    return _RESULT_TYPES[sql_type]


# The guest sends annotations as text; what anyone writes by hand is far shorter.
_MAX_ANNOTATION = 200


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function.

    Attributes:
        name: its name in the code.
        sql_type: the SQL type arguments are cast to; None for any.
        sees_null: NULL arrives as None; otherwise NULL in gives NULL out and the function isn't called.
    """

    name: str
    sql_type: str | None
    sees_null: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes and returns.

    Attributes:
        label: how errors name the function.
        parameters: the positional parameters, in order.
        required: how many of them have no default.
        rest: the parameter that takes any further arguments (`*args`); None without one.
        return_type: the SQL type of the result; VARIANT when it is inferred batch by batch.
    """

    label: str
    parameters: tuple[Parameter, ...]
    required: int
    rest: Parameter | None
    return_type: str

    @property
    def result_type(self) -> pa.DataType | None:
        """The Arrow type the guest builds; None to infer it."""
        return _arrow_result_type(self.return_type)

    def bind(self, argument_types: Sequence[pa.DataType]) -> list[tuple[pa.DataType, bool]]:
        """Match the arguments of a call with the parameters.

        Args:
            argument_types: the Arrow types of the arguments, in order.

        Returns:
            For each argument its type and whether the function sees its NULLs.

        Raises:
            SignatureError: the function takes more or fewer arguments.
        """
        given = len(argument_types)
        if given < self.required or (given > len(self.parameters) and self.rest is None):
            names = ", ".join(parameter.name for parameter in self.parameters)
            takes = str(self.required)
            if self.rest is not None:
                takes = f"at least {takes}"
            elif self.required != len(self.parameters):
                takes = f"{takes} to {len(self.parameters)}"
            msg = f"{self.label}: the function takes {takes} argument(s) ({names}), the query passes {given}"
            raise SignatureError(msg)
        return [(given_type, self.parameter(i).sees_null) for i, given_type in enumerate(argument_types)]

    def parameter(self, position: int) -> Parameter:
        """The parameter that takes the argument at `position`, which `bind` has matched."""
        if position < len(self.parameters):
            return self.parameters[position]
        assert self.rest is not None
        return self.rest


def resolve(
    label: str,
    description: dict[str, Any],
    *,
    parameters: Sequence[str] | None = None,
    return_type: str | None = None,
    sees_null: bool = False,
) -> Signature:
    """Combine what the guest says of a function with what was declared.

    Args:
        label: how errors name the function.
        description: the guest's description of the function (`_udf_guest._describe`); it is not trusted.
        parameters: declared SQL type names, one for each argument; None to go by annotations.
        return_type: the declared SQL type name; None to go by the annotation.
        sees_null: every NULL arrives as None (DuckDB's null_handling="special"), whatever the annotations say.

    Returns:
        The signature.

    Raises:
        SignatureError: an annotation or a type isn't known, or they contradict the function.
        ProtocolError: the description isn't one.
    """
    positional: list[Parameter] = []
    required = 0
    rest = None
    described = description.get("parameters")
    if not isinstance(described, list):
        rest = Parameter("args", None, sees_null)  # a builtin that can't be inspected
        described = []
    for item in described:
        try:
            name, kind, text, has_no_default = (item[key] for key in ("name", "kind", "annotation", "required"))
        except (TypeError, KeyError) as error:
            msg = f"{label}: the guest's description of a parameter is malformed: {error!r}"
            raise ProtocolError(msg) from error
        sql_type, none = _parse(label, f"parameter {name!r}", text)
        parameter = Parameter(str(name), sql_type, sees_null or none)
        if kind in ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD"):
            positional.append(parameter)
            required += bool(has_no_default)
        elif kind == "VAR_POSITIONAL":
            rest = parameter
        elif kind == "KEYWORD_ONLY" and has_no_default:
            msg = f"{label}: parameter {name!r} is keyword-only; SQL passes arguments by position, so give it a default"
            raise SignatureError(msg)
    if parameters is not None:
        positional, required, rest = _declare(label, positional, required, rest, parameters)
    if return_type is None:
        return_type = _parse(label, "the result", description.get("returns"))[0] or VARIANT
    elif return_type not in _RESULT_TYPES and not _DECIMAL.fullmatch(return_type):
        raise SignatureError(_unsupported(label, "the result type", return_type, _RESULT_TYPES))
    return Signature(label, tuple(positional), required, rest, return_type)


def _declare(
    label: str, positional: list[Parameter], required: int, rest: Parameter | None, declared: Sequence[str]
) -> tuple[list[Parameter], int, None]:
    """The parameters under their declared types; `*args` takes as many as were declared."""
    if not required <= len(declared) or (len(declared) > len(positional) and rest is None):
        msg = f"{label}: {len(declared)} parameter type(s) declared, but the function takes {len(positional)}"
        raise SignatureError(msg)
    parameters = []
    for i, sql_type in enumerate(declared):
        if sql_type not in _PARAMETER_TYPES and not _DECIMAL.fullmatch(sql_type):
            raise SignatureError(_unsupported(label, f"the type of parameter {i + 1}", sql_type, _PARAMETER_TYPES))
        parameter = positional[i] if i < len(positional) else rest
        assert parameter is not None  # checked above
        parameters.append(Parameter(parameter.name, sql_type, parameter.sees_null))
    return parameters, len(parameters), None


def _unsupported(label: str, what: str, sql_type: str, supported: Iterable[str]) -> str:
    return f"{label}: {what} {sql_type} is not supported yet; supported: {', '.join(sorted(supported))}, DECIMAL"


def _parse(label: str, what: str, text: object) -> tuple[str | None, bool]:
    """An annotation's SQL type (None for any) and whether it admits None."""
    if text is None:
        return None, False
    text = str(text)[:_MAX_ANNOTATION]
    try:
        names = _alternatives(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        names = {text}
    none = "None" in names
    names -= {"None"}
    if names <= {"Any", "object"}:
        return None, none or bool(names)
    if len(names) == 1 and (name := names.pop()) in ANNOTATIONS:
        return ANNOTATIONS[name], none
    msg = (
        f"{label}: the annotation {text!r} of {what} is not supported yet; "
        f"supported: {', '.join(ANNOTATIONS)}, Any, each also with `| None`"
    )
    raise SignatureError(msg)


def _alternatives(node: ast.expr) -> set[str]:
    """The names a union is made of."""
    match node:
        case ast.BinOp(left, ast.BitOr(), right):
            return _alternatives(left) | _alternatives(right)
        case ast.Subscript(ast.Name("Optional") | ast.Attribute(attr="Optional"), inner):
            return _alternatives(inner) | {"None"}
        case ast.Name(name) | ast.Attribute(ast.Name("typing" | "datetime"), name):
            return {name}
        case ast.Constant(None):
            return {"None"}
        case _:
            raise ValueError
