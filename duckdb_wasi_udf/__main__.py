"""The command line: `python -m duckdb_wasi_udf doctor` and `compile`."""

from __future__ import annotations

import argparse
import sys

from duckdb_wasi_udf import _doctor


def main() -> int:
    """Run the command; the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m duckdb_wasi_udf", description="Untrusted Python inside DuckDB SQL."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="print versions and times, and check that everything works")
    compiling = commands.add_parser(
        "compile", help="compile the guest into the cache ($DUCKDB_WASI_UDF_CACHE), as when a container image is built"
    )
    compiling.add_argument("--fuel", action="store_true", help="for sandboxes with ResourceLimits(fuel=...) as well")
    compiling.add_argument("--numpy", action="store_true", help="the guest that has numpy as well")
    arguments = parser.parse_args()
    if arguments.command == "compile":
        return _doctor.compile_guest(fuel=arguments.fuel, numpy=arguments.numpy)
    return _doctor.run()


if __name__ == "__main__":
    sys.exit(main())
