"""What a host function takes and returns, read from its annotations and what was declared."""

from __future__ import annotations

import inspect
import math
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._shared import annotations as annotation_meaning
from duckdb_wasi_udf._shared.column import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa


_SEE = "annotate it, or give `parameters` and `return_type`; docs/guide/host-functions.md has the types"


@dataclass(frozen=True, slots=True)
class HostValue:
    """A parameter, or the result.

    Attributes:
        name: the parameter's name.
        type: the type of one value, as SQL text or Arrow type.
        default: Python code of the default; None without one.
        convert: makes what the annotation names of an argument's value; None when they are the same.
        parsed: values of the SQL type JSON are wanted as objects, not as text.
        as_array: the function takes its column as an Arrow array, not as a list.
    """

    name: str
    type: str | pa.DataType
    default: str | None = None
    convert: Callable[[Any], Any] | None = None
    parsed: bool = False
    as_array: bool = False


class ParameterReader:
    """Reads what a function takes and returns from its annotations and what was declared."""

    def __init__(
        self,
        label: str,
        function: Callable[..., Any],
        types: Sequence[str | pa.DataType] | None,
        return_type: str | pa.DataType | None,
        batched: bool | None,  # noqa: FBT001 - as given by the user
    ) -> None:
        self._label = label
        unwrapped = inspect.unwrap(function)
        self._namespace = getattr(unwrapped, "__globals__", getattr(type(function), "__dict__", {}))
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # builtins may have none
            signature = inspect.Signature([inspect.Parameter("value", inspect.Parameter.VAR_POSITIONAL)])
        taken = self._taken(signature, None if types is None else len(types))
        empty = inspect.Parameter.empty
        written = [self._evaluated(parameter.annotation, f"of {parameter.name!r}") for parameter in taken]
        returned = self._evaluated(signature.return_annotation, "of the result")
        if batched is None:
            batched = bool(taken) and all(map(_is_column, written)) and (_is_column(returned) or returned is empty)
        self.batched = batched
        self.arguments = [
            self._value(
                parameter.name,
                annotation,
                None if types is None else types[i],
                default=None if parameter.default is empty else repr(parameter.default),
            )
            for i, (parameter, annotation) in enumerate(zip(taken, written, strict=True))
        ]
        self.result = self._value("the result", returned, return_type)

    def _taken(self, signature: inspect.Signature, declared: int | None) -> list[inspect.Parameter]:
        """Return the parameters that guests give, as many as types were declared."""
        taken: list[inspect.Parameter] = []
        rest = None
        for parameter in signature.parameters.values():
            has_default = parameter.default is not parameter.empty
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                if not has_default or _is_plain(parameter.default):
                    taken.append(parameter)
            elif parameter.kind is parameter.VAR_POSITIONAL:
                rest = parameter
            elif parameter.kind is parameter.KEYWORD_ONLY and not has_default:
                msg = f"{self._label}: guests pass arguments by position; give {parameter.name!r} a default"
                raise SignatureError(msg)
        if declared is not None:
            if rest is not None and declared > len(taken):
                numbers = range(declared - len(taken))
                taken += [inspect.Parameter(f"{rest.name}{i}", inspect.Parameter.POSITIONAL_ONLY) for i in numbers]
            required = sum(parameter.default is parameter.empty for parameter in taken)
            if not required <= declared <= len(taken):
                msg = f"{self._label}: {declared} parameter type(s) given, but the function takes {len(taken)}"
                raise SignatureError(msg)
        return taken[:declared]

    def _evaluated(self, annotation: Any, what: str) -> Any:
        if annotation is inspect.Parameter.empty:
            return annotation
        try:
            return annotation_meaning.evaluated(annotation, self._namespace)
        except annotation_meaning.UnsupportedAnnotationError as error:
            if isinstance(annotation, str):
                return annotation  # a SQL type
            msg = f"{self._label}: the annotation {annotation!r} {what} {error}"
            raise SignatureError(msg) from error

    def _value(
        self, name: str, annotation: Any, declared: str | pa.DataType | None, default: str | None = None
    ) -> HostValue:
        """Return the description of one parameter, or of the result."""
        as_array = self.batched and not _is_list(annotation)
        if annotation is inspect.Parameter.empty:
            if declared is None:
                msg = f"{self._label}: {name} has no annotation; {_SEE}"
                raise SignatureError(msg)
            return HostValue(name, declared, default, as_array=as_array)
        if self.batched and _is_column(annotation):
            inner = typing.get_args(annotation)
            annotation = inner[0] if inner else None
        try:
            meaning = annotation_meaning.read(annotation, self._namespace)
        except annotation_meaning.UnsupportedAnnotationError as error:
            if declared is not None:
                return HostValue(name, declared, default, as_array=as_array)
            msg = f"{self._label}: the annotation {annotation!r} of {name} {error}; {_SEE}"
            raise SignatureError(msg) from error
        if declared is not None:
            return HostValue(name, declared, default, as_array=as_array)
        if meaning.sql is None:
            why = meaning.vague or "doesn't say of which type values are"
            msg = f"{self._label}: the annotation of {name} {why}; {_SEE}"
            raise SignatureError(msg)
        if meaning.json and meaning.sql != "JSON":
            msg = f"{self._label}: the annotation of {name} has JSON inside {meaning.sql}; {_SEE}"
            raise SignatureError(msg)
        return HostValue(name, meaning.sql, default, meaning.convert, meaning.json, as_array)


def _is_list(annotation: Any) -> bool:
    return annotation is list or typing.get_origin(annotation) is list


def _is_column(annotation: Any) -> bool:
    """Return whether it is that of a column, in a function whose other annotations are too."""
    return _is_list(annotation) or annotation is Column or typing.get_origin(annotation) is Column


def _is_plain(value: Any) -> bool:
    """Return whether the guest can have the value as Python code."""
    return value is None or type(value) in (bool, int, str, bytes) or (type(value) is float and math.isfinite(value))
