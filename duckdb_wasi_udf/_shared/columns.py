"""Rows that a table function gives by column, on both sides of the sandbox: this file is part of the guest too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_Row = TypeVar("_Row")


class Scan:
    """The scan that a guest is for.

    Attributes:
        wanted: the names of the columns that the query needs, in the order of the table's; None for all.
    """

    wanted: ClassVar[tuple[str, ...] | None] = None


def wanted_columns() -> tuple[str, ...] | None:
    """Return the columns that the query needs of the table function that calls this; None for all.

    A function may spare the work for others: it leaves them out of dicts, or gives None for them.

    Example:
        >>> code = '''
        ... from duckdb_wasi_udf import wanted_columns
        ... def pages(n: int) -> Iterator[TypedDict("Page", {"number": int, "text": str})]:
        ...     wanted = wanted_columns()
        ...     for i in range(n):
        ...         yield {"number": i, "text": "x" * 1000 if wanted is None or "text" in wanted else None}
        ... '''
    """
    return Scan.wanted


@final
class Columns(Generic[_Row]):
    """Some rows of a table function, column by column: quicker than one row after the other.

    A function may yield it in place of a row, as often as it likes, each time with any number of rows. Numbers in an
    `array.array` or another buffer of the format "q", "Q" or "d" are copied as they lie in memory.

    Attributes:
        by_name: the values of each column, in order.
        by_position: the columns were given without names, which then are "col0", "col1", and so on.

    Examples:
        >>> code = '''
        ... from duckdb_wasi_udf import Columns
        ... def squares(n: int) -> Iterator[Columns[tuple[int, int]]]:
        ...     for i in range(0, n, 1000):
        ...         numbers = range(i, min(n, i + 1000))
        ...         yield Columns(numbers, [x * x for x in numbers])
        ... '''
        >>> con.execute("SELECT count(*), max(col1) FROM py_table($1, args := {'n': 2500})", [code]).fetchall()
        [(2500, 6245001)]
    """

    __slots__ = ("by_name", "by_position")

    def __init__(self, /, *columns: Iterable[Any], **named: Iterable[Any]) -> None:
        """Take the columns, in the order of the table's, or by name, where one that is missing is NULL.

        Args:
            columns: the values of each column: a list, array, range or other iterable.
            named: the same by the columns' names; `**{"a name": [...]}` for one that is no identifier.

        Raises:
            TypeError: there are none, or of both kinds, or one is a single value.
            ValueError: they differ in length.
        """
        if bool(columns) == bool(named):
            msg = "Columns takes columns by position, as in Columns([1, 2]), or by name, as in Columns(a=[1, 2])"
            raise TypeError(msg)
        self.by_position = bool(columns)
        given = {f"col{i}": values for i, values in enumerate(columns)} if columns else named
        self.by_name: dict[str, Sequence[Any]] = {name: _sequence(name, values) for name, values in given.items()}
        lengths = {name: len(values) for name, values in self.by_name.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} has {length:,} values" for name, length in lengths.items())
            msg = f"the columns of Columns differ in length: {listed}"
            raise ValueError(msg)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.by_name.values())))


def _sequence(name: str, values: Iterable[Any]) -> Sequence[Any]:
    if isinstance(values, (str, dict)):
        msg = f"the column {name} of Columns is a {type(values).__name__}; give it a value for each row, such as a list"
        raise TypeError(msg)
    if hasattr(values, "__len__") and hasattr(values, "__getitem__"):
        return values  # type: ignore[return-value]
    return list(values)
