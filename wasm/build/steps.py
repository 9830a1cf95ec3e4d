"""Named build steps, each in a directory named by the hash of its inputs.

A step's directory counts only once its mark is there, which is written last: what an interrupted build left is removed
and made again.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Action = Callable[[Path, "Log"], None]

_LOG_LINES_SHOWN = 30
# With less than this left, a command that failed most likely failed for it.
_FULL_BYTES = 16 * 2**20

# What a build may see of the environment: no flags, no Python settings.
_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT")


class StepError(Exception):
    """A step failed; the message says which, why, and what to do."""


def key(*inputs: Any) -> str:
    """Return a short hash of a step's inputs: JSON values, and files by their contents."""
    digest = hashlib.sha256()
    for item in inputs:
        data = item.read_bytes() if hasattr(item, "read_bytes") else json.dumps(item, sort_keys=True).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


def relative(path: Path, directory: Path) -> Path:
    """Return `path` as it is reached from `directory`, so that a command's text doesn't depend on where both are."""
    return Path(os.path.relpath(path, directory))


class Log:
    """A step's log file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> None:
        """Run a command; its output goes to the log.

        Raises:
            StepError: It failed; the message ends with the log's last lines.
        """
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ} | (env or {})
        # Lines of this command: the log may have those of others between them.
        tail: collections.deque[str] = collections.deque(maxlen=_LOG_LINES_SHOWN)
        with self.path.open("a", encoding="utf-8", buffering=1) as file:
            file.write(f"\n$ {' '.join(map(str, command))}\n")
            try:
                process = subprocess.Popen(
                    [str(part) for part in command],
                    cwd=cwd,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                )
            except FileNotFoundError as error:
                msg = f"the guest's build needs the program {error.filename!r}, which isn't on PATH; install it"
                raise StepError(msg) from error
            with process:
                assert process.stdout is not None
                try:
                    for line in process.stdout:
                        file.write(line)
                        tail.append(line)
                except BaseException:
                    process.terminate()  # make ends its own children, and removes what they left half written
                    raise
        if process.returncode:
            _check_room(cwd)
            msg = f"{command[0]} failed with status {process.returncode}; the end of {self.path}:\n{''.join(tail)}"
            raise StepError(msg)


class Progress:
    """Reports the steps of a build: a bar with the time on a terminal, else lines.

    Args:
        remaining: Names of the steps that will run, in order.
    """

    def __init__(self, remaining: list[str]) -> None:
        self._remaining = remaining
        self._total = len(remaining)
        self._started = time.monotonic()

    @contextlib.contextmanager
    def running(self, name: str, log: Path) -> Iterator[None]:
        """Report a step that begins, and how long it took when it ends."""
        from rich.console import Console  # noqa: PLC0415 - a build that finds everything done needs no library
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        self._remaining.remove(name)
        done = self._total - len(self._remaining) - 1
        console = Console(stderr=True)
        columns = (TextColumn("guest: {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        started = time.monotonic()
        if console.is_terminal:
            with Progress(*columns, console=console, transient=True) as bar:
                bar.add_task(f"{name} (log: {log})", total=self._total, completed=done)
                yield
        else:
            say(f"guest: {name} ... (log: {log})")
            yield
        left = f"to do: {', '.join(self._remaining)}" if self._remaining else "done"
        now = time.monotonic()
        say(f"guest: {name} took {now - started:.0f} s, {now - self._started:.0f} s in all; {left}")


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(text, file=sys.stderr, flush=True)


def is_complete(directory: Path) -> bool:
    """Return whether a step's directory is there as a whole."""
    return _mark(directory).exists()


def step(name: str, directory: Path, action: Action, logs: Path, progress: Progress) -> Path:
    """Make a step's directory, unless it is there.

    Args:
        name: What the terminal and the log call it.
        directory: Named by the hash of the step's inputs.
        action: Fills the directory.
        logs: Where logs are written.
        progress: Reports the step if it runs.

    Returns:
        The directory.

    Raises:
        StepError: The action failed, or the disk is full.
    """
    if is_complete(directory):
        return directory
    try:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        logs.mkdir(parents=True, exist_ok=True)
        log = Log(logs / f"{name}.log")
        log.path.unlink(missing_ok=True)
        with progress.running(name, log.path):
            action(directory, log)
            _mark(directory).touch()
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _full(directory) from error
        raise
    return directory


def _mark(directory: Path) -> Path:
    return directory / ".complete"


def _check_room(directory: Path) -> None:
    if shutil.disk_usage(directory).free < _FULL_BYTES:
        raise _full(directory)


def _full(directory: Path) -> StepError:
    return StepError(
        f"the disk that holds {directory.parent} is full; make room, or set DUCKDB_WASI_UDF_CACHE to a directory on "
        "another disk, and run it again"
    )
