"""Aggregate functions: scalar functions over the lists that DuckDB's own `list` makes of groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duckdb_wasi_udf._arrow.types import with_small_offsets
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.batch_split import merge
from duckdb_wasi_udf._functions.inline import InlineFunction
from duckdb_wasi_udf._functions.scalar import ScalarFunction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

# What the first argument says of a piece of a group (wasm/python/_udf_functions/aggregate.py).
_FIRST, _LAST = 1, 2

# Values of a group that arrive at once: as many Python objects exist at a time for a class with `step`.
_PIECE_VALUES = 2**16

# What goes into a guest with one call, unless a single group has more: DuckDB sends up to 2048 groups of any size.
_CALL_VALUES = 2**20
_CALL_BYTES = 32 * 2**20


class GroupFunction(ScalarFunction):
    """A function over groups. Each argument is a list column: a group's values in each row."""

    kind = "aggregate"
    _may_be_cut = False  # the pieces of a group follow each other in one instance; `run` cuts between groups

    def __init__(
        self,
        context: CallContext,
        domain: TrustDomain,
        definition: Definition,
        signature: Callable[[GuestInstance], Signature],
    ) -> None:
        """Define the function: see `ScalarFunction`.

        Args:
            context: the call that needs it.
            domain: whose engine and limits apply.
            definition: the function over whole groups, or the class with `step` and `finish`.
            signature: makes the signature, whose first parameter says which piece of a group the others are.
        """
        aggregate = replace(definition.wrapped("_udf_functions.aggregate:over_groups"), hidden_arguments=1)
        super().__init__(context, domain, aggregate, signature)
        self.source_hash = definition.source_hash
        self._signature = _without_piece(self.guest_signature)
        self._label = definition.label

    @property
    def signature(self) -> Signature:
        """Parameters and result of the SQL function."""
        return self._signature

    def run(self, context: CallContext, columns: Sequence[pa.Array], length: int) -> pa.Array:  # noqa: ARG002 - the lists' own
        """Run one batch of groups: see `ScalarFunction.run`."""
        lists = [self._lists(number, column) for number, column in enumerate(columns, 1)]
        if not lists:
            msg = f"{self._label}: an aggregate takes at least one column; write list(x)"
            raise SignatureError(msg)
        self._signature.bind([column.type for column in lists])  # for its message, which leaves the piece out
        sizes = np.maximum.reduce([np.diff(column.offsets.to_numpy()) for column in lists])
        calls = list(_calls(sizes, sum(column.nbytes for column in lists)))
        results = [self._run_groups(context, lists, sizes, begin, end) for begin, end in calls]
        return results[0] if len(results) == 1 else merge(results)

    def _lists(self, number: int, column: pa.Array) -> pa.ListArray:
        """Return a column of lists without NULLs, which stand for empty groups."""
        plain = pa.list_(pa.null()) if pa.types.is_null(column.type) else with_small_offsets(column.type)
        if plain != column.type:
            column = column.cast(plain)
        if not pa.types.is_list(column.type):
            msg = (
                f"{self._label}: argument {number} is of the Arrow type {column.type}, no list of a group's values; "
                "write list(x)"
            )
            raise SignatureError(msg)
        sizes = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
        return _lists_of(column.flatten(), np.concatenate([[0], np.cumsum(sizes)]), column.type)

    def _run_groups(
        self, context: CallContext, lists: list[pa.ListArray], sizes: np.ndarray, begin: int, end: int
    ) -> pa.Array:
        """Run the groups from `begin` to `end`."""
        counts = np.maximum(1, -(-sizes[begin:end] // _PIECE_VALUES))
        lasts = np.cumsum(counts) - 1
        firsts = lasts - counts + 1
        pieces = np.zeros(int(counts.sum()), dtype=np.int64)
        pieces[firsts] |= _FIRST
        pieces[lasts] |= _LAST
        group = np.repeat(np.arange(end - begin), counts)
        reached = (
            np.arange(len(pieces)) - firsts[group] + 1
        ) * _PIECE_VALUES  # values of the group up to a piece's end
        cut = []
        for column in lists:
            starts = column.offsets.to_numpy()[begin : end + 1]
            ends = starts[group] + np.minimum(reached, np.diff(starts)[group])
            cut.append(_lists_of(column.values, np.concatenate([starts[:1], ends]), column.type))
        results = super().run(context, [pa.array(pieces), *cut], len(pieces))
        return results if len(pieces) == end - begin else results.take(pa.array(lasts))


class InlineAggregate(InlineFunction):
    """`py_agg`: the first argument of every call is the code, the others are lists of groups."""

    function_class = GroupFunction


def _calls(sizes: np.ndarray, n_bytes: int) -> Iterator[tuple[int, int]]:
    """Return ranges of groups that go into a guest with one call each.

    Args:
        sizes: the values of each group.
        n_bytes: the size of all columns.
    """
    total = int(sizes.sum())
    most = max(1, min(_CALL_VALUES, total * _CALL_BYTES // max(n_bytes, 1)))
    if total <= most:
        yield 0, len(sizes)
        return
    reached = np.cumsum(sizes)
    begin, before = 0, 0
    while begin < len(sizes):
        end = max(begin + 1, int(np.searchsorted(reached, before + most, side="right")))
        yield begin, end
        begin, before = end, int(reached[end - 1])


def _lists_of(values: pa.Array, offsets: np.ndarray, data_type: pa.ListType) -> pa.ListArray:
    """Return the lists that begin and end at these offsets, with the values between the first and the last."""
    begin, end = int(offsets[0]), int(offsets[-1])
    return pa.ListArray.from_arrays(
        pa.array(offsets - begin, pa.int32()), values.slice(begin, end - begin), type=data_type
    )


def _without_piece(signature: Signature) -> Signature:
    """Return the signature as users see it."""
    return replace(signature, parameters=signature.parameters[1:], required=signature.required - 1)
