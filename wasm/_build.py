"""The guest's build from source archives to artifact, step by step."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import re
import shutil
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from wasm import _config, _cpython, _fetch, _library, _link, _reactor, _sbom, _snapshot, _steps, _toolchain
from wasm._archive import file_sha256
from wasm._config import HERE, PACKAGE
from wasm._steps import StepError

if TYPE_CHECKING:
    from collections.abc import Iterator

ARTIFACT = PACKAGE / "_artifact"
DEBUG_ARTIFACT = HERE.parent / "build" / "guest-debug"
MANIFEST = "MANIFEST.json"
MODULE = "guest.wasm"
COMPONENTS = "guest.cdx.json"


def build(*, debug: bool = False) -> Path:
    """Make the artifact and put it into the package, unless it is there.

    Args:
        debug: Make one with symbols and assertions, and put it into `build/guest-debug`.

    Returns:
        Its directory, `duckdb_wasi_udf/_artifact` without `debug`.

    Raises:
        StepError: A step failed; what was finished before is kept.
        SnapshotError: The interpreter didn't start.
    """
    workspace = _config.workspace()
    target = DEBUG_ARTIFACT if debug else ARTIFACT
    with _alone(workspace):
        made = _Build(workspace, debug=debug).artifact()
        manifest = (made / MANIFEST).read_bytes()
        if (target / MANIFEST).exists() and (target / MANIFEST).read_bytes() == manifest:
            return target
        if file_sha256(made / MODULE) != json.loads(manifest)["guest_sha256"]:
            _steps.say(f"guest: {made} is damaged; making it again")
            shutil.rmtree(made)
            made = _Build(workspace, debug=debug).artifact()
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made, target, ignore=shutil.ignore_patterns(MANIFEST, ".*"))
        (target / MANIFEST).write_bytes(manifest)  # last: without it there is no artifact
    return target


def verify() -> str:
    """Make the artifact a second time in another place, where configure tries everything, and compare.

    Returns:
        The sha256 of both modules.

    Raises:
        StepError: They differ, or a step failed.
        SnapshotError: The interpreter didn't start.
    """
    first = file_sha256(build() / MODULE)
    workspace = Path(tempfile.mkdtemp(prefix="guest-verify-"))
    (workspace / "sources").mkdir()
    for archive in (_config.workspace() / "sources").glob("*"):  # spares downloads; their hashes are checked again
        if archive.is_file():
            shutil.copyfile(archive, workspace / "sources" / archive.name)
    second = file_sha256(_Build(workspace, ask=True).artifact() / MODULE)
    if first != second:
        msg = f"two builds differ: {ARTIFACT / MODULE} has the sha256 {first}, the one left in {workspace} {second}"
        raise StepError(msg)
    shutil.rmtree(workspace)
    return first


def record_answers() -> Path:
    """Write wasm/configure.answers: what CPython's configure finds out when it is told nothing.

    Returns:
        The file.

    Raises:
        StepError: A step failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        build = _Build(Path(temporary), ask=True)
        _cpython.record_answers(build.config, build.compiled())
    return _cpython.ANSWERS


def requirements() -> list[str]:
    """Return the packages that a build needs, the extra `guest`; none if the artifact is in the cache."""
    if _Build(_config.workspace()).cached():
        return []
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["optional-dependencies"]["guest"])


