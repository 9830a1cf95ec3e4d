"""Runs guests where the stack is large enough.

A guest's calls use the machine stack of the thread that calls it, up to a limit beyond which it traps. On a thread with
less than that, the process would crash: Linux gives 8 MiB, but macOS 512 KiB to all threads but the first, Windows 1 to
2 MiB, and whoever starts a thread may choose.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._process.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    _Result = TypeVar("_Result")

# A guest's part. CPython's C code recurses up to 400 levels of some 2 KiB before it raises: C_RECURSION_LIMIT of
# wasm/c/start.c.
WASM_STACK_BYTES = 2**20

# What DuckDB, Python and wasmtime may have used before and need beside it.
_MARGIN_BYTES = 2**19

_OWN_STACK_BYTES = 4 * 2**20

# The most threads that are remembered.
_MAX_KNOWN = 1000


def call_with_room(function: Callable[..., _Result], *arguments: Any) -> _Result:
    """Call a function where the stack has room for a guest: here, or on a thread started for it (some 0.4 ms)."""
    thread = (threading.get_ident(), threading.get_native_id())
    known = state.sufficient_stacks
    sufficient = known.get(thread)
    if sufficient is None:
        if len(known) >= _MAX_KNOWN:
            known.clear()
        sufficient = known[thread] = stack_bytes() >= WASM_STACK_BYTES + _MARGIN_BYTES
    return function(*arguments) if sufficient else call_on_own_thread(function, *arguments)


def call_on_own_thread(function: Callable[..., _Result], *arguments: Any) -> _Result:
    """Call a function on a thread that is started for it, with a stack that has room for a guest."""
    worker = Worker(lambda: function(*arguments), "duckdb-wasi-udf-stack")
    with state.thread_starting:
        previous = threading.stack_size(_OWN_STACK_BYTES)
        try:
            worker.start()
        finally:
            threading.stack_size(previous)
    interrupted: BaseException | None = None
    while not worker.done.is_set():
        try:
            worker.done.wait()
        except BaseException as error:  # noqa: BLE001 - a Ctrl-C, which stops the guest: its memory is in use until then
            interrupted = error
    if interrupted is not None:
        raise interrupted
    return worker.result()


def stack_bytes() -> int:
    """Return the size of the calling thread's stack."""
    if sys.platform == "win32":
        low, high = ctypes.c_size_t(), ctypes.c_size_t()
        ctypes.windll.kernel32.GetCurrentThreadStackLimits(ctypes.byref(low), ctypes.byref(high))
        return high.value - low.value
    libc = ctypes.CDLL(None)
    libc.pthread_self.restype = ctypes.c_void_p
    thread = ctypes.c_void_p(libc.pthread_self())
    if sys.platform == "darwin":
        libc.pthread_get_stacksize_np.restype = ctypes.c_size_t
        return int(libc.pthread_get_stacksize_np(thread))
    attributes = ctypes.create_string_buffer(256)  # a pthread_attr_t: 56 bytes with glibc and musl
    address, size = ctypes.c_void_p(), ctypes.c_size_t()
    if libc.pthread_getattr_np(thread, attributes):
        return 0
    libc.pthread_attr_getstack(attributes, ctypes.byref(address), ctypes.byref(size))
    libc.pthread_attr_destroy(attributes)
    return size.value
