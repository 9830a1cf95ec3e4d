"""Ready-made host functions for duckdb_wasi_udf sandboxes: docs/guide/ready-made.md.

They are written on the public API alone; a sandbox has those it is given: `Sandbox(host_functions=[...])`.
"""

from hostfuncs import http, llm, lookup, serialization, vector
from hostfuncs._options import Options
from hostfuncs.scaling import RateLimit, cached, concurrent, rate_limited, retried

__all__ = [
    "Options",
    "RateLimit",
    "cached",
    "concurrent",
    "http",
    "llm",
    "lookup",
    "rate_limited",
    "retried",
    "serialization",
    "vector",
]