@contextlib.contextmanager
def _alone(workspace: Path) -> Iterator[None]:
    """Let one build at a time work in a workspace."""
    workspace.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(workspace / "lock")
    try:
        lock.acquire(timeout=1)
    except filelock.Timeout:
        _steps.say(f"guest: another build works in {workspace}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


class _Build:
    """The steps, each in a directory named by the hash of its inputs, which cover those of the steps before it."""

    def __init__(self, workspace: Path, *, ask: bool = False, debug: bool = False) -> None:
        self._workspace = workspace
        self._ask = ask
        self._debug = debug
        self._logs = workspace / "logs"
        self.config = config = _config.load()
        sources = {name: source.files_sha256 for name, source in config.sources.items()}
        code = {path.name.strip("_"): path for path in HERE.glob("_*.py")}
        answers = _cpython.ANSWERS.read_text()
        compile_key = _steps.key(
            sources["python"],
            sources["zlib"],
            config.ziglang,
            config.flags,
            config.configure,
            answers,
            *(code[name] for name in ("toolchain.py", "cpython.py")),
            _cpython.MAKEFILE,
        )
        names = [path.relative_to(HERE).as_posix() for path in _link.C_SOURCES]
        link_key = _steps.key(compile_key, sources["nanoarrow"], code["link.py"], names, *_link.C_SOURCES)
        names = [path.name for path in _library.GUEST_SOURCES]
        licences = {name: source.licence for name, source in config.sources.items()}
        self._artifact_key = _steps.key(
            link_key,
            config.library,
            licences,
            config.components,
            *(code[name] for name in ("build.py", "library.py", "module.py", "reactor.py", "sbom.py", "snapshot.py")),
            names,
            *_library.GUEST_SOURCES,
        )
        kind = "debug-" if debug else ""  # the keys are those of the same inputs
        self._directories = {
            "compile": workspace / f"compile-{compile_key}",
            "link": workspace / f"{kind}link-{link_key}",
            "snapshot": workspace / f"{kind}artifact-{self._artifact_key}",
        }
        self._progress = _steps.Progress(
            [name for name, directory in self._directories.items() if not _steps.is_complete(directory)]
        )

    def cached(self) -> bool:
        """Return whether there is nothing to do."""
        return _steps.is_complete(self._directories["snapshot"])

    def artifact(self) -> Path:
        """Run every step whose result isn't there.

        Returns:
            The directory of the last one.

        Raises:
            StepError: A step failed.
            SnapshotError: The interpreter didn't start.
        """
        if self.cached():
            return self._directories["snapshot"]
        compiled = self.compiled()
        linked = self._step(
            "link",
            lambda to, log: _link.link(
                self._source("python"),
                compiled,
                self._source("nanoarrow"),
                self.config,
                self._toolchain(),
                to,
                log,
                debug=self._debug,
            ),
        )
        return self._step("snapshot", lambda to, _: self._package(linked, to))

    def compiled(self) -> Path:
        """Compile CPython.

        Returns:
            The step's directory.

        Raises:
            StepError: A step failed.
        """
        with ThreadPoolExecutor() as pool:
            python, zlib, _ = pool.map(self._source, ("python", "zlib", "nanoarrow"))
        return self._step(
            "compile",
            lambda to, log: _cpython.build_guest(python, zlib, self.config, self._toolchain(), to, log, ask=self._ask),
        )

    def _step(self, name: str, action: _steps.Action) -> Path:
        return _steps.step(name, self._directories[name], action, self._logs, self._progress)

    def _toolchain(self) -> _toolchain.Toolchain:
        config = self.config
        python = config.sources["python"].version.rpartition(".")[0]
        return _toolchain.make(config.ziglang, config.flags["target"], python, self._workspace / "zig")

    def _source(self, name: str) -> Path:
        return _fetch.fetch(self.config.sources[name], self._workspace / "sources")

    def _package(self, linked: Path, directory: Path) -> None:
        """Make the artifact: the module, what it is made of, and the licences of that."""
        reactor = _reactor.Module((linked / "reactor.wasm").read_bytes())
        library, frozen = _library.build(reactor, self._source("python") / "Lib", self.config.library["exclude"])
        module = _snapshot.take(reactor, library, frozen, debug=self._debug)
        (directory / MODULE).write_bytes(module)
        sha256 = hashlib.sha256(module).hexdigest()
        components = _sbom.sbom(self.config, self._source("python"), self._toolchain().lib, sha256)
        (directory / COMPONENTS).write_text(components, encoding="utf-8")
        (directory / "licences").mkdir()
        for name, source in self.config.sources.items():
            shutil.copyfile(self._source(name) / source.licence, directory / "licences" / f"{name}.txt")
        manifest = {
            "abi_version": _abi_version(),
            "guest_sha256": sha256,
            "guest_bytes": len(module),
            "inputs": self._artifact_key,
            "versions": {
                **{name: source.version for name, source in self.config.sources.items()},
                "ziglang": self.config.ziglang,
                "wasmtime": importlib.metadata.version("wasmtime"),
            },
            "sources": {name: source.files_sha256 for name, source in self.config.sources.items()},
            "flags": self.config.flags,
            "imports": sorted(_link.IMPORTS),
            **({"debug": True} if self._debug else {}),
        }
        (directory / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        _steps.say(f"guest: packaged {len(module) / 2**20:.1f} MiB")


def _abi_version() -> int:
    """Return the version the C sources speak."""
    found = re.search(r"#define UDF_ABI_VERSION (\d+)", (HERE / "c" / "abi.h").read_text())
    assert found is not None
    return int(found[1])
