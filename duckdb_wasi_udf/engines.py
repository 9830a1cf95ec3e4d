"""Functions of `batch_function` in the engines that people use beside DuckDB: docs/guide/other-engines.md.

Each engine is imported when its function here is called. Missing ones give one sentence.

What travels to workers names nothing of this package before the `BatchFunction` in it is loaded, which says in one
sentence that a worker lacks the package. So the functions that are sent import what they need when they are called.
"""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa

from duckdb_wasi_udf._errors import SignatureError, WasiUdfError, noting

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from duckdb_wasi_udf._frames.batch_function import BatchFunction

# By the end of a file's name; others are Parquet. Arrow, like Spark, leaves out names that begin with one of `_HIDDEN`.
_FORMATS = {
    **dict.fromkeys((".arrow", ".feather", ".ipc"), "ipc"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "json"),
    ".csv": "csv",
}
_COMPRESSED = {".gz", ".bz2", ".zst", ".lz4"}
_HIDDEN = {".", "_"}

__all__ = ["dask_map_partitions", "map_files", "polars_expr", "ray_actor", "spark_map_in_arrow", "spark_udf"]


def polars_expr(function: BatchFunction, *columns: Any) -> Any:
    """Return a Polars expression that calls a function: `df.with_columns(polars_expr(gross, pl.col("net")))`.

    Args:
        function: of `batch_function`; it adds one column, whose name the expression has.
        *columns: expressions or names, one for each parameter in order.

    Raises:
        SignatureError: there are more or fewer, or the function adds several columns, or any number of rows.
    """
    pl = _imported("polars")
    _check_one_column(function)
    if not 0 < len(columns) <= len(function.parameters):
        takes = ", ".join(function.parameters) or "none"
        msg = f"{function.schema.names[0]}: {len(columns)} column(s) for its parameters ({takes})"
        raise SignatureError(msg)
    name = function.schema.names[0]
    names = function.parameters[: len(columns)]
    dtype = pl.from_arrow(function.schema.empty_table()).schema[name]
    expressions = [pl.col(column) if isinstance(column, str) else column for column in columns]

    def call(series: list[Any]) -> Any:
        length = max(len(one) for one in series)
        whole = [one.new_from_index(0, length) if len(one) == 1 else one for one in series]
        return function(pl.DataFrame(dict(zip(names, whole, strict=True))))[name]

    made = pl.map_batches(expressions, call, return_dtype=dtype, is_elementwise=not function.by_batch)
    return made.alias(name)


def ray_actor(function: BatchFunction) -> type:
    """Return a class for an actor pool of Ray Data.

    `ds.map_batches(ray_actor(f), batch_format="pyarrow", compute=ray.data.ActorPoolStrategy(size=2))`. Without a pool
    the function itself does: `ds.map_batches(f, batch_format="pyarrow")`.

    Args:
        function: of `batch_function`.
    """

    class Actor:
        """Has the function in its process."""

        def __init__(self) -> None:
            self._function = function

        def __call__(self, batch: pa.Table) -> pa.Table:
            return self._function(batch)

    Actor.__name__ = Actor.__qualname__ = function.schema.names[0]
    return Actor


