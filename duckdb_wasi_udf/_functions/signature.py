"""What a function takes and returns: its description by the guest, annotations and declared SQL types made into one
signature.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from duckdb_wasi_udf._arrow.arguments import argument_type, convert, sql_name
from duckdb_wasi_udf._arrow.layouts import supports
from duckdb_wasi_udf._arrow.type_mapping import MismatchError, labelled, result_type
from duckdb_wasi_udf._arrow.types import with_small_offsets
from duckdb_wasi_udf._errors import ProtocolError, SignatureError
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb_wasi_udf._arrow.sql_type import SqlType, SqlTypeOf

VARIANT = "VARIANT"

_SEE = "docs/reference/types.md lists what has a SQL type"

# Of what the guest says, as much as an honest one would: names, and sentences.
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function.

    Attributes:
        name: its name in the code.
        sql_type: the SQL type arguments are cast to; None for any.
        sees_null: NULL arrives as None; otherwise NULL in gives NULL out and the function isn't called.
        parse_json: values of the SQL type JSON arrive parsed, not as text.
        default: its default, if a query could pass that as well; otherwise empty.
    """

    name: str
    sql_type: SqlType | None
    sees_null: bool
    parse_json: bool = False
    default: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes and returns.

    Attributes:
        label: how errors name the function.
        parameters: the positional parameters, in order.
        required: the number of those without a default.
        rest: the parameter that takes any further arguments (`*args`); None without one.
        return_type: the SQL type of the result; VARIANT when it is inferred batch by batch.
        result_type: the Arrow type its results have to fit; None to infer it.
        by_batch: the function is called once a batch, with columns.
    """

    label: str
    parameters: tuple[Parameter, ...]
    required: int
    rest: Parameter | None
    return_type: str
    result_type: pa.DataType | None
    by_batch: bool

    @property
    def declared_types(self) -> list[str] | None:
        """SQL type of each parameter; None if some take any type, or may be left out."""
        declared = [parameter.sql_type.name for parameter in self.parameters if parameter.sql_type]
        exact = len(declared) == len(self.parameters) == self.required and self.rest is None
        return declared if exact else None

    def __str__(self) -> str:
        parts = [
            f"{parameter.name} {parameter.sql_type.name if parameter.sql_type else 'ANY'}"
            for parameter in self.parameters
        ]
        parts[self.required :] = [f"[{part}]" for part in parts[self.required :]]
        if self.rest is not None:
            parts.append(f"*{self.rest.name} {self.rest.sql_type.name if self.rest.sql_type else 'ANY'}")
        return f"({', '.join(parts)}) -> {self.return_type}"

    def bind(self, argument_types: Sequence[pa.DataType]) -> list[tuple[pa.DataType, bool]]:
        """Match the arguments of a call with the parameters.

        Args:
            argument_types: the Arrow types of the arguments, in order.

        Returns:
            For each argument what its values are once they are converted (`convert`), and whether the function sees its
            NULLs.

        Raises:
            SignatureError: the function takes more or fewer arguments, or can't get one of the type.
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
        return [
            (self._values_type(i, self._argument_type(i, arrived)), self.parameter(i).sees_null)
            for i, arrived in enumerate(argument_types)
        ]

    def argument_types(self, arrived: Sequence[pa.DataType]) -> tuple[pa.DataType, ...]:
        """Return the types that the arguments of a call are converted to: see `convert`. One too many stays as it is.

        Raises:
            SignatureError: one isn't of the type of its parameter.
        """
        return tuple([self._argument_type(i, data_type) for i, data_type in enumerate(arrived)])

    def convert(self, columns: Sequence[pa.Array], types: Sequence[pa.DataType]) -> list[pa.Array]:
        """Return the arguments of a call as the types that `argument_types` returned.

        Raises:
            SignatureError: a value doesn't fit.
        """
        converted = []
        for position, (column, to) in enumerate(zip(columns, types, strict=True)):
            try:
                plain = with_small_offsets(column.type)
                converted.append(convert(column if column.type == plain else column.cast(plain), to))
            except (pa.ArrowInvalid, ValueError) as error:
                name, expected, got = self._expected(position, column.type)
                detail = readable(str(error))[:_SHOWN_CHARACTERS]
                msg = f"{self.label}: the parameter {name!r} expects {expected}, got {got}: {detail}"
                raise SignatureError(msg) from None
        return converted

    def _argument_type(self, position: int, arrived: pa.DataType) -> pa.DataType:
        plain = with_small_offsets(arrived)
        if position >= len(self.parameters) and self.rest is None:
            return plain
        parameter = self.parameter(position)
        declared = None if parameter.sql_type is None else parameter.sql_type.arrow_type
        try:
            return argument_type(plain, declared, parse_json=parameter.parse_json)
        except MismatchError:
            name, expected, got = self._expected(position, plain)
            msg = (
                f"{self.label}: the parameter {name!r} expects {expected}, got {got}; cast the argument, or change the "
                "parameter's annotation"
            )
            raise SignatureError(msg) from None

    def _expected(self, position: int, arrived: pa.DataType) -> tuple[str, str, str]:
        """Return the name of a parameter, its SQL type and that of its argument, for errors."""
        parameter = self.parameter(position)
        expected = parameter.sql_type.name if parameter.sql_type is not None else "ANY"
        return parameter.name, expected, sql_name(with_small_offsets(arrived))[:_SHOWN_CHARACTERS]

    def _values_type(self, position: int, arrived: pa.DataType) -> pa.DataType:
        """Return what the values of an argument are: see `type_mapping.labelled`."""
        parameter = self.parameter(position)
        if not supports(arrived):
            msg = (
                f"{self.label}: argument {position + 1} has the Arrow type {arrived}, for which there is no codec; "
                f"{'RESET arrow_output_version' if 'view' in str(arrived) else 'cast it, for example to VARCHAR'}"
            )
            raise SignatureError(msg)
        declared = None if parameter.sql_type is None else parameter.sql_type.arrow_type
        try:
            return labelled(arrived, declared, parse_json=parameter.parse_json)
        except MismatchError as error:
            msg = (
                f"{self.label}: in argument {position + 1}, {error}; run SET arrow_lossless_conversion = true, or "
                "cast it to VARCHAR and declare VARCHAR"
            )
            raise SignatureError(msg) from error

    def sees_null(self, position: int) -> bool:
        """Return whether NULL reaches the function as the argument at `position`; `bind` refuses one too many."""
        return (position >= len(self.parameters) and self.rest is None) or self.parameter(position).sees_null

    def parameter(self, position: int) -> Parameter:
        """Return the parameter that takes the argument at `position`, which `bind` has matched."""
        if position < len(self.parameters):
            return self.parameters[position]
        assert self.rest is not None
        return self.rest


