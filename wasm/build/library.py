"""The guest's standard library: one zip of modules that the guest itself compiled, which is part of its memory.

A module is there twice: as an uncompressed `.pyc`, and as its source, compressed by the guest. Only tracebacks and
`inspect` want that.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from wasm.build.config import HERE, PACKAGE
from wasm.build.reactor import Reactor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wasm.build.reactor import Module

# What the guest and the package share.
_SHARED = PACKAGE / "_shared"
_NAMES = (
    "__init__.py",
    "annotations.py",
    "columns.py",
    "entry.py",
    "identifiers.py",
    "interval.py",
    "kernels.py",
    "numpy_types.py",
)
SHARED = [_SHARED / name for name in _NAMES]
# Of the guest that has numpy alone.
_NUMPY_PYTHON = HERE / "numpy" / "python"
NUMPY_SOURCES = sorted(_NUMPY_PYTHON.rglob("*.py"))
GUEST_SOURCES = [*sorted((HERE / "python").rglob("*.py")), *SHARED]

# An unchecked hash-based .pyc of CPython 3.13 (PEP 552): its magic number (Lib/importlib/_bootstrap_external.py), the
# flag, and no hash, because nothing ever compares it with a source.
_MAGIC = (3571).to_bytes(2, "little") + b"\r\n"
_HEADER = _MAGIC + (1).to_bytes(4, "little") + bytes(8)

# What is imported before the zip can be: name in `sys.modules`, name in its traceback, source.
_FROZEN = (
    ("_frozen_importlib", "importlib._bootstrap", "importlib/_bootstrap.py"),
    ("_frozen_importlib_external", "importlib._bootstrap_external", "importlib/_bootstrap_external.py"),
    ("zipimport", "zipimport", "zipimport.py"),
)
_IMPORTER = "_udf_importer"
# Its name in tracebacks. `warnings` doesn't count frames with such names.
_IMPORTER_FILE = "<frozen importlib._bootstrap_udf>"

# numpy has no docstrings and no sources here: they are half of it, and more than the interpreter.
_NUMPY = "numpy"
_WITHOUT_DOCSTRINGS = 2  # and without asserts

# The folder of packages that are part of the guest.
_SITE_PACKAGES = "site-packages"


def build(
    module: Module, library: Path, excluded: list[str], packages: dict[str, Path], numpy: Path | None = None
) -> tuple[bytes, dict[str, bytes]]:
    """Compile the library.

    Args:
        module: The linked guest.
        library: CPython's Lib directory.
        excluded: Names of folders of the library that the guest does without.
        packages: Packages that are part of the guest, with all of their files: their directories by name.
        numpy: The directory of numpy's modules; None for a guest without it.

    Returns:
        The zip, and the marshalled code of the modules that are imported before it can be read, by name.

    Raises:
        SnapshotError: A module doesn't compile.
    """
    compiler = _Compiler(module)
    frozen = {
        name: compiler.compile(f"<frozen {label}>", (library / source).read_bytes()) for name, label, source in _FROZEN
    }
    importer = (HERE / "python" / f"{_IMPORTER}.py").read_bytes()
    frozen[_IMPORTER] = compiler.compile(_IMPORTER_FILE, importer)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, data: bytes) -> None:
            # ZipInfo's default date, not the file's: the same inputs give the same bytes. To the zip, all is stored.
            archive.writestr(zipfile.ZipInfo(name), data)

        of_numpy = f"{_SITE_PACKAGES}/{_NUMPY}/"
        for name, path, has_source in sorted(_files(library, excluded, packages, numpy)):
            data = path.read_bytes()
            if path.suffix != ".py":
                add(name, data)
                continue
            optimize = _WITHOUT_DOCSTRINGS if name.startswith(of_numpy) else 0
            add(f"{name}c", _HEADER + compiler.compile(f"/stdlib/{name}", data, optimize))
            if has_source:
                add(name, compiler.compress(data))
    return buffer.getvalue(), frozen


class _Compiler:
    """The guest's own compiler."""

    def __init__(self, module: Module) -> None:
        self._reactor = Reactor(module)
        self._reactor.run("udf_compile_start")

    def compile(self, filename: str, source: bytes, optimize: int = 0) -> bytes:
        """Return a module's marshalled code; `optimize` is that of Python's `compile`."""
        name = filename.encode() + b"\0"
        address = self._reactor.call("udf_arena", len(name) + len(source) + 1)
        self._reactor.write(address, name + source + b"\0")
        self._reactor.run("udf_compile", address, address + len(name), optimize)
        return self._reactor.text("udf_compiled")

    def compress(self, data: bytes) -> bytes:
        """Return bytes in zlib's format."""
        address = self._reactor.call("udf_arena", max(len(data), 1))
        self._reactor.write(address, data)
        self._reactor.run("udf_compress", address, len(data))
        return self._reactor.text("udf_compiled")


def _files(
    library: Path, excluded: list[str], packages: dict[str, Path], numpy: Path | None
) -> Iterator[tuple[str, Path, bool]]:
    """Yield the path of each file inside the zip, where it is, and whether guests get its source if it is a module."""
    for root in (library, HERE / "python", *(() if numpy is None else (_NUMPY_PYTHON,))):
        for path in root.rglob("*.py"):
            inside = path.relative_to(root)
            if not set(inside.parent.parts) & set(excluded) and inside.stem != _IMPORTER:
                yield inside.as_posix(), path, root == library
    for path in SHARED:
        yield path.relative_to(PACKAGE.parent).as_posix(), path, False
    for package, directory in (packages if numpy is None else packages | {_NUMPY: numpy}).items():
        for path in directory.rglob("*"):
            if path.is_file():
                inside = path.relative_to(directory)
                yield f"{_SITE_PACKAGES}/{package}/{inside.as_posix()}", path, package != _NUMPY
