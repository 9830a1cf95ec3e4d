"""The page of the documentation with what became of CPython's tests."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.cpython.expectations import Expectations
    from tests.cpython.guest_runner import Results

PAGE = Path(__file__).parents[2] / "docs" / "contributing" / "cpython-tests.md"
MARK = "<!-- Below: written by `python -m tests.cpython --write` -->\n"


def row(results: Results, expectations: Expectations) -> str:
    """Return a module's line of the table."""
    failures = results.failures()
    causes = Counter(expectations.causes.get(test, "unexplained") for test in failures)
    counts = (
        len(results.tests),
        results.count("ok", "expected failure"),
        results.count("skip"),
        len(failures),
    )
    why = ", ".join(f"{count} {cause}" for cause, count in causes.most_common())
    if results.whole is not None and results.whole[0] == "skip":
        why = f"skipped: {results.whole[1]}"
    return f"| {results.name} | " + " | ".join(f"{count:,}" for count in counts) + f" | {why} |"


def write(modules: Sequence[Results], expectations: Expectations) -> None:
    """Write the tables into the page, below its introduction."""
    failures = Counter(expectations.causes.get(test, "unexplained") for module in modules for test in module.failures())
    total = sum(len(module.tests) for module in modules)
    passed = sum(module.count("ok", "expected failure") for module in modules)
    skipped = sum(module.count("skip") for module in modules)
    lines = [
        f"{len(modules)} modules with {total:,} tests: {passed:,} pass, {failures.total():,} don't.",
        f"CPython itself skips {skipped:,}.",
        "",
        "| cause | tests | reason |",
        "| --- | ---: | --- |",
        *(f"| {cause} | {failures[cause]:,} | {reason} |" for cause, reason in expectations.reasons.items()),
        "",
        "## By module",
        "",
        "| module | run | passed | skipped | failed | cause |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
        *(row(module, expectations) for module in modules),
    ]
    introduction = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    PAGE.write_text(introduction + MARK + "\n" + "\n".join(lines) + "\n", encoding="utf-8")


def differences(modules: Sequence[Results], expectations: Expectations) -> list[str]:
    """Return the modules' lines that are not in the page."""
    lines = set(PAGE.read_text(encoding="utf-8").splitlines())
    return [line for line in (row(module, expectations) for module in modules) if line not in lines]
