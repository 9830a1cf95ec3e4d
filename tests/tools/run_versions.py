"""Run the tests with the newest or the oldest versions that pyproject.toml allows.

`python -m tests.tools.run_versions oldest` takes the lowest version of everything that users install, `newest` the
highest of all. Each has an environment of its own, `.venv-oldest` and `.venv-newest`, of the Python that runs this.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys

from tests.tools import lock
from tests.tools.set_up import ROOT, SetUpError, interpreter, set_up

# Extras that users install. The others are tools of ours, of which the lowest version is nobody's concern.
FOR_USERS = ("guest", "hostfuncs", "http", "packages", "redis", "serialization", "sql")


def main() -> int:
    """Run the command; the tests' exit status."""
    parser = argparse.ArgumentParser(description="Run the tests with other versions than those of constraints.txt.")
    parser.add_argument("which", choices=("newest", "oldest"))
    parser.add_argument("pytest", nargs="*", help="what pytest is to run, after --; all tests by default")
    options = parser.parse_args()
    venv = ROOT / f".venv-{options.which}"
    constraints = ROOT / "build" / f"constraints-{options.which}.txt"
    constraints.parent.mkdir(exist_ok=True)
    try:
        constraints.write_text(oldest() if options.which == "oldest" else newest(), encoding="utf-8")
        set_up(venv, "dev", constraints)
    except subprocess.CalledProcessError:
        print(f"\nthere are no {options.which} versions that go together; uv says why above", file=sys.stderr)
        return 1
    except SetUpError as error:
        print(f"\nthe {options.which} versions can't be installed: {error}", file=sys.stderr)
        return 1
    python = interpreter(venv)
    print(f"the {options.which} versions, in {constraints}, on Python {platform.python_version()}", flush=True)
    subprocess.run([python, "-m", "wasm", "build"], check=True, cwd=ROOT)
    command = [python, "-m", "pytest", "--numprocesses", "auto", *options.pytest]
    return subprocess.run(command, check=False, cwd=ROOT).returncode


def newest() -> str:
    """Return the highest versions, as lines of a constraints file."""
    return lock.resolve("--all-extras", *_python())


def oldest() -> str:
    """Return the lowest versions of what users install, with the highest of all else that go with them."""
    extras = [option for extra in FOR_USERS for option in ("--extra", extra)]
    lowest = lock.resolve(*extras, *_python(), "--resolution", "lowest-direct")
    file = ROOT / "build" / "constraints-lowest.txt"
    file.write_text(lowest, encoding="utf-8")
    return lock.resolve("--all-extras", *_python(), "--constraints", str(file))


def _python() -> tuple[str, str]:
    return "--python-version", platform.python_version()


if __name__ == "__main__":
    sys.exit(main())
