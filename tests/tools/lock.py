"""Renew constraints.txt, the versions that `make setup` installs: `python -m tests.tools.lock`.

The newest versions within pyproject.toml's ranges, of all extras and build backends, for every supported system and
Python. uv works them out; it is installed into an environment of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
from typing import TYPE_CHECKING

from tests.tools.set_up import LOCK, PROJECT, ROOT, interpreter

if TYPE_CHECKING:
    from pathlib import Path

UV = ROOT / ".venv-uv"
HEADER = """\
# What `make setup` installs: one version of every package, whatever the system and Python.
# `make lock` writes this file anew, with the newest versions that pyproject.toml allows.
"""


def main() -> int:
    """Write the file."""
    LOCK.write_text(HEADER + resolve("--all-extras", "--universal", "--python-version", "3.11"), encoding="utf-8")
    print(f"{LOCK.name} is written; run `make check` with it")
    return 0


def resolve(*options: str) -> str:
    """Return one version of each package, as lines of a constraints file.

    Args:
        options: Options of `uv pip compile`: which extras, for which Python, which versions to prefer.

    Raises:
        subprocess.CalledProcessError: uv found no solution, or reached no server.
    """
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    backends = [*project["build-system"]["requires"], *project["dependency-groups"]["build"]]
    command: list[str | Path] = [_uv(), "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    command += [*options, PROJECT, "-"]
    text = "\n".join(backends)
    return subprocess.run(command, input=text, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


def _uv() -> Path:
    """Return the path of uv; the newest is installed where there is none."""
    python = interpreter(UV)
    program = python.with_name("uv").with_suffix(python.suffix)
    if not program.exists():
        venv.create(UV, clear=True, with_pip=True)
        command: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"]
        subprocess.run(command, check=True)
    return program


if __name__ == "__main__":
    sys.exit(main())
