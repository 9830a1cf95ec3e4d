"""What became of the tests of a file, line by line on disk, so that a run which was stopped goes on where it was."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import filelock

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class FileResults:
    """What became of the tests of a file.

    Attributes:
        path: The file, below the package.
        outcomes: (outcome, detail) of each test by its name, with its parameters.
        planned: The number of tests in the file; None until they were collected.
        next: The number of the test that comes next.
        running: The test that has begun and not ended; None if there is none.
        seconds: How long it took.
        finished: There is nothing more to run.
    """

    path: str
    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)
    planned: int | None = None
    next: int = 0
    running: str | None = None
    seconds: float = 0.0
    finished: bool = False

    def take(self, text: str) -> None:
        """Note one report of the guest, or of the host about the guest."""
        match json.loads(text):
            case ["plan", planned]:
                self.planned = planned
            case ["start", number, name]:
                self.next, self.running = number, name
            case ["end", name, outcome, detail]:
                self.outcomes[name.partition("/")[2] or name] = (outcome, detail)
            case ["next", number]:
                self.next, self.running = number, None
            case ["time", seconds]:
                self.seconds += seconds
            case ["finished"]:
                self.finished = True

    def count(self, outcome: str) -> int:
        """Return the number of tests with an outcome."""
        return sum(found == outcome for found, _ in self.outcomes.values())

    def failed(self) -> dict[str, str]:
        """Return the last detail of each test that failed, by its name without parameters."""
        return {
            name.partition("[")[0]: detail
            for name, (outcome, detail) in self.outcomes.items()
            if outcome in {"failed", "crashed"}
        }


class Journal:
    """The file in which the results of one file of tests are kept. One process at a time has it."""

    def __init__(self, directory: Path, path: str) -> None:
        """Open a journal.

        Args:
            directory: Where journals are.
            path: The file of tests, below the package.
        """
        directory.mkdir(parents=True, exist_ok=True)
        name = path.replace("/", "-").removesuffix(".py")
        self._file = directory / f"{name}.jsonl"
        self._lock = filelock.FileLock(directory / f"{name}.lock")
        self.results = FileResults(path)

    def open(self, *, wait: bool) -> bool:
        """Take the journal and read what is in it.

        Args:
            wait: Wait for the process that has it.

        Returns:
            Whether it could be taken.
        """
        try:
            self._lock.acquire(blocking=wait)
        except filelock.Timeout:
            return False
        self.results = FileResults(self.results.path)
        text = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
        complete, _, _ = text.rpartition("\n")  # the last line may have been cut off
        self._file.write_text(complete and complete + "\n", encoding="utf-8")
        for line in complete.splitlines():
            self.results.take(line)
        self.results.running = None  # it was stopped with the process, and runs again
        return True

    def add(self, *entry: object) -> None:
        """Note an entry of `FileResults.take`."""
        self.add_text(json.dumps(entry))

    def add_text(self, text: str) -> None:
        """Note an entry that is JSON already."""
        self.results.take(text)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def close(self) -> None:
        """Let another process have it."""
        self._lock.release()
