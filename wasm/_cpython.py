"""CPython twice: an interpreter for this machine, which the cross build runs, and the library for the guest."""

from __future__ import annotations

import os
import platform
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from wasm._config import Config
    from wasm._steps import Log
    from wasm._toolchain import Toolchain

# Neither finds the host's libraries, nor builds what the guest has no use for.
_CONFIGURE = ("--without-ensurepip", "--disable-test-modules")
_NO_PKG_CONFIG = {"PKG_CONFIG": "/bin/false"}


def build_native(source: Path, config: Config, toolchain: Toolchain, directory: Path, log: Log) -> None:
    """Build the interpreter for this machine in `directory`."""
    env = _environment(toolchain, toolchain.cc, " ".join(config.flags["native"]))
    log.run(source / "configure", *_CONFIGURE, cwd=directory, env=env)
    log.run("make", f"-j{os.cpu_count()}", "python", cwd=directory, env=env)


def native_python(directory: Path) -> Path:
    """The interpreter that `build_native` made; macOS, which ignores case, calls it python.exe."""
    return next(path for path in (directory / "python", directory / "python.exe") if path.is_file())


def configure_guest(
    source: Path, zlib: Path, native: Path, config: Config, toolchain: Toolchain, directory: Path, log: Log
) -> None:
    """Configure the guest's build in `directory`, which gets a static zlib too."""
    env = _environment(toolchain, toolchain.wasm_cc, " ".join(config.flags["guest"]))
    library = _build_zlib(zlib, config, toolchain, directory / "zlib", log)
    site = directory / "config.site"
    theirs = (source / "Tools" / "wasm" / "config.site-wasm32-wasi").read_text()
    site.write_text("\n".join([theirs, *config.configure["cache"], ""]))
    env |= {
        "CONFIG_SITE": str(site),
        # The last one tells builds apart: zig's cache of objects looks for pyconfig.h where the first of them found it.
        "CPPFLAGS": " ".join(f"-D{define}" for define in [*config.configure["defines"], f"UDF_BUILD={directory.name}"]),
        "ZLIB_CFLAGS": f"-I{zlib}",
        "ZLIB_LIBS": str(library),
    }
    log.run(
        source / "configure",
        *_CONFIGURE,
        "--disable-ipv6",
        "--host=wasm32-unknown-wasip1",
        f"--build={platform.machine()}-pc-{platform.system().lower()}",
        f"--with-build-python={native_python(native)}",
        cwd=directory,
        env=env,
    )


def compile_guest(toolchain: Toolchain, directory: Path, log: Log) -> None:
    """Compile the configured guest's static library."""
    log.run("make", f"-j{os.cpu_count()}", "libpython3.13.a", cwd=directory, env=toolchain.environment)


def guest_archives(directory: Path) -> list[Path]:
    """What to link: libpython and the libraries its modules use."""
    return [directory / "libpython3.13.a", directory / "zlib" / "libz.a", *sorted(directory.glob("Modules/**/*.a"))]


def _build_zlib(source: Path, config: Config, toolchain: Toolchain, directory: Path, log: Log) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    # zutil.c includes this, and uses nothing of it.
    (directory / "gzguts.h").touch()
    flags = (*config.flags["guest"], "-w", "-DHAVE_UNISTD_H", f"-I{source}", f"-I{directory}")
    objects = toolchain.compile_for_guest(sorted(source.glob("*.c")), flags, directory, log)
    library = directory / "libz.a"
    log.run(toolchain.ar, "rcs", library, *objects, cwd=directory, env=toolchain.environment)
    return library


def _environment(toolchain: Toolchain, cc: Path, opt: str) -> dict[str, str]:
    return {
        "CC": str(cc),
        "CXX": str(cc),
        "AR": str(toolchain.ar),
        "RANLIB": str(toolchain.ranlib),
        "OPT": opt,
        **_NO_PKG_CONFIG,
        **toolchain.environment,
    }
