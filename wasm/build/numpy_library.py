"""numpy's objects for the guest that has it.

meson, which is part of numpy's source distribution, generates and compiles numpy as for any machine. Where it would
link an extension module, the compiler (`_COMPILER`) lists what belongs to the module. All of it becomes one archive.
"""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wasm.build.config import HERE
from wasm.build.steps import StepError, relative
from wasm.build.toolchain import script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasm.build.config import Config
    from wasm.build.steps import Log
    from wasm.build.toolchain import Toolchain

NUMPY = HERE / "numpy"
PATCHES = sorted((NUMPY / "patches").glob("*.patch"))
INPUTS = [*PATCHES, *sorted((NUMPY / "include").rglob("*.h"))]

SOURCE = "numpy"  # its key among the sources

ARCHIVE = "libnumpy.a"
PACKAGE = "package"  # the folder with numpy's Python modules, those that the build generates among them

# What users import it by, and the C function that makes it.
MODULES = (
    "numpy._core._multiarray_umath",
    "numpy.linalg._umath_linalg",
    "numpy.linalg.lapack_lite",
    "numpy.fft._pocketfft_umath",
    "numpy.random.bit_generator",
    "numpy.random._common",
    "numpy.random._mt19937",
    "numpy.random._pcg64",
    "numpy.random._philox",
    "numpy.random._sfc64",
    "numpy.random._bounded_integers",
    "numpy.random._generator",
    "numpy.random.mtrand",
)

# `_multiarray_tests` and others are for numpy's own tests.
TEST_MODULES = (
    "numpy._core._multiarray_tests",
    "numpy._core._operand_flag_tests",
    "numpy._core._rational_tests",
    "numpy._core._struct_ufunc_tests",
    "numpy._core._umath_tests",
)

# Parts of numpy that guests don't get: tests, what runs while numpy is built or when others build upon it, and what
# needs a compiler or a dynamic linker.
_LEFT_OUT = {"tests", "conftest.py", "_build_utils", "code_generators", "_pyinstaller", "f2py", "_configtool.py"}

# Modules that add docstrings to what is written in C. Guests have none.
_DOCUMENTATION = {"_add_newdocs.py", "_add_newdocs_scalars.py"}

# Answers for meson, which asks the Python that it compiles for. Everything else it runs is a script of numpy's, for
# which the Python of the build serves.
_PYTHON = """\
import json, os, sys
if os.path.basename(sys.argv[1]) == "python_info.py":
    print(json.dumps({info!r}))
else:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""

# The compiler: links nothing, leaves out what wasm has no use for, and gives single files flags of their own.
_COMPILER = """\
out=
shared=
files=
names=
for a; do
  shift
  case "$last" in -o) out=$a ;; esac
  last=$a
  case "$a" in
    -shared) shared=1 ;;
    *mtrand.cpython*.o) files="$files $a"; names="-include {headers}/legacy_names.h"; set -- "$@" "$a" ;;
    *.o | *.a) files="$files $a"; set -- "$@" "$a" ;;
    -fPIC | -ftrapping-math) ;;
    *unique.cpp | *_pocketfft_umath.cpp) set -- "$@" "$a" -fexceptions -fignore-exceptions ;;
    *) set -- "$@" "$a" ;;
  esac
done
if [ -n "$shared" ] && [ -n "$files" ]; then
  printf '%s\\n' $files > "$out"
  exit 0
fi
exec {zig} {driver} -target {target} "$@" $names {flags}
"""

_CROSS = """\
[binaries]
c = '{cc}'
cpp = '{cxx}'
ar = '{ar}'
ranlib = '{ranlib}'
python = '{python}'
pkg-config = 'false'
[built-in options]
cpp_args = ['-fno-exceptions']
[properties]
longdouble_format = 'IEEE_QUAD_LE'
skip_sanity_check = true
needs_exe_wrapper = true
[host_machine]
system = 'wasi'
cpu_family = 'wasm32'
cpu = 'wasm32'
endian = 'little'
"""


def build_numpy(
    source: Path, python: Path, guest: Path, config: Config, toolchain: Toolchain, directory: Path, log: Log
) -> None:
    """Compile numpy to `ARCHIVE`, and collect its Python modules and headers.

    Args:
        source: numpy's source.
        python: CPython's source.
        guest: Where CPython was compiled for the guest.
        config: The build's pins.
        toolchain: The compiler.
        directory: Where the results go.
        log: The step's log.

    Raises:
        StepError: A tool is missing, a patch doesn't fit, or it doesn't compile.
    """
    _check_cython(config.numpy["cython"])
    tree = directory / "source"
    shutil.copytree(source, tree, dirs_exist_ok=True)
    for patch in PATCHES:
        log.run("patch", "--batch", "--fuzz=0", "--strip=1", f"--input={patch}", cwd=tree)
    shutil.copytree(NUMPY / "include", directory / "headers", dirs_exist_ok=True)
    build = directory / "build"
    environment = {
        **toolchain.environment,
        "PATH": os.pathsep.join([str(directory / "tools"), *os.get_exec_path()]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
    }
    cross = _write_tools(python, guest, config, toolchain, directory)
    meson = tree / "vendored-meson" / "meson" / "meson.py"
    options = [f"-D{name}={str(value).lower()}" for name, value in config.numpy["options"].items()]
    setup = ["setup", f"--cross-file={cross}", "--buildtype=release", *options, str(build), str(tree)]
    log.run(sys.executable, meson, *setup, cwd=directory, env=environment)
    log.run("ninja", f"-j{os.cpu_count()}", cwd=build, env=environment)
    _collect_objects(build, toolchain, directory, log)
    _collect_package(tree, build, directory)


def module_table() -> str:
    """Return the C source that `wasm/c/numpy/extension_modules.c` includes."""
    return "".join(f'MODULE("{name}", PyInit_{name.rpartition(".")[2]})\n' for name in MODULES)


def package(directory: Path) -> Path:
    """Return the folder with numpy's Python modules."""
    return directory / PACKAGE / "numpy"


