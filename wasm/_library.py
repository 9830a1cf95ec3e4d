"""The guest's standard library: one uncompressed zip of compiled modules, which becomes part of its memory."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from wasm._config import HERE

if TYPE_CHECKING:
    from pathlib import Path

    from wasm._config import Config
    from wasm._steps import Log

# What the guest and the package share.
_SHARED = HERE.parent / "duckdb_wasi_udf" / "_shared"
SHARED = [_SHARED / name for name in ("__init__.py", "annotations.py", "columns.py", "identifiers.py", "interval.py")]
GUEST_SOURCES = [*sorted((HERE / "python").rglob("*.py")), *SHARED]
COMPILER = HERE / "compile_library.py"


def build(python: Path, library: Path, config: Config, directory: Path, log: Log) -> None:
    """Make `stdlib.zip` and `importer.bin` in `directory`.

    Args:
        python: an interpreter of the guest's version.
        library: CPython's Lib directory.
        config: the build's pins.
        directory: where the results go.
        log: the step's log.
    """
    compiled = directory / "compiled"
    excluded = ",".join(config.library["exclude"])
    libraries = (library, HERE / "python", *SHARED)
    log.run(python, "-I", COMPILER, compiled, directory / "importer.bin", excluded, *libraries, cwd=directory)
    with zipfile.ZipFile(directory / "stdlib.zip", "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(compiled.rglob("*.pyc")):
            # ZipInfo's default date, not the file's: the same inputs give the same bytes.
            archive.writestr(zipfile.ZipInfo(path.relative_to(compiled).as_posix()), path.read_bytes())
