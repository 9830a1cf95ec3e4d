"""The compiler: zig's clang, lld and wasi-libc, from the ziglang wheel."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wasm.build.steps import StepError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wasm.build.steps import Log

# Refused by zig's linker, and its default anyway: the stack comes first in memory.
_DROPPED = "-Wl,--stack-first"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Compiler commands as scripts, the form configure scripts and makefiles take.

    Attributes:
        zig: The program behind all of them.
        wasm_cc: Compiles for the guest.
        wasm_cxx: Compiles C++ for it, and links what needs the C++ library.
        ar: Makes archives.
        ranlib: Indexes them.
        python: Stands for the Python that configure wants, and only knows its version.
        lib: The directory with zig's libraries in source form.
        environment: Variables that zig and the archives' time stamps depend on.
    """

    zig: Path
    wasm_cc: Path
    wasm_cxx: Path
    ar: Path
    ranlib: Path
    python: Path
    lib: Path
    environment: dict[str, str]

    def compile_for_guest(self, sources: Sequence[tuple[Path, Sequence[str]]], directory: Path, log: Log) -> list[Path]:
        """Compile C files, on all cores.

        Args:
            sources: The files, relative to `directory`, each with its flags.
            directory: Where the objects go.
            log: The step's log.

        Returns:
            The objects, in the same order, relative to `directory`.

        Raises:
            StepError: One doesn't compile.
        """

        def compile_one(source: Path, flags: Sequence[str]) -> Path:
            compiled = Path(f"{source.stem}.o")
            log.run(self.wasm_cc, *flags, "-c", source, "-o", compiled, cwd=directory, env=self.environment)
            return compiled

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(compile_one, *zip(*sources, strict=True)))


def zig_program() -> Path | None:
    """Return the compiler that is installed for this interpreter; None if there is none.

    It is run by its path: `python -m ziglang` finds it only in the environment of an interpreter, and pip builds wheels
    with packages that are elsewhere.
    """
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / ("zig.exe" if sys.platform == "win32" else "zig")


def make(version: str, target: str, python: str, directory: Path) -> Toolchain:
    """Write the scripts into `directory`.

    Args:
        version: The ziglang version that must be installed.
        target: zig's name of the guest's platform.
        python: The guest's Python version, such as "3.13".
        directory: Where the scripts and zig's cache go.

    Returns:
        The toolchain.

    Raises:
        StepError: That version isn't installed.
    """
    try:
        installed = importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError:
        installed = "none"
    program = zig_program()
    if installed != version or program is None:
        msg = (
            f"the guest is built with ziglang {version}, installed is {installed}; run: pip install ziglang=={version}"
        )
        raise StepError(msg)
    zig = shlex.quote(str(program))
    directory.mkdir(parents=True, exist_ok=True)
    drop = f'for a; do shift; [ "$a" = {_DROPPED} ] || set -- "$@" "$a"; done'
    return Toolchain(
        zig=program,
        wasm_cc=script(directory / "wasm-cc", f'{drop}\nexec {zig} cc -target {target} "$@"'),
        wasm_cxx=script(directory / "wasm-cxx", f'{drop}\nexec {zig} c++ -target {target} "$@"'),
        ar=script(directory / "ar", f'exec {zig} ar "$@"'),
        ranlib=script(directory / "ranlib", f'exec {zig} ranlib "$@"'),
        python=script(directory / "python", f"echo {python}"),
        lib=program.parent / "lib",
        # Else objects have the time of their build: https://reproducible-builds.org/specs/source-date-epoch/
        environment={"ZIG_GLOBAL_CACHE_DIR": str(directory / "cache"), "SOURCE_DATE_EPOCH": "1767225600"},
    )


def script(path: Path, text: str, interpreter: str = "/bin/sh") -> Path:
    """Write a program and return its path.

    Args:
        path: The program.
        text: Its source.
        interpreter: The program that runs it.
    """
    path.write_text(f"#!{interpreter}\n{text}\n")
    path.chmod(0o755)
    return path
