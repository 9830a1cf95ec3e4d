"""Untrusted Python inside DuckDB SQL: functions run in a CPython compiled to WebAssembly, with no files, no network and
hard limits.
"""

from duckdb_wasi_udf._arrow.variant import variant_to_arrow, variant_to_python
from duckdb_wasi_udf._errors import (
    ArtifactError,
    Cancelled,
    ClosedError,
    GuestError,
    GuestTrap,
    LimitExceeded,
    PackageError,
    ProtocolError,
    SignatureError,
    WasiUdfError,
)
from duckdb_wasi_udf._frames.batch_function import BatchFunction, apply, batch_function
from duckdb_wasi_udf._guests.group import SharedUsage
from duckdb_wasi_udf._guests.recent_errors import error_of
from duckdb_wasi_udf._guests.sandbox_group import SandboxGroup
from duckdb_wasi_udf._guests.usage import SandboxUsage
from duckdb_wasi_udf._host_functions.audit import HostCallRecord
from duckdb_wasi_udf._host_functions.function import HostCall, HostFunction, host_function
from duckdb_wasi_udf._host_functions.reentry import host_call_abandoned
from duckdb_wasi_udf._limits import DataLimits, GroupLimits, HostQuota, ResourceLimits
from duckdb_wasi_udf._notebook.extension import load_ipython_extension, unload_ipython_extension
from duckdb_wasi_udf._shared.column import Column
from duckdb_wasi_udf._shared.columns import Columns, wanted_columns
from duckdb_wasi_udf._shared.interval import Interval
from duckdb_wasi_udf._sql import native_path
from duckdb_wasi_udf._sql.column_function import ColumnFunction
from duckdb_wasi_udf._sql.install import install
from duckdb_wasi_udf._sql.query import Query
from duckdb_wasi_udf._sql.repair import TrialError
from duckdb_wasi_udf._sql.sandbox import Sandbox
from duckdb_wasi_udf._sql.trial import FunctionDescription, Trial
from duckdb_wasi_udf._version import __version__

__all__ = [
    "ArtifactError",
    "BatchFunction",
    "Cancelled",
    "ClosedError",
    "Column",
    "ColumnFunction",
    "Columns",
    "DataLimits",
    "FunctionDescription",
    "GroupLimits",
    "GuestError",
    "GuestTrap",
    "HostCall",
    "HostCallRecord",
    "HostFunction",
    "HostQuota",
    "Interval",
    "LimitExceeded",
    "PackageError",
    "ProtocolError",
    "Query",
    "ResourceLimits",
    "Sandbox",
    "SandboxGroup",
    "SandboxUsage",
    "SharedUsage",
    "SignatureError",
    "Trial",
    "TrialError",
    "WasiUdfError",
    "__version__",
    "apply",
    "batch_function",
    "error_of",
    "host_call_abandoned",
    "host_function",
    "install",
    "load_ipython_extension",
    "unload_ipython_extension",
    "variant_to_arrow",
    "variant_to_python",
    "wanted_columns",
]

native_path.start()
