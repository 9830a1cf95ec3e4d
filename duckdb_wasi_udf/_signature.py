"""What a function takes and returns: its description by the guest, annotations and declared SQL types made into one
signature.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from duckdb_wasi_udf import _arrow_types
from duckdb_wasi_udf._errors import ProtocolError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIANT = "VARIANT"

# Looks a SQL type up: the Arrow type DuckDB makes of it. It raises KeyError for a type DuckDB doesn't know.
ArrowTypeOf = Callable[[str], pa.DataType]

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

# What a function can't tell from another type by the Arrow type DuckDB makes of it, or loses a part of.
_AMBIGUOUS = ("HUGEINT", "UHUGEINT", "BIT", "TIME WITH TIME ZONE", "UUID", "JSON", "GEOMETRY", "BIGNUM", "VARIANT")

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
        result_type: the Arrow type the guest builds; None to infer it.
    """

    label: str
    parameters: tuple[Parameter, ...]
    required: int
    rest: Parameter | None
    return_type: str
    result_type: pa.DataType | None

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
    arrow_type_of: ArrowTypeOf,
    *,
    parameters: Sequence[str] | None = None,
    return_type: str | None = None,
    sees_null: bool = False,
) -> Signature:
    """Combine what the guest says of a function with what was declared.

    Args:
        label: how errors name the function.
        description: the guest's description of the function (`_udf_guest._describe`); it is not trusted.
        arrow_type_of: looks SQL types up.
        parameters: declared SQL type names, one for each argument; None to go by annotations.
        return_type: the declared SQL type name; None to go by the annotation.
        sees_null: every NULL arrives as None (DuckDB's null_handling="special"), whatever the annotations say.

    Returns:
        The signature.

    Raises:
        SignatureError: an annotation or a type isn't known, or they contradict the function.
        ProtocolError: the description isn't one.
    """
    positional, required, rest = _parameters(label, description.get("parameters"), sees_null=sees_null)
    if parameters is not None:
        positional, required, rest = _declare(label, positional, required, rest, parameters)
    for parameter in positional:
        if parameter.sql_type is not None:
            _check_supported(label, f"parameter {parameter.name!r}", parameter.sql_type, arrow_type_of)
    if return_type is None:
        return_type = _parse(label, "the result", description.get("returns"))[0] or VARIANT
    result_type = None
    if return_type != VARIANT:
        result_type = _arrow_types.result_type(_check_supported(label, "the result", return_type, arrow_type_of))
        if result_type is None:
            raise SignatureError(_unsupported(label, "the result", return_type))
    return Signature(label, tuple(positional), required, rest, return_type, result_type)


def _parameters(label: str, described: object, *, sees_null: bool) -> tuple[list[Parameter], int, Parameter | None]:
    """The positional parameters, how many of them are required, and the one that takes the rest."""
    positional: list[Parameter] = []
    required = 0
    rest = None
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
    return positional, required, rest


def _declare(
    label: str, positional: list[Parameter], required: int, rest: Parameter | None, declared: Sequence[str]
) -> tuple[list[Parameter], int, None]:
    """The parameters under their declared types; `*args` takes as many as were declared."""
    if not required <= len(declared) or (len(declared) > len(positional) and rest is None):
        msg = f"{label}: {len(declared)} parameter type(s) declared, but the function takes {len(positional)}"
        raise SignatureError(msg)
    parameters = []
    for i, sql_type in enumerate(declared):
        parameter = positional[i] if i < len(positional) else rest
        assert parameter is not None  # checked above
        parameters.append(Parameter(parameter.name, sql_type, parameter.sees_null))
    return parameters, len(parameters), None


def _check_supported(label: str, what: str, sql_type: str, arrow_type_of: ArrowTypeOf) -> pa.DataType:
    """The Arrow type of a SQL type, unless a function couldn't handle its values."""
    try:
        arrow_type = arrow_type_of(sql_type)
    except KeyError as error:
        msg = f"{label}: the type {sql_type} of {what} is not one DuckDB knows"
        raise SignatureError(msg) from error
    if any(re.search(rf"\b{name}\b", sql_type) for name in _AMBIGUOUS) or not _arrow_types.supports(arrow_type):
        raise SignatureError(_unsupported(label, what, sql_type))
    return arrow_type


def _unsupported(label: str, what: str, sql_type: str) -> str:
    return f"{label}: the type {sql_type} of {what} is not supported yet; docs/types.md lists those that are"


def _parse(label: str, what: str, text: object) -> tuple[str | None, bool]:
    """An annotation's SQL type (None for any) and whether it admits None."""
    if text is None:
        return None, False
    text = str(text)[:_MAX_ANNOTATION]
    try:
        return _sql_type(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        msg = (
            f"{label}: the annotation {text!r} of {what} is not supported yet; supported: {', '.join(ANNOTATIONS)}, "
            "list[...] and dict[..., ...] of them, Any, each also with `| None`"
        )
        raise SignatureError(msg) from error


def _sql_type(node: ast.expr) -> tuple[str | None, bool]:
    """The SQL type an annotation stands for (None for any), and whether it admits None.

    Raises:
        ValueError: it stands for none.
    """
    members = _members(node)
    types = [member for member in members if member is not None]
    none = len(types) < len(members)
    match types:
        case [] | [ast.Name("Any" | "object") | ast.Attribute(ast.Name("typing"), "Any")]:
            return None, True
        case [ast.Name(name) | ast.Attribute(ast.Name("datetime"), name)] if name in ANNOTATIONS:
            return ANNOTATIONS[name], none
        case [ast.Subscript(ast.Name("list"), inner)]:
            return f"{_inner(inner)}[]", none
        case [ast.Subscript(ast.Name("dict"), ast.Tuple([key, value]))]:
            return f"MAP({_inner(key)}, {_inner(value)})", none
        case _:
            raise ValueError


def _inner(node: ast.expr) -> str:
    """The type of values inside another, where any may be NULL and none may be of any type."""
    sql_type, _ = _sql_type(node)
    if sql_type is None:
        raise ValueError
    return sql_type


def _members(node: ast.expr) -> list[ast.expr | None]:
    """What a union is made of; None for None."""
    match node:
        case ast.BinOp(left, ast.BitOr(), right):
            return _members(left) + _members(right)
        case ast.Subscript(ast.Name("Optional") | ast.Attribute(ast.Name("typing"), "Optional"), inner):
            return [*_members(inner), None]
        case ast.Constant(None):
            return [None]
        case _:
            return [node]
