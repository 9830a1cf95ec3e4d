"""Check what a release consists of: `python -m tests.tools.release_check`.

It builds the wheel and the source distribution, checks their metadata, makes the wheel from the source distribution as
well, and uses it in a new environment of each supported Python. What passed is in dist/.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import python_discovery

from tests.tools import wheels
from tests.tools.set_up import ROOT

PYTHONS = ("3.11", "3.12", "3.13")
DIST = ROOT / "dist"


def main() -> int:
    """Run the command; the process's exit status."""
    parser = argparse.ArgumentParser(description="Build the wheel and the source distribution, and check both.")
    parser.add_argument("--allow-missing", action="store_true", help="go on without a Python that isn't installed")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="duckdb-wasi-udf-release-") as folder:
            check(Path(folder), allow_missing=options.allow_missing)
    except wheels.WheelError as error:
        print(f"\nrelease-check failed: {error}", file=sys.stderr)
        return 1
    print(f"\nrelease-check passed; {DIST} has {', '.join(sorted(path.name for path in DIST.iterdir()))}")
    return 0


def check(folder: Path, *, allow_missing: bool) -> None:
    """Run every check and put what was built into dist/.

    Args:
        folder: An empty directory for environments and wheels.
        allow_missing: A Python that isn't found is said, and no error.

    Raises:
        WheelError: A check failed.
    """
    pythons = find(PYTHONS, allow_missing=allow_missing)
    built = folder / "dist"
    _tell("the source distribution and the wheel are built")
    wheels.run(sys.executable, "-m", "build", "--sdist", "--wheel", "--outdir", built, ROOT, cwd=folder)
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    wheels.check_contents(wheel)
    _tell("their metadata are checked")
    wheels.run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist, cwd=folder)
    _tell("a wheel is built from the source distribution")
    wheels.check_same(wheel, wheels.build(folder / "again", sdist))
    for version, python in pythons.items():
        _tell(f"the wheel is used with Python {version}, {python}")
        place = folder / version
        own = wheels.install(wheel, place / "venv", python)
        print(wheels.use(own, place))
        wheels.check_types(own, place)
    shutil.rmtree(DIST, ignore_errors=True)
    shutil.copytree(built, DIST, ignore=shutil.ignore_patterns(".*"))


def find(versions: tuple[str, ...], *, allow_missing: bool) -> dict[str, str]:
    """Return the path of an interpreter of each version, on PATH or installed by pyenv, active there or not.

    Raises:
        WheelError: There is none of a version, unless that is allowed.
    """
    environment = dict(os.environ)
    if root := environment.get("PYENV_ROOT"):
        environment["PYENV_VERSION"] = ":".join(path.name for path in sorted(Path(root, "versions").glob("*")))
    found = {version: python_discovery.get_interpreter(f"cpython{version}", env=environment) for version in versions}
    missing = [version for version, python in found.items() if python is None]
    if missing:
        lacking = f"Python {', '.join(missing)} isn't installed"
        if not allow_missing:
            msg = f"{lacking}; install it, or go on without it: make release-check MISSING=allow"
            raise wheels.WheelError(msg)
        _tell(f"{lacking}: NOT checked with it")
    return {version: str(python.system_executable) for version, python in found.items() if python is not None}


def _tell(text: str) -> None:
    print(f"release-check: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
