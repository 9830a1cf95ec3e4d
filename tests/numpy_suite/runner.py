"""Runs files of numpy's tests in the guest, and keeps what became of each test."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

import duckdb_wasi_udf as wasi_udf
from tests.numpy_suite.journal import Journal
from wasm.build import config, fetch, pipeline

if TYPE_CHECKING:
    from tests.numpy_suite.journal import FileResults

GUEST_SIDE = Path(__file__).with_name("guest_side.py")
FOLDERS = ("_core", "fft", "lib", "linalg", "ma", "matrixlib", "polynomial", "random", "tests")
PACKAGE = "numpy_tests"
MIB = 2**20

# An instance runs tests for so long, then another one goes on: a file may have thousands. What is left until the
# timeout is for the last of them, so a test that never ends is known by the timeout.
SLICE_SECONDS = 60.0
TIMEOUT_SECONDS = 240.0

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


class Runner:
    """Runs files in fresh instances; a test that ends its instance is left out and the rest run in another.

    Attributes:
        files: All files of tests, below the package.
    """

    def __init__(self, *, fresh: bool = False) -> None:
        """Copy the tests and open a sandbox.

        Args:
            fresh: Forget what earlier runs found.
        """
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
        self._journal: Journal | None = None
        self._slice_ends = 0.0
        self._journals = _journals(fresh=fresh)
        generous = wasi_udf.HostQuota(calls=10**9, bytes=2**40, seconds=10.0**6)
        limits = wasi_udf.ResourceLimits(
            timeout_seconds=TIMEOUT_SECONDS,
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

    def run(self, path: str, *, wait: bool) -> FileResults | None:
        """Run those of a file's tests that haven't run.

        Args:
            path: The file, one of `files`.
            wait: Wait for the process that runs the same file.

        Returns:
            What became of all of them; None if another process runs them and `wait` is False.
        """
        journal = Journal(self._journals, path)
        if not journal.open(wait=wait):
            return None
        try:
            self._journal = journal
            while not journal.results.finished:
                self._run_slice(journal)
        finally:
            journal.close()
        return journal.results

    def _run_slice(self, journal: Journal) -> None:
        """Run the next tests of a file in an instance."""
        results = journal.results
        started, first = time.monotonic(), results.next
        self._slice_ends = started + SLICE_SECONDS
        try:
            self._con.execute("SELECT run_tests($1, $2)", [f"{PACKAGE}/{results.path}", results.next]).fetchall()
        except duckdb.Error as error:
            journal.add("end", results.running or f"{results.path} at {results.next}", "crashed", str(error)[:400])
            journal.add("next", results.next + 1)
        if results.planned is not None and results.next == first < results.planned:
            journal.add("end", f"{results.path} at {first}", "crashed", "pytest ended before this test")
            journal.add("next", first + 1)
        if results.planned is None and not results.outcomes:
            msg = f"pytest ran nothing of {results.path}"
            raise RuntimeError(msg)
        journal.add("time", time.monotonic() - started)
        if results.planned is None or results.next >= results.planned:
            journal.add("finished")

    def close(self) -> None:
        """Remove the copies of the tests."""
        self._sandbox.close()
        self._directory.cleanup()

    def _report(self, text: str) -> bool:
        """Note a report; return whether the instance may go on."""
        assert self._journal is not None
        self._journal.add_text(text)
        if json.loads(text)[0] == "plan":  # collecting the tests of a large file takes a while
            self._slice_ends = time.monotonic() + SLICE_SECONDS
        return time.monotonic() < self._slice_ends


def _journals(*, fresh: bool) -> Path:
    """Return the directory of the journals of this guest and this runner."""
    manifest = json.loads((pipeline.NUMPY_ARTIFACT / pipeline.MANIFEST).read_text())
    key = hashlib.sha256(manifest["guest_sha256"].encode() + GUEST_SIDE.read_bytes()).hexdigest()[:16]
    directory = pipeline.DEBUG_ARTIFACT.with_name("numpy-tests") / key
    if fresh:
        shutil.rmtree(directory, ignore_errors=True)
    return directory
