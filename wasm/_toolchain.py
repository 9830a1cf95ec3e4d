"""The compiler: zig's clang, lld and wasi-libc, from the ziglang wheel."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wasm._steps import StepError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wasm._steps import Log

# Refused by zig's linker, and its default anyway: the stack comes first in memory.
_DROPPED = "-Wl,--stack-first"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Compiler commands as scripts, the form configure scripts and makefiles take.

    Attributes:
        cc: compiles for this machine.
        wasm_cc: compiles for the guest.
        ar: makes archives.
        ranlib: indexes them.
        environment: what zig wants to know: where it may cache.
    """

    cc: Path
    wasm_cc: Path
    ar: Path
    ranlib: Path
    environment: dict[str, str]

    def compile_for_guest(self, sources: list[Path], flags: Sequence[str], directory: Path, log: Log) -> list[Path]:
        """Compile C files, one at a time as zig wants them, to objects in `directory`."""
        objects = [directory / f"{source.stem}.o" for source in sources]
        for source, compiled in zip(sources, objects, strict=True):
            log.run(self.wasm_cc, *flags, "-c", source, "-o", compiled, cwd=directory, env=self.environment)
        return objects


def make(version: str, target: str, directory: Path) -> Toolchain:
    """Write the scripts into `directory`.

    Args:
        version: the ziglang version that must be installed.
        target: zig's name of the guest's platform.
        directory: where the scripts and zig's cache go.

    Raises:
        StepError: that version isn't installed.
    """
    try:
        installed = importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError:
        installed = "none"
    spec = importlib.util.find_spec("ziglang")
    if installed != version or spec is None or spec.origin is None:
        msg = (
            f"the guest is built with ziglang {version}, installed is {installed}; run: pip install ziglang=={version}"
        )
        raise StepError(msg)
    zig = shlex.quote(str(Path(spec.origin).parent / "zig"))
    directory.mkdir(parents=True, exist_ok=True)
    drop = f'for a; do shift; [ "$a" = {_DROPPED} ] || set -- "$@" "$a"; done'
    return Toolchain(
        cc=_script(directory / "cc", f'exec {zig} cc "$@"'),
        wasm_cc=_script(directory / "wasm-cc", f'{drop}\nexec {zig} cc -target {target} "$@"'),
        ar=_script(directory / "ar", f'exec {zig} ar "$@"'),
        ranlib=_script(directory / "ranlib", f'exec {zig} ranlib "$@"'),
        environment={"ZIG_GLOBAL_CACHE_DIR": str(directory / "cache")},
    )


def _script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path
