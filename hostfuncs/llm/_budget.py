"""The number of tokens that may be spent, and were."""

from __future__ import annotations

import threading

from hostfuncs.scaling._wrapping import check_positive


class BudgetSpentError(Exception):
    """No tokens are left; the text is for the guest."""


class Budget:
    """Tokens that functions may spend together, as long as the process lives. Safe for use by many threads.

    A call is made only if the budget has what it takes at most; afterwards it is charged what the service says.

    Attributes:
        tokens: the number of tokens.
    """

    def __init__(self, tokens: int) -> None:
        """Begin with nothing spent.

        Args:
            tokens: the number of tokens.

        Raises:
            ValueError: it isn't positive.
        """
        check_positive(tokens=tokens)
        self.tokens = tokens
        self._spent = 0
        self._lock = threading.Lock()

    @property
    def spent(self) -> int:
        """Tokens that were spent, those of calls under way at their most."""
        return self._spent

    def reserve(self, tokens: int) -> None:
        """Set tokens aside for a call.

        Raises:
            BudgetSpentError: the budget hasn't as many.
        """
        with self._lock:
            if self._spent + tokens > self.tokens:
                msg = f"the budget of {self.tokens:,} tokens is spent"
                raise BudgetSpentError(msg)
            self._spent += tokens

    def settle(self, reserved: int, used: int) -> None:
        """Charge a call that was made what it used, in place of what was set aside."""
        with self._lock:
            self._spent += used - reserved
