"""SQL types as JSON schemas, and answers in JSON as values of them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from hostfuncs.serialization._conform import converter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FENCED = re.compile(r"\A\s*```\w*\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)
_WRAPPED = "answer"


class AnswerError(Exception):
    """An answer isn't what was asked for; the text is for the guest."""


class AnswerType:
    """The type that answers have.

    Attributes:
        response_format: what the request says of it; None for plain text.
        read: makes the text of an answer a value; raises AnswerError.
    """

    response_format: dict[str, Any] | None
    read: Callable[[str], Any]

    def __init__(self, name: str, data_type: pa.DataType) -> None:
        """Find how to ask for it.

        Args:
            name: the SQL type.
            data_type: the same in Arrow.

        Raises:
            ValueError: JSON has nothing for the type.
        """
        self._name = name
        self._type = _with_texts(data_type)
        if name == "VARCHAR":
            self.response_format, self.read = None, str
            return
        if name == "JSON":
            self.response_format, self.read = {"type": "json_object"}, self._read_any
            return
        self._is_object = pa.types.is_struct(data_type)
        self._schema = schema = _schema(data_type, _labels(DuckDBPyType(name)), nullable=False)
        self._convert = converter(self._type)
        if not self._is_object:  # the whole has to be an object
            schema = _object({_WRAPPED: schema})
        self.response_format = {
            "type": "json_schema",
            "json_schema": {"name": _WRAPPED, "strict": True, "schema": schema},
        }
        self.read = self._read

    def _read_any(self, text: str) -> str:
        return json.dumps(_parsed(text), ensure_ascii=False)

    def _read(self, text: str) -> Any:
        value = _parsed(text)
        fields = [field.name for field in self._type] if self._is_object else [_WRAPPED]
        missing = [name for name in fields if name not in value] if isinstance(value, dict) else fields
        if missing:
            msg = f"the answer is no {self._name}: it has no {missing[0]}"
            raise AnswerError(msg)
        try:
            converted = self._convert(value if self._is_object else value[_WRAPPED])
            _check_labels(converted, self._schema)
            pa.array([converted], self._type)
        except (TypeError, ValueError, OverflowError, RecursionError, pa.ArrowException) as error:
            msg = f"the answer is no {self._name}: {str(error)[:200]}"
            raise AnswerError(msg) from error
        return converted


def _parsed(text: str) -> Any:
    fenced = _FENCED.match(text)
    try:
        return json.loads(fenced[1] if fenced else text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        msg = "the answer is not JSON"
        raise AnswerError(msg) from error


def _refuse(constant: str) -> Any:
    msg = f"{constant} is no number in JSON"
    raise ValueError(msg)


def _object(fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _schema(data_type: pa.DataType, labels: Iterator[list[str]], *, nullable: bool = True) -> dict[str, Any]:
    """Return the JSON schema of a type, as strict structured output takes it.

    Args:
        data_type: the type.
        labels: what `_labels` returns; those of ENUMs in it are taken.
        nullable: null is a value.
    """
    types = pa.types
    if types.is_struct(data_type):
        schema = _object({field.name: _schema(field.type, labels) for field in data_type})
    elif types.is_list(data_type):
        schema = {"type": "array", "items": _schema(data_type.value_type, labels)}
    elif types.is_dictionary(data_type):
        schema = {"type": "string", "enum": [*next(labels), *([None] if nullable else [])]}
    elif types.is_boolean(data_type):
        schema = {"type": "boolean"}
    elif types.is_integer(data_type):
        schema = {"type": "integer"}
    elif types.is_floating(data_type) or types.is_decimal(data_type):
        schema = {"type": "number"}
    elif types.is_date(data_type):
        schema = {"type": "string", "format": "date"}
    elif types.is_timestamp(data_type):
        schema = {"type": "string", "format": "date-time"}
    elif types.is_string(data_type) or types.is_time(data_type):
        schema = {"type": "string"}
    else:
        msg = f"answers can't have the type {data_type}; use STRUCT, lists, ENUM, numbers, VARCHAR, dates or JSON"
        raise ValueError(msg)
    return schema | {"type": [schema["type"], "null"]} if nullable else schema


def _labels(sql_type: DuckDBPyType) -> Iterator[list[str]]:
    """Return the labels of the ENUMs in a type, which its Arrow type hasn't, in order."""
    inside: list[tuple[str, Any]] = list(sql_type.children) if sql_type.id in {"enum", "struct", "list"} else []
    for _, child in inside:
        if sql_type.id == "enum":
            yield list(child)
        else:
            yield from _labels(child)


def _with_texts(data_type: pa.DataType) -> pa.DataType:
    """Return a type with VARCHAR in the place of ENUM."""
    types = pa.types
    if types.is_struct(data_type):
        return pa.struct([field.with_type(_with_texts(field.type)) for field in data_type])
    if types.is_list(data_type):
        return pa.list_(_with_texts(data_type.value_type))
    return pa.string() if types.is_dictionary(data_type) else data_type


def _check_labels(value: Any, schema: dict[str, Any]) -> None:
    """Raise ValueError if the value of an ENUM is none of its labels."""
    if value is None:
        return
    for name, inside in schema.get("properties", {}).items():
        _check_labels(value[name], inside)
    if "items" in schema:
        for item in value:
            _check_labels(item, schema["items"])
    labels = schema.get("enum")
    if labels is not None and value not in labels:
        msg = f"{value[:40]!r} is none of {', '.join(repr(label) for label in labels if label is not None)}"
        raise ValueError(msg)
