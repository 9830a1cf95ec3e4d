"""The command line of the guest's build."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from wasm.build import config, fetch, native, pipeline
from wasm.build.reactor import SnapshotError
from wasm.build.steps import StepError

_COMMANDS = {
    "build": "make the guest, or take it from the cache, and put it into the package",
    "native": "make the native library for all platforms, and put it into the package",
    "verify": "make the guest a second time in another place, and check that it has the same bytes",
    "debug": "make a guest with symbols and assertions in build/guest-debug",
    "answers": "ask CPython's configure everything again, and write its answers to wasm/configure.answers",
    "check-sources": "get every source from every place it has, one by one, and keep nothing",
    "clean": "remove the guest from the package, and everything built from the cache",
}
_RUN = "call the function that a file defines, once and without DuckDB, and print what it returns"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wasm", description="Build the guest.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in {"build", "verify"}:
            command.add_argument("--numpy", action="store_true", help="the guest that has numpy")
    _add_run(commands.add_parser("run", help=_RUN, description=f"{_RUN[0].upper()}{_RUN[1:]}."))
    return parser


def _add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("--debug", action="store_true", help="in the guest of `python -m wasm debug`")
    command.add_argument("--table", action="store_true", help="print the rows that the function yields")
    command.add_argument("file", type=Path, metavar="FILE.py")
    command.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="JSON, or else text")


def main() -> int:
    """Run the command.

    Returns:
        The process's exit status.
    """
    options = _parser().parse_args()
    try:
        match options.command:
            case "build":
                print(pipeline.build(numpy=options.numpy))
                native.build_here()
            case "native":
                native.build()
                print(native.DIRECTORY)
            case "debug":
                print(pipeline.build(debug=True))
            case "verify":
                print(f"guest: two builds agree, sha256 {pipeline.verify(numpy=options.numpy)}")
            case "run":
                from wasm.build import run  # noqa: PLC0415 - the package's libraries, which a build does without

                artifact = pipeline.build(debug=options.debug)
                return run.run(options.file, options.arguments, artifact, table=options.table, debug=options.debug)
            case "answers":
                print(pipeline.record_answers())
            case "check-sources":
                return _check_sources()
            case _:
                _clean()
    except (StepError, SnapshotError) as error:
        print(f"guest: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("guest: interrupted; the next run goes on after the last step that was finished", file=sys.stderr)
        return 130
    return 0


def _clean() -> None:
    made = (pipeline.ARTIFACT, pipeline.NUMPY_ARTIFACT, pipeline.DEBUG_ARTIFACT, native.DIRECTORY)
    for folder in (config.workspace(), *made):
        shutil.rmtree(folder, ignore_errors=True)


def _check_sources() -> int:
    failures = 0
    for source in config.load().sources.values():
        for place in source.places:
            failure = fetch.check(source, place)
            failures += failure is not None
            print(f"{source.name} {source.version}, {place.name}: {failure or 'ok'}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
