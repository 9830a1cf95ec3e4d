"""`python -m tests.numpy_suite`: run numpy's tests in the guest, and compare with the list of those that don't pass."""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path

from tests.numpy_suite.runner import FileResults, Runner

EXPECTED = Path(__file__).with_name("expected.toml")


def main() -> int:
    """Run the command; return the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.numpy_suite", description=__doc__)
    parser.add_argument("files", nargs="*", help="such as linalg/test_linalg.py; all by default")
    parser.add_argument("--details", action="store_true", help="print what failed tests said")
    options = parser.parse_args()
    runner = Runner()
    results = []
    for path in options.files or runner.files:
        results.append(found := runner.run(path))
        counts = ", ".join(
            f"{found.count(outcome)} {outcome}" for outcome in ("passed", "failed", "crashed", "skipped")
        )
        print(f"{path:45} {found.seconds:6.1f} s  {counts}", flush=True)
        if options.details:
            for name, detail in found.failed().items():
                print(f"--- {name}\n{detail}", flush=True)
    runner.close()
    passed = sum(found.count("passed") for found in results)
    print(f"{passed} passed in all")
    surprises = _surprises(results)
    print("\n".join(surprises) if surprises else f"as listed in {EXPECTED.name}")
    return 1 if surprises else 0


def _surprises(results: list[FileResults]) -> list[str]:
    """Return the tests that failed and aren't listed, and those listed that passed."""
    expected = {name for cause in tomllib.loads(EXPECTED.read_text()).values() for name in cause["tests"]}
    failed = {name for found in results for name in found.failed()}
    ran = {found.path for found in results}
    gone = {name for name in expected - failed if name.partition("::")[0] in ran}
    return [f"failed: {name}" for name in sorted(failed - expected)] + [f"passed: {name}" for name in sorted(gone)]


if __name__ == "__main__":
    sys.exit(main())
