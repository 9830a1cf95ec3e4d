"""The command line: `python -m wasm build` and `python -m wasm clean`."""

from __future__ import annotations

import argparse
import shutil
import sys

from wasm import _build, _config
from wasm._snapshot import SnapshotError
from wasm._steps import StepError


def main() -> int:
    """Run the command; the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m wasm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="make the guest, or take it from the cache, and put it into the package")
    commands.add_parser("clean", help="remove the guest from the package and everything built from the cache")
    if parser.parse_args().command == "clean":
        shutil.rmtree(_config.workspace(), ignore_errors=True)
        shutil.rmtree(_build.ARTIFACT, ignore_errors=True)
        return 0
    try:
        print(_build.build())
    except (StepError, SnapshotError) as error:
        print(f"guest: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
