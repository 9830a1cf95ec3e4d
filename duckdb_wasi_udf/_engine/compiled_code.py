"""Machine code of compiled functions: checked, compiled by the sandbox's engine, and kept on disk."""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import json
import math
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import wasmtime

from duckdb_wasi_udf._engine.module_check import MOST_BYTES, check_module
from duckdb_wasi_udf._errors import ArtifactError
from duckdb_wasi_udf._process import cache_files

if TYPE_CHECKING:
    from pathlib import Path

# Values of the environment variable, for tests: see docs/reference/environment-variables.md.
ALWAYS, NEVER = "always", "never"

# Sandboxes have one function for each source text of queries.
_MOST_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class CompiledCode:
    """A compiled function that instances of it can attach.

    Attributes:
        module: the machine code.
        kernels: the functions that it imports, in order.
        recipe: what the guest needs to make its constants and guards in another instance.
        lines: (offset in the module, line of the source) where code of another line begins.
    """

    module: wasmtime.Module
    kernels: tuple[str, ...]
    recipe: bytes
    lines: tuple[tuple[int, int], ...] = ()

    def line_of(self, trap: wasmtime.Trap) -> int | None:
        """Return the line of the source that was running at a trap; None if none of it was.

        Frames don't say whose module they are of. But all code of the guest is behind more bytes than a compiled
        function has.
        """
        for frame in trap.frames:
            offset = frame.module_offset
            if offset < MOST_BYTES:
                number = bisect.bisect(self.lines, (offset, math.inf)) - 1
                if number >= 0:
                    return self.lines[number][1]
        return None


class CodeStore:
    """Compiles and keeps the code of functions for one engine. Safe for use by many threads.

    Attributes:
        mode: "always", "never", or "" for as the sandbox decides.
    """

    def __init__(self, engine: wasmtime.Engine, directory: Path, engine_key: str) -> None:
        """Prepare an empty store.

        Args:
            engine: compiles.
            directory: where code is kept on disk.
            engine_key: differs between engines that make different machine code.
        """
        self._engine = engine
        self._directory = directory / "functions"
        self._engine_key = engine_key
        self._lock = threading.Lock()
        self._modules: dict[bytes, wasmtime.Module] = {}
        self._is_private = False
        self.mode = os.environ.get("DUCKDB_WASI_UDF_COMPILED", "")
        if self.mode == ALWAYS:  # code that only this mode has made isn't used at once in another one
            self._engine_key += ALWAYS

    def compile(self, key: str, wasm: bytes, recipe: bytes, lines: tuple[tuple[int, int], ...]) -> CompiledCode:
        """Compile a module that a guest made, and keep it.

        Args:
            key: the function and its types: see `find`.
            wasm: the module, which isn't trusted.
            recipe: what the guest made with it.
            lines: likewise.

        Raises:
            ProtocolError: it is none that a compiled function may have.
            wasmtime.WasmtimeError: wasmtime finds it invalid.
        """
        kernels = check_module(wasm)
        digest = hashlib.sha256(wasm).digest()
        with self._lock:
            module = self._modules.get(digest)
        if module is None:
            module = wasmtime.Module(self._engine, wasm)
            with self._lock:
                if len(self._modules) >= _MOST_KEPT:
                    self._modules.clear()
                self._modules[digest] = module
        code = CompiledCode(module, kernels, recipe, lines)
        with contextlib.suppress(ArtifactError):  # the disk is full, say: other processes compile it themselves
            self._write(key, code)
        return code

    def find(self, key: str) -> CompiledCode | None:
        """Return code that was compiled for a key, by this process or another of the same user; None if there is none.

        Args:
            key: a hash of all that the code depends on beside guest and engine.
        """
        try:
            if not self._is_private:  # looked at once: it takes longer than to look for a file
                cache_files.make_private(self._directory)
                self._is_private = True
            contents = cache_files.read_checked(self._file(key))
        except ArtifactError:  # it belongs to another user
            contents = None
        if contents is None:
            return None
        try:
            head, _, rest = contents.partition(b"\n")
            noted = json.loads(head)
            recipe, machine_code = rest[: noted["recipe"]], rest[noted["recipe"] :]
            module = wasmtime.Module.deserialize(self._engine, machine_code)
            lines = tuple([(int(offset), int(line)) for offset, line in noted["lines"]])
        except (ValueError, KeyError, TypeError, wasmtime.WasmtimeError):  # of another machine
            return None
        return CompiledCode(module, tuple(map(str, noted["kernels"])), recipe, lines)

    def _write(self, key: str, code: CompiledCode) -> None:
        cache_files.make_private(self._directory)
        noted = {"kernels": code.kernels, "recipe": len(code.recipe), "lines": code.lines}
        contents = b"".join((json.dumps(noted).encode(), b"\n", code.recipe, bytes(code.module.serialize())))
        cache_files.write_checked(self._file(key), contents)

    def _file(self, key: str) -> Path:
        digest = hashlib.sha256(f"{self._engine_key} {key}".encode()).hexdigest()
        return self._directory / f"{digest}.code"
