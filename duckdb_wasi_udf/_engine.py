"""The compiled guest: one wasmtime Engine a process, its cache of machine code, and the clock behind deadlines."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import stat
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import wasmtime

from duckdb_wasi_udf._errors import ArtifactError

if TYPE_CHECKING:
    from duckdb_wasi_udf._guest import Guest

# How often the epoch advances while a guest runs: the precision of a deadline.
TICK_SECONDS = 0.01

# wasmtime's own default, written down because it is a promise: the guest's calls use the calling thread's stack, and
# DuckDB's worker threads have at least 8 MiB of it on Linux.
_WASM_STACK_BYTES = 512 * 2**10

# How long the ticker waits for the next call before its thread ends.
_IDLE_TICKS = 100


class Ticker:
    """Advances an engine's epoch while at least one guest runs; its thread ends when nothing does."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._running = 0
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._tick, name="duckdb-wasi-udf-epoch", daemon=True)
                thread.start()
                self._thread = thread
            self._running += 1

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._running -= 1

    def _tick(self) -> None:
        idle = 0
        while True:
            time.sleep(TICK_SECONDS)
            self._engine.increment_epoch()
            with self._lock:
                idle = 0 if self._running else idle + 1
                if idle >= _IDLE_TICKS:
                    self._thread = None
                    return


class Engine:
    """The guest compiled for this machine, ready to be instantiated.

    Attributes:
        ticker: to be entered around every call into an instance.
        compiled_now: whether this process compiled it, rather than finding it in the cache.
        compile_seconds: what compiling took, now or when the cache was filled.
    """

    def __init__(self, guest: Guest, directory: Path) -> None:
        """Load the guest's machine code from the cache in `directory`, or compile it and put it there."""
        config = wasmtime.Config()
        config.epoch_interruption = True
        config.max_wasm_stack = _WASM_STACK_BYTES
        self._engine = wasmtime.Engine(config)
        self.ticker = Ticker(self._engine)
        self.compiled_now = False
        self.compile_seconds = 0.0
        linker = wasmtime.Linker(self._engine)
        linker.define_wasi()
        # The module imports nothing but a clock and a random source, which its build checks: see docs/security.md.
        self._module = linker.instantiate_pre(self._load(guest, directory))

    def instantiate(self, memory_bytes: int) -> tuple[wasmtime.Store, wasmtime.Instance]:
        """A fresh guest in a store of its own.

        Args:
            memory_bytes: the most its linear memory may grow to.

        Raises:
            wasmtime.WasmtimeError: the guest doesn't fit in `memory_bytes`.
        """
        store = wasmtime.Store(self._engine)
        store.set_limits(memory_size=memory_bytes)
        store.set_wasi(wasmtime.WasiConfig())
        return store, self._module.instantiate(store)

    def _load(self, guest: Guest, directory: Path) -> wasmtime.Module:
        """The compiled module, from the cache when its file is whole, else compiled and put there."""
        _make_private(directory)
        code = directory / f"{_cache_key(guest)}.cwasm"
        notes = code.with_suffix(".json")
        try:
            noted = json.loads(notes.read_text())
            if noted["sha256"] == _sha256(code):
                self.compile_seconds = float(noted["compile_seconds"])
                return wasmtime.Module.deserialize_file(self._engine, str(code))
        except (OSError, ValueError, KeyError, TypeError, wasmtime.WasmtimeError):
            pass  # not there yet, damaged, or of another machine: compile
        started = time.perf_counter()
        try:
            module = wasmtime.Module(self._engine, guest.read())
        except wasmtime.WasmtimeError as error:
            msg = f"wasmtime {_wasmtime_version()} can't compile the guest: {error}"
            raise ArtifactError(msg) from error
        self.compiled_now = True
        self.compile_seconds = time.perf_counter() - started
        serialized = bytes(module.serialize())
        noted = {"sha256": hashlib.sha256(serialized).hexdigest(), "compile_seconds": self.compile_seconds}
        try:
            _replace(code, serialized)
            _replace(notes, json.dumps(noted).encode())
        except OSError as error:
            raise ArtifactError(_unwritable(directory, error)) from error
        return module


_shared: dict[str, Engine] = {}
_shared_lock = threading.Lock()


def shared(guest: Guest) -> Engine:
    """The process's engine for this guest: compiled once, used by every sandbox.

    Raises:
        ArtifactError: the guest can't be compiled, or its machine code not be kept.
    """
    with _shared_lock:
        if guest.sha256 not in _shared:
            _shared[guest.sha256] = Engine(guest, cache_directory())
        return _shared[guest.sha256]


def cache_directory() -> Path:
    """Where compiled guests are kept: `$DUCKDB_WASI_UDF_CACHE/compiled`, or in the user's cache directory."""
    if chosen := os.environ.get("DUCKDB_WASI_UDF_CACHE"):
        return Path(chosen) / "compiled"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "duckdb-wasi-udf" / "compiled"


def _cache_key(guest: Guest) -> str:
    """Everything the machine code depends on. wasmtime itself refuses code of another CPU or other settings."""
    parts = (guest.sha256, _wasmtime_version(), platform.system(), platform.machine())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _wasmtime_version() -> str:
    return importlib.metadata.version("wasmtime")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_private(directory: Path) -> None:
    """Machine code is run as it is found, so nobody else may write where it is kept."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if sys.platform != "win32":
            status = directory.stat()
            if status.st_uid != os.getuid():
                msg = f"the cache directory {directory} belongs to another user; set DUCKDB_WASI_UDF_CACHE to your own"
                raise ArtifactError(msg)
            if stat.S_IMODE(status.st_mode) != 0o700:
                directory.chmod(0o700)
    except OSError as error:
        raise ArtifactError(_unwritable(directory, error)) from error


def _unwritable(directory: Path, error: OSError) -> str:
    return (
        f"the cache directory {directory} can't be written ({error.strerror}); set DUCKDB_WASI_UDF_CACHE to a "
        "directory of yours"
    )


def _replace(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all, whoever else writes it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
