"""The guest's standard library: one uncompressed zip of modules that the guest itself compiled, part of its memory."""

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
SHARED = [_SHARED / name for name in ("__init__.py", "annotations.py", "columns.py", "identifiers.py", "interval.py")]
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


def build(module: Module, library: Path, excluded: list[str]) -> tuple[bytes, dict[str, bytes]]:
    """Compile the library.

    Args:
        module: The linked guest.
        library: CPython's Lib directory.
        excluded: Names of folders of the library that the guest does without.

    Returns:
        The zip, and the marshalled code of the modules that are imported before it can be read, by name.

    Raises:
        SnapshotError: A module doesn't compile.
    """
    compiler = _Compiler(module)
    frozen = {
        name: compiler.compile(f"<frozen {label}>", (library / source).read_bytes()) for name, label, source in _FROZEN
    }
    frozen[_IMPORTER] = compiler.compile(f"/stdlib/{_IMPORTER}.py", (HERE / "python" / f"{_IMPORTER}.py").read_bytes())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, path in sorted(_modules(library, excluded)):
            code = compiler.compile(f"/stdlib/{name}", path.read_bytes())
            # ZipInfo's default date, not the file's: the same inputs give the same bytes.
            archive.writestr(zipfile.ZipInfo(f"{name}c"), _HEADER + code)
    return buffer.getvalue(), frozen


class _Compiler:
    """The guest's own compiler."""

    def __init__(self, module: Module) -> None:
        self._reactor = Reactor(module)
        self._reactor.run("udf_compile_start")

    def compile(self, filename: str, source: bytes) -> bytes:
        """Return a module's marshalled code."""
        name = filename.encode() + b"\0"
        address = self._reactor.call("udf_arena", len(name) + len(source) + 1)
        self._reactor.write(address, name + source + b"\0")
        self._reactor.run("udf_compile", address, address + len(name))
        return self._reactor.text("udf_compiled")


def _modules(library: Path, excluded: list[str]) -> Iterator[tuple[str, Path]]:
    """Yield the path of each module inside the zip, and its source."""
    for root in (library, HERE / "python"):
        for path in root.rglob("*.py"):
            inside = path.relative_to(root)
            if not set(inside.parent.parts) & set(excluded) and inside.stem != _IMPORTER:
                yield inside.as_posix(), path
    for path in SHARED:
        yield path.relative_to(PACKAGE.parent).as_posix(), path
