"""An event loop that needs no sockets: nothing but its own timers can wake it, because there is one thread."""

import selectors
import socket
import time
from asyncio import base_events, selector_events

# A loop runs what is due before now, and the clock's floats have a resolution of 0.1 microseconds.
_LATER = 1e-6


class _Sleeper(selectors._BaseSelectorImpl):
    """A selector without files.

    Attributes:
        skipped: seconds that were slept while the clock stood still, as it does in deterministic sandboxes.
    """

    def __init__(self):
        super().__init__()
        self.skipped = 0.0

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("the event loop would never go on: its tasks wait for each other, or for a thread")
        if timeout > 0:
            began = time.monotonic()
            time.sleep(timeout)
            if time.monotonic() == began:
                self.skipped += timeout + _LATER
        return []


class _Methods:
    """Those of `BaseSelectorEventLoop`."""

    def __init__(self, selector=None):
        self._clock = _Sleeper()
        _init(self, self._clock if selector is None else selector)

    def time(self):
        return time.monotonic() + self._clock.skipped

    def run_in_executor(self, executor, func, *args):
        if executor is None:
            raise RuntimeError(
                "there is one thread in the sandbox, so asyncio.to_thread and run_in_executor have none to use; call "
                "the function directly"
            )
        return base_events.BaseEventLoop.run_in_executor(self, executor, func, *args)

    async def getaddrinfo(self, host, port, *, family=0, type=0, proto=0, flags=0):
        return socket.getaddrinfo(host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr, flags=0):
        return socket.getnameinfo(sockaddr, flags)

    def _make_self_pipe(self):
        pass

    def _close_self_pipe(self):
        pass

    def _write_to_self(self):
        pass


_loop = selector_events.BaseSelectorEventLoop
_init = _loop.__init__
for _name, _method in vars(_Methods).items():
    if callable(_method):
        setattr(_loop, _name, _method)
