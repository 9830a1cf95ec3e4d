"""Serves a sandbox's packages to its guests: files as they are, modules compiled.

The guest's Python has a bytecode of its own, so a guest compiles: one that runs no other code, is given one source, and
ends. What it made is kept in memory and in the user's cache directory, under a hash of the guest and the source; the
guests that import can't write to either.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._engine.engine import Engine, load_engine
from duckdb_wasi_udf._errors import ArtifactError, GuestError, LimitExceeded, PackageError
from duckdb_wasi_udf._guests.definition import Definition, Unit
from duckdb_wasi_udf._guests.instance import GuestInstance
from duckdb_wasi_udf._guests.numpy_use import modules_with_numpy
from duckdb_wasi_udf._limits import MIB, DataLimits, ResourceLimits
from duckdb_wasi_udf._packages.collect import Packages, native_code
from duckdb_wasi_udf._process import cache_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from duckdb_wasi_udf._engine.artifact import Guest

# The guest's name for the directory of all packages, in questions, tracebacks and `__file__`
# (wasm/python/_udf_packages/importer.py).
ROOT = "/packages/"

# What a guest runs that compiles (wasm/python/_udf_packages/compiler.py).
_COMPILER = Unit(source="_compile", name="compiler", imports={"_compile": "_udf_packages.compiler:compile_module"})
_NOT_COMPILED = b""

# Of compiling one module. Six seconds and 240 MiB were measured for one of half a megabyte of nested literals.
_LIMITS = ResourceLimits(timeout_seconds=60.0, memory_bytes=1024 * MIB)


class PackageModules:
    """Answers what guests ask of their packages; safe for use by many threads.

    Attributes:
        names: the top-level names that can be imported.
        with_numpy: those of them that import numpy, themselves or through others.
    """

    def __init__(self, packages: Packages, guest: Guest) -> None:
        """Prepare to serve.

        Args:
            packages: all there is to serve.
            guest: what the modules are compiled for, and by.
        """
        self.names = packages.modules
        self.with_numpy = modules_with_numpy(packages)
        self._packages = packages
        self._guest = guest
        self._folders = {ROOT + path: "\n".join(sorted(names)).encode() for path, names in _folders(packages.files)}
        self._compiled: dict[str, bytes] = {}
        self._compiling = threading.Lock()
        self._engine: Engine | None = None

    def find(self, name: str) -> bytes | None:
        """Return what a guest may have by a name, which can be anything.

        Args:
            name: below `ROOT`, the path of a file; of a directory, with a slash at its end; of a compiled module, with
                .pyc for .py.

        Returns:
            The file; the names in the directory, one a line, with a slash after those of directories; or the module's
            marshalled code, empty when it doesn't compile. None when there is no such thing.
        """
        found = self._folders.get(name)
        if found is not None or not name.startswith(ROOT):
            return found
        path = name.removeprefix(ROOT)
        if not path.endswith(".pyc"):
            return self._packages.files.get(path)
        path = path.removesuffix("c")
        source = self._packages.files.get(path)
        return None if source is None else self._code(path, source)

    def check(self, engine_for: Callable[[Definition], Engine], limits: ResourceLimits) -> None:
        """Import every distribution whose native code was left out, to see whether it does without.

        Args:
            engine_for: returns the engine of the guest for a function.
            limits: what the guest may use.

        Raises:
            PackageError: one doesn't.
        """
        for left_out in self._packages.left_out:
            imports = "".join(f"import {module}\n" for module in left_out.modules)
            definition = Definition.from_source(f"{imports}lambda: None", left_out.label)
            engine = engine_for(definition)
            try:
                with CallContext(engine.clock) as context:
                    GuestInstance(context, engine, definition, limits, DataLimits(), (self.find,)).close()
            except GuestError as error:
                last_line = error.guest_traceback.strip().rpartition("\n")[2]
                raise native_code(left_out.label, left_out.native, f" (without it: {last_line})") from error

    def cancel(self) -> None:
        """Stop the guest that compiles, if one does."""
        engine = self._engine
        if engine is not None:
            engine.clock.cancel()

    def close(self) -> None:
        """Serve nothing any more, and keep nothing."""
        self._packages = Packages()
        self._folders = {}
        self._compiled = {}
        self._engine = None

    def _code(self, path: str, source: bytes) -> bytes:
        """Return the compiled module."""
        code = self._compiled.get(path)
        if code is None:
            with self._compiling:  # others that want the same module need not compile it too
                code = self._compiled.get(path)
                if code is None:
                    code = self._compiled[path] = self._kept(path, source)
        return code

    def _kept(self, path: str, source: bytes) -> bytes:
        """Return the compiled module from the user's cache, where it is put if it isn't there."""
        directory = cache_files.usable_directory("modules")
        parts = (self._guest.sha256, path, hashlib.sha256(source).hexdigest())
        file = directory / f"{hashlib.sha256(repr(parts).encode()).hexdigest()}.code"
        code = cache_files.read_checked(file)
        if code is None:
            try:
                code = self._compile(path, source)
            except LimitExceeded as error:
                msg = f"{path} takes more than {error.limit}={error.allowed:,} to compile"
                raise PackageError(msg) from error
            with contextlib.suppress(ArtifactError):  # the disk is full, say: other processes compile it themselves
                cache_files.write_checked(file, code)
        return code

    def _compile(self, path: str, source: bytes) -> bytes:
        """Compile a module in a guest that has seen nothing else."""
        engine = self._engine
        if engine is None:
            engine = self._engine = load_engine(self._guest, timeout_seconds=_LIMITS.timeout_seconds)
        definition = Definition(label=f"compiling {path}", units=(_COMPILER,))
        with CallContext(engine.clock) as context:
            instance = GuestInstance(context, engine, definition, _LIMITS, DataLimits())
            try:
                instance.bind(context, [(pa.binary(), False), (pa.string(), False)], pa.binary())
                arguments = [pa.array([source], pa.binary()), pa.array([ROOT + path])]
                (code,) = instance.call(context, arguments, 1)[0].to_pylist()
            finally:
                instance.close()
        return _NOT_COMPILED if code is None else code


def _folders(paths: Iterable[str]) -> Iterator[tuple[str, set[str]]]:
    """Return every directory with files, with a slash at its end, and the names in it; "" is that of all packages."""
    folders: dict[str, set[str]] = {}
    for path in paths:
        parts = path.split("/")
        for depth, name in enumerate(parts):
            folder = "".join(f"{part}/" for part in parts[:depth])
            folders.setdefault(folder, set()).add(name if depth == len(parts) - 1 else f"{name}/")
    yield from folders.items()
