"""Rows of a batch apart and together again: by the code that runs on them, or without those a function doesn't see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from duckdb_wasi_udf._arrow.value_checks import is_safe_as_variant
from duckdb_wasi_udf._errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def without_nulls(columns: Sequence[pa.Array]) -> pa.Array | None:
    """The rows in which no column is NULL, as row numbers; None when that is all of them."""
    keep = None
    for column in columns:
        if column.null_count:
            valid = column.is_valid()
            keep = valid if keep is None else pc.and_(keep, valid)
    return None if keep is None else pc.indices_nonzero(keep)


def by_value(keys: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """Each value that occurs, with the numbers of its rows; NULL is left out."""
    encoded = keys.dictionary_encode()
    for number, value in enumerate(encoded.dictionary.to_pylist()):
        yield value, pc.indices_nonzero(pc.equal(encoded.indices, number))


def together(parts: Sequence[tuple[pa.Array, pa.Array]], length: int, label: str) -> pa.Array:
    """The results of all rows.

    Args:
        parts: row numbers and the results for them.
        length: how many rows there are; those that occur in no part are NULL.
        label: how errors name the function.

    Returns:
        The results in the order of the rows: of the type of all parts, or a UNION of their types, of which a VARIANT
        takes each row's own.

    Raises:
        SignatureError: the types don't go together.
    """
    rows = pa.concat_arrays([numbers.cast(pa.int64()) for numbers, _ in parts])
    places = pc.index_in(pa.array(range(length), pa.int64()), rows)  # of each row among the results; NULL for none
    types = list(dict.fromkeys(results.type for _, results in parts if not pa.types.is_null(results.type)))
    if not types:
        return pa.nulls(length)
    members = [
        pa.concat_arrays([got if got.type == kind else pa.nulls(len(got), kind) for _, got in parts]).take(places)
        for kind in types
    ]
    if len(types) == 1:
        return members[0]
    member_of = {kind: number for number, kind in enumerate(types)}
    numbers = pa.concat_arrays(
        [pa.repeat(pa.scalar(member_of.get(got.type, 0), pa.int8()), len(got)) for _, got in parts]
    )
    union = pa.UnionArray.from_sparse(numbers.take(places).fill_null(0), members, [str(i) for i in range(len(types))])
    if not is_safe_as_variant(union.type):
        msg = (
            f"{label}: the codes of one batch return types that no VARIANT takes: {', '.join(map(str, types))}; "
            "use a typed form, such as py_udf_json"
        )
        raise SignatureError(msg)
    return union
