"""Look-ups that ask a server for the keys of each batch."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from duckdb_wasi_udf import HostFunction
from hostfuncs._options import extra
from hostfuncs._types import arrow_type, quoted, sql_type
from hostfuncs.lookup._snapshot import Columns, check_key_type, key_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Unpack

    import redis
    import sqlalchemy

    from hostfuncs._options import Options


def from_sql(
    source: str | sqlalchemy.Engine | Callable[[], Any],
    table: str,
    key: str | Sequence[str],
    value: str | Sequence[str],
    types: Mapping[str, str],
    *,
    schema: str | None = None,
    dialect: str | None = None,
    default: Any = None,
    query_keys: int = 500,
    cache_rows: int = 100_000,
    cache_seconds: float = 60.0,
    **options: Unpack[Options],
) -> HostFunction:
    """Look keys up in a table of any database that SQLAlchemy knows, by queries of `WHERE key IN (...)`.

    Keys are parameters of the query, never part of its text, and each is asked for once. They are compared as Python
    compares what the driver returns, so a column that ignores case or pads its values finds only exact matches.

    Args:
        source: a database URL such as "sqlite:///rates.db", an engine, or a function that makes a DB-API connection.
        table: the table or view.
        key: the key column, or several; no two rows may have the same key.
        value: the value column, or a list of columns, which makes the result a STRUCT of them.
        types: the SQL type, as DuckDB names it, of each of these columns.
        schema: the schema of the table.
        dialect: for a function as source, SQLAlchemy's name of the database, such as "postgresql+psycopg".
        default: the value for keys that are not there; a dict where the result is a STRUCT.
        query_keys: the most keys a query asks for.
        cache_rows: the most keys that are cached, absent ones among them; 0 for none.
        cache_seconds: for how long.
        **options: see `hostfuncs.Options`.

    Returns:
        A batched host function of as many parameters as there are key columns.

    Raises:
        ImportError: the extra `sql` is not installed.
        TypeError: a key's type can't be looked up.
        ValueError: `types` lacks a column, or has a type that DuckDB doesn't know; on calling, two rows have the same
            key.
        sqlalchemy.exc.SQLAlchemyError: on calling, the database can't be reached or refuses the query.
    """
    with extra("sql"):
        import cachetools

        from hostfuncs.lookup._sql_rows import Rows, engine
    columns = Columns.named(key, value)
    columns.check(list(types))
    named = {name: sql_type(types[name]) for name in (*columns.keys, *columns.values)}
    for name in columns.keys:
        check_key_type(name, named[name])
    return_type = named[columns.values[0]]
    if columns.as_struct:
        return_type = f"STRUCT({', '.join(f'{quoted(name)} {named[name]}' for name in columns.values)})"
    database = engine(source, dialect)
    rows = Rows(database, table, schema, columns, query_keys)
    cache: cachetools.TTLCache[Any, Any] = cachetools.TTLCache(cache_rows, cache_seconds)
    lock = threading.Lock()

    def find(asked: Sequence[Any]) -> dict[Any, Any]:
        with lock:
            found = {one: cache[one] for one in asked if one in cache}
        missing = [one for one in asked if one not in found]
        fresh = dict.fromkeys(missing, default) | rows.read(missing)
        if cache_rows:
            with lock:
                cache.update(fresh)
        return found | fresh

    result = arrow_type(return_type)

    def lookup(*keys: pa.Array) -> pa.Array:
        """Look keys up in the database; the default for one that is not there."""
        wanted = key_rows(keys)
        found = find(list(dict.fromkeys(one for one in wanted if one is not None)))
        values = [default if one is None else found[one] for one in wanted]
        if not columns.as_struct:
            return _column(values, result)
        parts = [[None if value is None else value.get(field.name) for value in values] for field in result]
        return pa.StructArray.from_arrays(
            [_column(part, field.type) for part, field in zip(parts, result, strict=True)],
            fields=list(result),
            mask=pa.array([value is None for value in values], pa.bool_()),
        )

    if database is not source:  # its connections end with the function
        weakref.finalize(lookup, database.dispose)
    columns.names(lookup)
    parameters = [named[name] for name in columns.keys]
    return HostFunction(lookup, parameters=parameters, return_type=return_type, batched=True, **options)


def _column(values: list[Any], data_type: pa.DataType) -> pa.Array:
    """Return the values as an array, none of them cut down: with a type of integers, Arrow takes 2.5 for 2."""
    return pa.array(values).cast(data_type) if pa.types.is_integer(data_type) else pa.array(values, data_type)


def from_redis(
    source: str | redis.Redis,
    *,
    prefix: str = "",
    key_type: str = "VARCHAR",
    value_type: str = "VARCHAR",
    default: Any = None,
    **options: Unpack[Options],
) -> HostFunction:
    """Look keys up in Redis: one `MGET` for a batch, which asks for each key once.

    Args:
        source: a URL such as "redis://localhost:6379/0", or a client that doesn't decode responses.
        prefix: put before each key, as in "rate:".
        key_type: the SQL type of the keys, which become text.
        value_type: the SQL type of the values: "BLOB" as they are, "VARCHAR" from UTF-8, others parsed from that text.
        default: the value for keys that are not there, or that hold something other than a string.
        **options: see `hostfuncs.Options`.

    Returns:
        A batched host function of one parameter.

    Raises:
        ImportError: the extra `redis` is not installed.
        ValueError: the client decodes responses; on calling, a value isn't of its type.
        redis.RedisError: on calling, the server can't be reached or refuses.
    """
    with extra("redis"):
        import redis
    client = redis.Redis.from_url(source) if isinstance(source, str) else source
    if client.connection_pool.connection_kwargs.get("decode_responses"):
        msg = "from_redis needs a client without decode_responses"
        raise ValueError(msg)
    result = arrow_type(value_type)

    def lookup(keys: pa.Array) -> pa.Array:
        """Look keys up in Redis; the default for one that is not there."""
        wanted = pc.cast(keys, pa.string()).to_pylist()
        asked = list(dict.fromkeys(prefix + key for key in wanted if key is not None))
        held = cast("list[bytes | None]", client.mget(asked)) if asked else []
        position = {key: i for i, (key, value) in enumerate(zip(asked, held, strict=True)) if value is not None}
        values = pa.array(held, pa.binary())
        if result != pa.binary():
            values = pc.cast(pc.cast(values, pa.string()), result)
        values = pa.concat_arrays([values, pa.array([default], result)])
        places = [len(held) if key is None else position.get(prefix + key, len(held)) for key in wanted]
        return values.take(pa.array(places, pa.int64()))

    return HostFunction(lookup, parameters=[key_type], return_type=value_type, batched=True, **options)
