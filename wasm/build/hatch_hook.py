"""Puts the guests into a wheel: builds them, or takes them from the cache."""

from __future__ import annotations

import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GuestHook(BuildHookInterface[Any]):
    """Hook that runs before the wheel's files are collected."""

    def dependencies(self) -> list[str]:
        """Return what building the guest needs, unless it is in the cache."""
        return list(self._pipeline().requirements())

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make both guests for a real wheel; an editable install uses what `make guest` leaves."""
        del build_data
        if version != "editable":
            for numpy in (False, True):
                self._pipeline().build(numpy=numpy)

    def _pipeline(self) -> Any:
        sys.path.insert(0, self.root)
        try:
            from wasm.build import pipeline  # noqa: PLC0415 - found only now
        finally:
            sys.path.remove(self.root)
        return pipeline
