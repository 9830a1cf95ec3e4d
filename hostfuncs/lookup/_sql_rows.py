"""The rows of a database's table, by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy.sql import quoted_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hostfuncs.lookup._snapshot import Columns


def engine(source: str | sqlalchemy.Engine | Callable[[], Any], dialect: str | None) -> sqlalchemy.Engine:
    """Return the engine of a source; a connection that died is noticed before it is used again."""
    if isinstance(source, sqlalchemy.Engine):
        return source
    if isinstance(source, str):
        return sqlalchemy.create_engine(source, pool_pre_ping=True)
    if dialect is None:
        msg = "a function as source needs the dialect, such as dialect='sqlite'"
        raise ValueError(msg)
    return sqlalchemy.create_engine(f"{dialect}://", creator=source, pool_pre_ping=True)


class Rows:
    """The rows of a table, by key."""

    def __init__(
        self, engine: sqlalchemy.Engine, table: str, schema: str | None, columns: Columns, query_keys: int
    ) -> None:
        """Prepare the query: its names are quoted, whatever is in them."""

        def name(text: str) -> str:
            return quoted_name(text, quote=True)

        self._engine = engine
        self._columns = columns
        self._query_keys = query_keys
        keys: list[sqlalchemy.ColumnClause[Any]] = [sqlalchemy.column(name(text)) for text in columns.keys]
        values: list[sqlalchemy.ColumnClause[Any]] = [sqlalchemy.column(name(text)) for text in columns.values]
        self._key: sqlalchemy.ColumnElement[Any] = keys[0] if len(keys) == 1 else sqlalchemy.tuple_(*keys)
        of = sqlalchemy.table(name(table), *{column.name: column for column in (*keys, *values)}.values())
        of.schema = None if schema is None else name(schema)
        self._query = sqlalchemy.select(*keys, *values).select_from(of)

    def read(self, keys: Sequence[Any]) -> dict[Any, Any]:
        """Return the values of those of the keys that are there."""
        found: dict[Any, Any] = {}
        if not keys:
            return found
        asked = set(keys)
        width = len(self._columns.keys)
        with self._engine.connect() as connection:
            for start in range(0, len(keys), self._query_keys):
                query = self._query.where(self._key.in_(keys[start : start + self._query_keys]))
                for row in connection.execute(query):
                    key = row[0] if width == 1 else tuple(row[:width])
                    if key in found:
                        msg = f"the key {key!r} of {', '.join(self._columns.keys)} occurs more than once"
                        raise ValueError(msg)
                    if key in asked:
                        values = row[width:]
                        names = self._columns.values
                        found[key] = dict(zip(names, values, strict=True)) if self._columns.as_struct else values[0]
        return found
