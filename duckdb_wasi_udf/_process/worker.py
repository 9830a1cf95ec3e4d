"""One call on a thread of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")


class Worker(Generic[_Result]):
    """Calls a function on a daemon thread.

    Attributes:
        done: Set when the function has returned or raised.
    """

    def __init__(self, function: Callable[[], _Result], name: str) -> None:
        """Prepare the call; `start` makes it.

        Args:
            function: what to call.
            name: the thread's name.
        """
        self.done = threading.Event()
        self._function: Callable[[], _Result] | None = function
        self._name = name
        self._results: list[_Result] = []
        self._errors: list[BaseException] = []

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def result(self) -> _Result:
        """Return what the function returned, or raise what it raised; once, after it is done."""
        if self._errors:
            raise self._errors.pop()
        return self._results.pop()

    def ended(self) -> None:
        """Report the end of the call, on its thread."""
        self.done.set()

    def _run(self) -> None:
        function, self._function = self._function, None  # so that nothing outlives the call on its account
        assert function is not None
        try:
            self._results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again by `result`, where it belongs
            self._errors.append(error)
        finally:
            del function
            self.ended()
