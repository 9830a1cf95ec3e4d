"""LRU cache of functions made from inline code."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class _Function(Protocol):
    def close(self) -> None: ...


_FunctionT = TypeVar("_FunctionT", bound=_Function)

# Functions that are cached; a query seldom has more than a few codes.
MOST = 64


class LruCache(Generic[_FunctionT]):
    """At most `MOST` functions by what they were made of; safe for use by many threads."""

    def __init__(self, drop: Callable[[_FunctionT], None]) -> None:
        """Begin with none.

        Args:
            drop: called with one that is evicted.
        """
        self._drop = drop
        self._lock = threading.Lock()
        self._functions: OrderedDict[Hashable, _FunctionT] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], _FunctionT]) -> _FunctionT:
        """Return the function of a key, made now if it isn't there; other threads needn't wait for that."""
        with self._lock:
            if key in self._functions:
                self._functions.move_to_end(key)
                return self._functions[key]
        made = make()
        with self._lock:
            function = self._functions.setdefault(key, made)
            while len(self._functions) > MOST:
                self._drop(self._functions.popitem(last=False)[1])
        if function is not made:  # another thread was faster
            self._drop(made)
        return function

    def peek(self, key: Hashable) -> _FunctionT | None:
        """Return the function of a key if it is there, which doesn't count as a use."""
        with self._lock:
            return self._functions.get(key)

    def close(self) -> None:
        """Close the functions, and forget them."""
        with self._lock:
            for function in self._functions.values():
                function.close()
            self._functions.clear()
