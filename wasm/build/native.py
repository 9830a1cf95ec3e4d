"""The library of wasm/native/: compiled by zig for each platform that DuckDB and wasmtime have wheels for."""

from __future__ import annotations

import platform
import shutil
import sys
import tomllib
from typing import TYPE_CHECKING

from wasm.build import steps
from wasm.build.config import HERE, PACKAGE, load, workspace
from wasm.build.steps import StepError
from wasm.build.toolchain import zig_program

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

DIRECTORY = PACKAGE / "_native" / "built"

# What zig calls each platform, by the name of the library's file: `file_name` of duckdb_wasi_udf/_native/library.py.
# macOS and glibc are the oldest that DuckDB's or wasmtime's wheels run on, or older.
TARGETS = {
    "x86_64-linux.so": "x86_64-linux-gnu.2.17",
    "aarch64-linux.so": "aarch64-linux-gnu.2.17",
    "x86_64-macos.dylib": "x86_64-macos.10.15",
    "aarch64-macos.dylib": "aarch64-macos.11.0",
    "x86_64-windows.dll": "x86_64-windows-gnu",
}

FLAGS = ("-std=gnu23", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", "-s")
# Those of the library; the fuzzer is compiled by tests/native/fuzz.py.
SOURCES = sorted(path for path in (HERE / "native").glob("*.[ch]") if path.stem != "fuzz")


def build_here() -> Path | None:
    """Make the library for this machine, or take it from the cache, and put it into the package.

    Returns:
        Its file; None if there is no platform of that name, or no compiler: functions run without the library.

    Raises:
        StepError: It doesn't compile.
    """
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    system = {"darwin": "macos.dylib", "win32": "windows.dll"}.get(sys.platform, "linux.so")
    name = f"{machine}-{system}"
    if name not in TARGETS or not (is_cached([name]) or zig()):
        steps.say("guest: no native library for this machine, or no ziglang to compile it: functions run without it")
        return None
    build([name])
    return DIRECTORY / name


def build(names: Iterable[str] = TARGETS) -> None:
    """Make the library for some platforms, or take it from the cache, and put it into the package.

    Args:
        names: Those of the files: all by default.

    Raises:
        StepError: It doesn't compile.
    """
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    names = list(names)
    progress = steps.Progress([f"native {name}" for name in names if not is_cached([name])])
    for name in names:
        made = _step(name, progress) / name
        there = DIRECTORY / name
        if there.exists() and there.read_bytes() == made.read_bytes():
            continue
        new = there.with_suffix(".new")  # one that is in use must not be written over
        shutil.copyfile(made, new)
        new.replace(there)


def is_cached(names: Iterable[str] = TARGETS) -> bool:
    """Return whether nothing has to be compiled."""
    return all(steps.is_complete(_directory(name)) for name in names)


def requirements() -> list[str]:
    """Return the packages that compile the library, and show how far that is."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [needed for needed in project["optional-dependencies"]["guest"] if needed.startswith(("rich", "ziglang"))]


def _directory(name: str) -> Path:
    return workspace() / f"native-{steps.key(load().ziglang, TARGETS[name], list(FLAGS), *SOURCES)}"


def zig() -> list[str] | None:
    """Return the command that runs zig's C compiler; None if it isn't installed."""
    program = zig_program()
    return None if program is None else [str(program), "cc"]


def _step(name: str, progress: steps.Progress) -> Path:
    def compile_library(directory: Path, log: steps.Log) -> None:
        command = zig()
        if command is None:
            msg = f"the native library is compiled with ziglang {load().ziglang}, which isn't installed"
            raise StepError(msg)
        sources = [path for path in SOURCES if path.suffix == ".c"]
        log.run(*command, "-target", TARGETS[name], *FLAGS, "-o", directory / name, *sources, cwd=directory)

    return steps.step(f"native {name}", _directory(name), compile_library, workspace() / "logs", progress)
