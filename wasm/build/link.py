"""Links the guest: our C sources, nanoarrow and CPython into one module that imports almost nothing."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from wasm.build import cpython, numpy_library, sections
from wasm.build.config import HERE
from wasm.build.steps import StepError, relative

if TYPE_CHECKING:
    from pathlib import Path

    from wasm.build.config import Config
    from wasm.build.steps import Log
    from wasm.build.toolchain import Toolchain

C_SOURCES = sorted((HERE / "c").rglob("*.[ch]"))

# Everything the guest may ask of its host: see docs/explanation/security.md. The rest of WASI is answered by
# wasm/c/closed_wasi.c.
WASI_MODULE = "wasi_snapshot_preview1"
WASI_IMPORTS = frozenset({"clock_res_get", "clock_time_get", "random_get"})
# Those of our own module (wasm/c/host/host_call.c), each with the number of its 32-bit arguments.
HOST_MODULE = "duckdb_udf"
HOST_IMPORTS = {"host_import": 4, "host_call": 4, "host_take": 2}
IMPORTS = frozenset(
    {f"{WASI_MODULE}.{name}" for name in WASI_IMPORTS} | {f"{HOST_MODULE}.{name}" for name in HOST_IMPORTS}
)

# For the debug guest: assertions of ours and of the headers we include, code as it is written, and a trap where its
# behaviour is undefined. zig checks that when it optimises less, and reports it by functions that aren't linked here.
_DEBUG_FLAGS = ("-g", "-Og", "-UNDEBUG", "-DNANOARROW_DEBUG", "-fno-lto", "-fsanitize-trap=undefined")

# The C library's functions of ours: no link-time optimisation, which would recognise their loops and make calls of
# themselves of them, and vectors, which all WebAssembly engines of today have.
_LIBC_FLAGS = ("-fno-lto", "-fno-builtin", "-msimd128", "-D_GNU_SOURCE", "-D_WASI_EMULATED_PROCESS_CLOCKS")

# C sources for the guest with numpy alone, and what says to the others that they are part of it.
NUMPY_FOLDER = "numpy"
_NUMPY_FLAG = "-DUDF_NUMPY"

_NANOARROW_SOURCES = ("array.c", "schema.c", "utils.c")
_WASI_EMULATIONS = ("-lwasi-emulated-signal", "-lwasi-emulated-getpid", "-lwasi-emulated-process-clocks")


def link(
    python: Path,
    guest: Path,
    nanoarrow: Path,
    config: Config,
    toolchain: Toolchain,
    directory: Path,
    log: Log,
    *,
    numpy: Path | None = None,
    debug: bool = False,
) -> None:
    """Make `reactor.wasm`.

    Args:
        python: CPython's source.
        guest: Where it was compiled for the guest.
        nanoarrow: nanoarrow's source.
        config: The build's pins.
        toolchain: The compiler.
        directory: Where the result goes.
        log: The step's log.
        numpy: Where numpy was compiled; None for a guest without it.
        debug: Keep symbols and assertions. CPython comes as it was compiled, with the names of its functions.

    Raises:
        StepError: It doesn't compile, or imports more than `IMPORTS`.
    """
    arrow = relative(nanoarrow / "src", directory)
    include = directory / "include"
    _nanoarrow_config(directory / arrow, include, config.sources["nanoarrow"].version)
    headers, decimals = (relative(python / path, directory) for path in ("Include", "Modules/_decimal/libmpdec"))
    system = [
        f"-isystem{path}"
        for path in (
            "include",
            arrow,
            arrow / "nanoarrow",
            relative(guest, directory),
            headers,
            headers / "internal",
            decimals,
        )
    ]
    flags = [*config.flags["guest"], config.flags["lto"], *(_DEBUG_FLAGS if debug else ()), *system]
    if numpy is not None:
        flags += [_NUMPY_FLAG, *(f"-isystem{relative(path, directory)}" for path in numpy_library.includes(numpy))]
        (include / "numpy_modules.h").write_text(numpy_library.module_table())
    sources = directory / "c"
    shutil.copytree(HERE / "c", sources, dirs_exist_ok=True)  # so that their paths are the same in every clone
    ours = [
        relative(path, directory)
        for path in sorted(sources.rglob("*.c"))
        if numpy is not None or path.parent.name != NUMPY_FOLDER
    ]
    theirs = [arrow / "nanoarrow" / "common" / name for name in _NANOARROW_SOURCES]
    strict = (*flags, "-Ic", "-std=c23", "-Wall", "-Wextra", "-Werror")
    libc = (*strict, *_LIBC_FLAGS)
    objects = toolchain.compile_for_guest(
        [
            *((path, libc if path.parent.name == "libc" else strict) for path in ours),
            *((path, (*flags, "-w")) for path in theirs),
        ],
        directory,
        log,
    )
    libraries = [*(numpy_library.archives(numpy) if numpy is not None else ()), *cpython.guest_archives(guest)]
    reactor = directory / "reactor.wasm"
    log.run(
        toolchain.wasm_cc if numpy is None else toolchain.wasm_cxx,
        *config.flags["guest"],
        "-mexec-model=reactor",
        *objects,
        *(relative(path, directory) for path in libraries),
        *_WASI_EMULATIONS,
        "-Wl,--export=__stack_pointer",
        f"-Wl,-z,stack-size={config.flags['stack_bytes']}",
        "-g" if debug else "-s",
        "-o",
        reactor.name,
        cwd=directory,
        env=toolchain.environment,
    )
    imported = sections.imports(sections.split(reactor.read_bytes()))
    if imported != IMPORTS:
        msg = f"the guest imports {sorted(imported)}, not {sorted(IMPORTS)}: see wasm/c/closed_wasi.c"
        raise StepError(msg)


def _nanoarrow_config(arrow: Path, include: Path, version: str) -> None:
    """Write the header that nanoarrow's own build would generate."""
    text = (arrow / "nanoarrow" / "nanoarrow_config.h.in").read_text()
    major, minor, patch = version.split(".")
    values = {"VERSION_MAJOR": major, "VERSION_MINOR": minor, "VERSION_PATCH": patch, "VERSION": version}
    for name, value in (*values.items(), ("NAMESPACE_DEFINE", "")):
        text = text.replace(f"@NANOARROW_{name}@", value)
    shutil.rmtree(include, ignore_errors=True)
    (include / "nanoarrow").mkdir(parents=True)
    (include / "nanoarrow" / "nanoarrow_config.h").write_text(text)
