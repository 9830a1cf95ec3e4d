"""A row function over whole tables, in any process: `batch_function` and `apply`."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._frames.columns import plain_type, sql_types
from duckdb_wasi_udf._frames.settings import SandboxSettings, collected, import_path
from duckdb_wasi_udf._frames.tables import arrow_columns, column_names, library_of, with_columns
from duckdb_wasi_udf._frames.workers import Kept
from duckdb_wasi_udf._functions.scalar import ScalarFunction
from duckdb_wasi_udf._functions.shipping import ship
from duckdb_wasi_udf._functions.signature import resolve, shown
from duckdb_wasi_udf._guests.trust_domain import IncomingCall, TrustDomain
from duckdb_wasi_udf._limits import DataLimits, ResourceLimits
from duckdb_wasi_udf._shared.identifiers import quote_identifier
from duckdb_wasi_udf._sql.arguments import choice
from duckdb_wasi_udf._sql.types import sql_type_of
from duckdb_wasi_udf._version import __version__

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._host_functions.function import HostFunction

    _Table = TypeVar("_Table")

# How errors call a function without a name.
_LABEL = "batch_function"

_SHOWN = 20  # of the names that an error lists

_domains: Kept[TrustDomain] = Kept(lambda domain: domain.close())


class BatchFunction:
    """A row function that takes a table and returns it with its results as columns: see `batch_function`.

    It can be pickled. Each process that calls it opens a sandbox, which functions with the same settings share, and
    closes it after a minute without calls.

    Attributes:
        schema: the columns that it adds.
        parameters: the columns that it takes, by the names of its parameters.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        definition: Definition,
        columns: Mapping[str, Any] | None,
        *,
        sees_null: bool = False,
    ) -> None:
        """Define the function, so that its mistakes show now: see `batch_function`."""
        self._settings = settings
        self._sees_null = sees_null
        self._definition = definition
        self._columns = None if columns is None else sql_types(definition.label, columns)
        self._key = self._hash()
        with _functions.use(self._key, self._define) as running:
            signature = running.function.guest_signature
            name = running.name
        if definition.label == _LABEL and name.isidentifier():  # now errors can name it
            self._definition = replace(definition, label=name)
            self._key = self._hash()
        self.parameters = tuple([parameter.name for parameter in signature.parameters])
        self._required = signature.required
        self.schema = self._schema(signature, name)

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
        return with_columns(table, self._results(arguments, length))  # type: ignore[no-any-return]

    def iterate(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Return record batches with the function's results as further columns, one after the other.

        Args:
            batches: those without, such as a dataset's scanner or Spark's `mapInArrow` gives.
        """
        for batch in batches:
            yield self(batch)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what is pickled: the sources, and the version they are for."""
        return _unpickled, (__version__, self._settings, *self._what())

    def _what(self) -> tuple[Any, ...]:
        return self._definition, self._columns, self._sees_null

    def __repr__(self) -> str:
        added = ", ".join(f"{field.name} {field.type}" for field in self.schema)
        return f"<BatchFunction {self._definition.label}({', '.join(self.parameters)}) -> {added}>"

    def _hash(self) -> str:
        return hashlib.sha256(pickle.dumps((self._settings.digest, *self._what()))).hexdigest()

    def _define(self) -> _Running:
        """Return the function in a sandbox of this process."""
        with contextlib.ExitStack() as stack:
            domain = stack.enter_context(_domains.use(self._settings.digest, self._settings.open))
            running = _Running(domain, self._definition, self._return_type(), sees_null=self._sees_null)
            running.use = stack.pop_all()
            return running

    def _return_type(self) -> str | None:
        if self._columns is None:
            return None
        if len(self._columns) == 1:
            return next(iter(self._columns.values())).name
        fields = [f"{quote_identifier(name)} {sql_type.name}" for name, sql_type in self._columns.items()]
        return f"STRUCT({', '.join(fields)})"

    def _schema(self, signature: Signature, name: str) -> pa.Schema:
        """Return the columns that are added."""
        if signature.rest is not None:
            msg = (
                f"{self._definition.label}: parameters are found by name in the table, so *{signature.rest.name} isn't"
            )
            raise SignatureError(msg)
        if signature.result_type is None:
            msg = (
                f"{self._definition.label}: the type of the column isn't known; annotate the function's result, as in "
                "-> float, or pass columns={'name': 'DOUBLE'}"
            )
            raise SignatureError(msg)
        plain = plain_type(signature.result_type)
        if plain is None:
            msg = (
                f"{self._definition.label}: a column of {shown(signature.return_type)} is known to DuckDB alone; "
                "return VARCHAR, JSON, DECIMAL or BLOB, say, and give columns={...} accordingly"
            )
            raise SignatureError(msg)
        if self._columns is None:
            return pa.schema([(name if name.isidentifier() else "result", plain)])
        if len(self._columns) == 1:
            return pa.schema([(next(iter(self._columns)), plain)])
        return pa.schema(list(plain))

    def _arguments(self, there: Sequence[str]) -> list[str]:
        """Return the columns that are passed, of those that are there."""
        names = list(self.parameters)
        while len(names) > self._required and names[-1] not in there:
            names.pop()
        missing = [name for name in names if name not in there]
        if missing:
            msg = (
                f"{self._definition.label}: the table has no column {', '.join(map(repr, missing))}, which the "
                f"function takes by name; it has {', '.join(map(repr, there[:_SHOWN])) or 'none'}"
                f"{f' and {len(there) - _SHOWN} more' if len(there) > _SHOWN else ''}"
            )
            raise SignatureError(msg)
        twice = [name for name in names if list(there).count(name) > 1]
        if twice:
            msg = f"{self._definition.label}: the table has several columns {twice[0]!r}; rename all but one"
            raise SignatureError(msg)
        return names

    def _results(self, arguments: pa.Table, length: int) -> pa.Table:
        """Return the columns that are added for some rows."""
        pieces = []
        with _functions.use(self._key, self._define) as running:
            for start in range(0, length, _abi.VECTOR_ROWS):
                rows = min(_abi.VECTOR_ROWS, length - start)
                columns = [column.slice(start, rows).combine_chunks() for column in arguments.columns]
                with IncomingCall(running.domain) as context:
                    context.first_row = start
                    pieces.append(running.function.run(context, columns, rows))
        if not pieces:
            return self.schema.empty_table()
        one = len(self.schema) == 1
        wanted = self.schema.field(0).type if one else pa.struct(list(self.schema))
        whole = pa.chunked_array([piece.cast(wanted) for piece in pieces], wanted)
        return pa.table([whole] if one else whole.flatten(), schema=self.schema)

    def _lazily(self, frame: Any) -> Any:
        """Return a LazyFrame that calls the function when it is collected."""
        import polars as pl  # noqa: PLC0415 - whoever passes a frame has it

        there = frame.collect_schema()
        self._arguments(list(there))
        added = pl.from_arrow(self.schema.empty_table()).schema  # type: ignore[union-attr]
        return frame.map_batches(self, schema={**there, **added}, streamable=True)


class _Running:
    """A function in a sandbox of this process, for as long as it is called.

    Attributes:
        use: Keeps the sandbox open until it is closed.
    """

    def __init__(
        self, domain: TrustDomain, definition: Definition, return_type: str | None, *, sees_null: bool
    ) -> None:
        self.domain = domain
        self.use = contextlib.ExitStack()
        self.name = definition.label

        def signature(instance: Any) -> Signature:
            self.name = str(instance.description.get("name", definition.label))
            return resolve(
                definition.label, instance.description, sql_type_of, return_type=return_type, sees_null=sees_null
            )

        with IncomingCall(domain) as context:
            self.function = ScalarFunction(context, domain, definition, signature)
        domain.hold(self.function)

    def close(self) -> None:
        """Close its instances; the sandbox stays for others."""
        self.function.close()
        self.use.close()


_functions: Kept[_Running] = Kept(_Running.close)


def batch_function(
    function: Callable[..., Any] | str,
    columns: Mapping[str, Any] | None = None,
    *,
    entry: str | None = None,
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
        null_handling: "default": a NULL among the arguments gives NULL. "special": it arrives as None.
        exception_handling: "default": an exception ends the call. "return_null": it makes its row NULL.
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
    return_null = choice(name, "exception_handling", exception_handling, ("default", "return_null")) != "default"
    limits = limits if limits is not None else ResourceLimits()
    files = collected(packages, limits)
    definition = ship(
        function,
        name if name.isidentifier() else _LABEL,
        return_null=return_null,
        modules=files.modules,
        limit_bytes=limits.shipped_bytes,
        entry=entry,
    )
    settings = SandboxSettings(
        limits,
        data_limits if data_limits is not None else DataLimits(),
        files,
        tuple([import_path(item) for item in host_functions]),
        isolation,
        deterministic,
        compiled,
    )
    return BatchFunction(settings, definition, columns, sees_null=sees_null)


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


def _unpickled(
    version: str, settings: SandboxSettings, definition: Definition, columns: Any, sees_null: Any
) -> BatchFunction:
    """Return a function that another process has pickled."""
    if version != __version__:
        msg = (
            f"{definition.label}: the function was pickled by duckdb-wasi-udf {version}, and this process has "
            f"{__version__}; install the same version everywhere"
        )
        raise SignatureError(msg)
    return BatchFunction(settings, definition, columns, sees_null=sees_null)
