"""CPython's static library for the guest."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from wasm.build.config import HERE
from wasm.build.steps import relative

if TYPE_CHECKING:
    from wasm.build.config import Config
    from wasm.build.steps import Log
    from wasm.build.toolchain import Toolchain

MAKEFILE = HERE / "guest.mk"

# What configure found out with this CPython and this zig, which is the same on every machine: see `record_answers`.
ANSWERS = HERE / "configure.answers"
_ANSWERS_FOR = "# configure's answers for CPython {python} and zig {zig}, written by `python -m wasm answers`.\n"
# Answers about the machine that builds: its programs and their places, its variables, its name.
_ANSWERS_OF_A_MACHINE = re.compile(r"ac_cv_(path|prog|env|build|host)|[^\n]*/")

# Neither finds the host's libraries, nor builds what the guest has no use for.
_CONFIGURE = ("--without-ensurepip", "--disable-test-modules", "--disable-ipv6", "--host=wasm32-unknown-wasip1")
_NO_PKG_CONFIG = {"PKG_CONFIG": "/bin/false"}


def build_guest(
    source: Path, zlib: Path, config: Config, toolchain: Toolchain, directory: Path, log: Log, *, ask: bool = False
) -> None:
    """Compile the libraries that `guest_archives` names.

    Args:
        source: CPython's source.
        zlib: zlib's source.
        config: The build's pins.
        toolchain: The compiler.
        directory: Where the results go.
        log: The step's log.
        ask: Let configure try everything, though its answers are known.

    Raises:
        StepError: It doesn't compile.
    """
    library = _build_zlib(relative(zlib, directory), config, toolchain, directory, log)
    _configure(source, zlib, library, config, toolchain, directory, log, ask=ask)
    shutil.copyfile(MAKEFILE, directory / MAKEFILE.name)
    command = ("make", f"-j{os.cpu_count()}", "-f", MAKEFILE.name, f"LTO={config.flags['lto']}", "libguest.a")
    log.run(*command, cwd=directory, env=toolchain.environment)


def guest_archives(directory: Path) -> list[Path]:
    """Return what to link: CPython and the libraries its modules use."""
    return [directory / "libguest.a", directory / "libz.a", *sorted(directory.glob("Modules/**/*.a"))]


def record_answers(config: Config, directory: Path) -> None:
    """Write wasm/configure.answers from a build that asked.

    Args:
        config: The build's pins.
        directory: Where `build_guest` ran with `ask`.
    """
    lines = (directory / "config.cache").read_text().splitlines(keepends=True)
    found = [line for line in lines if line.startswith("ac_cv_") and not _ANSWERS_OF_A_MACHINE.match(line)]
    ANSWERS.write_text(_answers_header(config) + "".join(sorted(found)))


def _answers_header(config: Config) -> str:
    return _ANSWERS_FOR.format(python=config.sources["python"].version, zig=config.ziglang)


def _configure(
    source: Path,
    zlib: Path,
    library: Path,
    config: Config,
    toolchain: Toolchain,
    directory: Path,
    log: Log,
    *,
    ask: bool,
) -> None:
    known = ANSWERS.read_text() if ANSWERS.exists() else ""
    if not ask and known.startswith(_answers_header(config)):
        (directory / "config.cache").write_text(known)
    theirs = (source / "Tools" / "wasm" / "config.site-wasm32-wasi").read_text()
    (directory / "config.site").write_text("\n".join([theirs, *config.configure["cache"], ""]))
    # The last one distinguishes builds: zig's cache of objects looks for pyconfig.h where the first of them found it.
    defines = [*config.configure["defines"], f"UDF_BUILD={directory.name}"]
    environment = {
        "CC": str(toolchain.wasm_cc),
        "CXX": str(toolchain.wasm_cc),
        "AR": str(toolchain.ar),
        "RANLIB": str(toolchain.ranlib),
        "OPT": " ".join(config.flags["guest"]),
        "CPPFLAGS": " ".join(f"-D{define}" for define in defines),
        "ZLIB_CFLAGS": f"-I{relative(zlib, directory)}",
        "ZLIB_LIBS": str(library),
        "CONFIG_SITE": "config.site",
        **_NO_PKG_CONFIG,
        **toolchain.environment,
    }
    log.run(
        relative(source, directory) / "configure",  # relative paths: the same in every cache directory
        *_CONFIGURE,
        f"--build={platform.machine()}-pc-{platform.system().lower()}",
        f"--with-build-python={toolchain.python}",
        "--cache-file=config.cache",
        cwd=directory,
        env=environment,
    )


def _build_zlib(source: Path, config: Config, toolchain: Toolchain, directory: Path, log: Log) -> Path:
    (directory / "gzguts.h").touch()  # zutil.c includes it, and uses nothing of it
    flags = (*config.flags["guest"], "-w", "-DHAVE_UNISTD_H", f"-I{source}", "-I.")
    files = [source / path.name for path in sorted((directory / source).glob("*.c"))]
    objects = toolchain.compile_for_guest([(path, flags) for path in files], directory, log)
    library = Path("libz.a")
    log.run(toolchain.ar, "rcs", library, *objects, cwd=directory, env=toolchain.environment)
    return library
