"""Split a batch by code, by NULLs or by size, and merge the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duckdb_wasi_udf._arrow.value_checks import is_safe_as_variant
from duckdb_wasi_udf._errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def rows_without_nulls(columns: Sequence[pa.Array]) -> pa.Array | None:
    """Return the numbers of the rows in which no column is NULL; None when that is all of them."""
    keep = None
    for column in columns:
        if column.null_count:
            valid = column.is_valid()
            keep = valid if keep is None else pc.and_(keep, valid)
    return None if keep is None else pc.indices_nonzero(keep)


def split_by_code(codes: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """Return each code that occurs, with the numbers of its rows; NULL is left out."""
    encoded = codes.dictionary_encode()
    for number, code in enumerate(encoded.dictionary.to_pylist()):
        yield code, pc.indices_nonzero(pc.equal(encoded.indices, number))


# What goes into a guest with one call is this part of its memory, which holds the arguments, their Python objects, and
# the results: 16 MiB by default, or a single row.
PIECES = 16


def ranges_by_size(columns: Sequence[pa.Array], length: int, most_bytes: int, row_bytes: int) -> list[range]:
    """Return the rows of a batch in pieces that are small enough, in order; a row that isn't is a piece by itself.

    Args:
        columns: the arguments.
        length: the number of rows.
        most_bytes: the bytes of a piece, of arguments and results each.
        row_bytes: the bytes that a result takes at least.
    """
    most_rows = max(1, most_bytes // max(row_bytes, 1))
    pending, pieces = [range(length)], []
    while pending:
        rows = pending.pop()
        size = sum([column.slice(rows.start, len(rows)).nbytes for column in columns])
        if len(rows) <= 1 or (len(rows) <= most_rows and size <= most_bytes):
            pieces.append(rows)
            continue
        middle = (rows.start + rows.stop) // 2
        pending += [range(middle, rows.stop), range(rows.start, middle)]
    return pieces


def rows_of(columns: Sequence[pa.Array], rows: range) -> list[pa.Array]:
    """Return some rows of a batch. A slice of what nests would bring the values of all rows along."""
    numbers = pa.array(rows, pa.int32())
    return [
        column.take(numbers) if pa.types.is_nested(column.type) else column.slice(rows.start, len(rows))
        for column in columns
    ]


def merge_rows(parts: Sequence[tuple[pa.Array, pa.Array]], length: int, label: str) -> pa.Array:
    """Return the results of a batch that was split by rows.

    Args:
        parts: row numbers and the results for them.
        length: the number of rows; those that occur in no part are NULL.
        label: the function's name in errors.

    Returns:
        The results in the order of the rows: see `merge`.

    Raises:
        SignatureError: the types don't go together.
    """
    rows = pa.concat_arrays([numbers.cast(pa.int64()) for numbers, _ in parts])
    places = pc.index_in(pa.array(range(length), pa.int64()), rows)
    merged = merge([results for _, results in parts], places)
    if not is_safe_as_variant(merged.type):
        msg = (
            f"{label}: the codes of one batch return types that no VARIANT takes: {_member_types(merged)}; use a typed "
            "form, such as py_udf_json"
        )
        raise SignatureError(msg)
    return merged


def merge_in_order(results: Sequence[pa.Array], label: str) -> pa.Array:
    """Return the results of a batch that was cut into pieces.

    Args:
        results: of each piece, in order.
        label: the function's name in errors.

    Raises:
        SignatureError: types were inferred that don't go together.
    """
    if all(result.type == results[0].type for result in results):
        return pa.concat_arrays(results)
    merged = merge(results)
    if not is_safe_as_variant(merged.type):
        msg = (
            f"{label}: the rows of one batch have types that no VARIANT takes: {_member_types(merged)}; declare the "
            "result type, such as JSON"
        )
        raise SignatureError(msg)
    return merged


def _member_types(merged: pa.UnionArray) -> str:
    return ", ".join(str(merged.type.field(i).type) for i in range(merged.type.num_fields))


def merge(results: Sequence[pa.Array], places: pa.Array | None = None) -> pa.Array:
    """Return the results of several calls as one array.

    Args:
        results: the results, whose types were inferred and may differ.
        places: for each row of the merged array, its place in the results one after the other; NULL for a row that is
            NULL. None for all rows in their order.

    Returns:
        An array of the type of all results, or a UNION of their types, of which each row keeps its own.
    """
    parts = [_members(result) for result in results]
    types = list(dict.fromkeys(kind for members, _ in parts for kind in members if not pa.types.is_null(kind)))
    if not types:
        return pa.nulls(sum(map(len, results)) if places is None else len(places))
    columns = [
        pa.concat_arrays([members[kind] if kind in members else pa.nulls(len(tags), kind) for members, tags in parts])
        for kind in types
    ]
    if places is not None:
        columns = [column.take(places) for column in columns]
    if len(types) == 1:
        return columns[0]
    numbers = [np.array([types.index(kind) if kind in types else 0 for kind in members]) for members, _ in parts]
    tags = pa.array(
        np.concatenate([number[tags] for number, (_, tags) in zip(numbers, parts, strict=True)]).astype(np.int8)
    )
    return pa.UnionArray.from_sparse(tags if places is None else tags.take(places).fill_null(0), columns)


def _members(result: pa.Array) -> tuple[dict[pa.DataType, pa.Array], np.ndarray]:
    """Return the values of each type, NULL where a row is of another, and which of the types each row is of."""
    if not pa.types.is_union(result.type):
        return {result.type: result}, np.zeros(len(result), dtype=np.int8)
    members = [result.field(i) for i in range(result.type.num_fields)]
    return {member.type: member for member in members}, result.type_codes.to_numpy()
