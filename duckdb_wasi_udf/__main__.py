"""The command line, `duckdb-wasi-udf` and `python -m duckdb_wasi_udf`: in full if its libraries are installed."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys

from duckdb_wasi_udf import _doctor


def main() -> int:
    """Run the command; return the process's exit status."""
    try:
        app = importlib.import_module("duckdb_wasi_udf._cli.app")
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except ImportError as error:
        return _main_without_libraries(str(error))
    for name in ("SIGTERM", "SIGHUP"):  # half-written files are deleted, as after Ctrl-C
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores one of them
            signal.signal(number, _end)
    status: int = app.main()
    return status


def _end(number: int, _: object) -> None:
    """End the process with the status that shells give one that a signal ended."""
    sys.exit(128 + number)


def _main_without_libraries(reason: str) -> int:
    """Run `doctor` or `compile`, which container images want and which need nothing else.

    Args:
        reason: which library is missing, or too old.
    """
    parser = argparse.ArgumentParser(prog="duckdb-wasi-udf", description="Untrusted Python inside DuckDB SQL.")
    commands = parser.add_subparsers(dest="command", metavar="{doctor,compile}")
    checking = commands.add_parser("doctor", help="print versions and times, and check that everything works")
    compiling = commands.add_parser(
        "compile", help="compile the guest into the cache ($DUCKDB_WASI_UDF_CACHE), as when a container image is built"
    )
    compiling.add_argument("--fuel", action="store_true", help="for sandboxes with ResourceLimits(fuel=...) as well")
    compiling.add_argument("--numpy", action="store_true", help="the guest that has numpy as well")
    for command in (checking, compiling):
        command.add_argument("--json", action="store_true", help="print JSON")
    if not {"doctor", "compile", "-h", "--help"} & set(sys.argv[1:2]):
        print(
            f"error: {reason}; without it there are only doctor and compile: pip install 'duckdb-wasi-udf[cli]'",
            file=sys.stderr,
        )
        return 2
    arguments = parser.parse_args()
    if arguments.command == "compile":
        return _doctor.compile_guest(fuel=arguments.fuel, numpy=arguments.numpy, as_json=arguments.json)
    return _doctor.run(as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
