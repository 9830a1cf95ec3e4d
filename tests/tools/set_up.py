"""Set up `.venv` from the lock.

`python -m tests.tools.set_up demo` installs what the guest and the demo need, `dev` what tests need as well, `release`
also what only releases need, and `engines` the large packages that `duckdb_wasi_udf.engines` is tried with.

It runs on the Python that is to be used, before anything is installed, so it takes the standard library alone. A set-up
that is complete costs a look at a file; one that isn't, or is of another Python, folder or lock, is made again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "constraints.txt"
PROJECT = ROOT / "pyproject.toml"
STAMP = ".set-up.json"
LEVELS = ("demo", "dev", "release", "engines")  # each has all of the one before
MEGABYTES = {"demo": 210, "dev": 340, "release": 350, "engines": 1000}  # of downloads, on Linux


class SetUpError(Exception):
    """The environment can't be made: what failed, and what to do."""


def main() -> int:
    """Run the command; the process's exit status."""
    parser = argparse.ArgumentParser(description="Set up a virtual environment from constraints.txt.")
    parser.add_argument("level", choices=LEVELS)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    options = parser.parse_args()
    try:
        set_up(options.venv.absolute(), options.level)
    except SetUpError as error:
        print(f"\nset-up failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up interrupted; the same command starts it again", file=sys.stderr)
        return 130
    return 0


def set_up(venv: Path, level: str, lock: Path = LOCK) -> None:
    """Make the environment, unless it is there.

    Args:
        venv: Its directory.
        level: One of `LEVELS`; an environment that has more is left as it is.
        lock: The constraints file with the versions to install.

    Raises:
        SetUpError: Python or pip failed.
    """
    wanted = {"inputs": _inputs(lock), "python": _version(), "folder": str(venv)}
    found = _read(venv / STAMP)
    reason = _reason(venv, found, wanted)
    if reason is None and LEVELS.index(found["level"]) >= LEVELS.index(level):
        return
    started = time.monotonic()
    if reason:
        print(f"{venv.name} {reason}: making it anew", flush=True)
        _remove(venv)
    print(f"setting up {venv.name} for {level}: downloads up to {MEGABYTES[level]} MB", flush=True)
    if not venv.exists():
        _make(venv)
    (venv / STAMP).unlink(missing_ok=True)
    _install(interpreter(venv), level, lock)
    (venv / STAMP).write_text(json.dumps({**wanted, "level": level}))
    print(f"{venv.name} is set up, in {time.monotonic() - started:.0f} s", flush=True)


def interpreter(venv: Path) -> Path:
    """Return the path of an environment's Python."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def base_python() -> str:
    """Return the Python behind this one: an environment is gone when it is made anew."""
    return getattr(sys, "_base_executable", sys.executable)


def _inputs(lock: Path) -> str:
    """Return the hash of what decides which packages there are; settings of tools in pyproject.toml don't."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    project.pop("tool", None)
    contents = json.dumps(project, sort_keys=True).encode() + lock.read_bytes() + Path(__file__).read_bytes()
    return hashlib.sha256(contents).hexdigest()


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _read(stamp: Path) -> dict[str, str]:
    """Return what was noted when a set-up was complete; nothing when none was."""
    try:
        found = json.loads(stamp.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("level") in LEVELS else {}


def _reason(venv: Path, found: dict[str, str], wanted: dict[str, str]) -> str | None:
    """Return why an environment can't be used as it is, None when it can; "" when there is none."""
    if not venv.exists():
        return ""
    if not found:
        return "is not complete"
    if found["folder"] != wanted["folder"]:
        return f"was made in {found['folder']}"
    if found["python"] != wanted["python"]:
        return f"is of Python {found['python']}, not {wanted['python']}"
    if found["inputs"] != wanted["inputs"]:
        return "is of other versions"
    try:
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        runs = subprocess.run([interpreter(venv), "-c", code], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        runs = ""
    return None if runs.strip() == wanted["python"] else "doesn't run: the Python it was made with is gone or another"


def _remove(venv: Path) -> None:
    """Remove an environment, its stamp first: what is left after an interruption is not complete."""
    if venv.is_symlink() or not venv.is_dir():
        venv.unlink(missing_ok=True)
        return
    (venv / STAMP).unlink(missing_ok=True)
    shutil.rmtree(venv)


def _make(venv: Path) -> None:
    """Make an empty environment with pip."""
    base = base_python()
    _run(
        [base, "-m", "venv", venv],
        f"{base} -m venv doesn't work; on Debian and Ubuntu it is the package python3-venv, elsewhere install "
        "Python 3.11 or newer with it, and name it, as in `make setup PYTHON=python3.12`",
        quiet=True,
    )


def _install(python: Path, level: str, lock: Path) -> None:
    """Install the packages of a level, with build backends of the lock as well: pip would take the newest."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    backends = [*project["build-system"]["requires"], *project["dependency-groups"]["build"]]
    _pip(python, lock, *backends)
    if level == "demo":
        _pip(python, lock, "--editable", f"{ROOT}[guest]")
        # Without what the package says it needs: of it, the demo reads the tables alone, with DuckDB.
        _pip(python, lock, "--no-deps", *project["project"]["optional-dependencies"]["demo"])
    else:
        _pip(python, lock, "--editable", f"{ROOT}[{','.join(LEVELS[1 : LEVELS.index(level) + 1])}]")
        # pip would do it on one core, and tests start Python some hundred times.
        _run([python, "-m", "compileall", "-q", "-j", "0", _packages(python)], "compiling the packages failed")


def _packages(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())


def _pip(python: Path, lock: Path, *requirements: str) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--no-compile", "--no-build-isolation", "--use-pep517")
    _run(
        [python, "-m", "pip", "install", *options, "--constraint", lock, *requirements],
        "pip could not install the packages; its messages are above. If it reached no server, check the network and "
        "`pip config list`; then run the same command again",
    )


def _run(command: list[str | Path], what_to_do: str, *, quiet: bool = False) -> None:
    """Run a command to its end.

    Args:
        command: The program and its arguments.
        what_to_do: What the error says.
        quiet: Print what the command wrote only when it fails.

    Raises:
        SetUpError: it failed.
    """
    try:
        subprocess.run(command, check=True, cwd=ROOT, capture_output=quiet, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(getattr(error, "stderr", None) or "", end="", file=sys.stderr)
        raise SetUpError(what_to_do) from None


if __name__ == "__main__":
    sys.exit(main())
