"""Named build steps, each in a directory named by the hash of its inputs.

A step's directory counts only once its mark is there, which is written last: what an interrupted build left is removed
and made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Action = Callable[[Path, "Log"], None]

_LOG_LINES_SHOWN = 30

# What a build may see of the environment: no flags, no Python settings.
_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT")


class StepError(Exception):
    """A step failed; the message says which, and where its log is."""


def key(*inputs: Any) -> str:
    """A short hash of a step's inputs: JSON values, and files by their contents."""
    digest = hashlib.sha256()
    for item in inputs:
        data = item.read_bytes() if hasattr(item, "read_bytes") else json.dumps(item, sort_keys=True).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


class Log:
    """A step's log file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> None:
        """Run a command; its output goes to the log.

        Raises:
            StepError: it failed; the message ends with the log's last lines.
        """
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ} | (env or {})
        with self.path.open("ab") as file:
            file.write(f"\n$ {' '.join(map(str, command))}\n".encode())
            file.flush()
            done = subprocess.run(
                [str(part) for part in command], cwd=cwd, env=environment, stdout=file, stderr=file, check=False
            )
        if done.returncode:
            tail = self.path.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
            msg = f"{command[0]} failed with status {done.returncode}; the end of {self.path}:\n" + "\n".join(tail)
            raise StepError(msg)


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(text, file=sys.stderr, flush=True)


def step(name: str, directory: Path, action: Action, logs: Path, *, continues: bool = False) -> Path:
    """Make a step's directory, unless it is there.

    Args:
        name: what the terminal and the log call it.
        directory: named by the hash of the step's inputs.
        action: fills the directory.
        logs: where logs are kept.
        continues: the step goes on in the directory of the one before it, and can itself be resumed there.

    Returns:
        The directory.

    Raises:
        StepError: the action failed.
    """
    mark = directory / f".{name.replace(' ', '-')}-complete"
    if mark.exists():
        return directory
    if not continues:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
    logs.mkdir(parents=True, exist_ok=True)
    log = Log(logs / f"{name.replace(' ', '-')}.log")
    log.path.unlink(missing_ok=True)
    say(f"guest: {name} ... (log: {log.path})")
    started = time.monotonic()
    action(directory, log)
    mark.touch()
    say(f"guest: {name} took {time.monotonic() - started:.0f} s")
    return directory