def spark_map_in_arrow(frame: Any, function: BatchFunction) -> Any:
    """Return a Spark DataFrame with the columns that a function adds, which Spark's workers compute.

    Args:
        frame: a `pyspark.sql.DataFrame`.
        function: of `batch_function`.

    Raises:
        SignatureError: the frame lacks a column that the function takes, or it has another type.
    """
    pyspark = _imported("pyspark")
    types = _imported("pyspark.sql.types")
    pandas_types = _imported("pyspark.sql.pandas.types")
    function.check(pandas_types.to_arrow_schema(frame.schema))
    added = pandas_types.from_arrow_schema(function.schema)
    new = {field.name for field in added}
    schema = types.StructType([field for field in frame.schema if field.name not in new] + list(added))

    def call(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from duckdb_wasi_udf._errors import noting  # noqa: PLC0415 - see the module's docstring

        with noting(f"in partition {pyspark.TaskContext.get().partitionId()} of Spark"):
            for batch in function.iterate(batches):
                yield batch.select(schema.names)

    return frame.mapInArrow(call, schema)


def spark_udf(spark: Any, name: str, function: BatchFunction) -> Any:
    """Register a function for Spark SQL, and return it for DataFrames: `SELECT gross(net) FROM t`.

    Args:
        spark: a `SparkSession`.
        name: its SQL name.
        function: of `batch_function`; it adds one column.

    Raises:
        SignatureError: it adds several, or any number of rows.
    """
    pyspark = _imported("pyspark")
    functions = _imported("pyspark.sql.functions")
    pandas_types = _imported("pyspark.sql.pandas.types")
    _check_one_column(function)
    column, parameters = function.schema.names[0], function.parameters

    def call(*columns: pa.Array) -> pa.Array:
        from duckdb_wasi_udf._errors import noting  # noqa: PLC0415 - see the module's docstring

        batch = pa.RecordBatch.from_arrays(list(columns), names=list(parameters[: len(columns)]))
        with noting(f"in partition {pyspark.TaskContext.get().partitionId()} of Spark"):
            return function(batch)[column]

    with_types = _annotated(call, len(parameters))
    made = functions.arrow_udf(with_types, returnType=pandas_types.from_arrow_type(function.schema.field(0).type))
    return spark.udf.register(name, made)


def dask_map_partitions(frame: Any, function: BatchFunction) -> Any:
    """Return a Dask DataFrame with the columns that a function adds.

    `frame.map_partitions(function)` alone would call it with made-up values first, to find the types.

    Args:
        frame: a `dask.dataframe.DataFrame`.
        function: of `batch_function`.
    """

    def call(part: Any, partition_info: dict[str, Any] | None = None) -> Any:
        from duckdb_wasi_udf._errors import noting  # noqa: PLC0415 - see the module's docstring

        with noting(f"in partition {(partition_info or {}).get('number', '?')} of Dask"):
            return function(part)

    return frame.map_partitions(call, meta=function(frame._meta))


def map_files(
    function: BatchFunction, source: str | os.PathLike[str] | list[str], destination: str | os.PathLike[str]
) -> int:
    """Call a function with the rows of files, and write a Parquet file with its results as further columns.

    Memory is bounded by a batch and a row group. The file appears when it is whole.

    Args:
        function: of `batch_function`.
        source: a Parquet, CSV, TSV, JSON (an object for each line) or Arrow file, a folder of such, or a list of files.
            All have the same columns. Those of folders such as `year=2026` belong to them.
        destination: the Parquet file, none of the files that are read.

    Returns:
        The number of rows of the Parquet file.

    Raises:
        SignatureError: a file can't be read, has other columns, or would be replaced; there is none; or `destination`
            can't be written.
        WasiUdfError: as for `BatchFunction`, with the file's name.
    """
    dataset = importlib.import_module("pyarrow.dataset")
    parquet = importlib.import_module("pyarrow.parquet")
    target = Path(destination)
    partial = target.with_name(f".{target.name}.{uuid4().hex}.partial")
    written, name = 0, str(source)
    try:
        try:
            files = dataset.dataset(source, format=_format(source), partitioning="hive")
            _check_files(files, name, target)
            new = set(function.schema.names)
            kept = [field for field in files.schema if field.name not in new]
            schema = pa.schema([*kept, *function.schema])
            function.check(files.schema)
        except FileNotFoundError as error:
            msg = f"{error}: the file can't be read, since it isn't there; * and ? stand for themselves"
            raise SignatureError(msg) from error
        except (OSError, pa.ArrowException, ValueError) as error:
            msg = f"{name}: the files can't be read as one table: {error}"
            raise SignatureError(msg) from error
        try:
            opened = parquet.ParquetWriter(partial, schema)
        except OSError as error:
            msg = f"{target} can't be written: {error}"
            raise SignatureError(msg) from error
        writing = False
        try:
            with opened as writer:
                for fragment in files.get_fragments():
                    name = getattr(fragment, "path", name)
                    with noting(f"in {name}"):
                        for made in function.iterate(_read(fragment, files.schema, name)):
                            writing = True
                            writer.write_batch(made.select(schema.names))
                            writing = False
                            written += len(made)
                writing = True  # what is buffered, and the footer
            partial.replace(target)
        except OSError as error:
            if not writing:
                raise
            msg = f"{target} can't be written: {error}"
            raise SignatureError(msg) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
    return written


def _read(fragment: Any, schema: pa.Schema, name: str) -> Iterator[pa.RecordBatch]:
    """Return the batches of a file.

    Raises:
        SignatureError: it can't be read.
    """
    try:
        yield from fragment.to_batches(schema=schema)
    except (OSError, pa.ArrowException) as error:
        msg = f"{name}: the file can't be read: {error}"
        raise SignatureError(msg) from error


def _check_files(files: Any, source: str, target: Path) -> None:
    """Raise SignatureError if files don't have the same columns: Arrow would take NULL for those that a file lacks."""
    keys = importlib.import_module("pyarrow.dataset").get_partition_keys
    first: list[str] | None = None
    for fragment in files.get_fragments():
        path = getattr(fragment, "path", source)
        if target.exists() and Path(path).exists() and target.samefile(path):
            msg = f"{target} is among the files that are read; write the results to another place"
            raise SignatureError(msg)
        try:
            names = [*fragment.physical_schema.names, *keys(fragment.partition_expression)]
        except (OSError, pa.ArrowException) as error:
            msg = f"{path}: the file can't be read: {error}"
            raise SignatureError(msg) from error
        if first is None:
            first, first_path = names, path
        missing = [name for name in first if name not in names] or [name for name in names if name not in first]
        if missing:
            lacking, having = (path, first_path) if missing[0] in first else (first_path, path)
            msg = f"{lacking}: there is no column {missing[0]!r}, which {having} has; all files need the same columns"
            raise SignatureError(msg)
    if first is None:
        msg = f"{source}: there are no files to read"
        raise SignatureError(msg)


def _format(source: object) -> Any:
    """Return the format of files by the name of the first one."""
    first = Path(str(source[0] if isinstance(source, (list, tuple)) and source else source))
    if first.is_dir():
        there = (path for path in sorted(first.rglob("*.*")) if not _HIDDEN.intersection(
            part[0] for part in path.relative_to(first).parts))  # fmt: skip
        first = next((path for path in there if path.is_file()), first)
    suffixes = [suffix.lower() for suffix in first.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if suffix == ".tsv":
        tabs = importlib.import_module("pyarrow.csv").ParseOptions(delimiter="\t")
        return importlib.import_module("pyarrow.dataset").CsvFileFormat(parse_options=tabs)
    return _FORMATS.get(suffix, "parquet")


def _check_one_column(function: BatchFunction) -> None:
    if function.any_rows:
        msg = "the function returns any number of rows; this takes one that returns a value for each row"
        raise SignatureError(msg)
    if len(function.schema) != 1:
        names = ", ".join(function.schema.names)
        msg = f"the function adds {len(function.schema)} columns ({names}); this takes one that adds one"
        raise SignatureError(msg)


def _annotated(call: Callable[..., pa.Array], parameters: int) -> Callable[..., pa.Array]:
    """Return a function whose annotations say to Spark that it takes and returns Arrow arrays."""

    def several(*columns: pa.Array) -> pa.Array:
        return call(*columns)

    def one(column: pa.Array) -> pa.Array:
        return call(column)

    made = one if parameters == 1 else several
    made.__annotations__ = dict.fromkeys(("column",) if parameters == 1 else ("columns",), pa.Array) | {
        "return": pa.Array
    }
    return made


def _imported(module: str) -> Any:
    """Return a module of an engine.

    Raises:
        WasiUdfError: it isn't installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        msg = f"{package} is not installed: pip install {package}"
        raise WasiUdfError(msg) from error
