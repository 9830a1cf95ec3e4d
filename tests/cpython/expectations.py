"""The list of tests that don't pass in the guest, each under its cause: expected.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.cpython.guest_runner import Results

LIST = Path(__file__).parent / "expected.toml"


@dataclass(frozen=True, slots=True)
class Expectations:
    """The list.

    Attributes:
        reasons: What each cause means.
        causes: The cause of each test that doesn't pass.
    """

    reasons: dict[str, str]
    causes: dict[str, str]

    @classmethod
    def load(cls) -> Expectations:
        """Read the list."""
        data = tomllib.loads(LIST.read_text(encoding="utf-8"))
        return cls(
            {cause: entry["reason"] for cause, entry in data.items()},
            {test: cause for cause, entry in data.items() for test in entry["tests"]},
        )

    def surprises(self, results: Iterable[Results]) -> list[str]:
        """Return a line for each test that should have passed, or passes although it is listed, or is gone."""
        lines = []
        for module in results:
            failures = module.failures()
            listed = {test for test in self.causes if belongs(test, module.name)}
            lines += [f"fails: {test}\n{_last(failures[test])}" for test in sorted(failures.keys() - listed)]
            for test in sorted(listed - failures.keys()):
                outcome = module.tests.get(test, ("is gone", ""))[0]
                lines.append(f"listed under {self.causes[test]!r}, but not failing ({outcome}): {test}")
        return lines


def belongs(test: str, module: str) -> bool:
    """Return whether a test is of a module. The doctests that it runs have the name of what they test."""
    tested = module.rpartition(".")[2].removeprefix("test_")
    return test == module or test.startswith((f"{module}.", f"{tested}.")) or f"({module}." in test


def _last(detail: str) -> str:
    """Return the end of a traceback, indented."""
    return "\n".join(f"    {line}" for line in detail.strip().splitlines()[-6:])
