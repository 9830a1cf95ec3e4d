"""Results of a host function that are remembered, in memory and in a DuckDB table."""

from __future__ import annotations

import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any

from hostfuncs._options import extra
from hostfuncs.scaling._rows import column_of, keys_of, size_of, values_of
from hostfuncs.scaling._waiting import AbandonedError, result_of
from hostfuncs.scaling._wrapping import check_positive, columns_of, wrapped

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Hashable, MutableMapping, Sequence
    from typing import Unpack

    import duckdb
    import pyarrow as pa

    from duckdb_wasi_udf import ColumnFunction, HostFunction
    from hostfuncs._options import Options
    from hostfuncs.scaling._cache_table import CacheTable


def cached(
    function: HostFunction | Callable[..., Any],
    *,
    seconds: float = 300.0,
    memory_bytes: int = 64 * 2**20,
    database: duckdb.DuckDBPyConnection | str | os.PathLike[str] | None = None,
    table: str | None = None,
    table_rows: int = 10_000_000,
    **options: Unpack[Options],
) -> HostFunction:
    """Remember the results of a host function: a row with the same arguments is not asked for again for some time.

    Within a batch, and of several queries at once, the same arguments are asked for once; the others wait. If that
    call fails, so do they; if it is abandoned because its query was stopped, one of them asks. Errors aren't
    remembered, NULL is. The gate of the function, the quotas and the audit see every call, also of what is remembered.

    Args:
        function: a host function, or an annotated def or `async def`.
        seconds: for how long a result is good.
        memory_bytes: about how large the results and their arguments may be in memory. Those that were used least
            recently go first.
        database: where results are kept too, beyond the process: a connection, of which a cursor is used, or the path
            of a database file, which no other process may have open. None to keep them in memory alone.
        table: the name of the table; that of the function with `_cache` by default. It has a column for each parameter,
            and `result` and `fetched_at`.
        table_rows: the number of rows in the table beyond which the oldest are deleted.
        **options: see `hostfuncs.Options`; those of the function by default.

    Returns:
        A batched host function with the function's parameters and result.

    Raises:
        ImportError: the extra `scaling` is not installed.
        SignatureError: the function isn't one, or its types can't be had.
        ValueError: a number isn't positive, the function has no parameters, or the table has other columns.
        duckdb.Error: the database can't be opened or written.
    """
    with extra("scaling"):
        import cachetools
    check_positive(seconds=seconds, memory_bytes=memory_bytes, table_rows=table_rows)
    call = columns_of(function)
    stored = None
    if database is not None:
        from hostfuncs.scaling._cache_table import CacheTable

        stored = CacheTable(database, table or f"{call.function.name}_cache", call, seconds=seconds, rows=table_rows)
    elif table is not None:
        msg = "a table needs a database: pass a connection or a path"
        raise ValueError(msg)
    memory: cachetools.TTLCache[Hashable, _Entry] = cachetools.TTLCache(
        memory_bytes, seconds, getsizeof=lambda entry: entry.size
    )
    return wrapped(call, _Cache(call, memory, memory_bytes, stored), options, by_row=False)


class _Entry:
    """A result that is remembered."""

    __slots__ = ("size", "value")

    def __init__(self, key: Hashable, value: Any) -> None:
        self.value = value
        self.size = size_of(key) + size_of(value)


class _Cache:
    """The function of columns that remembers."""

    def __init__(
        self,
        call: ColumnFunction,
        memory: MutableMapping[Hashable, _Entry],
        memory_bytes: int,
        stored: CacheTable | None,
    ) -> None:
        self._call = call
        self._memory = memory
        self._memory_bytes = memory_bytes
        self._stored = stored
        self._lock = threading.Lock()
        self._flights: dict[Hashable, concurrent.futures.Future[Any]] = {}

    def __call__(self, *columns: pa.Array) -> pa.Array:
        keys = keys_of(columns)
        rows: dict[Hashable, int] = {}
        for row, key in enumerate(keys):
            rows.setdefault(key, row)
        found: dict[Hashable, Any] = {}
        while len(found) < len(rows):
            mine, others = self._take([key for key in rows if key not in found], found)
            if mine:
                found |= self._fetch(mine, [rows[key] for key in mine], columns)
            for key, future in others.items():
                try:
                    found[key] = result_of(future)
                except _CallAbandonedError:
                    continue  # in the next round somebody asks
        return column_of([found[key] for key in keys], self._call.result_type)

    def _take(
        self, keys: Sequence[Hashable], found: dict[Hashable, Any]
    ) -> tuple[list[Hashable], dict[Hashable, concurrent.futures.Future[Any]]]:
        """Find what is remembered; return the keys that this call has to ask for, and those that another one does."""
        mine: list[Hashable] = []
        others: dict[Hashable, concurrent.futures.Future[Any]] = {}
        with self._lock:
            for key in keys:
                entry = self._memory.get(key)
                if entry is not None:
                    found[key] = entry.value
                elif key in self._flights:
                    others[key] = self._flights[key]
                else:
                    mine.append(key)
                    self._flights[key] = concurrent.futures.Future()
        return mine, others

    def _fetch(self, keys: list[Hashable], rows: list[int], columns: Sequence[pa.Array]) -> dict[Hashable, Any]:
        """Ask for keys, of which there is one row each, and report the results to those who wait."""
        try:
            fresh = dict(zip(keys, self._read([column.take(rows) for column in columns], keys), strict=True))
        except BaseException as error:
            abandoned = isinstance(error, AbandonedError) or not isinstance(error, Exception)
            for flight in self._land(keys):
                flight.set_exception(_CallAbandonedError() if abandoned else error)
            raise
        entries = {key: _Entry(key, value) for key, value in fresh.items()}
        with self._lock:
            for key, entry in entries.items():
                if entry.size <= self._memory_bytes:
                    self._memory[key] = entry
        for key, flight in zip(keys, self._land(keys), strict=True):
            flight.set_result(fresh[key])
        return fresh

    def _land(self, keys: list[Hashable]) -> list[concurrent.futures.Future[Any]]:
        with self._lock:
            return [self._flights.pop(key) for key in keys]

    def _read(self, columns: list[pa.Array], keys: list[Hashable]) -> list[Any]:
        """Return the results of rows, from the table as far as it has them."""
        if self._stored is None:
            return values_of(self._call(*columns))
        known = self._stored.read(columns)
        missing = [row for row, key in enumerate(keys) if key not in known]
        if missing:
            asked = [column.take(missing) for column in columns]
            results = self._call(*asked)
            self._stored.write(asked, results)
            known |= zip([keys[row] for row in missing], values_of(results), strict=True)
        return [known[key] for key in keys]


class _CallAbandonedError(Exception):
    """The call that was waited for was abandoned: its query was stopped."""
