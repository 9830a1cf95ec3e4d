"""A row function over whole tables, in any process: `batch_function` and `apply`."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._arrow.foreign_types import with_durations
from duckdb_wasi_udf._errors import SignatureError, noting
from duckdb_wasi_udf._frames.carried import reduced
from duckdb_wasi_udf._frames.columns import plain_type, sql_types
from duckdb_wasi_udf._frames.running import Recipe, functions
from duckdb_wasi_udf._frames.settings import SandboxSettings, collected, import_path
from duckdb_wasi_udf._frames.tables import arrow_columns, column_names, library_of, rows_of, with_columns
from duckdb_wasi_udf._functions.shipping import ship
from duckdb_wasi_udf._functions.signature import shown
from duckdb_wasi_udf._guests.trust_domain import IncomingCall
from duckdb_wasi_udf._limits import DataLimits, ResourceLimits, check_kinds
from duckdb_wasi_udf._sql.arguments import choice

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._host_functions.function import HostFunction

    _Table = TypeVar("_Table")

# How errors call a function without a name.
_LABEL = "batch_function"

_SHOWN = 20  # of the names that an error lists


class BatchFunction:
    """A row function that takes a table and returns it with its results as columns: see `batch_function`.

    It can be pickled. Each process that calls it opens a sandbox, which functions with the same settings share, and
    closes it after a minute without calls.

    Attributes:
        schema: the columns that it adds.
        parameters: the columns that it takes, by the names of its parameters.
        any_rows: a row of the table becomes any number of rows.
        by_batch: the function takes columns of up to 2048 rows, not the values of a row.
    """

    def __init__(self, recipe: Recipe) -> None:
        """Define the function, so that its mistakes show now: see `batch_function`."""
        self._key = recipe.digest
        with functions.use(self._key, recipe.open) as running:
            signature = running.function.guest_signature
            name = running.name
            self._recipe = replace(recipe, definition=running.definition)
        self._label = self._recipe.definition.label
        self.any_rows = recipe.any_rows
        self.parameters = tuple([parameter.name for parameter in signature.parameters])
        self.by_batch = signature.by_batch
        self._required = signature.required
        self._result_type = self._plain_type(signature)
        columns = recipe.columns
        row = recipe.any_rows or (columns is not None and len(columns) > 1)
        self._is_row = row and pa.types.is_struct(self._result_type)
        if self._is_row:
            self.schema = pa.schema(list(self._result_type))
        else:
            added = name if name.isidentifier() else "result"
            self.schema = pa.schema([(added if columns is None else next(iter(columns)), self._result_type)])

    def __call__(self, table: _Table) -> _Table:
        """Return a table with the function's results as further columns.

        Args:
            table: a pyarrow Table or RecordBatch, a Polars DataFrame or LazyFrame, or a pandas DataFrame, with a column
                for each parameter, by its name. A parameter with a default needs none.

        Returns:
            The same kind of table; a column of the same name is replaced.

        Raises:
            SignatureError: a column is missing, or isn't of the parameter's type.
            GuestError: the function raised; its `row` is counted from the table's first.
            WasiUdfError: a limit was exceeded, among others.
        """
        library = library_of(table)
        if library == "polars lazy":
            return self._lazily(table)  # type: ignore[no-any-return]
        names = self._arguments(column_names(table))
        arguments = arrow_columns(table, names)
        length = len(table)  # type: ignore[arg-type]
        added, sources = self._results(arguments, length)
        return with_columns(table if sources is None else rows_of(table, sources), added)  # type: ignore[no-any-return]

    def iterate(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Return record batches with the function's results as further columns, one after the other.

        Args:
            batches: those without, such as a dataset's scanner or Spark's `mapInArrow` gives.

        Raises:
            WasiUdfError: as for a table; a note says with which row of all the batch begins.
        """
        row = 0
        for batch in batches:
            with noting(f"in the batch that begins with row {row:,}"):
                made = self(batch)
            yield made
            row += len(batch)

    def check(self, schema: pa.Schema) -> None:
        """Check that tables with some columns can be passed, before there is one.

        Args:
            schema: the columns.

        Raises:
            SignatureError: one is missing, or isn't of the parameter's type.
        """
        arguments = arrow_columns(schema.empty_table(), self._arguments(schema.names))
        with functions.use(self._key, self._recipe.open) as running:
            signature = running.function.guest_signature
            signature.bind(signature.argument_types(arguments.schema.types))

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what is pickled: the sources, the version they are for, and what says that a process lacks it."""
        return reduced(self._label, pickle.dumps(self._recipe))

    def __repr__(self) -> str:
        added = ", ".join(f"{field.name} {field.type}" for field in self.schema)
        return f"<BatchFunction {self._label}({', '.join(self.parameters)}) -> {added}>"

    def _plain_type(self, signature: Signature) -> pa.DataType:
        """Return the type of one result, which other libraries know."""
        if signature.rest is not None:
            msg = f"{self._label}: parameters are found by name in the table, so *{signature.rest.name} isn't"
            raise SignatureError(msg)
        if signature.result_type is None:
            msg = (
                f"{self._label}: the type of the column isn't known; annotate the function's result, as in "
                f"{'-> Iterator[float]' if self.any_rows else '-> float'}, or pass columns={{'name': 'DOUBLE'}}"
            )
            raise SignatureError(msg)
        if self.any_rows and signature.by_batch:
            msg = (
                f"{self._label}: a function of columns returns a value for each row; with rows='any' its parameters "
                "are values, so annotate them without Column"
            )
            raise SignatureError(msg)
        plain = plain_type(signature.result_type.value_type if self.any_rows else signature.result_type)
        if plain is None:
            msg = (
                f"{self._label}: a column of {shown(signature.return_type)} is known to DuckDB alone; "
                "return VARCHAR, JSON, DECIMAL or BLOB, say, and give columns={...} accordingly"
            )
            raise SignatureError(msg)
        return plain

    def _arguments(self, there: Sequence[str]) -> list[str]:
        """Return the columns that are passed, of those that are there."""
        names = list(self.parameters)
        while len(names) > self._required and names[-1] not in there:
            names.pop()
        missing = [name for name in names if name not in there]
        if missing:
            msg = (
                f"{self._label}: the table has no column {', '.join(map(repr, missing))}, which the "
                f"function takes by name; it has {', '.join(map(repr, there[:_SHOWN])) or 'none'}"
                f"{f' and {len(there) - _SHOWN} more' if len(there) > _SHOWN else ''}"
            )
            raise SignatureError(msg)
        twice = [name for name in names if list(there).count(name) > 1]
        if twice:
            msg = f"{self._label}: the table has several columns {twice[0]!r}; rename all but one"
            raise SignatureError(msg)
        return names

    def _results(self, arguments: pa.Table, length: int) -> tuple[pa.Table, pa.Array | None]:
        """Return the columns that are added for some rows, and which row each is of; None for one of each in order."""
        pieces: list[pa.Array] = []
        sources: list[pa.Array] = []
        with functions.use(self._key, self._recipe.open) as running:
            for start in range(0, length, _abi.VECTOR_ROWS):
                rows = min(_abi.VECTOR_ROWS, length - start)
                columns = [column.slice(start, rows).combine_chunks() for column in arguments.columns]
                with IncomingCall(running.domain) as context:
                    context.first_row = start
                    piece = running.function.run(context, columns, rows)
                if self.any_rows and len(piece):
                    sources.append(pc.add(pc.list_parent_indices(piece).cast(pa.int64()), start))
                    piece = piece.flatten()
                pieces.append(self._plain(piece))
        whole = pa.chunked_array(pieces, self._result_type)
        added = whole.flatten() if self._is_row else [whole]
        numbers = pa.chunked_array(sources, pa.int64()).combine_chunks() if self.any_rows else None
        return pa.table(added, schema=self.schema), numbers

    def _plain(self, piece: pa.Array) -> pa.Array:
        """Return results in the type that other libraries know."""
        try:
            return with_durations(piece).cast(self._result_type)
        except SignatureError as error:
            msg = f"{self._label}: {error}"
            raise SignatureError(msg) from None

    def _lazily(self, frame: Any) -> Any:
        """Return a LazyFrame that calls the function when it is collected."""
        import polars as pl  # noqa: PLC0415 - whoever passes a frame has it

        there = frame.collect_schema()
        self._arguments(list(there))
        added = pl.from_arrow(self.schema.empty_table()).schema  # type: ignore[union-attr]
        return frame.map_batches(self, schema={**there, **added}, streamable=True)


def batch_function(
    function: Callable[..., Any] | str,
    columns: Mapping[str, Any] | None = None,
    *,
    entry: str | None = None,
    rows: str = "one",
    null_handling: Any = "default",
    exception_handling: Any = "default",
    limits: ResourceLimits | None = None,
    data_limits: DataLimits | None = None,
    host_functions: Sequence[HostFunction | str] = (),
    packages: Sequence[str | os.PathLike[str]] = (),
    isolation: str = "function",
    deterministic: bool = False,
    compiled: bool = True,
) -> BatchFunction:
    """Make a function over tables of a row function, for pandas, Polars, pyarrow and engines that hand out such tables.

    No query runs, and DuckDB plays no part but for the names of types. What comes out can be pickled: engines send it
    to their workers.

    Args:
        function: a callable, which is shipped, or source text, as for `Sandbox.create_function`. Its parameters are
            columns of the table, by name.
        columns: the columns that it adds, as names and SQL types: {"gross": "DOUBLE"}. With several, the function
            returns a dict, a tuple or an object with a value for each. None: one column, which has the function's name
            and the type of its annotation.
        entry: the name of the function that is meant in source text with several.
        rows: "one": a result for each row. "any": the function yields any number of rows for each row of the table, as
            the input of `Sandbox.map_batches` does; the row's other columns are repeated beside them. A row for which
            it yields none is left out.
        null_handling: "default": a NULL among the arguments gives NULL, or no rows. "special": it arrives as None.
        exception_handling: "default": an exception ends the call. "return_null": it makes its row NULL, or gives no
            rows.
        limits: as for `Sandbox`, like those that follow.
        data_limits: likewise.
        host_functions: likewise; each, or its import path ("shop.rates:fx_rate"), has to be importable by workers.
        packages: likewise; their files travel along.
        isolation: likewise.
        deterministic: likewise.
        compiled: likewise.

    Returns:
        A `BatchFunction`.

    Raises:
        SignatureError: the function can't be shipped, its types don't fit, or its result has none.
        GuestError: the code doesn't compile, or raised while it was loaded.

    Examples:
        >>> import pyarrow as pa, duckdb_wasi_udf as wasi_udf
        >>> gross = wasi_udf.batch_function("def gross(net: float) -> float: return round(net * 1.19, 2)")
        >>> gross(pa.table({"net": [100.0, None]}))["gross"].to_pylist()
        [119.0, None]
    """
    name = getattr(function, "__name__", _LABEL)
    sees_null = choice(name, "null_handling", null_handling, ("default", "special")) == "special"
    any_rows = choice(name, "rows", rows, ("one", "any")) == "any"
    return_null = choice(name, "exception_handling", exception_handling, ("default", "return_null")) != "default"
    limits = limits if limits is not None else ResourceLimits()
    data_limits = data_limits if data_limits is not None else DataLimits()
    check_kinds(limits, data_limits)
    files = collected(packages, limits)
    label = name if name.isidentifier() else _LABEL
    shipped = ship(
        function,
        label,
        return_null=return_null,
        modules=files.modules,
        limit_bytes=limits.shipped_bytes,
        entry=entry,
    )
    settings = SandboxSettings(
        limits,
        data_limits,
        files,
        tuple([import_path(item) for item in host_functions]),
        isolation,
        deterministic,
        compiled,
    )
    return BatchFunction(
        Recipe(
            settings=settings,
            definition=replace(shipped, anonymous=label == _LABEL),
            columns=None if columns is None else sql_types(label, columns),
            sees_null=sees_null,
            any_rows=any_rows,
        )
    )


def apply(
    function: Callable[..., Any] | str, table: _Table, columns: Mapping[str, Any] | None = None, **options: Any
) -> _Table:
    """Call a row function with the rows of a table: `batch_function(function, columns, **options)(table)`.

    Args:
        function: as for `batch_function`, like the others.
        table: pandas, Polars or pyarrow.
        columns: likewise.
        **options: likewise.

    Returns:
        The same kind of table, with the results as further columns.

    Raises:
        WasiUdfError: as for `batch_function` and `BatchFunction`.
    """
    return batch_function(function, columns, **options)(table)


def unpickled(label: str, recipe: bytes) -> BatchFunction:
    """Return a function that another process has pickled with the same version."""
    with noting(f"in the function {label}, which another process has pickled"):
        return BatchFunction(pickle.loads(recipe))  # noqa: S301 - a part of the pickle that this was called by
