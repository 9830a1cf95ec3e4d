"""The command line: `python -m wasm build`, `clean` and `check-sources`."""

from __future__ import annotations

import argparse
import shutil
import sys

from wasm import _build, _config, _fetch
from wasm._snapshot import SnapshotError
from wasm._steps import StepError


def main() -> int:
    """Run the command; the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m wasm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="make the guest, or take it from the cache, and put it into the package")
    commands.add_parser("clean", help="remove the guest from the package and everything built from the cache")
    commands.add_parser("check-sources", help="get every source from every place it has, one by one, and keep nothing")
    command = parser.parse_args().command
    if command == "check-sources":
        return _check_sources()
    if command == "clean":
        shutil.rmtree(_config.workspace(), ignore_errors=True)
        shutil.rmtree(_build.ARTIFACT, ignore_errors=True)
        return 0
    try:
        print(_build.build())
    except (StepError, SnapshotError) as error:
        print(f"guest: {error}", file=sys.stderr)
        return 1
    return 0


def _check_sources() -> int:
    failures = 0
    for source in _config.load().sources.values():
        for place in source.places:
            failure = _fetch.check(source, place)
            failures += failure is not None
            print(f"{source.name} {source.version}, {place.name}: {failure or 'ok'}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
