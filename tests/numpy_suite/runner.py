"""Runs files of numpy's tests in the guest, and keeps what became of each test."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

import duckdb_wasi_udf as wasi_udf
from wasm.build import config, fetch

GUEST_SIDE = Path(__file__).with_name("guest_side.py")
FOLDERS = ("_core", "fft", "lib", "linalg", "ma", "matrixlib", "polynomial", "random", "tests")
PACKAGE = "numpy_tests"
MIB = 2**20

# Tests of building, of stubs and of names, not of arrays.
LEFT_OUT = {
    "test__version.py",
    "test_array_api_info.py",
    "test_cpu_dispatcher.py",
    "test_cpu_features.py",
    "test_cython.py",
    "test_extending.py",
    "test_limited_api.py",
    "test_lazyloading.py",
    "test_mem_policy.py",
    "test_multithreading.py",  # there are no threads
    "test_numpy_config.py",
    "test_numpy_version.py",
    "test_public_api.py",
    "test_reloading.py",
    "test_scripts.py",
    "test_simd.py",
    "test_simd_module.py",
    "test_configtool.py",
    "test_ctypeslib.py",
}


@dataclass
class FileResults:
    """What became of the tests of a file.

    Attributes:
        path: The file, below the package.
        outcomes: (outcome, detail) of each test by its name, with its parameters.
        seconds: How long it took.
    """

    path: str
    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)
    seconds: float = 0.0
    planned: int = 0
    last: int = -1
    running: str | None = None

    def take(self, text: str) -> None:
        """Note what the guest reports."""
        match json.loads(text):
            case ["plan", planned]:
                self.planned = planned
            case ["start", number, name]:
                self.last, self.running = number, name
            case ["end", name, outcome, detail]:
                self.running = None
                self.outcomes[name.partition("/")[2] or name] = (outcome, detail)

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


class Runner:
    """Runs files, each in a fresh instance; a test that ends its instance is left out and the rest run in another."""

    def __init__(self) -> None:
        source = fetch.fetch(config.load().sources["numpy"], config.workspace() / "sources") / "numpy"
        self._directory = tempfile.TemporaryDirectory()
        root = Path(self._directory.name) / PACKAGE
        self.files = []
        for folder in FOLDERS:
            tests = source / folder / "tests" if folder != "tests" else source / "tests"
            for path in sorted(path for path in tests.rglob("*") if path.is_file()):
                copy = root / folder / path.relative_to(tests)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
                if path.match("test_*.py") and path.name not in LEFT_OUT:
                    self.files.append(copy.relative_to(root).as_posix())
        for directory in (root, *(path for path in root.rglob("*") if path.is_dir())):
            (directory / "__init__.py").touch()
        self._results: FileResults | None = None
        generous = wasi_udf.HostQuota(calls=10**9, bytes=2**40, seconds=10.0**6)
        limits = wasi_udf.ResourceLimits(
            timeout_seconds=600.0,
            memory_bytes=2048 * MIB,
            package_bytes=256 * MIB,
            host_batch=generous,
            host_query=generous,
            host_function_batch=generous,
            host_function_query=generous,
        )
        report = wasi_udf.HostFunction(self._report, name="report", parameters=["VARCHAR"], return_type="BOOLEAN")
        self._con = duckdb.connect()
        self._sandbox = wasi_udf.Sandbox(
            packages=["pytest", self._directory.name], limits=limits, host_functions=[report], isolation="batch"
        )
        self._sandbox.install(self._con)
        self._sandbox.create_function(
            self._con, "run_tests", GUEST_SIDE.read_text(), ["VARCHAR", "BIGINT"], "BIGINT", side_effects=True
        )

    def run(self, path: str) -> FileResults:
        """Run a file's tests."""
        self._results = results = FileResults(path)
        started = time.monotonic()
        start = 0
        while start == 0 or start < results.planned:
            try:
                self._con.execute("SELECT run_tests($1, $2)", [f"{PACKAGE}/{path}", start]).fetchall()
                break
            except duckdb.Error as error:
                name = results.running or f"{path} at {start}"
                results.take(json.dumps(["end", name, "crashed", str(error)[:400]]))
                start = max(results.last, start) + 1
        results.seconds = time.monotonic() - started
        return results

    def close(self) -> None:
        """Remove the copies of the tests."""
        self._sandbox.close()
        self._directory.cleanup()

    def _report(self, text: str) -> bool:
        assert self._results is not None
        self._results.take(text)
        return True
