"""Memory of a process and of all processes below it, on Linux."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

SAMPLE_SECONDS = 0.3


def peak_bytes(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a process; the most memory that it and its descendants had at a time, and what it printed.

    Args:
        process: with pipes for its output and its errors.

    Returns:
        (bytes, with a shared page counted once; output; errors).
    """
    peak = 0
    ended = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not ended.wait(SAMPLE_SECONDS):
            peak = max(peak, sum(map(proportional_bytes, descendants(process.pid))))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        output, errors = process.communicate()
    finally:
        ended.set()
        thread.join()
    return peak, output, errors


def descendants(pid: int) -> list[int]:
    """Return a process and all below it."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found


def proportional_bytes(pid: int) -> int:
    """Return the memory of a process (PSS): of a page that others have too, its part."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024
    return 0
