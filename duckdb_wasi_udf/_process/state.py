"""Everything that lives as long as the process: the one place for it, so that it can be seen as a whole.

Besides this there are only loggers, and caches of functions by their arguments (`functools.cache`). A child process
that was forked gets locks and a ticker of its own; its sandboxes refuse to run (`TrustDomain.check_open`).
"""

from __future__ import annotations

import contextvars
import itertools
import os
import secrets
import threading
import weakref
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._process.thread_states import ThreadStates
from duckdb_wasi_udf._process.ticker import Ticker

if TYPE_CHECKING:
    from duckdb_wasi_udf._native.library import NativeLibrary

# ---- DuckDB ------------------------------------------------------------------------------------------------------

# Everything ever handed to DuckDB, which calls a function even after the connection that registered it is gone, but by
# then no longer keeps it alive, and crashes (duckdb-python#530). An entry is some 100 bytes, and leads to nothing once
# its sandbox is closed. To be dropped when that issue is fixed.
registered_functions: list[Any] = []

# The databases that sandboxes are used with, by key, as long as they are open (`database.Database`).
databases: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

# The keys of their databases, by connection, as far as they are known.
database_keys: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

# Held while it is found out which database a connection is of.
database_lookup = threading.Lock()

# The name of what marks a database as known. Another copy of this module has another one, and SQL can't guess it.
MARK = f"__duckdb_wasi_udf_{secrets.token_hex(8)}"

# Python's state of DuckDB's threads.
thread_states = ThreadStates()

# ---- sandboxes and guests ----------------------------------------------------------------------------------------

# The trust domains that the end of the process closes (`shutdown`).
open_domains: weakref.WeakSet[Any] = weakref.WeakSet()

# The names of sandboxes that were given none, in the metrics of OpenTelemetry.
sandbox_numbers = itertools.count(1)

# Held while the error behind an exception is chosen (`recent_errors`).
error_finding = threading.Lock()

# Ticks the clocks of running guests, and notices Ctrl-C.
ticker = Ticker()

# The call of a host function that the code is part of which runs in a context (`reentry.RunningCall`).
running_host_call: contextvars.ContextVar[Any] = contextvars.ContextVar("running_host_call", default=None)

# ---- cancels -----------------------------------------------------------------------------------------------------

# Numbers in the order in which queries begin and sandboxes are cancelled: a cancel ends what has a lower one.
cancel_numbers = itertools.count(1)

# Held while a cancel gets its number, so that the library hears of them in order. A signal's handler may cancel too.
cancelling = threading.RLock()

# ---- the native library ------------------------------------------------------------------------------------------

# The library that makes calls without Python, once it has proved that it can (`_sql/native_path`); None if it isn't
# used.
native: NativeLibrary | None = None

# Why it isn't used, or is.
native_status = "not tried yet"

# The instances that it has, by its number of them (`lent_instance`).
native_instances: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

# Its name of the connection that a thread's call is for, while Python does the call.
native_connections: dict[int, int] = {}

# Its table functions, by its number of them (`_sql/native_tables`); calls of them, and scans of these.
native_tables: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
native_bound: dict[int, Any] = {}
native_scans: dict[int, Any] = {}

# Numbers for these.
native_numbers = itertools.count(1)

# Held while a function is registered through it.
native_registering = threading.Lock()

# What C calls, which has to live as long as the process.
native_callbacks: list[Any] = []

# ---- wasmtime ----------------------------------------------------------------------------------------------------

# Held while an engine is loaded, so that the guest is compiled once.
engine_loading = threading.Lock()

# Hashes of files that haven't changed since this process read them, which takes 25 ms a sandbox otherwise.
file_hashes: dict[tuple[str, int, int, int], str] = {}

# What instances start with, by the hash of their guest: to look at a module's exports takes 2 ms a sandbox otherwise.
memory_sizes: dict[str, int] = {}

# What answers an instance's imports, by the address of its store's context. An engine has one function for an import,
# which serves all its instances, on all threads (`raw_instance`).
import_handlers: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

# The C functions that the imports are, by name: engines may live as long as the process.
import_callbacks: dict[str, Any] = {}


def _after_fork() -> None:
    """Start anew in a child process, where threads don't exist and locks may be held by nobody."""
    global cancelling, database_lookup, engine_loading, error_finding, native_registering  # noqa: PLW0603
    cancelling = threading.RLock()
    database_lookup = threading.Lock()
    engine_loading = threading.Lock()
    error_finding = threading.Lock()
    native_registering = threading.Lock()
    ticker.after_fork()
    if native is not None:
        native.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
