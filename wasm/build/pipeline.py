"""The guest's build from source archives to artifact, step by step."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import lzma
import re
import shutil
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from wasm.build import cpython, fetch, library, link, numpy_library, sbom, snapshot, steps, toolchain
from wasm.build.archive import file_sha256
from wasm.build.config import HERE, PACKAGE, load, workspace
from wasm.build.reactor import Module
from wasm.build.steps import StepError

if TYPE_CHECKING:
    from collections.abc import Iterator

ARTIFACT = PACKAGE / "_artifact"
NUMPY_ARTIFACT = PACKAGE / "_artifact_numpy"
DEBUG_ARTIFACT = HERE.parent / "build" / "guest-debug"
MANIFEST = "MANIFEST.json"
MODULE = "guest.wasm"
# The guest with numpy is compressed, so that a wheel with both stays below 25 MB: 11.2 MB, where the wheel's own method
# makes 16.1. It takes 25 s here and 0.7 s where it is compiled.
PACKED_MODULE = "guest.wasm.xz"
_PRESET = 9
COMPONENTS = "guest.cdx.json"


def build(*, debug: bool = False, numpy: bool = False) -> Path:
    """Make the artifact and put it into the package, unless it is there.

    Args:
        debug: Make one with symbols and assertions, and put it into `build/guest-debug`.
        numpy: Make the one that has numpy, and put it into `duckdb_wasi_udf/_artifact_numpy`.

    Returns:
        Its directory, `duckdb_wasi_udf/_artifact` without `debug` and `numpy`.

    Raises:
        StepError: A step failed; what was finished before is kept.
        SnapshotError: The interpreter didn't start.
    """
    place = workspace()
    target = DEBUG_ARTIFACT if debug else NUMPY_ARTIFACT if numpy else ARTIFACT
    with _alone(place):
        made = _Build(place, debug=debug, numpy=numpy).artifact()
        manifest = (made / MANIFEST).read_bytes()
        if (target / MANIFEST).exists() and (target / MANIFEST).read_bytes() == manifest:
            return target
        if _module_sha256(made) != json.loads(manifest)["guest_sha256"]:
            steps.say(f"guest: {made} is damaged; making it again")
            shutil.rmtree(made)
            made = _Build(place, debug=debug, numpy=numpy).artifact()
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made, target, ignore=shutil.ignore_patterns(MANIFEST, ".*"))
        (target / MANIFEST).write_bytes(manifest)  # last: without it there is no artifact
    return target


def verify(*, numpy: bool = False) -> str:
    """Make the artifact a second time in another place, where configure tries everything, and compare.

    Args:
        numpy: Compare the guest that has numpy.

    Returns:
        The sha256 of both modules.

    Raises:
        StepError: They differ, or a step failed.
        SnapshotError: The interpreter didn't start.
    """
    artifact = build(numpy=numpy)
    first = _module_sha256(artifact)
    place = Path(tempfile.mkdtemp(prefix="guest-verify-"))
    (place / "sources").mkdir()
    for archive in (workspace() / "sources").glob("*"):  # spares downloads; their hashes are checked again
        if archive.is_file():
            shutil.copyfile(archive, place / "sources" / archive.name)
    second = _module_sha256(_Build(place, ask=True, numpy=numpy).artifact())
    if first != second:
        msg = f"two builds differ: the module in {artifact} has the sha256 {first}, the one left in {place} {second}"
        raise StepError(msg)
    shutil.rmtree(place)
    return first


def record_answers() -> Path:
    """Write wasm/configure.answers: what CPython's configure finds out by itself.

    Returns:
        The file.

    Raises:
        StepError: A step failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        build = _Build(Path(temporary), ask=True)
        cpython.record_answers(build.config, build.compiled())
    return cpython.ANSWERS


