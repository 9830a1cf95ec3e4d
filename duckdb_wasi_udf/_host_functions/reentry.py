"""A guest is not started inside a host function for which another guest waits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from duckdb_wasi_udf._errors import WasiUdfError
from duckdb_wasi_udf._process import state

if TYPE_CHECKING:
    from collections.abc import Callable

    _Result = TypeVar("_Result")


def run_host_function(name: str, run: Callable[[], _Result]) -> _Result:
    """Run a host function, on a thread that can't start guests meanwhile."""
    thread = threading.get_ident()
    state.running_host_functions[thread] = name
    native = state.native
    if native is not None:
        native.set_careful(1)  # it doesn't look whether its threads are inside one
    try:
        return run()
    finally:
        del state.running_host_functions[thread]
        if native is not None:
            native.set_careful(-1)


def check_no_reentry(label: str) -> None:
    """Refuse to start a guest on a thread that is inside a host function, for which another guest waits.

    A guest could otherwise have itself called through its host until the machine stack ends, and the process with it.

    Raises:
        WasiUdfError: the thread is inside one.
    """
    name = state.running_host_functions.get(threading.get_ident())
    if name is not None:
        msg = (
            f"{label}: a sandboxed function can't run inside the host function {name}, while the one that called it "
            "waits; let the host function use plain SQL"
        )
        raise WasiUdfError(msg)
