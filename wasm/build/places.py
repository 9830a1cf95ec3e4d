"""How a place fails to have a source, and how the tools that know places are run."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# A tool that takes longer hangs: the largest archive has 23 MB.
_TOOL_TIMEOUT_SECONDS = 600
# What the tools print when the disk or the user's share of it is full; in the language C, as the system says it.
_DISK_FULL = {os.strerror(code): code for code in (errno.ENOSPC, errno.EDQUOT)}


class UnavailableError(Exception):
    """A place doesn't have the source; the next one may. The message is one line and says what to do if it can."""


class MismatchError(UnavailableError):
    """A place has something other than what is pinned."""


def run_tool(*command: str, cwd: Path, explain: Callable[[str], str], env: dict[str, str] | None = None) -> str:
    """Run pip or one of apt's commands.

    Args:
        command: the program and its arguments.
        cwd: where it works and keeps its temporary files.
        explain: finds the reason of a failure, in one line, among what the program printed.
        env: variables beside those of this process.

    Returns:
        What it printed on stdout.

    Raises:
        UnavailableError: it failed.
        OSError: the disk is full.
    """
    environment = os.environ | {"TMPDIR": str(cwd), "LC_ALL": "C"} | (env or {})
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TOOL_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        msg = f"{command[0]} didn't end within {_TOOL_TIMEOUT_SECONDS} s"
        raise UnavailableError(msg) from error
    except OSError as error:
        msg = f"{command[0]} can't be run: {error.strerror}"
        raise UnavailableError(msg) from error
    if done.returncode:
        printed = done.stderr.strip() or done.stdout.strip()
        for text, code in _DISK_FULL.items():
            if text in printed:
                raise OSError(code, text, str(cwd))
        raise UnavailableError(explain(printed))
    return done.stdout
