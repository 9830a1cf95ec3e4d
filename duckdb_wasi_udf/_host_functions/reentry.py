"""A guest is not started inside a host function for which another guest waits."""

from __future__ import annotations

import threading

from duckdb_wasi_udf._errors import WasiUdfError

# The host functions that are running, by the thread each runs on.
running: dict[int, str] = {}


def check_no_reentry(label: str) -> None:
    """Refuse to start a guest on a thread that is inside a host function, for which another guest waits.

    A guest could otherwise have itself called through its host until the machine stack ends, and the process with it.

    Raises:
        WasiUdfError: the thread is inside one.
    """
    name = running.get(threading.get_ident())
    if name is not None:
        msg = (
            f"{label}: a sandboxed function can't run inside the host function {name}, while the one that called it "
            "waits; let the host function use plain SQL"
        )
        raise WasiUdfError(msg)