def requirements() -> list[str]:
    """Return the packages that the builds of both guests need: the extras of those that aren't in the cache."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = {
        "guest": not all(_Build(workspace(), numpy=numpy).cached() for numpy in (False, True)),
        "numpy-guest": not _Build(workspace(), numpy=True).cached(),
    }
    return [requirement for name, is_needed in needed.items() if is_needed for requirement in extras[name]]


@contextlib.contextmanager
def _alone(workspace: Path) -> Iterator[None]:
    """Let one build at a time work in a workspace."""
    workspace.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(workspace / "lock")
    try:
        lock.acquire(timeout=1)
    except filelock.Timeout:
        steps.say(f"guest: another build works in {workspace}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


class _Build:
    """The steps, each in a directory named by the hash of its inputs, which cover those of the steps before it."""

    def __init__(self, workspace: Path, *, ask: bool = False, debug: bool = False, numpy: bool = False) -> None:
        self._workspace = workspace
        self._ask = ask
        self._debug = debug
        self._numpy = numpy
        self._logs = workspace / "logs"
        self.config = config = load()
        self._sources = {
            name: source for name, source in config.sources.items() if numpy or name != numpy_library.SOURCE
        }
        sources = {name: source.files_sha256 for name, source in self._sources.items()}
        code = {path.stem: path for path in Path(__file__).parent.glob("*.py")}
        answers = cpython.ANSWERS.read_text()
        compile_key = steps.key(
            sources["python"],
            sources["zlib"],
            config.ziglang,
            config.flags,
            config.configure,
            answers,
            *(code[name] for name in ("toolchain", "cpython")),
            cpython.MAKEFILE,
        )
        numpy_key = ""
        if numpy:
            inputs = numpy_library.INPUTS
            names = [path.relative_to(HERE).as_posix() for path in inputs]
            numpy_key = steps.key(compile_key, sources["numpy"], config.numpy, code["numpy_library"], names, *inputs)
        c_sources = [path for path in link.C_SOURCES if numpy or path.parent.name != link.NUMPY_FOLDER]
        names = [path.relative_to(HERE).as_posix() for path in c_sources]
        link_key = steps.key(compile_key, numpy_key, sources["nanoarrow"], code["link"], names, *c_sources)
        guest_sources = [*library.GUEST_SOURCES, *(library.NUMPY_SOURCES if numpy else ())]
        names = [path.name for path in guest_sources]
        licences = {name: source.licence for name, source in self._sources.items()}
        self._artifact_key = steps.key(
            link_key,
            config.library,
            sources["tzdata"],
            licences,
            config.components,
            *(code[name] for name in ("pipeline", "library", "sections", "reactor", "sbom", "snapshot")),
            names,
            *guest_sources,
        )
        kind = "debug-" if debug else ""  # the keys are those of the same inputs
        self._directories = {
            "compile": workspace / f"compile-{compile_key}",
            **({"numpy": workspace / f"numpy-{numpy_key}"} if numpy else {}),
            "link": workspace / f"{kind}link-{link_key}",
            "snapshot": workspace / f"{kind}artifact-{self._artifact_key}",
        }
        self._progress = steps.Progress(
            [name for name, directory in self._directories.items() if not steps.is_complete(directory)]
        )

    def cached(self) -> bool:
        """Return whether there is nothing to do."""
        return steps.is_complete(self._directories["snapshot"])

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
        numpy = self._compiled_numpy(compiled) if self._numpy else None
        linked = self._step(
            "link",
            lambda to, log: link.link(
                self._source("python"),
                compiled,
                self._source("nanoarrow"),
                self.config,
                self._toolchain(),
                to,
                log,
                numpy=numpy,
                debug=self._debug,
            ),
        )
        return self._step("snapshot", lambda to, _: self._package(linked, numpy, to))

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
            lambda to, log: cpython.build_guest(python, zlib, self.config, self._toolchain(), to, log, ask=self._ask),
        )

    def _compiled_numpy(self, compiled: Path) -> Path:
        source, python = self._source("numpy"), self._source("python")
        return self._step(
            "numpy",
            lambda to, log: numpy_library.build_numpy(
                source, python, compiled, self.config, self._toolchain(), to, log
            ),
        )

    def _step(self, name: str, action: steps.Action) -> Path:
        return steps.step(name, self._directories[name], action, self._logs, self._progress)

    def _toolchain(self) -> toolchain.Toolchain:
        config = self.config
        python = config.sources["python"].version.rpartition(".")[0]
        return toolchain.make(config.ziglang, config.flags["target"], python, self._workspace / "zig")

    def _source(self, name: str) -> Path:
        return fetch.fetch(self.config.sources[name], self._workspace / "sources")

    def _package(self, linked: Path, numpy: Path | None, directory: Path) -> None:
        """Make the artifact: the module, what it is made of, and the licences of that."""
        reactor = Module((linked / "reactor.wasm").read_bytes())
        packed, frozen = library.build(
            reactor,
            self._source("python") / "Lib",
            self.config.library["exclude"],
            {"tzdata": self._source("tzdata") / "src" / "tzdata"},
            None if numpy is None else numpy_library.package(numpy),
        )
        module = snapshot.take(reactor, packed, frozen, debug=self._debug)
        if self._numpy:
            (directory / PACKED_MODULE).write_bytes(lzma.compress(module, preset=_PRESET))
        else:
            (directory / MODULE).write_bytes(module)
        sha256 = hashlib.sha256(module).hexdigest()
        components = sbom.sbom(self.config, self._sources, self._source("python"), self._toolchain().lib, sha256)
        (directory / COMPONENTS).write_text(components, encoding="utf-8")
        (directory / "licences").mkdir()
        for name, source in self._sources.items():
            shutil.copyfile(self._source(name) / source.licence, directory / "licences" / f"{name}.txt")
        manifest = {
            "abi_version": _abi_version(),
            "guest_sha256": sha256,
            "guest_bytes": len(module),
            "inputs": self._artifact_key,
            "versions": {
                **{name: source.version for name, source in self._sources.items()},
                "ziglang": self.config.ziglang,
                "wasmtime": importlib.metadata.version("wasmtime"),
            },
            "sources": {name: source.files_sha256 for name, source in self._sources.items()},
            "flags": self.config.flags,
            "imports": sorted(link.IMPORTS),
            **({"debug": True} if self._debug else {}),
        }
        (directory / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        steps.say(f"guest: packaged {len(module) / 2**20:.1f} MiB")


def _module_sha256(artifact: Path) -> str:
    """Return the hash of an artifact's module, an empty text if it is damaged."""
    if not (artifact / PACKED_MODULE).exists():
        return file_sha256(artifact / MODULE)
    try:
        return hashlib.sha256(lzma.decompress((artifact / PACKED_MODULE).read_bytes())).hexdigest()
    except lzma.LZMAError:
        return ""


def _abi_version() -> int:
    """Return the version the C sources speak."""
    found = re.search(r"#define UDF_ABI_VERSION (\d+)", (HERE / "c" / "abi.h").read_text())
    assert found is not None
    return int(found[1])
