"""`python -m tests.cpython`: run CPython's tests in the guest, and compare with the list of those that don't pass."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.cpython import report
from tests.cpython.expectations import Expectations
from tests.cpython.guest_runner import GuestRunner
from tests.cpython.modules import MODULES


def main() -> int:
    """Run the command; return the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.cpython", description=__doc__)
    parser.add_argument("modules", nargs="*", help="such as test_json; all by default")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation; with all modules")
    parser.add_argument("--details", type=Path, help="a file for everything that the tests said, as JSON")
    options = parser.parse_args()
    if options.write and options.modules:
        parser.error("--write writes the whole page: leave out the modules")
    runner = GuestRunner()
    modules = []
    for name in options.modules or MODULES:
        modules.append(results := runner.run(name))
        said = f"{len(results.tests)} run, {results.count('skip')} skipped, {len(results.failures())} not passed"
        print(f"{name:40} {results.seconds:6.1f} s  {said}", flush=True)
    runner.close()
    if options.details:
        options.details.write_text(json.dumps([asdict(module) for module in modules], indent=0), encoding="utf-8")
    expectations = Expectations.load()
    surprises = expectations.surprises(modules)
    if options.write:
        report.write(modules, expectations)
    else:
        surprises += [f"not in {report.PAGE.name}: {line}" for line in report.differences(modules, expectations)]
    print("\n".join(surprises) if surprises else "as listed in tests/cpython/expected.toml")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
