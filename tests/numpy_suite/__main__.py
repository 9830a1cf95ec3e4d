"""`python -m tests.numpy_suite`: run numpy's tests in the guest, and compare with the list of those that don't pass.

What each test came to is kept in build/numpy-tests, so a run that was stopped goes on where it was, and several can
share the work: each takes files that no other one has.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from tests.numpy_suite.runner import Runner

if TYPE_CHECKING:
    from tests.numpy_suite.journal import FileResults

EXPECTED = Path(__file__).with_name("expected.toml")


def main() -> int:
    """Run the command; return the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.numpy_suite", description=__doc__)
    parser.add_argument("files", nargs="*", help="such as linalg/test_linalg.py; all by default")
    parser.add_argument("--details", action="store_true", help="print what failed tests said")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs with this guest found")
    options = parser.parse_args()
    runner = Runner(fresh=options.fresh)
    results = []
    busy = []
    for path in options.files or runner.files:
        if (found := runner.run(path, wait=False)) is None:
            busy.append(path)
        else:
            results.append(_shown(found, details=options.details))
    for path in busy:  # those that another process ran
        found = runner.run(path, wait=True)
        assert found is not None
        results.append(_shown(found, details=options.details))
    runner.close()
    passed = sum(found.count("passed") for found in results)
    print(f"{passed} passed in all")
    surprises = _surprises(results)
    print("\n".join(surprises) if surprises else f"as listed in {EXPECTED.name}")
    return 1 if surprises else 0


def _shown(found: FileResults, *, details: bool) -> FileResults:
    """Print what became of a file's tests; return it."""
    counts = ", ".join(f"{found.count(outcome)} {outcome}" for outcome in ("passed", "failed", "crashed", "skipped"))
    print(f"{found.path:45} {found.seconds:6.1f} s  {counts}", flush=True)
    if details:
        for name, detail in found.failed().items():
            print(f"--- {name}\n{detail}", flush=True)
    return found


def _surprises(results: list[FileResults]) -> list[str]:
    """Return the tests that failed and aren't listed, and those listed that passed."""
    expected = {name for cause in tomllib.loads(EXPECTED.read_text()).values() for name in cause["tests"]}
    failed = {name for found in results for name in found.failed()}
    ran = {found.path for found in results}
    gone = {name for name in expected - failed if name.partition("::")[0] in ran}
    return [f"failed: {name}" for name in sorted(failed - expected)] + [f"passed: {name}" for name in sorted(gone)]


if __name__ == "__main__":
    sys.exit(main())
