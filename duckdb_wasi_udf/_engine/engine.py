"""The compiled guest: a wasmtime Engine for each sandbox, and the machine code they share."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import sys
from typing import TYPE_CHECKING

import wasmtime

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._engine.coarse_clock import CLOCK_IMPORTS, CLOCK_MODULE
from duckdb_wasi_udf._engine.compiled_code import CodeStore
from duckdb_wasi_udf._engine.epoch_clock import Clock
from duckdb_wasi_udf._engine.raw_instance import define_imports, set_stack_sizes
from duckdb_wasi_udf._errors import ArtifactError
from duckdb_wasi_udf._process import cache_files, state
from duckdb_wasi_udf._process.steady_clock import SteadyClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from duckdb_wasi_udf._engine.artifact import Guest
    from duckdb_wasi_udf._engine.coarse_clock import CoarseClock

logger = logging.getLogger("duckdb_wasi_udf.cache")

# A guest's stack. CPython's C code recurses up to 4000 levels before it raises: C_RECURSION_LIMIT of wasm/c/start.c.
WASM_STACK_BYTES = 8 * 2**20

# What host functions have beyond that: as much as on a thread of Linux.
_HOST_STACK_BYTES = 8 * 2**20


class _WasmtimeEngine(wasmtime.Engine):
    """An engine that may outlive wasmtime's modules, as that of a sandbox on DuckDB's default connection does."""

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        """Free it, except at the end of the process: wasmtime's functions are gone then."""
        if not is_finalizing():
            super().__del__()


class Engine:
    """The guest compiled for this machine, ready to be instantiated.

    One for each sandbox, so that its guests can be stopped without any other's. The machine code is mapped from one
    file: a further engine takes half a millisecond and 0.3 MiB.

    Attributes:
        clock: its epochs, for a `CallContext` around every call into an instance.
        coarse_clock: the clock of its instances, if it isn't the host's.
        counts_fuel: whether its instances need fuel for every call.
        deterministic: whether its instances have neither clock nor random source.
        compiled_now: whether this object compiled it, rather than finding it in the cache.
        compile_seconds: what compiling took, now or when the cache was filled.
        memory_bytes: the memory an instance starts with, most of it shared between instances.
        code: the machine code of compiled functions.
    """

    def __init__(
        self,
        guest: Guest,
        directory: Path,
        *,
        timeout_seconds: float,
        deterministic: bool = False,
        counts_fuel: bool = False,
        coarse_clock: CoarseClock | None = None,
        beside: Engine | None = None,
    ) -> None:
        """Load the guest's machine code from the cache in `directory`, or compile it and put it there.

        Args:
            guest: the module.
            directory: the cache.
            timeout_seconds: the longest time a call may be given.
            deterministic: there is no clock and no random source; an instance that asks for one traps.
            counts_fuel: the code counts the instructions it executes, and is compiled for that.
            coarse_clock: answers for the clocks in place of the host's.
            beside: the engine of another guest of the sandbox: they share its clock and stop together.
        """
        self.coarse_clock = coarse_clock
        self.deterministic = deterministic
        self.counts_fuel = counts_fuel
        if beside is None:
            config = wasmtime.Config()
            config.epoch_interruption = True
            config.consume_fuel = counts_fuel
            set_stack_sizes(config, guest_bytes=WASM_STACK_BYTES, host_bytes=_HOST_STACK_BYTES)
            self._engine = _WasmtimeEngine(config)
            self.clock = Clock(self._engine, timeout_seconds)
        else:
            self._engine, self.clock = beside._engine, beside.clock
        self.compiled_now = False
        self.compile_seconds = 0.0
        self.code = CodeStore(self._engine, directory, _cache_key(guest, counts_fuel=counts_fuel))
        linker = wasmtime.Linker(self._engine)
        define_imports(linker, _abi.HOST_MODULE, _abi.HOST_IMPORTS)
        module = self._load(guest, directory)
        if deterministic:
            linker.define_unknown_imports_as_traps(module)
        else:
            linker.define_wasi()
        if coarse_clock is not None:
            linker.allow_shadowing = True
            define_imports(linker, CLOCK_MODULE, CLOCK_IMPORTS)
        if guest.sha256 not in state.memory_sizes:
            state.memory_sizes[guest.sha256] = _memory_bytes(module)
        self.memory_bytes = state.memory_sizes[guest.sha256]
        # The module imports nothing else but a clock and a random source, which its build checks:
        # docs/explanation/security.md.
        self._module = linker.instantiate_pre(module)

    def instantiate(self, memory_bytes: int) -> tuple[wasmtime.Store, wasmtime.Instance]:
        """Return a fresh guest in a store of its own.

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
        """Return the compiled module, from the cache when its file is whole, else compiled and put there.

        Raises:
            UnusableCacheError: it isn't in the cache, and can't be put there.
        """
        code = directory / f"{_cache_key(guest, counts_fuel=self.counts_fuel)}.cwasm"
        try:
            cache_files.make_private(directory)
        except cache_files.UnusableCacheError:  # that of a container's image, say, filled when it was built
            module = self._cached(code) if cache_files.is_trusted(directory) else None
            if module is None:
                raise
            return module
        module = self._cached(code)
        if module is None:
            with cache_files.exclusive(code.with_suffix(".lock")):
                module = self._cached(code) or self._compile(guest, code)
        return module

    def _cached(self, code: Path) -> wasmtime.Module | None:
        """Return the module in a file; None if it isn't there yet, damaged, or of another machine."""
        try:
            noted = json.loads(code.with_suffix(".json").read_text())
            if noted["sha256"] != _sha256_of(code):
                return None
            self.compile_seconds = float(noted["compile_seconds"])
            return wasmtime.Module.deserialize_file(self._engine, str(code))
        except (OSError, ValueError, KeyError, TypeError, wasmtime.WasmtimeError):
            return None

    def _compile(self, guest: Guest, code: Path) -> wasmtime.Module:
        """Compile the module, and put it into a file."""
        if "numpy" in guest.manifest.get("versions", ()):
            logger.warning("compiling the guest with numpy for this machine, once, which takes some 10 seconds")
        started = SteadyClock.precise()
        try:
            module = wasmtime.Module(self._engine, guest.read())
        except wasmtime.WasmtimeError as error:
            msg = f"wasmtime {_wasmtime_version()} can't compile the guest: {error}"
            raise ArtifactError(msg) from error
        self.compiled_now = True
        self.compile_seconds = SteadyClock.precise() - started
        serialized = bytes(module.serialize())
        noted = {"sha256": hashlib.sha256(serialized).hexdigest(), "compile_seconds": self.compile_seconds}
        cache_files.replace(code, serialized)
        cache_files.replace(code.with_suffix(".json"), json.dumps(noted).encode())
        return module


