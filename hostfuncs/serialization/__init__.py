"""Serialization: documents of a format decoded to values of a SQL type, and values encoded to documents.

| format | document | values | library |
| --- | --- | --- | --- |
| `"json"` | VARCHAR | any type | orjson |
| `"yaml"` | VARCHAR | any type | PyYAML, safe tags, no aliases |
| `"msgpack"` | BLOB | any type | ormsgpack |
| `"cbor"` | BLOB | any type | cbor2, no shared values |
| `"arrow"` | BLOB, an IPC stream | `STRUCT(...)[]`, a document's rows | pyarrow |
| `"parquet"` | BLOB, a file | `STRUCT(...)[]` of types that don't nest | DuckDB, pyarrow |

The value type JSON stands for whatever a document holds: its values are JSON text.
"""

from hostfuncs.serialization._functions import DocumentError, decode, encode

__all__ = ["DocumentError", "decode", "encode"]
