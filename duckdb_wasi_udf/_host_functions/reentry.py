"""What is known of the host function that runs: whether a guest waits for it, and that it must not start another."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from duckdb_wasi_udf._errors import WasiUdfError
from duckdb_wasi_udf._process import state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class RunningCall:
    """A call of a host function that is under way.

    Attributes:
        name: the host function.
        ended: True once the function has returned or raised.
    """

    __slots__ = ("_abandoned", "ended", "name")

    def __init__(self, name: str, abandoned: Callable[[], bool]) -> None:
        self.name = name
        self.ended = False
        self._abandoned = abandoned

    @property
    def abandoned(self) -> bool:
        """True if nobody waits for the result any more."""
        return self.ended or self._abandoned()


@contextlib.contextmanager
def running(name: str, abandoned: Callable[[], bool]) -> Iterator[None]:
    """Mark a block as the run of a host function, in which no guest can be started.

    It is marked in the context of the thread, and in copies of it, which other threads may run in.

    Args:
        name: the host function.
        abandoned: returns whether nobody waits for the result any more.
    """
    call = RunningCall(name, abandoned)
    token = state.running_host_call.set(call)
    native = state.native
    if native is not None:
        native.set_careful(1)  # it doesn't look whether its threads are inside one
    try:
        yield
    finally:
        call.ended = True
        state.running_host_call.reset(token)
        if native is not None:
            native.set_careful(-1)


def host_call_abandoned() -> bool:
    """Return whether nobody waits any more for the host function that runs: it may stop what it does.

    That is so when its timeout has passed, or when the guest was stopped that called it. The function asks in its own
    thread, or in another one that runs in a copy of its context, as those of `asyncio.to_thread` do.

    Returns:
        False outside of host functions.
    """
    call = state.running_host_call.get()
    return call is not None and call.abandoned


def check_no_reentry(label: str) -> None:
    """Refuse to start a guest inside a host function, for which another guest waits.

    A guest could otherwise have itself called through its host until the machine stack ends, and the process with it.

    Raises:
        WasiUdfError: a host function is running.
    """
    call = state.running_host_call.get()
    if call is not None and not call.ended:
        msg = (
            f"{label}: a sandboxed function can't run inside the host function {call.name}, while the one that called "
            "it waits; let the host function use plain SQL"
        )
        raise WasiUdfError(msg)