def load_engine(
    guest: Guest,
    *,
    timeout_seconds: float,
    deterministic: bool = False,
    counts_fuel: bool = False,
    coarse_clock: CoarseClock | None = None,
    beside: Engine | None = None,
) -> Engine:
    """Return a sandbox's engine; the first on a machine compiles the guest.

    Args:
        guest: the module.
        timeout_seconds: the longest time a call may be given.
        deterministic: see `Engine`.
        counts_fuel: see `Engine`.
        coarse_clock: see `Engine`.
        beside: see `Engine`.

    Raises:
        ArtifactError: the guest can't be compiled, or its machine code can be kept nowhere.
    """

    def load(directory: Path) -> Engine:
        return Engine(
            guest,
            directory,
            timeout_seconds=timeout_seconds,
            deterministic=deterministic,
            counts_fuel=counts_fuel,
            coarse_clock=coarse_clock,
            beside=beside,
        )

    with state.engine_loading:
        try:
            return load(cache_files.directory())
        except cache_files.UnusableCacheError as error:
            return load(cache_files.stand_in(str(error)))


def _memory_bytes(module: wasmtime.Module) -> int:
    """Return the memory that an instance of a guest starts with."""
    memories = (export.type for export in module.exports if export.name == "memory")
    return sum(m.limits.min * 2**16 for m in memories if isinstance(m, wasmtime.MemoryType))


def _cache_key(guest: Guest, *, counts_fuel: bool) -> str:
    """Return a hash of what the machine code depends on. wasmtime itself refuses code of another CPU or settings."""
    parts = [guest.sha256, _wasmtime_version(), platform.system(), platform.machine(), counts_fuel]
    if os.environ.get("WASMTIME_BACKTRACE_DETAILS") == "1":  # a setting that wasmtime takes from there
        parts.append("backtrace details")
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


@functools.cache
def _wasmtime_version() -> str:
    """Return its version; it takes milliseconds to read, which each sandbox would wait for."""
    return importlib.metadata.version("wasmtime")


def _sha256_of(path: Path) -> str:
    status = path.stat()
    file_state = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
    if file_state not in state.file_hashes:
        with path.open("rb") as file:
            state.file_hashes[file_state] = hashlib.file_digest(file, "sha256").hexdigest()
    return state.file_hashes[file_state]
