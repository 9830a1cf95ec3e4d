"""Look-ups: batched host functions, keys in, values out.

Each function here makes a `HostFunction` with one parameter for each key column. A key that is not there, or is NULL,
gives the `default`, which is NULL unless said otherwise.

`from_dict`, `from_table` and `from_duckdb` hold all keys and values in memory; `from_sql` and `from_redis` ask a server
for those of each batch.
"""

from hostfuncs.lookup._in_memory import from_dict, from_duckdb, from_table
from hostfuncs.lookup._remote import from_redis, from_sql

__all__ = ["from_dict", "from_duckdb", "from_redis", "from_sql", "from_table"]
