"""Do what a fresh machine does: `python -m tests.tools.check_fresh` clones HEAD and runs both commands of the README.

The clone, the caches and the environment are new; pip's configuration is the machine's, since it says how packages are
reached. On success nothing is left.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.tools.set_up import ROOT, base_python

COMMANDS = ("demo", "test")

# What a shell, a running make or a test run would hand on, and a fresh machine doesn't have.
INHERITED = {"VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "XDG_CACHE_HOME", "CI"}
PREFIXES = ("DUCKDB_WASI_UDF_", "PYTEST", "PYTHON")


class CheckError(Exception):
    """The machine isn't one on which this can be checked, or a command failed."""


def main() -> int:
    """Run the command; the process's exit status."""
    parser = argparse.ArgumentParser(
        description="Clone HEAD and run `make demo` and `make test` as a fresh machine does."
    )
    parser.add_argument(
        "--without",
        metavar="HOSTS",
        default="",
        help="hosts, separated by commas, that the commands can't reach: www.python.org,zlib.net (Linux only)",
    )
    hosts = [host for host in parser.parse_args().without.split(",") if host]
    folder = Path(tempfile.mkdtemp(prefix="duckdb-wasi-udf-fresh-"))
    try:
        check(folder, hosts)
    except (CheckError, subprocess.CalledProcessError) as error:
        print(f"\ncheck-fresh failed: {error}\nthe clone and its caches are in {folder}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ncheck-fresh interrupted; the clone and its caches are in {folder}", file=sys.stderr)
        return 130
    shutil.rmtree(folder)
    return 0


def check(folder: Path, unreachable: list[str]) -> None:
    """Clone and run the commands, and print how long each took.

    Args:
        folder: An empty directory for all that is made.
        unreachable: Names of hosts that the commands don't reach.

    Raises:
        CheckError: A command failed.
    """
    clone = folder / "duckdb_wasi_udf"
    commit = _git("rev-parse", "HEAD")
    if _git("status", "--porcelain"):
        print("check-fresh: what isn't committed is not checked", flush=True)
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", "--no-hardlinks", ROOT, clone], check=True)
    subprocess.run(["git", "-C", clone, "checkout", "--quiet", "--detach", commit], check=True)
    environment = fresh_environment(os.environ, folder / "cache")
    prefix = _without(unreachable, folder / "hosts") if unreachable else []
    lines = [
        f"commit {commit[:12]}, Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores" + (f", without {', '.join(unreachable)}" if unreachable else "")
    ]
    for name in COMMANDS:
        print(f"\ncheck-fresh: make {name}", flush=True)
        started = time.monotonic()
        # The Python of this run: as `make check-fresh PYTHON=python3.12` says.
        command = [*prefix, "make", name, f"PYTHON={base_python()}"]
        status = subprocess.run(command, cwd=clone, env=environment, check=False).returncode
        minutes, seconds = divmod(round(time.monotonic() - started), 60)
        lines.append(f"make {name}: {'passed' if not status else f'status {status}'} in {minutes} min {seconds:02} s")
        if status:
            break
    print("\ncheck-fresh: " + "\n  ".join(lines), flush=True)
    if status:
        msg = f"make {name} ended with status {status}"
        raise CheckError(msg)


def fresh_environment(environment: os._Environ[str] | dict[str, str], cache: Path) -> dict[str, str]:
    """Return a shell's environment without what a fresh machine doesn't have, and with caches that are empty.

    Args:
        environment: The variables of this process.
        cache: The directory for the caches of the guest and of pip.
    """
    kept = {
        name: value for name, value in environment.items() if name not in INHERITED and not name.startswith(PREFIXES)
    }
    if active := environment.get("VIRTUAL_ENV"):
        paths = kept["PATH"].split(os.pathsep)
        kept["PATH"] = os.pathsep.join(path for path in paths if not Path(path).is_relative_to(active))
    return kept | {"DUCKDB_WASI_UDF_CACHE": str(cache / "guest"), "PIP_CACHE_DIR": str(cache / "pip")}


def _without(hosts: list[str], file: Path) -> list[str]:
    """Return a command's beginning that makes hosts unreachable to it: /etc/hosts of its own sends them nowhere."""
    if sys.platform != "linux":
        msg = "hosts can be made unreachable on Linux alone"
        raise CheckError(msg)
    lines = "".join(f"0.0.0.0 {host}\n:: {host}\n" for host in hosts)
    file.write_text(lines + Path("/etc/hosts").read_text())
    script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *rights, "--mount", "sh", "-c", script, "sh", str(file)]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
