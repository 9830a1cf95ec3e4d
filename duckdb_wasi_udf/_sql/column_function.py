"""Host functions as functions of Arrow columns, for those that are built around others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._host_functions.grants import Granted
from duckdb_wasi_udf._sql.types import sql_type_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb_wasi_udf._host_functions.function import HostFunction


class ColumnFunction:
    """A host function that is called with Arrow columns, as a sandbox calls it, but without its gate and its timeout.

    It is what another host function calls that caches, limits or repeats the calls of this one.

    Attributes:
        function: the host function.
        names: the names of its parameters.
        parameter_types: the Arrow type of each parameter's column.
        result_type: the Arrow type of the result's column.

    Examples:
        >>> call = wasi_udf.ColumnFunction(fx_rate)
        >>> call(["EUR", "XXX"])
        <pyarrow.lib.DoubleArray object at ...>
    """

    def __init__(self, function: HostFunction) -> None:
        """Find the types.

        Args:
            function: the host function.

        Raises:
            SignatureError: DuckDB doesn't know one of its types, or it can't be passed.
        """
        self._granted = Granted(function, sql_type_of)
        self.function = function
        self.names = [argument.name for argument in function.arguments]
        self.parameter_types = self._granted.types
        self.result_type = self._granted.returned([]).type

    def __call__(self, *columns: pa.Array | Sequence[object]) -> pa.Array:
        """Call the host function for all rows: at once if it is batched, else one after the other.

        Args:
            *columns: an array or list for each parameter, all of one length.

        Returns:
            As many results, of the type `result_type`.

        Raises:
            SignatureError: the number of columns is another, or their lengths differ.
            BaseException: what the host function raised.
            ValueError: a value isn't of its type, or there are too many or too few results.
        """
        if len(columns) != len(self.parameter_types) or len(set(map(len, columns))) > 1 or not columns:
            lengths = ", ".join(str(len(column)) for column in columns) or "none"
            msg = (
                f"{self.function.name} takes a column for each of its parameters ({', '.join(self.names) or 'none'}), "
                f"all of one length; got columns of these lengths: {lengths}"
            )
            raise SignatureError(msg)
        arrays = [
            column if isinstance(column, pa.Array) and column.type == data_type else _array(column, data_type)
            for column, data_type in zip(columns, self.parameter_types, strict=True)
        ]
        result = self._granted.run(arrays, len(arrays[0]))
        return result if result.type == self.result_type else result.cast(self.result_type)

    def __repr__(self) -> str:
        return f"<ColumnFunction {self.function.name}>"


def _array(column: pa.Array | Sequence[object], data_type: pa.DataType) -> pa.Array:
    return column.cast(data_type) if isinstance(column, pa.Array) else pa.array(column, data_type)
