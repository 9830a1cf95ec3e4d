"""Puts the guests and the native library into a wheel: builds them, or takes them from the cache."""

from __future__ import annotations

import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GuestHook(BuildHookInterface[Any]):
    """Hook that runs before the wheel's files are collected."""

    def dependencies(self) -> list[str]:
        """Return what building the guest and the native library needs, unless they are in the cache."""
        pipeline, native = self._modules()
        needed = list(pipeline.requirements())
        return needed if needed or native.is_cached() else list(native.requirements())

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make all for a real wheel; an editable install uses what `make guest` leaves."""
        del build_data
        if version != "editable":
            pipeline, native = self._modules()
            for numpy in (False, True):
                pipeline.build(numpy=numpy)
            native.build()

    def _modules(self) -> tuple[Any, Any]:
        sys.path.insert(0, self.root)
        try:
            from wasm.build import native, pipeline  # noqa: PLC0415 - found only now
        finally:
            sys.path.remove(self.root)
        return pipeline, native
