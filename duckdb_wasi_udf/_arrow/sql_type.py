"""A SQL type with the Arrow type of its values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa


class SqlType(NamedTuple):
    """A SQL type.

    Attributes:
        name: DuckDB's own name of it.
        arrow_type: what DuckDB makes of it with `arrow_lossless_conversion`.
    """

    name: str
    arrow_type: pa.DataType


# Looks a SQL type up by any name that DuckDB has for it, or raises KeyError; the name may come from the guest.
SqlTypeOf = Callable[[str], SqlType]
