"""A quantity that several sandboxes share: half of it divided among them, the rest for whoever needs it."""

from __future__ import annotations


class Shares:
    """Counts who has how much of a quantity. Not for use by several threads at once.

    Attributes:
        own: what each sandbox has for itself.
        common: what is beyond all of these.
    """

    def __init__(self, limit: float, sandboxes: int) -> None:
        """Divide a quantity of which nothing is used.

        Args:
            limit: all of it. Shares of whole numbers are whole numbers.
            sandboxes: the number of sandboxes that it is divided among.
        """
        self.own = limit // (2 * sandboxes) if isinstance(limit, int) else limit / (2 * sandboxes)
        self.common = limit - sandboxes * self.own
        self._limit = limit
        self._used: dict[str, float] = {}
        self._total = 0.0
        self._common_used = 0.0

    def used(self, name: str) -> float:
        """Return what a sandbox has."""
        return self._used.get(name, 0)

    def beyond(self, name: str) -> float:
        """Return what a sandbox has beyond its own share."""
        return max(self.used(name) - self.own, 0)

    def left(self, name: str) -> float:
        """Return what a sandbox may still take; 0 if nothing."""
        own = max(self.own - self.used(name), 0)
        common = max(self.common - self._common_used, 0)
        return max(min(own + common, self._limit - self._total), 0)

    @property
    def is_over(self) -> bool:
        """True if sandboxes have more beyond their own shares than there is."""
        return self._common_used > self.common

    def add(self, name: str, amount: float) -> None:
        """Count what a sandbox takes, or gives back if it is negative; it may be more than is left."""
        before = self.beyond(name)
        used = self._used[name] = self.used(name) + amount
        self._total += amount
        self._common_used += self.beyond(name) - before
        if not used:  # so that names don't pile up
            del self._used[name]

    def clear(self) -> None:
        """Forget what is used."""
        self._used.clear()
        self._total = self._common_used = 0.0

    @property
    def names(self) -> list[str]:
        """Names of the sandboxes that have some."""
        return list(self._used)