def resolve(
    label: str,
    description: dict[str, Any],
    sql_type_of: SqlTypeOf,
    *,
    parameters: Sequence[str] | None = None,
    return_type: str | None = None,
    sees_null: bool = False,
) -> Signature:
    """Combine what the guest says of a function with what was declared.

    Args:
        label: how errors name the function.
        description: the guest's description of the function (`_udf_guest.description.describe`); it is not trusted.
        sql_type_of: looks SQL types up.
        parameters: declared SQL type names, one for each argument; None to go by annotations.
        return_type: the declared SQL type name; None to go by the annotation.
        sees_null: every NULL arrives as None (DuckDB's null_handling="special"), whatever the annotations say.

    Returns:
        The signature.

    Raises:
        SignatureError: an annotation or a type isn't known, or they contradict the function.
        ProtocolError: the description isn't one.
    """
    describer = _Describer(label, sql_type_of, by_annotation=parameters is None)
    positional, required, rest = _parameters(label, description.get("parameters"), describer, sees_null=sees_null)
    if parameters is not None:
        types = [describer.find(name, f"of parameter {i + 1}") for i, name in enumerate(parameters)]
        positional, required, rest = _declare(label, positional, required, rest, types)
    returned = _Described(None, none=False, json=False)
    if return_type is None:
        returned = _Describer(label, sql_type_of, by_annotation=True).read(description.get("returns"), "of the result")
    elif return_type != VARIANT:
        returned = _Described(describer.find(return_type, "of the result"), none=False, json=False)
    result_type = None
    if returned.sql_type is not None and returned.sql_type.name != VARIANT:
        result_type = returnable_type(label, returned.sql_type)
    name = VARIANT if returned.sql_type is None else returned.sql_type.name
    by_batch = bool(description.get("by_batch"))
    return Signature(label, tuple(positional), required, rest, name, result_type, by_batch)


def reason(unknown: KeyError) -> str:
    """Return why DuckDB doesn't know a type, as far as it says."""
    return f": {readable(str(unknown.__cause__))[:_SHOWN_CHARACTERS]}" if unknown.__cause__ else ""


def returnable_type(label: str, sql_type: SqlType) -> pa.DataType:
    """Return the Arrow type of a SQL type that results can have.

    Raises:
        SignatureError: the guest can't build any.
    """
    if result_type(sql_type.arrow_type) is None:
        msg = f"{label}: a result of the type {shown(sql_type.name)} can't be built; return VARIANT as a whole"
        raise SignatureError(msg)
    return sql_type.arrow_type


def shown(type_name: str) -> str:
    """Return a type's name as errors show it: the names of wide types are long."""
    return type_name if len(type_name) <= _SHOWN_CHARACTERS else f"{type_name[:_SHOWN_CHARACTERS]}..."


