"""The type that annotates functions of the batch shape; columns themselves are wasm/c/calls/batch_column.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Iterator

_Value = TypeVar("_Value")


class Column(Protocol[_Value]):
    """A column of a batch of at most 2048 rows: what a function gets whose parameters are annotated with it.

    It is a sequence of the values that a row function would get, None for NULL. A column of numbers, dates or times is
    also a buffer of them, without a copy, as in `memoryview(column)`; a NULL may be any number there, which
    `nulls` says. It is valid until the call returns.

    Attributes:
        type: the SQL type, such as "BIGINT"; of a nested one the kind alone, such as "LIST".
        null_count: the number of NULLs.
        nulls: a byte for each row, 1 where it is NULL.

    Examples:
        >>> source = "def f(xs: Column[int]) -> list[int]: return [x * x for x in xs]"
        >>> con.execute("SELECT sum(py_udf_bigint($1, i)) FROM range(3) t(i)", [source]).fetchall()
        [(Decimal('5'),)]
    """

    type: str
    null_count: int
    nulls: bytes

    def __len__(self) -> int:
        """Return the number of rows."""

    def __iter__(self) -> Iterator[_Value]:
        """Return an iterator over the values, one for each row."""

    @overload
    def __getitem__(self, row: int) -> _Value: ...

    @overload
    def __getitem__(self, row: slice) -> list[_Value]: ...

    def to_list(self) -> list[_Value]:
        """Return the values as a list, which outlives the call."""
