"""Host functions that decode and encode documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from duckdb_wasi_udf import HostFunction
from hostfuncs._options import extra
from hostfuncs._types import arrow_type, sql_type
from hostfuncs.serialization import _tables
from hostfuncs.serialization._conform import converter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Unpack

    from hostfuncs._options import Options
    from hostfuncs.serialization._documents import Format

_SHOWN_CHARACTERS = 300


class DocumentError(ValueError):
    """A document is malformed, or a value can't be put into one.

    Attributes:
        row: the row of the batch, counted from 0.
    """

    def __init__(self, row: int, error: Exception) -> None:
        super().__init__(f"row {row}: {type(error).__name__}: {str(error)[:_SHOWN_CHARACTERS]}")
        self.row = row


def decode(
    format: str,  # noqa: A002 - the field's word
    value_type: str,
    *,
    errors: Literal["raise", "null"] = "raise",
    input_bytes: int = 8 * 2**20,
    output_bytes: int = 64 * 2**20,
    **options: Unpack[Options],
) -> HostFunction:
    """Decode documents, by default under the name `decode_json` and so on.

    Args:
        format: "json", "yaml", "msgpack", "cbor", "arrow" or "parquet".
        value_type: the SQL type of the values, such as "STRUCT(id BIGINT, tags VARCHAR[])"; what a STRUCT has no field
            for is left out, what a document lacks is NULL. "JSON" takes anything.
        errors: "raise" fails the call for a malformed document, "null" makes its value NULL.
        input_bytes: how large the documents of a batch may be together.
        output_bytes: how large the values of a batch may be together, as Arrow arrays.
        **options: see `hostfuncs.Options`.

    Returns:
        A batched host function of one parameter.

    Raises:
        ImportError: the extra `serialization` is not installed.
        ValueError: the format or the type is not one of those; on calling, the batch is too large.
        DocumentError: on calling, a document is malformed, or doesn't fit the type.
    """
    result = arrow_type(value_type)
    table = _tables.tables(format, value_type, output_bytes)
    if table is not None:
        document, read = "BLOB", table.loads
    else:
        known = _known(format)
        document, read = known.document, _reading(known.loads, value_type, result)
    tolerant = _tolerant(errors)

    def decoded(documents: pa.Array) -> pa.Array:
        """Decode each document."""
        _check_size("documents", documents.nbytes, input_bytes)
        values: list[Any] = []
        size = 0
        for value in _each(documents.to_pylist(), read, tolerant=tolerant):
            size += value.nbytes if table is not None and value is not None else 0
            _check_size("values", size, output_bytes)
            values.append(value)
        array = _array(values, result, tolerant=tolerant) if table is None else _lists(values, result)
        _check_size("values", array.nbytes, output_bytes)
        return array

    return _function(decoded, f"decode_{format}", document, value_type, options)


def encode(
    format: str,  # noqa: A002 - the field's word
    value_type: str,
    *,
    errors: Literal["raise", "null"] = "raise",
    input_bytes: int = 8 * 2**20,
    **options: Unpack[Options],
) -> HostFunction:
    """Encode values as documents, by default under the name `encode_json` and so on.

    What a format has no form for becomes text: a DECIMAL, dates and times in ISO 8601. NULL has no document.

    Args:
        format: "json", "yaml", "msgpack", "cbor", "arrow" or "parquet".
        value_type: the SQL type of the values; "JSON" takes JSON text.
        errors: "raise" fails the call for a value that the format has no form for, "null" makes its document NULL.
        input_bytes: how large the values of a batch may be together, as an Arrow array.
        **options: see `hostfuncs.Options`.

    Returns:
        A batched host function of one parameter.

    Raises:
        ImportError: the extra `serialization` is not installed.
        ValueError: the format or the type is not one of those; on calling, the batch is too large.
        DocumentError: on calling, a value can't be encoded.
    """
    arrow_type(value_type)
    table = _tables.tables(format, value_type, input_bytes)
    write: Callable[[Any], Any]
    if table is not None:
        document, write = "BLOB", table.dumps
    else:
        known = _known(format)
        document, write = known.document, known.dumps
        if sql_type(value_type) == "JSON":
            from_json = _known("json").loads
            write = lambda text: known.dumps(from_json(text))  # noqa: E731
    tolerant = _tolerant(errors)

    def encoded(values: pa.Array) -> pa.Array:
        """Encode each value as a document."""
        _check_size("values", values.nbytes, input_bytes)
        rows: Iterable[Any] = (
            (one.values for one in values) if table is not None else values.to_pylist(maps_as_pydicts="strict")
        )
        return pa.array(list(_each(rows, write, tolerant=tolerant)), arrow_type(document))

    return _function(encoded, f"encode_{format}", value_type, document, options)


def _function(
    function: Callable[[pa.Array], pa.Array], name: str, parameter: str, return_type: str, options: Options
) -> HostFunction:
    chosen: Options = {"name": name, **options}
    return HostFunction(function, parameters=[parameter], return_type=return_type, batched=True, **chosen)


def _each(values: Iterable[Any], convert: Callable[[Any], Any], *, tolerant: bool) -> Iterator[Any]:
    """Convert each value; NULL is none, and so is what can't be where that is tolerated."""
    for row, value in enumerate(values):
        made = None
        if value is not None:
            try:
                made = convert(value)
            except Exception as error:  # libraries raise what they like for a malformed document
                if not tolerant:
                    raise DocumentError(row, error) from error
        yield made


def _known(name: str) -> Format:
    with extra("serialization"):
        from hostfuncs.serialization._documents import documents
    known = documents(name)
    if known is None:
        msg = f"format must be 'json', 'yaml', 'msgpack', 'cbor', 'arrow' or 'parquet', got {name!r}"
        raise ValueError(msg)
    return known


def _tolerant(errors: str) -> bool:
    if errors not in {"raise", "null"}:
        msg = f"errors must be 'raise' or 'null', got {errors!r}"
        raise ValueError(msg)
    return errors == "null"


def _reading(loads: Callable[[Any], Any], value_type: str, result: pa.DataType) -> Callable[[Any], Any]:
    """Return a reader of documents, which returns what Arrow takes for the type."""
    if sql_type(value_type) == "JSON":
        to_json = _known("json").dumps
        return lambda document: to_json(loads(document))
    convert = converter(result)
    return lambda document: convert(loads(document))


def _array(values: list[Any], result: pa.DataType, *, tolerant: bool) -> pa.Array:
    """Return the values as one array; only this notices numbers beyond their type's range."""
    try:
        return pa.array(values, result)
    except (pa.ArrowException, OverflowError):
        for row, value in enumerate(values):
            try:
                pa.array([value], result)
            except (pa.ArrowException, OverflowError) as error:
                if not tolerant:
                    raise DocumentError(row, error) from error
                values[row] = None
    return pa.array(values, result)


def _lists(values: list[pa.StructArray | None], result: pa.ListType) -> pa.Array:
    """Return the rows of each document as a list."""
    offsets = [0]
    for value in values:
        offsets.append(offsets[-1] + (0 if value is None else len(value)))
    rows = pa.concat_arrays([pa.array([], result.value_type), *(value for value in values if value is not None)])
    missing = pa.array([value is None for value in values], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), rows, type=result, mask=missing)


def _check_size(what: str, size: int, allowed: int) -> None:
    if size > allowed:
        msg = f"the {what} of the batch are {size} bytes, {allowed} are allowed"
        raise ValueError(msg)
