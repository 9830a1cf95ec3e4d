"""The guest's build from source archives to artifact, step by step."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import re
import shutil
from typing import TYPE_CHECKING

import filelock

from wasm import _config, _cpython, _fetch, _library, _link, _snapshot, _steps, _toolchain
from wasm._config import HERE, PACKAGE

if TYPE_CHECKING:
    from pathlib import Path


ARTIFACT = PACKAGE / "_artifact"
MANIFEST = "MANIFEST.json"


def build() -> Path:
    """Make the artifact and put it into the package, unless it is there.

    Returns:
        Its directory, `duckdb_wasi_udf/_artifact`.

    Raises:
        StepError: a step failed; what was finished before is kept.
        SnapshotError: the interpreter didn't start.
    """
    workspace = _config.workspace()
    workspace.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(workspace / "lock"):
        made = _Build(workspace).artifact()
        manifest = (made / MANIFEST).read_bytes()
        if not (ARTIFACT / MANIFEST).exists() or (ARTIFACT / MANIFEST).read_bytes() != manifest:
            shutil.rmtree(ARTIFACT, ignore_errors=True)
            shutil.copytree(made, ARTIFACT, ignore=shutil.ignore_patterns(MANIFEST, ".*"))
            (ARTIFACT / MANIFEST).write_bytes(manifest)  # last: without it there is no artifact
    return ARTIFACT


def requirements() -> list[str]:
    """The packages a build takes beyond those the cache takes; none when the artifact is in the cache."""
    if _Build(_config.workspace()).cached():
        return []
    return ["pip", f"ziglang=={_config.load().ziglang}"]


class _Build:
    """The steps, each in a directory named by the hash of its inputs, which cover those of the steps before it."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._logs = workspace / "logs"
        self._config = config = _config.load()
        sources = {name: source.files_sha256 for name, source in config.sources.items()}
        host = [platform.system(), platform.machine()]
        code = {
            name: HERE / f"_{name}.py" for name in ("toolchain", "cpython", "link", "library", "snapshot", "module")
        }
        self._native_key = _steps.key(
            sources["python"], config.ziglang, config.flags["native"], host, code["toolchain"], code["cpython"]
        )
        self._guest_key = _steps.key(self._native_key, sources["zlib"], config.flags["guest"], config.configure)
        names = [path.name for path in _link.C_SOURCES]
        self._link_key = _steps.key(
            self._guest_key, sources["nanoarrow"], config.flags, code["link"], names, *_link.C_SOURCES
        )
        names = [path.name for path in _library.GUEST_SOURCES]
        self._library_key = _steps.key(
            self._native_key, config.library, code["library"], _library.COMPILER, names, *_library.GUEST_SOURCES
        )
        licences = {name: source.licence for name, source in config.sources.items()}
        self._artifact_key = _steps.key(
            self._link_key, self._library_key, licences, code["snapshot"], code["module"], HERE / "_build.py"
        )

        self._made = workspace / f"artifact-{self._artifact_key}"

    def cached(self) -> bool:
        """Whether there is nothing to do."""
        return (self._made / MANIFEST).exists()

    def artifact(self) -> Path:
        """Run every step whose result isn't there; the directory of the last one."""
        if self.cached():
            return self._made
        toolchain = _toolchain.make(self._config.ziglang, self._config.flags["target"], self._workspace / "zig")
        python, zlib, nanoarrow = (self._source(name) for name in ("python", "zlib", "nanoarrow"))

        native = self._step(
            "native", self._native_key, lambda to, log: _cpython.build_native(python, self._config, toolchain, to, log)
        )
        guest = self._step(
            "configure",
            self._guest_key,
            lambda to, log: _cpython.configure_guest(python, zlib, native, self._config, toolchain, to, log),
        )
        _steps.step(
            "compile", guest, lambda to, log: _cpython.compile_guest(toolchain, to, log), self._logs, continues=True
        )
        linked = self._step(
            "link",
            self._link_key,
            lambda to, log: _link.link(python, guest, nanoarrow, self._config, toolchain, to, log),
        )
        library = self._step(
            "library",
            self._library_key,
            lambda to, log: _library.build(_cpython.native_python(native), python / "Lib", self._config, to, log),
        )
        snapshot = self._step("snapshot", self._artifact_key, lambda to, _: _take_snapshot(linked, library, to))
        return self._package(snapshot)

    def _step(self, name: str, key: str, action: _steps.Action) -> Path:
        return _steps.step(name, self._workspace / f"{name}-{key}", action, self._logs)

    def _source(self, name: str) -> Path:
        return _fetch.fetch(self._config.sources[name], self._workspace / "sources")

    def _package(self, snapshot: Path) -> Path:
        """The artifact: the module, what it is made of, and the licences of that."""
        partial = self._made.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "licences").mkdir(parents=True)
        module = (snapshot / "guest.wasm").read_bytes()
        (partial / "guest.wasm").write_bytes(module)
        for name, source in self._config.sources.items():
            shutil.copyfile(self._source(name) / source.licence, partial / "licences" / f"{name}.txt")
        manifest = {
            "abi_version": _abi_version(),
            "guest_sha256": hashlib.sha256(module).hexdigest(),
            "guest_bytes": len(module),
            "inputs": self._artifact_key,
            "versions": {
                **{name: source.version for name, source in self._config.sources.items()},
                "ziglang": self._config.ziglang,
                "wasmtime": importlib.metadata.version("wasmtime"),
            },
            "sources": {name: source.files_sha256 for name, source in self._config.sources.items()},
            "flags": self._config.flags,
            "imports": sorted(_link.IMPORTS),
        }
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        _steps.say(f"guest: packaged {len(module) / 2**20:.1f} MiB")
        return partial.rename(self._made)


def _take_snapshot(linked: Path, library: Path, directory: Path) -> None:
    names = (linked / "reactor.wasm", library / "stdlib.zip", library / "importer.bin")
    (directory / "guest.wasm").write_bytes(_snapshot.take(*(path.read_bytes() for path in names)))


def _abi_version() -> int:
    """The version the C sources speak."""
    found = re.search(r"#define UDF_ABI_VERSION (\d+)", (HERE / "src" / "abi.h").read_text())
    assert found is not None
    return int(found[1])
