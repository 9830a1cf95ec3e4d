"""Measures everything in one run and writes tables and charts of docs/explanation/performance.md.

Usage: python -m benchmarks [--quick] [--write]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys

from benchmarks import (
    calls,
    charts,
    compiled,
    host,
    lookups,
    memory,
    numpy,
    outside,
    packages,
    rows,
    scaling,
    start,
    tables,
    types,
)

SECTIONS = (start, packages, calls, outside, compiled, numpy, memory, rows, tables, scaling, types, host, lookups)

PAGE = charts.PAGE
BEGIN, END = "<!-- measured: make bench -->\n", "<!-- end of measured -->\n"


def main() -> int:
    """Run the benchmarks; the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and repetitions: to try, not to report")
    parser.add_argument(
        "--write", action="store_true", help="put tables and charts into docs/explanation/performance.md"
    )
    options = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 0.5:
        print(f"warning: the machine is busy (load {load:.1f}); ratios will be noisy", file=sys.stderr)
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    sections = [f"Measured on {machine}; load before the run {load:.2f}.\n"]
    for benchmark in SECTIONS:
        sections.append(benchmark.measure(quick=options.quick))
        print(sections[-1], flush=True)
    if options.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + "\n".join(sections) + END + rest.partition(END)[2])
        charts.draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())
