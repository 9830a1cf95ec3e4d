"""Wheels: built, looked into, installed into environments that have nothing else, and used there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.tools.set_up import LOCK, ROOT, interpreter

MOST_BYTES = 25_000_000
CONTENTS = (
    *(f"duckdb_wasi_udf/{name}" for name in ("__init__.py", "py.typed", "_artifact/guest.wasm")),
    *(f"duckdb_wasi_udf/_artifact/{name}" for name in ("MANIFEST.json", "licences/python.txt")),
    *(f"duckdb_wasi_udf/_artifact_numpy/{name}" for name in ("guest.wasm.xz", "MANIFEST.json", "licences/numpy.txt")),
    *(
        f"hostfuncs/{name}"
        for name in ("__init__.py", "py.typed", "http/__init__.py", "lookup/__init__.py", "serialization/__init__.py")
    ),
)
PACKAGES = ("duckdb_wasi_udf/", "hostfuncs/", "duckdb_wasi_udf-")

# pip 25.3 and later read the second for what a build needs, those before the first, as does `build`.
LOCKED = {"PIP_CONSTRAINT": str(LOCK), "PIP_BUILD_CONSTRAINT": str(LOCK), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

# What a type checker has to see of an installed wheel, and one line that it has to refuse.
USER = """
import duckdb_wasi_udf as wasi_udf
from hostfuncs import lookup

rate: wasi_udf.HostFunction = lookup.from_dict({"EUR": 1.0})
limits = wasi_udf.ResourceLimits(timeout_seconds=1.0)
version: str = wasi_udf.__version__
wrong: int = lookup.from_dict({"EUR": 1.0})
"""


class WheelError(Exception):
    """A wheel that can't be made, lacks something, or doesn't work: what, and what the command said."""


def run(*command: str | Path, cwd: Path, status: int = 0) -> str:
    """Return what a command prints.

    Args:
        command: The program and its arguments.
        cwd: Where it runs: outside the source tree, whose packages it could import.
        status: The exit status it has to have.

    Raises:
        WheelError: It ended with another one.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | LOCKED
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != status:
        msg = f"{' '.join(map(str, command))} ended with status {done.returncode}:\n{done.stdout}{done.stderr}"
        raise WheelError(msg)
    return done.stdout


def build(folder: Path, source: Path = ROOT) -> Path:
    """Return a wheel, made into an empty folder from a source tree or a source distribution."""
    folder.mkdir(parents=True, exist_ok=True)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source, cwd=folder)
    (made,) = folder.glob("*.whl")
    return made


def check_contents(wheel: Path) -> None:
    """Check a wheel's name, size and files.

    Raises:
        WheelError: One of them isn't as it has to be.
    """
    names = zipfile.ZipFile(wheel).namelist()
    problems = [f"lacks {name}" for name in CONTENTS if name not in names]
    problems += [f"has {name}" for name in names if not name.startswith(PACKAGES)]
    if not wheel.name.endswith("-py3-none-any.whl"):
        problems.append("is for one system or Python alone")
    if wheel.stat().st_size > MOST_BYTES:
        problems.append(f"has {wheel.stat().st_size:,} bytes, more than {MOST_BYTES:,}")
    if problems:
        msg = f"{wheel.name} {'; '.join(problems)}"
        raise WheelError(msg)


def check_same(one: Path, other: Path) -> None:
    """Check that two wheels hold the same files.

    Raises:
        WheelError: They don't; it names the files.
    """
    first, second = ({name: file.read(name) for name in file.namelist()} for file in map(zipfile.ZipFile, (one, other)))
    different = sorted(name for name in first | second if first.get(name) != second.get(name))
    if different:
        msg = f"{one} and {other} differ in {', '.join(different)}"
        raise WheelError(msg)


def install(wheel: Path, folder: Path, python: str | Path = sys.executable) -> Path:
    """Return the Python of a new environment, in a folder, that has a wheel and what it depends on.

    Args:
        wheel: The wheel.
        folder: The directory of the environment, which isn't there yet.
        python: The Python to make it with.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    run(python, "-m", "venv", folder, cwd=folder.parent)
    own = interpreter(folder)
    run(own, "-m", "pip", "install", "--quiet", wheel, cwd=folder.parent)
    return own


def use(python: Path, folder: Path) -> str:
    """Return what the smoke test and the doctor print, run by the Python of an environment in a folder.

    Raises:
        WheelError: One of them failed, or ran from the source tree.
    """
    (folder / "smoke.py").write_text((Path(__file__).with_name("smoke.py")).read_text())
    smoke = run(python, "-I", "smoke.py", cwd=folder)
    report = smoke + run(python, "-m", "duckdb_wasi_udf", "doctor", cwd=folder)
    if str(ROOT) in report:
        msg = f"not the wheel ran, but the source tree:\n{report}"
        raise WheelError(msg)
    return report


def check_types(python: Path, folder: Path) -> None:
    """Check that mypy, run in a folder, sees the types of a wheel that is installed beside a Python.

    Raises:
        WheelError: It finds other errors than the one there is.
    """
    (folder / "user.py").write_text(USER)
    wrong = USER.splitlines().index(next(line for line in USER.splitlines() if line.startswith("wrong"))) + 1
    command = ("-m", "mypy", "--strict", "--no-incremental", "--no-error-summary", "--python-executable", python)
    told = run(sys.executable, *command, "user.py", cwd=folder, status=1)
    errors = [line for line in told.splitlines() if ": error: " in line]
    if len(errors) != 1 or f"user.py:{wrong}:" not in errors[0] or not errors[0].endswith("[assignment]"):
        msg = f"mypy sees other types than ours:\n{told}"
        raise WheelError(msg)