def includes(directory: Path) -> list[Path]:
    """Return the directories with numpy's headers."""
    inside = Path("numpy") / "_core"
    return [
        directory / "source" / inside / "include",
        directory / "build" / inside / "include",
        directory / "build" / inside,
    ]


def archives(directory: Path) -> list[Path]:
    """Return what to link: numpy, and the libraries that its modules share."""
    return [directory / ARCHIVE, *sorted((directory / "build").rglob("lib*.a"))]


def _check_cython(version: str) -> None:
    """Check that the pinned Cython is installed: another one would generate another C."""
    try:
        installed = importlib.metadata.version("cython")
    except importlib.metadata.PackageNotFoundError:
        installed = "none"
    if installed != version:
        msg = (
            f"numpy is built with Cython {version}, installed is {installed}; run: pip install cython=={version} ninja"
        )
        raise StepError(msg)


def _write_tools(python: Path, guest: Path, config: Config, toolchain: Toolchain, directory: Path) -> Path:
    """Write the compiler, the Python and the file in which meson finds them, and return the last."""
    tools = directory / "tools"
    tools.mkdir(exist_ok=True)
    build = directory / "build"
    # Relative to where ninja runs them, so that the same commands run in every cache.
    paths = (python / "Include", guest, directory / "headers")
    flags = [*config.flags["guest"], *config.numpy["flags"], *(f"-I{relative(path, build)}" for path in paths)]
    names = {"cc": "cc", "cxx": "c++"}
    scripts = {
        key: script(
            tools / key,
            _COMPILER.format(
                driver=driver,
                zig=toolchain.zig,
                target=config.flags["target"],
                headers=directory / "headers",
                flags=" ".join(flags),
            ),
        )
        for key, driver in names.items()
    }
    for program in ("cython", "ninja"):
        script(tools / program, f'exec {shlex.quote(sys.executable)} -m {program} "$@"')
    version = config.sources["python"].version.rpartition(".")[0]
    info = {
        "variables": {"base_prefix": "/usr", "LIBDIR": "", "LDVERSION": version, "EXT_SUFFIX": ".cpython.so"},
        "paths": {"include": str(python / "Include"), "platinclude": str(guest)},
        "sysconfig_paths": {"include": str(python / "Include"), "platinclude": str(guest)},
        "install_paths": {"purelib": "lib", "platlib": "lib", "include": "include", "data": "", "scripts": "bin"},
        "version": version,
        "platform": "wasi-wasm32",
        "is_pypy": False,
        "is_venv": False,
        "link_libpython": False,
        "suffix": ".cpython.so",
        "limited_api_suffix": ".abi3.so",
        "is_freethreaded": False,
    }
    scripts["python"] = script(tools / "python", _PYTHON.format(info=info), sys.executable)
    cross = directory / "cross.ini"
    cross.write_text(_CROSS.format(ar=toolchain.ar, ranlib=toolchain.ranlib, **scripts))
    return cross


def _collect_objects(build: Path, toolchain: Toolchain, directory: Path, log: Log) -> None:
    """Make one archive of the objects of all modules. Some are part of several; then the linker takes the first."""
    files: dict[str, None] = {}
    for module in (*MODULES, *TEST_MODULES):
        listed = build / f"{module.replace('.', '/')}.cpython.so"
        if not listed.exists():
            msg = f"numpy's build made no {module}"
            raise StepError(msg)
        files |= dict.fromkeys(listed.read_text().split())
    response = build / "objects.rsp"
    response.write_text("\n".join(name for name in files if name.endswith(".o")))
    (directory / ARCHIVE).unlink(missing_ok=True)
    # Appended, not replaced: members may have the same name.
    archive = relative(directory / ARCHIVE, build)
    log.run(toolchain.ar, "qcs", archive, f"@{response.name}", cwd=build, env=toolchain.environment)


def _collect_package(tree: Path, build: Path, directory: Path) -> None:
    """Copy numpy's Python modules, those that the build generates among them."""
    target = directory / PACKAGE / "numpy"
    for root in (tree / "numpy", build / "numpy"):
        for path in _package_files(root):
            copy = target / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            # `numpy.show_config` names the build's programs by where they are.
            text = path.read_text(encoding="utf-8").replace(f"{directory}/", "")
            copy.write_text("" if path.name in _DOCUMENTATION else text, encoding="utf-8")


def _package_files(root: Path) -> Iterator[Path]:
    """Yield the modules of numpy that guests can import."""
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if not set(inside.parts) & _LEFT_OUT:
            yield path
