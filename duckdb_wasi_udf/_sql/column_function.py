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
            SignatureError: the number of columns is another, their lengths differ, or one is no column of its type.
            BaseException: what the host function raised.
            ValueError: there are too many or too few results.
        """
        arrays = self.arrays(*columns)
        result = self._granted.run(arrays, len(arrays[0]))
        return result if result.type == self.result_type else result.cast(self.result_type)

    def arrays(self, *columns: pa.Array | Sequence[object]) -> list[pa.Array]:
        """Return columns as arrays of the types of the parameters.

        Args:
            *columns: an array or list for each parameter, all of one length.

        Raises:
            SignatureError: the number of columns is another, their lengths differ, or one is no column of its type.
        """
        takes = f"{self.function.name} takes a column for each of its parameters ({', '.join(self.names) or 'none'})"
        for column in columns:
            if isinstance(column, (str, bytes)) or not hasattr(column, "__len__"):
                msg = f"{takes}: a list or an array, got {column!r:.100}"
                raise SignatureError(msg)
        if len(columns) != len(self.parameter_types) or len(set(map(len, columns))) > 1 or not columns:
            lengths = ", ".join(str(len(column)) for column in columns) or "none"
            msg = f"{takes}, all of one length; got columns of these lengths: {lengths}"
            raise SignatureError(msg)
        arrays = []
        for column, name, data_type in zip(columns, self.names, self.parameter_types, strict=True):
            try:
                arrays.append(_array(column, data_type))
            except (pa.ArrowException, TypeError, ValueError) as error:
                msg = f"{self.function.name}: the column {name!r} has values that are no {data_type}: {error}"
                raise SignatureError(msg) from error
        return arrays

    def __repr__(self) -> str:
        return f"<ColumnFunction {self.function.name}>"


def _array(column: pa.Array | Sequence[object], data_type: pa.DataType) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.Array):
        return column if column.type == data_type else column.cast(data_type)
    return pa.array(column, data_type)