class _Described(NamedTuple):
    """What an annotation says: its SQL type (None for any), whether it admits None and wants JSON parsed."""

    sql_type: SqlType | None
    none: bool
    json: bool


class _Describer:
    """Reads the guest's descriptions of annotations."""

    def __init__(self, label: str, sql_type_of: SqlTypeOf, *, by_annotation: bool) -> None:
        """Prepare to read.

        Args:
            label: how errors name the function.
            sql_type_of: looks SQL types up.
            by_annotation: annotations give the types; otherwise what they say of them doesn't matter.
        """
        self._label = label
        self._sql_type_of = sql_type_of
        self._by_annotation = by_annotation

    def find(self, name: str, what: str) -> SqlType:
        """Return the SQL type of a declared name."""
        try:
            return self._sql_type_of(name)
        except KeyError as error:
            msg = f"{self._label}: the type {shown(name)} {what} is not one DuckDB knows{reason(error)}"
            raise SignatureError(msg) from error

    def read(self, described: object, what: str) -> _Described:
        """Return what the guest says of one annotation."""
        try:
            annotation, name, none, json, problem = (
                described[key]  # type: ignore[index]
                for key in ("annotation", "sql", "none", "json", "problem")
            )
        except (TypeError, KeyError) as error:
            msg = f"{self._label}: the guest's description {what} is malformed: {error!r}"
            raise ProtocolError(msg) from error
        sql_type = None
        annotation = readable(annotation)[:_SHOWN_CHARACTERS]
        if self._by_annotation and problem is not None:
            problem = readable(problem)[:_SHOWN_CHARACTERS]
            msg = f"{self._label}: the annotation {annotation!r} {what} {problem}; {_SEE}"
            raise SignatureError(msg)
        if self._by_annotation and name is not None:
            try:
                sql_type = self._sql_type_of(str(name))
            except KeyError as error:
                msg = (
                    f"{self._label}: the annotation {annotation!r} {what} is neither a Python type that SQL has nor a "
                    f"SQL type that DuckDB knows{reason(error)}; {_SEE}"
                )
                raise SignatureError(msg) from error
        return _Described(sql_type, bool(none), bool(json))


def _parameters(
    label: str, described: object, describer: _Describer, *, sees_null: bool
) -> tuple[list[Parameter], int, Parameter | None]:
    """Return the positional parameters, the number of those required, and the one that takes the rest."""
    positional: list[Parameter] = []
    required = 0
    rest = None
    if not isinstance(described, list):
        rest = Parameter("args", None, sees_null)  # a builtin that can't be inspected
        described = []
    for item in described:
        try:
            name, kind, has_no_default = (item[key] for key in ("name", "kind", "required"))
        except (TypeError, KeyError) as error:
            msg = f"{label}: the guest's description of a parameter is malformed: {error!r}"
            raise ProtocolError(msg) from error
        name = readable(name)[:_SHOWN_CHARACTERS]
        said = describer.read(item, f"of parameter {name!r}")
        parameter = Parameter(name, said.sql_type, sees_null or said.none, said.json)
        parameter = replace(parameter, default=_default(item.get("default"), parameter))
        if kind in ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD"):
            positional.append(parameter)
            required += bool(has_no_default)
        elif kind == "VAR_POSITIONAL":
            rest = parameter
        elif kind == "KEYWORD_ONLY" and has_no_default:
            msg = f"{label}: parameter {name!r} is keyword-only; SQL passes arguments by position, so give it a default"
            raise SignatureError(msg)
    return positional, required, rest


def _default(described: object, parameter: Parameter) -> tuple[Any, ...]:
    """Return the default of a parameter, of what the guest says; empty if an argument couldn't be the same value."""
    if not isinstance(described, list) or len(described) != 1 or parameter.parse_json:
        return ()
    (value,) = described
    if value is None:
        return (None,) if parameter.sees_null else ()
    declared = None if parameter.sql_type is None else parameter.sql_type.arrow_type
    try:
        if isinstance(value, (bool, int, float, str)):
            argument_type(pa.array([value]).type, declared, parse_json=False)
            return (value,)
    except (pa.ArrowException, MismatchError, ValueError, OverflowError):
        pass
    return ()


def _declare(
    label: str, positional: list[Parameter], required: int, rest: Parameter | None, declared: Sequence[SqlType]
) -> tuple[list[Parameter], int, None]:
    """Return the parameters under their declared types; `*args` takes as many as were declared."""
    if not required <= len(declared) or (len(declared) > len(positional) and rest is None):
        msg = f"{label}: {len(declared)} parameter type(s) declared, but the function takes {len(positional)}"
        raise SignatureError(msg)
    parameters = []
    for i, sql_type in enumerate(declared):
        parameter = positional[i] if i < len(positional) else rest
        assert parameter is not None  # checked above
        parameters.append(replace(parameter, sql_type=sql_type))
    return parameters, len(parameters), None
