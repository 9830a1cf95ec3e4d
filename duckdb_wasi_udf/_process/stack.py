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

if TYPE_CHECKING:
    from collections.abc import Callable

    _Result = TypeVar("_Result")

# A guest's part. CPython's C code recurses up to 400 levels (wasm/src/reactor.c) of some 2 KiB before it raises.
WASM_STACK_BYTES = 2**20

# What DuckDB, Python and wasmtime may have used before and need beside it.
_MARGIN_BYTES = 2**19

_OWN_STACK_BYTES = 4 * 2**20

# Threads whose stack is large enough, by both of their identities: each alone is soon another thread's.
_sufficient: dict[tuple[int, int], bool] = {}
_MAX_KNOWN = 1000

_starting = threading.Lock()


def call(function: Callable[..., _Result], *arguments: Any) -> _Result:
    """Call a function where the stack has room for a guest: here, or on a thread started for it (some 0.4 ms)."""
    thread = (threading.get_ident(), threading.get_native_id())
    sufficient = _sufficient.get(thread)
    if sufficient is None:
        if len(_sufficient) >= _MAX_KNOWN:
            _sufficient.clear()
        sufficient = _sufficient[thread] = stack_bytes() >= WASM_STACK_BYTES + _MARGIN_BYTES
    return function(*arguments) if sufficient else call_on_own_thread(function, *arguments)


def call_on_own_thread(function: Callable[..., _Result], *arguments: Any) -> _Result:
    results: list[_Result] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            results.append(function(*arguments))
        except BaseException as error:  # noqa: BLE001 - raised again below, where it belongs
            errors.append(error)
        finally:
            done.set()

    with _starting:
        previous = threading.stack_size(_OWN_STACK_BYTES)
        try:
            thread = threading.Thread(target=work, name="duckdb-wasi-udf-stack", daemon=True)
            thread.start()
        finally:
            threading.stack_size(previous)
    interrupted: BaseException | None = None
    while not done.is_set():
        try:
            done.wait()
        except BaseException as error:  # noqa: BLE001 - a Ctrl-C, which stops the guest: its memory is in use until then
            interrupted = error
    if interrupted is not None:
        raise interrupted
    if errors:
        raise errors.pop()
    return results[0]


def stack_bytes() -> int:
    """The size of the calling thread's stack."""
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
