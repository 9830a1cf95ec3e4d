"""The value of a SQL INTERVAL, on both sides of the sandbox: this file is part of the guest too."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Self


class IntervalParts(NamedTuple):
    """What an INTERVAL consists of: its parts don't convert into each other, since months and days vary in length.

    Attributes:
        months: calendar months, years included.
        days: calendar days.
        microseconds: the rest.
    """

    months: int
    days: int
    microseconds: int


class Interval(dt.timedelta):
    """A SQL INTERVAL (https://duckdb.org/docs/stable/sql/data_types/interval).

    It is the `timedelta` that DuckDB's own functions get, a month counted as 30 days, and keeps apart what that adds
    up. Arithmetic gives plain timedeltas.

    Attributes:
        parts: months, days and microseconds.

    Examples:
        >>> from duckdb_wasi_udf import Interval
        >>> month = Interval(months=1, days=2)
        >>> month.parts.months, month.days
        (1, 32)
    """

    __slots__ = ("_days", "_months")

    _days: int
    _months: int

    def __new__(cls, months: int = 0, days: int = 0, microseconds: int = 0) -> Self:
        """Make an interval of its parts, each of either sign.

        Args:
            months: calendar months.
            days: calendar days.
            microseconds: the rest.
        """
        interval = super().__new__(cls, days=30 * months + days, microseconds=microseconds)
        interval._months = months
        interval._days = days
        return interval

    @property
    def parts(self) -> IntervalParts:
        """Months, days and microseconds."""
        rest = dt.timedelta(self.days - 30 * self._months - self._days, self.seconds, self.microseconds)
        return IntervalParts(self._months, self._days, rest // dt.timedelta(microseconds=1))

    def __repr__(self) -> str:
        months, days, microseconds = self.parts
        return f"Interval(months={months}, days={days}, microseconds={microseconds})"

    def __reduce__(self) -> tuple[type[Interval], tuple[int, ...]]:
        return type(self), tuple(self.parts)
