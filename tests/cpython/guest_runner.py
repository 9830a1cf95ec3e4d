"""Runs modules of CPython's tests in the guest, and keeps what became of each test."""

from __future__ import annotations

import json
import lzma
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

import duckdb_wasi_udf as wasi_udf
from tests.cpython.modules import fetch_tests

GUEST = sorted((Path(__file__).parent / "guest").glob("*.py"))
MIB = 2**20

DEFINITION = """
import json

import cpython_tests
import host

def run_tests(name: str, start: int) -> int:
    cpython_tests.run(name, start, lambda *event: host.report(json.dumps(event)))
    return start
"""

PASSED = frozenset({"ok", "expected failure"})


@dataclass
class Results:
    """What became of a module's tests.

    Attributes:
        name: The module.
        planned: The number of its tests.
        tests: The outcome of each by its name without `test.` at the front, and a detail. Outcomes are those of
            guest/cpython_tests.py and "crash" and "timeout", after which a new instance runs the rest.
        fixtures: The names, outcomes and details of `setUpClass` and the like that failed or were skipped.
        whole: The outcome and detail of a module that has no tests to run.
        seconds: How long it took.
    """

    name: str
    planned: int = 0
    tests: dict[str, tuple[str, str]] = field(default_factory=dict)
    fixtures: list[tuple[str, str, str]] = field(default_factory=list)
    whole: tuple[str, str] | None = None
    seconds: float = 0.0
    last: int = -1
    running: str | None = None

    def take(self, event: list[Any]) -> None:
        """Note an event."""
        match event:
            case ["plan", count]:
                self.planned = count
            case ["start", number, name]:
                self.last, self.running = number, name
            case ["end", number, name, outcome, detail]:
                self.running = None
                key = _short(name)  # a few tests have one name, where a class has several bases
                self.tests[f"{key} #{number}" if key in self.tests else key] = (outcome, detail)
            case ["fixture", name, outcome, detail]:
                self.fixtures.append((_short(name), outcome, detail))
            case ["module", outcome, detail]:
                self.whole = (outcome, detail)

    def lost(self, start: int, outcome: str, detail: str) -> int | None:
        """Note that the instance which began with test `start` is gone; return the test to go on with, if any."""
        if self.running is not None:
            self.take(["end", self.last, self.running, outcome, detail])
        elif self.last >= start:  # not the test, but what comes after it
            self.fixtures.append((f"after test {self.last} of {self.name}", outcome, detail))
        else:
            self.whole = (outcome, detail)
            return None
        return self.last + 1 if self.last + 1 < self.planned else None

    def failures(self) -> dict[str, str]:
        """Return the detail of each test that didn't pass and was not skipped, fixtures and the module included."""
        bad = {
            name: detail
            for name, (outcome, detail) in self.tests.items()
            if outcome not in PASSED and outcome != "skip"
        }
        bad |= {name: detail for name, outcome, detail in self.fixtures if outcome != "skip"}
        if self.whole is not None and self.whole[0] != "skip":
            bad[self.name] = self.whole[1]
        return bad

    def count(self, *outcomes: str) -> int:
        """Return the number of tests with one of the outcomes."""
        return sum(outcome in outcomes for outcome, _ in self.tests.values())


class GuestRunner:
    """Runs test modules, each in fresh instances.

    Args:
        timeout_seconds: The time that a module may take.
    """

    def __init__(self, timeout_seconds: float = 600.0) -> None:
        self._results = Results("")

        @wasi_udf.host_function
        def report(events: list[str]) -> list[bool]:
            for event in events:
                self._results.take(json.loads(event))
            return [True] * len(events)

        @wasi_udf.host_function
        def decompress(data: list[bytes]) -> list[bytes]:
            return [lzma.decompress(piece) for piece in data]

        generous = wasi_udf.HostQuota(calls=10**9, bytes=2**40, seconds=10.0**6)
        limits = wasi_udf.ResourceLimits(
            timeout_seconds=timeout_seconds,
            memory_bytes=2048 * MIB,
            recycle_memory_bytes=2048 * MIB,
            package_bytes=256 * MIB,
            host_batch=generous,
            host_query=generous,
            host_function_batch=generous,
            host_function_query=generous,
        )
        self._sandbox = wasi_udf.Sandbox(
            packages=[fetch_tests(), *GUEST, "tzdata"],
            host_functions=[report, decompress],
            limits=limits,
            isolation="batch",
        )
        self._con = duckdb.connect()
        self._sandbox.create_function(
            self._con, "run_tests", DEFINITION, ["VARCHAR", "BIGINT"], "BIGINT", side_effects=True
        )
        self._con.execute("CREATE TABLE job (name VARCHAR, start BIGINT)")  # of constants, DuckDB would try a call

    def close(self) -> None:
        """Release the sandbox."""
        self._con.close()
        self._sandbox.close()

    def run(self, name: str) -> Results:
        """Run all tests of a module, whatever becomes of the instances."""
        self._results, started = Results(name), time.monotonic()
        start: int | None = 0
        while start is not None:
            start = self._run_from(start)
        self._results.seconds = time.monotonic() - started
        return self._results

    def _run_from(self, start: int) -> int | None:
        self._con.execute("DELETE FROM job")
        self._con.execute("INSERT INTO job VALUES (?, ?)", [self._results.name, start])
        try:
            self._con.execute("SELECT run_tests(name, start) FROM job").fetchall()
        except duckdb.Error as error:
            cause = self._sandbox.last_error or error
            late = isinstance(cause, wasi_udf.LimitExceeded) and cause.limit == "timeout_seconds"
            return self._results.lost(start, "timeout" if late else "crash", f"{type(cause).__name__}: {cause}")
        return None


def _short(name: str) -> str:
    """Return a test's name, without the package that all are in."""
    return name.replace("test.", "", 1) if name.startswith("test.") else name.replace("(test.", "(", 1)
